/**
 * Memory type range registers (SDM 3A §11.11), as far as mapping sizes depend on them: a large page
 * must not span two types.
 */

import type { Gfn } from "../base/u64.ts";
import { blockStart, FRAMES_AT, Level } from "./level.ts";

/** Memory types (SDM 3A table 11-8). */
export const MemoryType = { UC: 0, WC: 1, WT: 4, WP: 5, WB: 6 } as const;

/** A run of frames with a memory type. */
export interface TypeRange {
  readonly baseGfn: Gfn;
  readonly frames: number;
  readonly type: number;
}

/** The types of all frames: a default, and ranges, the first of which counts where they overlap. */
export class MtrrMap {
  readonly #ranges: readonly TypeRange[];
  readonly #fallback: number;

  constructor(ranges: readonly TypeRange[], fallback: number = MemoryType.WB) {
    this.#ranges = ranges;
    this.#fallback = fallback;
  }

  typeOf(gfn: Gfn): number {
    for (const { baseGfn, frames, type } of this.#ranges) {
      if (gfn >= baseGfn && gfn < baseGfn + frames) return type;
    }
    return this.#fallback;
  }

  /** True when all of the `frames` frames from `gfn` on have one type. */
  isUniform(gfn: Gfn, frames: number): boolean {
    const type = this.typeOf(gfn);
    const end = gfn + frames;
    for (const { baseGfn, frames: length } of this.#ranges) {
      if (baseGfn > gfn && baseGfn < end && this.typeOf(baseGfn) !== type) return false;
      const behind = baseGfn + length as Gfn;
      if (behind > gfn && behind < end && this.typeOf(behind) !== type) return false;
    }
    return true;
  }

  /** The largest level, at most `limit`, whose block around `gfn` has one type. */
  largestUniformLevel(gfn: Gfn, limit: number): number {
    let level = limit;
    while (
      level > Level.SIZE_4K && !this.isUniform(blockStart(gfn, level), FRAMES_AT[level])
    ) level--;
    return level;
  }
}
