/** Reverse maps: from a guest frame to the leaves that map it, by memslot and level. */

import type { Gfn } from "../../base/u64.ts";
import { FRAMES_AT } from "../level.ts";
import type { Memslot } from "../memslot.ts";
import { isLeaf, isPresent, pfnOf } from "../spte.ts";
import { dropLeaf } from "../spte_ops.ts";
import { EMPTY as importedEmpty } from "./pte_lists.ts";
import type { ShadowState } from "./state.ts";
import { tableOf } from "../table_pool.ts";

// What is imported or exported is looked up at every use, a module's own is not: this is a hot path.
const EMPTY = importedEmpty;
const headsOf = rmapHeads;
const indexOf = rmapIndex;

/** Leaves of one frame beyond which all of them are dropped: longer lists cost more than new faults. */
const MAX_LEAVES = 1000;

/** The heads of a slot's reverse maps for `level`, one a block. */
export function rmapHeads(slot: Memslot, level: number): Int32Array {
  const heads = slot.rmap[level];
  return heads.length === 0 ? makeHeads(slot, level) : heads;
}

function makeHeads(slot: Memslot, level: number): Int32Array {
  const heads = new Int32Array(rmapIndex(slot, slot.endGfn - 1 as Gfn, level) + 1);
  slot.rmap[level] = heads;
  return heads;
}

/** Index of the block of `gfn` in `rmapHeads`. */
export function rmapIndex(slot: Memslot, gfn: Gfn, level: number): number {
  if (level === 1) return gfn - slot.baseGfn;
  return Math.floor(gfn / FRAMES_AT[level]) - Math.floor(slot.baseGfn / FRAMES_AT[level]);
}

/** True when nothing maps frames of this slot at `level` yet. */
export function rmapIsEmpty(slot: Memslot, level: number): boolean {
  return slot.rmap[level].length === 0;
}

/** Enters a leaf that has just become present. Too many leaves of one frame: all are dropped. */
export function addToRmap(
  shadow: ShadowState,
  slot: Memslot,
  level: number,
  gfn: Gfn,
  sptep: number,
): void {
  shadow.setGfnOfEntry(sptep, gfn);
  const heads = headsOf(slot, level);
  const at = indexOf(slot, gfn, level);
  if (heads[at] === EMPTY) heads[at] = sptep;
  else addToList(shadow, heads, at, sptep);
}

function addToList(shadow: ShadowState, heads: Int32Array, at: number, sptep: number): void {
  heads[at] = shadow.lists.add(heads[at], sptep);
  if (shadow.lists.count(heads[at]) > MAX_LEAVES) {
    dropAll(shadow, heads, at);
    shadow.core.flushAll();
  }
}

/** Removes a present leaf: from its reverse map, and with all that is known of the frame reported. */
export function dropShadowLeaf(shadow: ShadowState, sptep: number): void {
  const table = tableOf(sptep);
  const gfn = shadow.gfnOfEntry(sptep);
  const slot = shadow.slotOf(table, gfn);
  if (slot === undefined) throw new RangeError(`Cannot drop SPTE ${sptep}: its memslot is gone`);
  const level = shadow.level(table);
  const heads = rmapHeads(slot, level);
  const at = rmapIndex(slot, gfn, level);
  heads[at] = shadow.lists.remove(heads[at], sptep);
  dropLeaf(shadow.core, sptep);
}

/** Drops all leaves of one reverse map; true when there were any. */
export function dropAll(shadow: ShadowState, heads: Int32Array, at: number): boolean {
  if (heads[at] === EMPTY) return false;
  while (heads[at] !== EMPTY) dropShadowLeaf(shadow, shadow.lists.first(heads[at]));
  return true;
}

/**
 * Removes whatever an entry holds: a leaf, the link to a table, an MMIO entry. TLBs are the caller's.
 * @returns true when it was present.
 */
export function clearEntry(shadow: ShadowState, sptep: number): boolean {
  const { pool } = shadow.core;
  const lo = pool.words[sptep];
  const hi = pool.words[sptep + 1];
  if (!isPresent(lo, hi)) {
    if ((lo | hi) !== 0) {
      pool.clear(sptep);
      shadow.core.changes++;
    }
    return false;
  }
  if (isLeaf(lo, shadow.level(tableOf(sptep)))) dropShadowLeaf(shadow, sptep);
  else unlinkChild(shadow, sptep, pfnOf(lo, hi));
  return true;
}

/** Takes the link from `sptep` to its table away; the table stays, for whoever links it again. */
export function unlinkChild(shadow: ShadowState, sptep: number, child: number): void {
  const { core } = shadow;
  core.pool.parent[child] = shadow.lists.remove(core.pool.parent[child], sptep);
  core.pool.clear(sptep);
  core.changes++;
  core.forgetTables();
}
