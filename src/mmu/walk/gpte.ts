/**
 * One guest entry looked at under the rules of its mode. The shadow engine reads entries with these
 * outside a walk (prefetch, synchronising a page); entries are halves, `hi` 0 for 4-byte ones.
 */

import type { Gfn } from "../../base/u64.ts";
import { Acc } from "../pferr.ts";
import type { WalkRules } from "./rules.ts";

/** Frames in a page of level 1, 2, 3 whose entries are 8 bytes. */
export const FRAMES_BY_LEVEL: readonly number[] = [0, 1, 512, 512 * 512];

/** Index in its table of the entry of `level` that the address `hi:lo` uses (SDM 3A figures 4-2, 4-8). */
export function gpteIndex(rules: WalkRules, lo: number, hi: number, level: number): number {
  if (rules.entryBytes === 4) return level === 1 ? lo >>> 12 & 1023 : lo >>> 22;
  if (level === 3) return (lo >>> 30 | hi << 2) & 511;
  return (level < 3 ? lo >>> level * 9 + 3 : hi >>> level * 9 - 29) & 511;
}

export function gpteIsPresent(rules: WalkRules, lo: number): boolean {
  return (lo & rules.presentMask) !== 0;
}

/** True when a present entry of `level` has a reserved bit set or, for guest EPT, is misconfigured. */
export function gpteIsReserved(rules: WalkRules, lo: number, hi: number, level: number): boolean {
  const row = level * 2 + (lo >>> 7 & rules.largeBit);
  return ((lo & rules.reserved.lo[row]) | (hi & rules.reserved.hi[row]) |
    (rules.misconfigured[lo >>> 5 & 1] >>> (lo & 31) & 1)) !== 0;
}

/** True when a valid entry of `level` maps a page and points to no table. */
export function gpteIsLeaf(rules: WalkRules, lo: number, level: number): boolean {
  return level === 1 || (lo >>> 7 & rules.largeBit) !== 0;
}

/** The rights (`Acc`) that an entry grants, or several AND-ed in `lo`, OR-ed in `hi`. */
export function gpteAccess(rules: WalkRules, lo: number, hi: number): number {
  if (rules.ept) return lo & Acc.WRITE | (lo & 1) << 2 | lo >>> 2 & 1;
  return lo & (Acc.WRITE | Acc.USER) | ~hi >>> 31;
}

/** The frame that bits 51:12 name: the next table, or a leaf's first frame if it is 4 KiB. */
export function gpteTableGfn(lo: number, hi: number): Gfn {
  const high = hi & 0xf_ffff;
  // Without the branch the sum would be worked out in floating point.
  return (high === 0 ? lo >>> 12 : high * 0x10_0000 + (lo >>> 12)) as Gfn;
}

/** The first frame of the page that a leaf of `level` maps. */
export function gpteLeafGfn(rules: WalkRules, lo: number, hi: number, level: number): Gfn {
  if (level === 1) return gpteTableGfn(lo, hi);
  // PSE-36: bits 20:13 are bits 39:32 of the address (SDM 3A §4.3, table 4-4).
  if (rules.entryBytes === 4) return (lo >>> 13 & 0xff) * 0x10_0000 + (lo >>> 22) * 1024 as Gfn;
  const first = gpteTableGfn(lo, hi);
  return first - first % FRAMES_BY_LEVEL[level] as Gfn;
}

/** Frames in the page that a leaf of `level` maps: 1, 512 or 2^18; 1024 for a 4 MiB page. */
export function gpteFrames(rules: WalkRules, level: number): number {
  return level === 2 && rules.entryBytes === 4 ? 1024 : FRAMES_BY_LEVEL[level];
}
