/**
 * Which blocks of a memslot may be mapped large. A block counts its reasons not to; each change
 * keeps the rule that a 2 MiB block with a reason gives one to the 1 GiB block around it.
 */

import type { Gfn } from "../base/u64.ts";
import { blockStart, FRAMES_AT, isCongruent, Level, offsetInBlock } from "./level.ts";

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { SIZE_2M } = Level;
/** log2 of the frames in a block. */
const BITS_2M = 9;
const BITS_1G = 18;

const NO_COUNTS = new Int32Array(0);

/** Reasons not to map large, for the blocks of one memslot. */
export class LargePageInfo {
  /** First frame of the first block of 1 GiB. No frame of a slot lies 2^32 or more behind it. */
  readonly #start: number = 0;
  /** Signed counts, never negative, for the blocks from there on. */
  readonly #counts2M: Int32Array = NO_COUNTS;
  readonly #counts1G: Int32Array = NO_COUNTS;

  /**
   * @param baseGfn First frame of the slot.
   * @param frames Its length in 4 KiB frames.
   * @param hostPage Host page of its first frame.
   */
  constructor(baseGfn: Gfn, frames: number, hostPage: number) {
    const start = blockStart(baseGfn, Level.SIZE_1G);
    this.#start = start;
    this.#counts2M = initialCounts(start, baseGfn, frames, hostPage, Level.SIZE_2M, BITS_2M);
    this.#counts1G = initialCounts(start, baseGfn, frames, hostPage, Level.SIZE_1G, BITS_1G);
  }

  /** True when nothing forbids a page of `level` (2 or 3) at `gfn`. */
  allows(gfn: Gfn, level: number): boolean {
    return this.count(gfn, level) === 0;
  }

  /** The reasons against a page of `level` (2 or 3) at `gfn`. */
  count(gfn: Gfn, level: number): number {
    const frame = gfn - this.#start;
    return level === SIZE_2M
      ? this.#counts2M[frame >>> BITS_2M]
      : this.#counts1G[frame >>> BITS_1G];
  }

  /** One more reason against every large page around `gfn`. */
  disallow(gfn: Gfn): void {
    this.#change(gfn, 1);
  }

  /** One reason less. */
  allow(gfn: Gfn): void {
    if (this.allows(gfn, Level.SIZE_2M) || this.allows(gfn, Level.SIZE_1G)) {
      throw new RangeError(
        `Cannot allow large pages at gfn 0x${gfn.toString(16)}: nothing forbids them`,
      );
    }
    this.#change(gfn, -1);
  }

  /** Where a 2 MiB block is forbidden but its 1 GiB block is not; undefined while the rule holds. */
  findBreach(): Gfn | undefined {
    const counts = this.#counts2M;
    for (let i = 0; i < counts.length; i++) {
      const block = this.#start + i * FRAMES_AT[Level.SIZE_2M] as Gfn;
      if (counts[i] < 0) return block;
      if (counts[i] !== 0 && this.allows(block, Level.SIZE_1G)) return block;
    }
    return undefined;
  }

  #change(gfn: Gfn, delta: 1 | -1): void {
    const frame = gfn - this.#start;
    this.#counts2M[frame >>> BITS_2M] += delta;
    this.#counts1G[frame >>> BITS_1G] += delta;
  }
}

/** What the place of a slot forbids: blocks it does not fill, and addresses that do not agree. */
function initialCounts(
  start: Gfn,
  baseGfn: Gfn,
  frames: number,
  hostPage: number,
  level: number,
  bits: number,
): Int32Array {
  const first = baseGfn - start;
  const last = (first + frames - 1) >>> bits;
  const counts = new Int32Array(last + 1);
  if (offsetInBlock(baseGfn, level) !== 0) counts[first >>> bits] = 1;
  if (offsetInBlock(baseGfn + frames as Gfn, level) !== 0) counts[last] = 1;
  // A large page needs guest and host addresses that agree in its offset.
  if (!isCongruent(baseGfn, hostPage as Gfn, level)) counts.fill(1);
  return counts;
}
