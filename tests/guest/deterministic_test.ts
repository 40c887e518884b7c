/** By the virtual clock a run is a function of its inputs. */

import { assertEquals, assertNotEquals } from "@std/assert";
import { buildGuest, type GuestName } from "../../tools/guests.ts";
import { testWith, toolchain } from "../support/requirement.ts";
import { runOnWasm, type WasmRun, type WasmRunOptions } from "../support/wasm_run.ts";

async function run(name: GuestName, options: Partial<WasmRunOptions>): Promise<WasmRun> {
  return await runOnWasm({ kernel: { name, bytes: await buildGuest(name) }, ...options });
}

for (const [name, cpus] of [["timer", 1], ["smp", 4], ["demo", 1]] as const) {
  testWith(
    toolchain,
    `two runs of ${name} with ${cpus} vCPUs end with the same RAM, registers and output`,
    async () => {
      const options = { cpus, append: "auto" };
      const first = await run(name, options);
      assertNotEquals(first.output, "");
      assertEquals(await run(name, options), first);
    },
  );

  testWith(
    toolchain,
    `where the slices of ${name} with ${cpus} vCPUs end does not matter`,
    async () => {
      const options = { cpus, append: "auto" };
      const first = await run(name, options);
      assertEquals(await run(name, { ...options, sliceInstructions: 7777 }), first);
    },
  );

  testWith(
    toolchain,
    `both modes of the MMU do the same to ${name} with ${cpus} vCPUs`,
    async () => {
      const options = { cpus, append: "auto" };
      const first = await run(name, options);
      assertEquals(await run(name, { ...options, mmu: "shadow" }), first);
    },
  );
}
