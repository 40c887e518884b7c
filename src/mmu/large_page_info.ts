/**
 * Which blocks of a memslot may be mapped large. A block counts its reasons not to; each change
 * keeps the rule that a 2 MiB block with a reason gives one to the 1 GiB block around it.
 */

import { blockNumber, frameBits, type Gfn } from "../base/u64.ts";
import { blockStart, FRAMES_AT, Level, MAX_LEAF_LEVEL, offsetInBlock } from "./level.ts";

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { SIZE_2M } = Level;

/** Reasons not to map large, for the blocks of one memslot. */
export class LargePageInfo {
  /** Index of the first block, by level; [0] and [1] unused. */
  readonly #first: readonly number[];
  /** Signed counts, never negative, by level. */
  readonly #counts: readonly Int32Array[];

  /**
   * @param baseGfn First frame of the slot.
   * @param frames Its length in 4 KiB frames.
   * @param hostPage Host page of its first frame.
   */
  constructor(baseGfn: Gfn, frames: number, hostPage: number) {
    const first: number[] = [0, 0];
    const counts: Int32Array[] = [new Int32Array(0), new Int32Array(0)];
    const end = baseGfn + frames as Gfn;
    for (let level = Level.SIZE_2M as number; level <= MAX_LEAF_LEVEL; level++) {
      first.push(Math.floor(baseGfn / FRAMES_AT[level]));
      const last = Math.floor((end - 1) / FRAMES_AT[level]);
      const block = new Int32Array(last - first[level] + 1);
      if (offsetInBlock(baseGfn, level) !== 0) block[0] = 1;
      if (offsetInBlock(end, level) !== 0) block[block.length - 1] = 1;
      // A large page needs guest and host addresses that agree in its offset.
      const differ = frameBits(baseGfn) ^ frameBits(hostPage as Gfn);
      if (offsetInBlock(differ as Gfn, level) !== 0) block.fill(1);
      counts.push(block);
    }
    this.#first = first;
    this.#counts = counts;
  }

  /** True when nothing forbids a page of `level` (2 or 3) at `gfn`. */
  allows(gfn: Gfn, level: number): boolean {
    return this.#counts[level][this.#index(gfn, level)] === 0;
  }

  /** The reasons against a page of `level` (2 or 3) at `gfn`. */
  count(gfn: Gfn, level: number): number {
    return this.#counts[level][this.#index(gfn, level)];
  }

  /** One more reason against every large page around `gfn`. */
  disallow(gfn: Gfn): void {
    for (let level = Level.SIZE_2M as number; level <= MAX_LEAF_LEVEL; level++) {
      this.#counts[level][this.#index(gfn, level)]++;
    }
  }

  /** One reason less. */
  allow(gfn: Gfn): void {
    for (let level = Level.SIZE_2M as number; level <= MAX_LEAF_LEVEL; level++) {
      const at = this.#index(gfn, level);
      if (this.#counts[level][at] === 0) {
        throw new RangeError(
          `Cannot allow large pages at gfn 0x${gfn.toString(16)}: nothing forbids them`,
        );
      }
      this.#counts[level][at]--;
    }
  }

  /** Where a 2 MiB block is forbidden but its 1 GiB block is not; undefined while the rule holds. */
  findBreach(baseGfn: Gfn): Gfn | undefined {
    const counts = this.#counts[Level.SIZE_2M];
    for (let i = 0; i < counts.length; i++) {
      const block = blockStart(baseGfn, Level.SIZE_2M) + i * FRAMES_AT[Level.SIZE_2M] as Gfn;
      if (counts[i] < 0) return block;
      if (counts[i] !== 0 && this.allows(block, Level.SIZE_1G)) return block;
    }
    return undefined;
  }

  #index(gfn: Gfn, level: number): number {
    return blockNumber(gfn, level === SIZE_2M ? 9 : 18) - this.#first[level];
  }
}
