/**
 * Random programs end interpreted and translated with the same registers, memory and count of
 * instructions, in slices of any length. `tools/programs.ts` runs more of the same.
 */

import { assert, assertEquals } from "@std/assert";
import { fuzzPrograms } from "../../../../support/programs/fuzz.ts";
import { seed } from "../../../../support/random.ts";

/** 100,000 runs in all. */
const PLANS = [
  { bits: 64, runs: 40_000, states: 8, threshold: 3, modifying: false },
  { bits: 32, runs: 35_000, states: 8, threshold: 3, modifying: false },
  { bits: 64, runs: 5_000, states: 4, threshold: 1, modifying: false },
  { bits: 32, runs: 5_000, states: 4, threshold: 1, modifying: false },
  { bits: 64, runs: 8_000, states: 4, threshold: 2, modifying: true },
  { bits: 32, runs: 7_000, states: 4, threshold: 1, modifying: true },
] as const;
/** Entries into translated code, by run, and programs by region: the least of what is usual. */
const LEAST_ENTRIES = 2, MOST_PROGRAMS_PER_REGION = 1;

for (const plan of PLANS) {
  const { bits, runs, states, threshold, modifying } = plan;
  const what = modifying ? "programs that write to their code" : "programs";
  Deno.test(`${runs} runs of random ${bits}-bit ${what}, translated at their execution ${threshold}, end as interpreted`, () => {
    const start = seed(0x0f02);
    const result = fuzzPrograms({ seed: start, ...plan });
    assertEquals(result.difference, undefined, `DENOVISOR_SEED=${start}`);
    assertEquals(result.runs, runs);
    const { jit_entries, jit_regions, jit_dropped } = result.stats;
    assert(jit_entries > runs * LEAST_ENTRIES, `only ${jit_entries} entries`);
    assert(jit_regions > runs / states / MOST_PROGRAMS_PER_REGION, `only ${jit_regions} regions`);
    if (modifying) assert(jit_dropped > jit_regions / 3, `only ${jit_dropped} regions overwritten`);
  });
}
