/** By the virtual clock a run is a function of its inputs. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { buildGuest, type GuestName } from "../../tools/guests.ts";
import { testWith, toolchain } from "../support/requirement.ts";
import { runOnWasm, type WasmRun, type WasmRunOptions } from "../support/wasm_run.ts";

async function run(name: GuestName, options: Partial<WasmRunOptions>): Promise<WasmRun> {
  return await runOnWasm({ kernel: { name, bytes: await buildGuest(name) }, ...options });
}

/** Translated at once, and only what is hot. */
const TRANSLATED = [
  { name: "at its first execution", jit: { threshold: 1, maxBytes: 2 ** 28 } },
  { name: "when hot", jit: { maxBytes: 2 ** 28 } },
  { name: "in very little memory", jit: { threshold: 1, maxBytes: 1 } },
];

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

  for (const translated of TRANSLATED) {
    testWith(
      toolchain,
      `code of ${name} with ${cpus} vCPUs that is translated ${translated.name} does the same as interpreted`,
      async () => {
        const options = { cpus, append: "auto" };
        const interpreted = await run(name, options);
        let regions = 0;
        const onStats = ({ jit_regions }: Record<string, number>) => void (regions = jit_regions);
        assertEquals(await run(name, { ...options, jit: translated.jit, onStats }), interpreted);
        assert(regions > 0);
      },
    );
  }
}
