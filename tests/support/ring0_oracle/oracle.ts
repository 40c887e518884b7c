/** The ring-0 oracle: case after case on both sides, and what of them differs. */

import { CpuState } from "../../../src/cpu/state.ts";
import { Random } from "../random.ts";
import { host } from "../kvm_host.ts";
import { Comparison, type Difference, difference } from "./compare.ts";
import { KNOWN } from "./known.ts";
import { Observed } from "./observed.ts";
import { type Case, Generator, REGISTERS } from "./generate.ts";
import { InterpretedSide } from "./interpreted.ts";
import { End, NativeSide } from "./native.ts";
import { findShown, type Shown } from "./shown.ts";

/** What is to be run. */
export interface Ring0Options {
  readonly seed: number;
  readonly cases: number;
  /** Families and modes; all without. */
  readonly only?: RegExp;
  /** Ends after so many differing cases. */
  readonly mismatches?: number;
  /** Called for each difference. */
  readonly report?: (mismatch: Ring0Mismatch) => void;
}

/** A case whose results differ. */
export interface Ring0Mismatch {
  readonly index: number;
  readonly test: Case;
  readonly inputs: string;
  readonly differences: readonly Difference[];
}

/** What has been run. */
export interface Ring0Result {
  readonly cases: number;
  readonly mismatches: number;
  /** Cases by how they ended on the native side. */
  readonly ends: ReadonlyMap<string, number>;
  /** Differences that are known, by entry. */
  readonly explained: ReadonlyMap<string, number>;
  /** Modes that the native side does not have. */
  readonly modesNotShown: readonly string[];
  /** Cases by family, and those of them that could not be shown. */
  readonly families: ReadonlyMap<string, { cases: number; notShown: number }>;
}

/** Runs cases until they are all run or too many differ. */
export function runRing0(options: Ring0Options): Ring0Result {
  using native = new NativeSide();
  return new Run(options, native, new InterpretedSide()).all();
}

class Run {
  readonly #options: Ring0Options;
  readonly #native: NativeSide;
  readonly #interpreted: InterpretedSide;
  readonly #shown: Shown;
  readonly #generator: Generator;
  readonly #comparison: Comparison;
  readonly #ends = new Map<string, number>();
  readonly #families = new Map<string, { cases: number; notShown: number }>();
  readonly #explained = new Map<string, number>();
  /** What holds for this host. */
  readonly #known = KNOWN.filter(({ emulator }) => !emulator || host?.ring0 === "interpreted");
  #mismatches = 0;

  constructor(options: Ring0Options, native: NativeSide, interpreted: InterpretedSide) {
    this.#options = options;
    this.#native = native;
    this.#interpreted = interpreted;
    this.#shown = findShown(native);
    this.#generator = new Generator(
      new Random(options.seed),
      native.bytes,
      this.#shown,
      options.only,
    );
    this.#comparison = new Comparison(
      { native: new CpuState(), interpreted: new CpuState() },
      { native: native.bytes, interpreted: interpreted.bytes },
    );
  }

  all(): Ring0Result {
    const { cases, mismatches = Infinity } = this.#options;
    let done = 0;
    while (done < cases && this.#mismatches < mismatches) this.#one(done++);
    return {
      cases: done,
      mismatches: this.#mismatches,
      ends: this.#ends,
      families: this.#families,
      explained: this.#explained,
      modesNotShown: this.#shown.missing,
    };
  }

  #one(index: number): void {
    const test = this.#generator.make();
    const { state } = this.#generator.states;
    const comparison = this.#comparison;
    this.#interpreted.bytes.set(this.#native.bytes);
    const end = this.#native.run(state, test.full, comparison.native);
    if (end === End.NOT_SHOWN) return this.#count(test, end);
    const other = this.#interpreted.run(state, comparison.interpreted);
    if (end === other && end !== End.STOPPED && end !== End.FAILED) return this.#count(test, end);
    if (end === End.STOPPED && end === other) {
      comparison.normalize();
      if (comparison.same(test.full)) return this.#count(test, end);
    }
    // KVM neither walks tables nor delivers events in what is not RAM.
    if (this.#interpreted.leftRam) return this.#count(test, End.NOT_SHOWN);
    this.#count(test, end);
    const differences = end === other && end === End.STOPPED
      ? comparison.differences(test.full)
      : [difference("end", this.#native.endText(end), this.#interpreted.endText(other))];
    const seen = new Observed(
      test,
      state,
      { end, state: comparison.native },
      { end: other, state: comparison.interpreted },
    );
    const left = differences.filter((one) => !this.#explain(seen, one));
    if (left.length > 0) this.#report(index, test, left);
  }

  /** Whether a difference is known; counts the case for the entry that explains its first. */
  #explain(seen: Observed, one: Difference): boolean {
    const known = this.#known.find(({ explains }) => explains(seen, one));
    if (known === undefined) return false;
    this.#explained.set(known.what, (this.#explained.get(known.what) ?? 0) + 1);
    return true;
  }

  #count(test: Case, end: End): void {
    this.#ends.set(end, (this.#ends.get(end) ?? 0) + 1);
    const family = this.#families.get(test.family) ?? { cases: 0, notShown: 0 };
    family.cases++;
    if (end === End.NOT_SHOWN) family.notShown++;
    this.#families.set(test.family, family);
  }

  #report(index: number, test: Case, differences: readonly Difference[]): void {
    this.#mismatches++;
    const inputs = REGISTERS.map((name, i) => `${name}=${this.#generator.gpr(i).toString(16)}`);
    this.#options.report?.({ index, test, inputs: inputs.join(" "), differences });
  }
}

/** One line. */
export function ring0Text({ index, test, differences }: Ring0Mismatch): string {
  const bytes = test.code.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const what = differences.map(({ field, native, interpreted }) =>
    `${field}: ${native} but ${interpreted}`
  );
  return `${index} ${test.mode.name}, ${test.family} | ${bytes} | ${what.join(", ")}`;
}
