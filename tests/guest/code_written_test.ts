/** Code that the owner of a Vm writes while the guest runs it. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../src/base/u64.ts";
import { testOnEngines } from "../support/engines.ts";
import { always } from "../support/requirement.ts";
import { bootCode } from "../support/vm_guest.ts";

const CODE = 0x7c00;
const ROUTINE = CODE + 0x100;
/** mov dx, 0x604; mov ax, 0x2000; out dx, ax: power-off */
const POWER_OFF = [0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xc3];

testOnEngines(always, "a running guest executes the code that its owner writes", async (engine) => {
  const image = new Uint8Array(0x200);
  image.set([0xfa, 0xe8, 0xfc, 0, 0xeb, 0xfb]); // cli; call ROUTINE; jmp to the call
  image[0x100] = 0xc3; // ret
  await using vm = await bootCode([...image], { engine });
  if (engine === "wasm") {
    while (vm.stats().instructions < 200_000) await new Promise((go) => setTimeout(go, 10));
  }
  assert(vm.memory.readU8(gpa(ROUTINE)) === 0xc3);
  vm.memory.write(gpa(ROUTINE), Uint8Array.from(POWER_OFF));
  assertEquals(await vm.wait(), { kind: "power-off" });
});
