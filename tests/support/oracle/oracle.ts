/** The oracle: batch after batch on both sides, and what of it differs. */

import { probeKvm } from "../../../src/engine/kvm/probe.ts";
import { Random } from "../random.ts";
import { Comparison, type Difference } from "./compare.ts";
import { type Case, Generator } from "./generate.ts";
import { At, BATCH, codeAddress, DATA_BYTES, In } from "./layout.ts";
import {
  InterpretedRunner,
  NativeRunner,
  type Runner,
  TranslatedRunner,
  WARM_UP,
} from "./runners.ts";

/** States with which each code is run where it is translated, the interpreted ones included. */
const TRANSLATED_STATES = WARM_UP + 10;

/** Whose results are compared: the host's, the interpreter's, the translator's. */
export const SIDES = ["native-interpreted", "native-translated", "interpreted-translated"] as const;
export type Sides = typeof SIDES[number];

/** What is to be run. */
export interface OracleOptions {
  readonly seed: number;
  readonly bits: 32 | 64;
  readonly cases: number;
  /** By default `native-interpreted`. */
  readonly sides?: Sides;
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
  /** Number of the states in which the batch was run. */
  readonly state: number;
  readonly index: number;
  readonly test: Case;
  readonly inputs: string;
  readonly differences: readonly Difference[];
}

/** What has been run. */
export interface OracleResult {
  readonly cases: number;
  readonly mismatches: number;
  /** Batches that differed once and not when they were run again: the host had done something else. */
  readonly unrepeated: number;
  /** Cases by how they ended: 1 fallen through, 2 branch taken, 16 + vector. */
  readonly ends: ReadonlyMap<number, number>;
  /** Cases by mnemonic. */
  readonly mnemonics: ReadonlyMap<string, number>;
  /** Cases whose first instruction ran as translated code, by its mnemonic. */
  readonly translated: ReadonlyMap<string, number>;
}

/** Parts of an image that make a batch. */
const CHANGING: readonly (readonly [from: number, to: number])[] = [
  [At.DATA, At.DATA + DATA_BYTES],
  [At.CODE, At.IN],
  [At.IN, At.IN + BATCH * In.SIZE],
];

/** Runs cases until they are all run or too many differ. */
export function runOracle(options: OracleOptions): OracleResult {
  const { sides = "native-interpreted" } = options;
  using reference = sides.startsWith("native") ? new NativeRunner() : new InterpretedRunner();
  using tested = sides.endsWith("translated") ? new TranslatedRunner() : new InterpretedRunner();
  const run = new Run(options, reference, tested);
  return run.all();
}

class Run {
  readonly #options: OracleOptions;
  readonly #reference: Runner;
  readonly #tested: Runner;
  /** Both sides count their instructions. */
  readonly #strict: boolean;
  readonly #comparison: Comparison;
  readonly #generator: Generator;
  readonly #pristine: Uint8Array;
  readonly #ends = new Map<number, number>();
  readonly #mnemonics = new Map<string, number>();
  readonly #translated = new Map<string, number>();
  #mismatches = 0;
  #unrepeated = 0;

