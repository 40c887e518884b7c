/**
 * Instruction by instruction, translated code leaves what the interpreter leaves, undefined flags
 * included: the oracle's cases, each in several states. `tools/oracle.ts --sides
 * interpreted-translated` runs more of the same.
 */

import { assert, assertEquals } from "@std/assert";
import { EMITTED } from "../../../../../src/engine/wasm/jit/emit/table.ts";
import { type Mismatch, mismatchText, runOracle } from "../../../../support/oracle/oracle.ts";
import { seed } from "../../../../support/random.ts";

/** Cases of all instructions, and of those alone that translated code has. */
const ALL = 100_000, EMITTED_ONLY = 200_000;
/** Mismatches that are told. */
const SHOWN = 20;
const BRANCHES = ["j", "jmp", "call", "ret"];
/** Share of the second kind's cases that must have run translated: the others are warming up, or odd. */
const LEAST_TRANSLATED = 0.6;

for (const bits of [64, 32] as const) {
  Deno.test(`${bits}-bit code in the neighbourhood of all instructions does translated what it does interpreted`, () => {
    check(bits, ALL);
  });

  Deno.test(`every instruction of ${bits}-bit code that is translated does what it does interpreted`, () => {
    const names = [...EMITTED.filter((name) => !ELSEWHERE.includes(name)), ...BRANCHES];
    const { translated } = check(bits, EMITTED_ONLY, new RegExp(`^(${names.join("|")})$`));
    const known = names.filter((name) => bits === 64 || !ONLY64.includes(name));
    assertEquals(known.filter((name) => !translated.has(name)), [], "never ran translated");
    const count = [...translated.values()].reduce((sum, some) => sum + some, 0);
    assert(count > EMITTED_ONLY * LEAST_TRANSLATED, `only ${count} cases ran translated`);
  });
}
const BASES = ["rdfsbase", "rdgsbase", "wrfsbase", "wrgsbase"];
const ONLY64 = ["movsxd", "cmpxchg16b", ...BASES];
/** Not among the oracle's cases: see `tsc_test.ts`, `kernel_test.ts` and `whole_flags_test.ts`. */
const ELSEWHERE = ["rdtsc", "rdtscp", "rdpid", "swapgs", "rdpkru", "iret"];

function check(bits: 32 | 64, cases: number, only?: RegExp) {
  const start = seed(0x71d5);
  const found: Mismatch[] = [];
  const report = (mismatch: Mismatch) => found.push(mismatch);
  const sides = "interpreted-translated";
  const options = { seed: start, bits, cases, sides, mismatches: SHOWN, report } as const;
  const result = runOracle({ ...options, ...only === undefined ? {} : { only } });
  const lines = found.slice(0, SHOWN).map(mismatchText).join("\n");
  assertEquals(result.mismatches, 0, `DENOVISOR_SEED=${start}\n${lines}`);
  return result;
}
