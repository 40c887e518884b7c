/**
 * Which blocks of a memslot may be mapped large. A block counts its reasons not to; each change
 * keeps the rule that a 2 MiB block with a reason gives one to the 1 GiB block around it.
 */

import { blockNumber as importedBlockNumber, frameBits, type Gfn } from "../base/u64.ts";
import { blockStart, FRAMES_AT, Level, offsetInBlock } from "./level.ts";

// Imported functions are looked up at every call, a module's own are not: this is a hot path.
const blockNumber = importedBlockNumber;

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { SIZE_2M } = Level;
/** log2 of the frames in a block. */
const BITS_2M = 9;
const BITS_1G = 18;

/** Reasons not to map large, for the blocks of one memslot. */
export class LargePageInfo {
  /** Number of the first block of 2 MiB, and of 1 GiB. */
  readonly #first2M: number;
  readonly #first1G: number;
  /** Signed counts, never negative. */
  readonly #counts2M: Int32Array;
  readonly #counts1G: Int32Array;

  /**
   * @param baseGfn First frame of the slot.
   * @param frames Its length in 4 KiB frames.
   * @param hostPage Host page of its first frame.
   */
  constructor(baseGfn: Gfn, frames: number, hostPage: number) {
    this.#first2M = blockNumber(baseGfn, BITS_2M);
    this.#first1G = blockNumber(baseGfn, BITS_1G);
    this.#counts2M = initialCounts(baseGfn, frames, hostPage, Level.SIZE_2M, BITS_2M);
    this.#counts1G = initialCounts(baseGfn, frames, hostPage, Level.SIZE_1G, BITS_1G);
  }

  /** True when nothing forbids a page of `level` (2 or 3) at `gfn`. */
  allows(gfn: Gfn, level: number): boolean {
    if (level !== SIZE_2M) return this.count(gfn, level) === 0;
    return this.#counts2M[blockNumber(gfn, BITS_2M) - this.#first2M] === 0;
  }

  /** The reasons against a page of `level` (2 or 3) at `gfn`. */
  count(gfn: Gfn, level: number): number {
    return level === SIZE_2M
      ? this.#counts2M[blockNumber(gfn, BITS_2M) - this.#first2M]
      : this.#counts1G[blockNumber(gfn, BITS_1G) - this.#first1G];
  }

  /** One more reason against every large page around `gfn`. */
  disallow(gfn: Gfn): void {
    this.#counts2M[blockNumber(gfn, BITS_2M) - this.#first2M]++;
    this.#counts1G[blockNumber(gfn, BITS_1G) - this.#first1G]++;
  }

  /** One reason less. */
  allow(gfn: Gfn): void {
    if (this.allows(gfn, Level.SIZE_2M) || this.allows(gfn, Level.SIZE_1G)) {
      throw new RangeError(
        `Cannot allow large pages at gfn 0x${gfn.toString(16)}: nothing forbids them`,
      );
    }
    this.#counts2M[blockNumber(gfn, BITS_2M) - this.#first2M]--;
    this.#counts1G[blockNumber(gfn, BITS_1G) - this.#first1G]--;
  }

  /** Where a 2 MiB block is forbidden but its 1 GiB block is not; undefined while the rule holds. */
  findBreach(baseGfn: Gfn): Gfn | undefined {
    const counts = this.#counts2M;
    for (let i = 0; i < counts.length; i++) {
      const block = blockStart(baseGfn, Level.SIZE_2M) + i * FRAMES_AT[Level.SIZE_2M] as Gfn;
      if (counts[i] < 0) return block;
      if (counts[i] !== 0 && this.allows(block, Level.SIZE_1G)) return block;
    }
    return undefined;
  }
}

/** What the place of a slot forbids: blocks it does not fill, and addresses that do not agree. */
function initialCounts(
  baseGfn: Gfn,
  frames: number,
  hostPage: number,
  level: number,
  bits: number,
): Int32Array {
  const end = baseGfn + frames as Gfn;
  const counts = new Int32Array(
    blockNumber(end - 1 as Gfn, bits) - blockNumber(baseGfn, bits) + 1,
  );
  if (offsetInBlock(baseGfn, level) !== 0) counts[0] = 1;
  if (offsetInBlock(end, level) !== 0) counts[counts.length - 1] = 1;
  // A large page needs guest and host addresses that agree in its offset.
  const differ = frameBits(baseGfn) ^ frameBits(hostPage as Gfn);
  if (offsetInBlock(differ as Gfn, level) !== 0) counts.fill(1);
  return counts;
}
