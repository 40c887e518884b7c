/** What accesses cost that the TLB cannot serve. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../src/base/u64.ts";
import { realModeState } from "../../../../src/cpu/modes.ts";
import { ExitCode } from "../../../../src/engine/engine.ts";
import { GuestMemory } from "../../../../src/memory/guest_memory.ts";
import { runToHalt, wasmEngine } from "../../../support/wasm_guest.ts";

const RAM = 0x1_0000;
const CODE = 0x2000;
const ROUTINE = 0x3000;

function guest(bytes: readonly number[], ds = 0) {
  const memory = GuestMemory.allocate(RAM);
  memory.write(gpa(CODE), Uint8Array.from(bytes));
  memory.writeU8(gpa(ROUTINE), 0xc3); // ret
  const state = realModeState({ cs: 0, ip: CODE, ds, ss: 0, sp: 0x8000 });
  return wasmEngine(memory, state);
}

/** Stores AL to DS:`at` 1000 times and halts. */
function stores(at: number): readonly number[] {
  return [0xb9, 0xe8, 3, 0xa2, at & 255, at >> 8, 0xe2, 0xfb, 0xf4];
}

Deno.test("a page of code is translated once for all stores to it", () => {
  const { engine } = guest(stores(CODE + 0x100));
  assertEquals(runToHalt(engine).code, ExitCode.HALT);
  assert(engine.stats().tlb_misses < 10, `${engine.stats().tlb_misses} misses`);
});

Deno.test("a device is translated once for all stores to it", () => {
  const { engine, bus } = guest(stores(0), RAM / 16);
  assertEquals(runToHalt(engine).code, ExitCode.HALT);
  assertEquals(bus.log.length, 1000);
  assert(engine.stats().tlb_misses < 10, `${engine.stats().tlb_misses} misses`);
});

Deno.test("a page that has lost its code takes stores like any other", () => {
  const call = [0xe8, ...[0xfd, 0x0f]]; // call ROUTINE
  const { engine } = guest([...call, 0xa2, 0, 0x30, ...stores(ROUTINE + 0x100)]);
  let looks = 0;
  const written = engine.guest.written.bind(engine.guest);
  engine.guest.written = (...args) => {
    looks++;
    written(...args);
  };
  assertEquals(runToHalt(engine).code, ExitCode.HALT);
  assertEquals([looks, engine.guest.code.hasCode(ROUTINE / 4096)], [1, false]);
});
