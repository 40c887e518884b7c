/**
 * KVM's ring 0, which is the host kernel's emulator or the processor, against the interpreter:
 * `tools/oracle.ts --ring 0` runs more of the same.
 */

import { assert, assertEquals } from "@std/assert";
import { kvmEngine } from "../../support/kvm_guest.ts";
import { seed } from "../../support/random.ts";
import { testWith } from "../../support/requirement.ts";
import { type Ring0Mismatch, ring0Text, runRing0 } from "../../support/ring0_oracle/oracle.ts";

const CASES = 200_000;
/** Mismatches that are told. */
const SHOWN = 20;
/** Share of cases that the host must have been able to show. */
const LEAST_SHOWN = 0.75;

testWith(
  kvmEngine,
  "instructions of ring 0 leave the registers, segments, tables and exceptions that KVM's leave",
  () => {
    const start = seed(0x0_0ac1e);
    const found: Ring0Mismatch[] = [];
    const report = (mismatch: Ring0Mismatch) => found.push(mismatch);
    const result = runRing0({ seed: start, cases: CASES, mismatches: SHOWN, report });
    const lines = found.map(ring0Text).join("\n");
    assertEquals(result.mismatches, 0, `DENOVISOR_SEED=${start}\n${lines}`);
    const notShown = result.ends.get("not shown") ?? 0;
    assert(notShown < CASES * (1 - LEAST_SHOWN), `${notShown} cases could not be shown`);
  },
);