  constructor(options: OracleOptions, reference: Runner, tested: Runner) {
    const { seed, bits, only } = options;
    this.#options = options;
    this.#reference = reference;
    this.#tested = tested;
    this.#strict = reference instanceof InterpretedRunner;
    // A KVM that interprets ring 0 also emulates what faults in ring 3; a native one does not.
    const emulates = !this.#strict && probeKvm().ring0 !== "native";
    this.#comparison = new Comparison(reference.bytes, tested.bytes, this.#strict, emulates);
    this.#generator = new Generator(new Random(seed), bits, !this.#strict, only);
    this.#pristine = new Uint8Array(reference.bytes.length);
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
      unrepeated: this.#unrepeated,
      ends: this.#ends,
      mnemonics: this.#mnemonics,
      translated: this.#translated,
    };
  }

  /** Makes `count` cases and runs them, translated ones in several states; returns how many ran. */
  #batch(batch: number, count: number): number {
    const tested = this.#tested;
    const image = this.#reference.bytes;
    const tests: Case[] = [];
    for (let i = 0; i < count; i++) tests.push(this.#generator.make(image, i));
    this.#reference.codeChanged();
    tested.codeChanged();
    const states = tested instanceof TranslatedRunner ? TRANSLATED_STATES : 1;
    for (let state = 0; state < states; state++) {
      if (state > 0) {
        this.#restore();
        for (let i = 0; i < count; i++) this.#generator.vary(image, i, tests[i], !this.#strict);
      }
      for (const [from, to] of CHANGING) this.#pristine.set(image.subarray(from, to), from);
      if (tested instanceof TranslatedRunner) this.#countTranslated(tested, tests);
      this.#run(tests, 0, count);
      if (!this.#isSame(tests)) this.#explain(batch, state, tests);
    }
    return count * states;
  }

  #countTranslated(tested: TranslatedRunner, tests: readonly Case[]): void {
    tests.forEach(({ forms: [{ row: { mnemonic } }] }, i) => {
      if (!tested.isTranslated(i, this.#options.bits)) return;
      this.#translated.set(mnemonic, (this.#translated.get(mnemonic) ?? 0) + 1);
    });
  }

  /** Counts what the cases did, and compares it. */
  #isSame(tests: readonly Case[]): boolean {
    let same = this.#comparison.sameData();
    if (this.#strict && this.#reference.retired !== this.#tested.retired) same = false;
    for (let i = 0; i < tests.length; i++) {
      if (!this.#comparison.same(tests[i], i)) same = false;
      const end = this.#comparison.end(i);
      this.#ends.set(end, (this.#ends.get(end) ?? 0) + 1);
      for (const { row } of tests[i].forms) {
        this.#mnemonics.set(row.mnemonic, (this.#mnemonics.get(row.mnemonic) ?? 0) + 1);
      }
    }
    return same;
  }

  /** Both sides' memory is as before the run. */
  #restore(): void {
    for (const [from, to] of CHANGING) {
      const bytes = this.#pristine.subarray(from, to);
      this.#reference.bytes.set(bytes, from);
      this.#tested.bytes.set(bytes, from);
    }
  }

  /** Runs cases from the pristine image on both sides. */
  #run(tests: readonly Case[], first: number, count: number): void {
    this.#restore();
    this.#comparison.clear();
    this.#reference.run(first, count);
    this.#tested.run(first, count);
    for (let i = first; i < first + count; i++) this.#comparison.forgive(tests[i]);
  }

  /** True when cases that have been run differ, case `i` in its results. */
  #differs(tests: readonly Case[], i: number): boolean {
    return !this.#comparison.same(tests[i], i) || !this.#comparison.sameData() ||
      this.#strict && this.#reference.retired !== this.#tested.retired;
  }

  /** Runs the cases of a batch one by one, to tell those that differ from those that suffer. */
  #explain(batch: number, state: number, tests: readonly Case[]): void {
    let found = 0;
    for (let i = 0; i < tests.length; i++) {
      this.#run(tests, i, 1);
      if (!this.#differs(tests, i)) continue;
      found++;
      this.#report(batch, state, i, tests[i]);
    }
    // What is vague may have been copied by a later case.
    if (found === 0 && tests.some(({ vague }) => vague.length > 0)) return;
    // None alone: then the first of the batch that differs when the others come before it.
    for (let n = 1; found === 0 && n <= tests.length; n++) {
      this.#run(tests, 0, n);
      if (!this.#differs(tests, n - 1)) continue;
      found++;
      this.#report(batch, state, n - 1, tests[n - 1]);
    }
    if (found === 0 && !this.#strict) this.#unrepeated++;
    else this.#mismatches += Math.max(found, 1);
  }

  #report(batch: number, state: number, index: number, test: Case): void {
    this.#options.report?.({
      batch,
      state,
      index,
      test,
      inputs: this.#comparison.inputs(test, index),
      differences: this.#comparison.differences(test, index),
    });
  }
}

/** One line. */
export function mismatchText(mismatch: Mismatch): string {
  const { batch, state, index, test, differences } = mismatch;
  const bytes = [...test.code].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const names = test.forms.map(({ row }) => `${row.mnemonic} ${row.operands.join(",")}`.trim());
  const what = differences.map(({ field, native, interpreted }) =>
    `${field}: ${native} but ${interpreted}`
  );
  return `${batch}.${state}/${index} at ${codeAddress(index).toString(16)} ${
    names.join("; ")
  } | ${bytes} | ` +
    `${what.join(", ") || "nothing left"}`;
}
