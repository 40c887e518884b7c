/** The oracle: batch after batch on both sides, and what of it differs. */

import { probeKvm } from "../../../src/engine/kvm/probe.ts";
import { Random } from "../random.ts";
import { Comparison, type Difference } from "./compare.ts";
import { type Case, Generator } from "./generate.ts";
import { At, BATCH, codeAddress, DATA_BYTES, In } from "./layout.ts";
import { InterpretedRunner, NativeRunner } from "./runners.ts";

/** What is to be run. */
export interface OracleOptions {
  readonly seed: number;
  readonly bits: 32 | 64;
  readonly cases: number;
  /** Mnemonics; all without. */
  readonly only?: RegExp;
  /** Ends after so many differing batches. */
  readonly mismatches?: number;
  /** Called for each difference. */
  readonly report?: (mismatch: Mismatch) => void;
}

/** A case whose results differ. */
export interface Mismatch {
  readonly batch: number;
  readonly index: number;
  readonly test: Case;
  readonly inputs: string;
  readonly differences: readonly Difference[];
}

/** What has been run. */
export interface OracleResult {
  readonly cases: number;
  readonly mismatches: number;
  /** Cases by how they ended: 1 fallen through, 2 branch taken, 16 + vector. */
  readonly ends: ReadonlyMap<number, number>;
  /** Cases by mnemonic. */
  readonly mnemonics: ReadonlyMap<string, number>;
}

/** Parts of an image that make a batch. */
const CHANGING: readonly (readonly [from: number, to: number])[] = [
  [At.DATA, At.DATA + DATA_BYTES],
  [At.CODE, At.IN],
  [At.IN, At.IN + BATCH * In.SIZE],
];

/** Runs cases until they are all run or too many differ. Each batch has a seed of its own. */
export function runOracle(options: OracleOptions): OracleResult {
  using native = new NativeRunner();
  using interpreted = new InterpretedRunner();
  const run = new Run(options, native, interpreted);
  return run.all();
}

class Run {
  readonly #options: OracleOptions;
  readonly #native: NativeRunner;
  readonly #interpreted: InterpretedRunner;
  readonly #comparison: Comparison;
  readonly #pristine: Uint8Array;
  readonly #ends = new Map<number, number>();
  readonly #mnemonics = new Map<string, number>();
  #mismatches = 0;

  constructor(options: OracleOptions, native: NativeRunner, interpreted: InterpretedRunner) {
    this.#options = options;
    this.#native = native;
    this.#interpreted = interpreted;
    // A KVM that interprets ring 0 also emulates what faults in ring 3; a native one does not.
    const emulates = probeKvm().ring0 !== "native";
    this.#comparison = new Comparison(native.bytes, interpreted.bytes, emulates);
    this.#pristine = new Uint8Array(native.bytes.length);
  }

  all(): OracleResult {
    const { cases, mismatches = Infinity } = this.#options;
    let done = 0;
    for (let batch = 0; done < cases && this.#mismatches < mismatches; batch++) {
      done += this.#batch(batch, Math.min(BATCH, cases - done));
    }
    return {
      cases: done,
      mismatches: this.#mismatches,
      ends: this.#ends,
      mnemonics: this.#mnemonics,
    };
  }

  #batch(batch: number, count: number): number {
    const { seed, bits, only } = this.#options;
    // The seed of a batch: a batch can be run alone.
    this.#generator ??= new Generator(new Random(seed), bits, only);
    const tests: Case[] = [];
    for (let i = 0; i < count; i++) tests.push(this.#generator.make(this.#native.bytes, i));
    for (const [from, to] of CHANGING) {
      this.#pristine.set(this.#native.bytes.subarray(from, to), from);
    }
    this.#run(tests, 0, count);
    let same = this.#comparison.sameData();
    for (let i = 0; i < count; i++) {
      if (!this.#comparison.same(tests[i], i)) same = false;
      const end = this.#comparison.end(i);
      this.#ends.set(end, (this.#ends.get(end) ?? 0) + 1);
      for (const { row } of tests[i].forms) {
        this.#mnemonics.set(row.mnemonic, (this.#mnemonics.get(row.mnemonic) ?? 0) + 1);
      }
    }
    if (!same) this.#explain(batch, tests);
    return count;
  }
  #generator: Generator | undefined;

  /** Runs cases from the pristine image on both sides. */
  #run(tests: readonly Case[], first: number, count: number): void {
    for (const [from, to] of CHANGING) {
      const bytes = this.#pristine.subarray(from, to);
      this.#native.bytes.set(bytes, from);
      this.#interpreted.bytes.set(bytes, from);
    }
    this.#comparison.clear();
    this.#native.run(first, count);
    this.#interpreted.run(first, count);
    for (let i = first; i < first + count; i++) this.#comparison.forgive(tests[i]);
  }

  /** Runs the cases of a batch one by one, to tell those that differ from those that suffer. */
  #explain(batch: number, tests: readonly Case[]): void {
    let found = 0;
    for (let i = 0; i < tests.length; i++) {
      this.#run(tests, i, 1);
      if (this.#comparison.same(tests[i], i) && this.#comparison.sameData()) continue;
      found++;
      this.#report(batch, i, tests[i]);
    }
    // What is vague may have been copied by a later case.
    if (found === 0 && tests.some(({ vague }) => vague.length > 0)) return;
    // None alone: then the first of the batch that differs when the others come before it.
    for (let n = 1; found === 0 && n <= tests.length; n++) {
      this.#run(tests, 0, n);
      if (this.#comparison.same(tests[n - 1], n - 1) && this.#comparison.sameData()) continue;
      found++;
      this.#report(batch, n - 1, tests[n - 1]);
    }
    this.#mismatches += Math.max(found, 1);
  }

  #report(batch: number, index: number, test: Case): void {
    this.#options.report?.({
      batch,
      index,
      test,
      inputs: this.#comparison.inputs(test, index),
      differences: this.#comparison.differences(test, index),
    });
  }
}

/** One line. */
export function mismatchText(mismatch: Mismatch): string {
  const { batch, index, test, differences } = mismatch;
  const bytes = [...test.code].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const names = test.forms.map(({ row }) => `${row.mnemonic} ${row.operands.join(",")}`.trim());
  const what = differences.map(({ field, native, interpreted }) =>
    `${field}: ${native} but ${interpreted}`
  );
  return `${batch}/${index} at ${codeAddress(index).toString(16)} ${
    names.join("; ")
  } | ${bytes} | ` +
    `${what.join(", ") || "nothing left"}`;
}
