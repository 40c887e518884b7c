/** The host's processor in ring 3 against the interpreter: `tools/oracle.ts` runs more of the same. */

import { assert } from "@std/assert";
import { kvmEngine } from "../../support/kvm_guest.ts";
import { type Mismatch, mismatchText, runOracle } from "../../support/oracle/oracle.ts";
import { seed } from "../../support/random.ts";
import { testWith } from "../../support/requirement.ts";

const CASES = 500_000;
/**
 * What is left of differences, one in so many cases: the order of two faults of one operand, the last
 * place of transcendentals, and instructions that this KVM itself emulates. A broken instruction is
 * different in hundreds.
 */
const ONE_IN = 20_000;
/** Mismatches that are told. */
const SHOWN = 20;
/** Share of cases that must have done more than to fault. */
const LEAST_COMPLETED = 0.8;

testWith(
  kvmEngine,
  "the interpreter does what the host's processor does, in registers, flags, memory and exceptions",
  () => {
    const start = seed(0x0_ac1e);
    const found: Mismatch[] = [];
    const report = (mismatch: Mismatch) => found.push(mismatch);
    const result = runOracle({
      seed: start,
      bits: 64,
      cases: CASES,
      mismatches: CASES / ONE_IN + 1,
      report,
    });
    const lines = found.slice(0, SHOWN).map(mismatchText).join("\n");
    assert(result.mismatches <= CASES / ONE_IN, `DENOVISOR_SEED=${start}\n${lines}`);
    const completed = (result.ends.get(1) ?? 0) + (result.ends.get(2) ?? 0);
    assert(completed > CASES * LEAST_COMPLETED, `only ${completed} cases did not fault`);
  },
);
