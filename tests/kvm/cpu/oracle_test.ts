/** The host's processor in ring 3 against the interpreter and translated code: `tools/oracle.ts` runs more of the same. */

import { assert, assertEquals } from "@std/assert";
import { kvmEngine } from "../../support/kvm_guest.ts";
import {
  type Mismatch,
  mismatchText,
  type OracleResult,
  runOracle,
  type Sides,
} from "../../support/oracle/oracle.ts";
import { seed } from "../../support/random.ts";
import { testWith } from "../../support/requirement.ts";

/** 64-bit code runs on the processor itself; compatibility mode, on this KVM, in its emulator. */
const CASES = { 64: 2_000_000, 32: 200_000 } as const;
/** Mismatches that are told. */
const SHOWN = 20;
/** Share of cases that must have done more than to fault. */
const LEAST_COMPLETED = 0.75;
/**
 * Batches that may differ once and never again: one in some twenty million cases does, on a host with
 * much to do, and which case it was, and how, cannot be said any more.
 */
const MOST_UNREPEATED = 2;
/** Share of cases that must have run translated; most of the table's instructions are interpreted. */
const LEAST_TRANSLATED = 0.15;

for (const bits of [64, 32] as const) {
  testWith(
    kvmEngine,
    `${bits}-bit code of ring 3 leaves the registers, flags, memory and exceptions of the host's CPU`,
    () => void check(bits, "native-interpreted"),
  );

  testWith(
    kvmEngine,
    `translated ${bits}-bit code of ring 3 leaves the registers, flags, memory and exceptions of the host's CPU`,
    () => {
      const { translated } = check(bits, "native-translated");
      const count = [...translated.values()].reduce((sum, some) => sum + some, 0);
      assert(count > CASES[bits] * LEAST_TRANSLATED, `only ${count} cases ran translated`);
    },
  );
}

function check(bits: 32 | 64, sides: Sides): OracleResult {
  const start = seed(0x0_ac1e);
  const found: Mismatch[] = [];
  const report = (mismatch: Mismatch) => found.push(mismatch);
  const cases = CASES[bits];
  const result = runOracle({ seed: start, bits, cases, sides, mismatches: SHOWN, report });
  const lines = found.slice(0, SHOWN).map(mismatchText).join("\n");
  assertEquals(result.mismatches, 0, `DENOVISOR_SEED=${start}\n${lines}`);
  assert(result.unrepeated <= MOST_UNREPEATED, `${result.unrepeated} batches differed once`);
  const completed = (result.ends.get(1) ?? 0) + (result.ends.get(2) ?? 0);
  assert(completed > cases * LEAST_COMPLETED, `only ${completed} cases did not fault`);
  return result;
}
