/** Page-table levels: 1 maps 4 KiB, 2 maps 2 MiB, 3 maps 1 GiB; 4 and 5 hold tables only. */

import { frameBits as importedFrameBits, type Gfn, type Pfn } from "../base/u64.ts";

// Imported functions are looked up at every call, a module's own are not: this is a hot path.
const frameBits = importedFrameBits;

/** Levels that can hold a leaf. */
export const Level = { SIZE_4K: 1, SIZE_2M: 2, SIZE_1G: 3 } as const;
/** A level that can hold a leaf. */
export type Level = typeof Level[keyof typeof Level];

/** The highest level that can hold a leaf. */
export const MAX_LEAF_LEVEL = Level.SIZE_1G;
/** Entries of a table (SDM 3A §4.5). */
export const ENTRIES = 512;

/** 4 KiB frames under one entry of a level; index 0 is unused. */
export const FRAMES_AT: readonly number[] = [0, 1, 512, 512 ** 2, 512 ** 3, 512 ** 4];

// V8 folds a module's own constants, not what it exports: these are for the hot paths below.
const { SIZE_4K, SIZE_2M } = Level;

/** Index in a table of `level` for the address with halves `lo` and `hi` (SDM 3A §4.5.4). */
export function tableIndex(lo: number, hi: number, level: number): number {
  switch (level) {
    case 1:
      return lo >>> 12 & 511;
    case 2:
      return lo >>> 21 & 511;
    case 3:
      return (lo >>> 30 | hi << 2) & 511;
    case 4:
      return hi >>> 7 & 511;
    default:
      return hi >>> 16 & 511;
  }
}

/** Words from the start of a table of `level` to the entry for the address `hi:lo`. */
export function entryOffset(lo: number, hi: number, level: number): number {
  if (level === 3) return (lo >>> 29 & 6 | hi << 3) & 0x3fe;
  return (level < 3 ? lo >>> level * 9 + 2 : hi >>> level * 9 - 30) & 0x3fe;
}

/** How many frames `frame` lies behind the start of its block of leaf level `level`. */
export function offsetInBlock(frame: Gfn | Pfn, level: number): number {
  return frameBits(frame) & (level === SIZE_4K ? 0 : level === SIZE_2M ? 0x1ff : 0x3_ffff);
}

/** The first frame of the block of leaf level `level` that holds `frame`. */
export function blockStart(frame: Gfn, level: number): Gfn {
  return frame - offsetInBlock(frame, level) as Gfn;
}

/** True when two frames lie equally far behind the starts of their blocks of `level`, 2 or 3. */
export function isCongruent(one: Gfn | Pfn, other: Gfn | Pfn, level: number): boolean {
  return ((frameBits(one) ^ frameBits(other)) & (level === SIZE_2M ? 0x1ff : 0x3_ffff)) === 0;
}
