/**
 * Changes of single SPTEs that keep the host informed: a frame whose accessed or dirty flag goes away
 * is reported first. Answers of true mean that TLBs have to be flushed.
 */

import { frameHi, frameLo, type Pfn } from "../base/u64.ts";
import type { MmuCore } from "./core.ts";
import { RangeOp } from "./mapping_engine.ts";
import {
  canBecomeWritable,
  isAccessed,
  isAccessTracked,
  isDirty,
  isPresent,
  isWritable,
  pfnOf,
  saveRights,
  SpteHi,
  SpteKind,
  SpteLo,
  withoutRights,
} from "./spte.ts";

/** Stores an entry over one that may be present. */
export function updateSpte(core: MmuCore, sptep: number, lo: number, hi: number): boolean {
  const { pool, format } = core;
  const oldLo = pool.words[sptep];
  const oldHi = pool.words[sptep + 1];
  if (oldLo === lo && oldHi === hi) return false;
  pool.store(sptep, lo, hi);
  core.changes++;
  if (!isPresent(oldLo, oldHi)) return false;
  let flush = canBecomeWritable(oldLo) && !isWritable(lo);
  if (isAccessed(format, oldLo, oldHi) && !isAccessed(format, lo, hi)) {
    flush = true;
    core.host.setAccessed(pfnOf(oldLo, oldHi));
  }
  if (isDirty(format, oldLo) && !isDirty(format, lo)) {
    flush = true;
    core.host.setDirty(pfnOf(oldLo, oldHi));
  }
  // Rights of any other kind that go away must leave the TLBs too.
  return flush || (oldLo & ~lo & 7) !== 0 || (hi & ~oldHi & format.noExecHi) !== 0;
}

/** Removes a leaf: counts it and tells the host what it knows of the frame. */
export function dropLeaf(core: MmuCore, sptep: number): void {
  const { pool, format } = core;
  const lo = pool.words[sptep];
  const hi = pool.words[sptep + 1];
  pool.clear(sptep);
  core.changes++;
  if (!isPresent(lo, hi)) return;
  if ((lo & SpteLo.LARGE) !== 0) core.stats.lpages--;
  const pfn = pfnOf(lo, hi);
  if (isAccessed(format, lo, hi)) core.host.setAccessed(pfn);
  if (isDirty(format, lo)) core.host.setDirty(pfn);
}

/** What is done to a leaf that stays. */
export type LeafOp = Exclude<RangeOp, typeof RangeOp.UNMAP | typeof RangeOp.COLLAPSE>;

/** Applies `op` to the leaf of `level` at `sptep`. */
export function changeLeaf(core: MmuCore, sptep: number, level: number, op: LeafOp): boolean {
  switch (op) {
    case RangeOp.PROTECT_FOR_LOG:
      return protectSpte(core, sptep, false);
    case RangeOp.PROTECT:
      return protectSpte(core, sptep, true);
    case RangeOp.CLEAR_DIRTY:
      return clearDirty(core, sptep, level);
    case RangeOp.SET_DIRTY:
      return setDirty(core, sptep);
    case RangeOp.AGE:
      return ageSpte(core, sptep);
    case RangeOp.TEST_AGE:
      return isAccessed(core.format, core.pool.words[sptep], core.pool.words[sptep + 1]);
  }
}

/**
 * Takes the right to write away.
 * @param forGood Also forbids the fast path to give it back: a guest table or a tracked page.
 */
export function protectSpte(core: MmuCore, sptep: number, forGood: boolean): boolean {
  const lo = core.pool.words[sptep];
  const hi = core.pool.words[sptep + 1];
  if (!isWritable(lo) && !(forGood && canBecomeWritable(lo))) return false;
  const kept = forGood ? lo & ~SpteLo.MMU_WRITEABLE : lo;
  return updateSpte(core, sptep, kept & ~SpteLo.WRITE, hi);
}

/** Clears the dirty flag; an entry that has none is protected instead. */
function clearDirty(core: MmuCore, sptep: number, level: number): boolean {
  const lo = core.pool.words[sptep];
  const hi = core.pool.words[sptep + 1];
  if (level > 1 || core.format.dirty === 0 || (hi & SpteHi.KIND) !== SpteKind.ACCESSED_DIRTY) {
    return protectSpte(core, sptep, false);
  }
  return updateSpte(core, sptep, lo & ~core.format.dirty, hi);
}

/** Sets the dirty flag of a writable entry again. */
function setDirty(core: MmuCore, sptep: number): boolean {
  const lo = core.pool.words[sptep];
  if (isWritable(lo)) updateSpte(core, sptep, lo | core.format.dirty, core.pool.words[sptep + 1]);
  return false;
}

/** True when the leaf was used since the last call. */
function ageSpte(core: MmuCore, sptep: number): boolean {
  const { pool, format } = core;
  const lo = pool.words[sptep];
  const hi = pool.words[sptep + 1];
  if (!isAccessed(format, lo, hi)) return false;
  core.changes++;
  if (format.accessed !== 0) {
    pool.store(sptep, lo & ~format.accessed, hi);
  } else {
    // The right to write is lost; whether the frame was written must not be.
    if (isWritable(lo)) core.host.setDirty(pfnOf(lo, hi));
    pool.store(sptep, withoutRights(lo), saveRights(lo, hi));
  }
  return true;
}

/** Has a 4 KiB leaf map another frame, read-only and not yet used. */
export function replacePfn(core: MmuCore, sptep: number, pfn: Pfn): void {
  const { pool, format } = core;
  const oldLo = pool.words[sptep];
  const oldHi = pool.words[sptep + 1];
  let lo = oldLo & 0xfff & ~(SpteLo.WRITE | SpteLo.HOST_WRITEABLE | format.accessed) | frameLo(pfn);
  let hi = oldHi & ~0xf_ffff | frameHi(pfn);
  if (format.accessed === 0 && !isAccessTracked(format, oldLo, oldHi)) {
    hi = saveRights(lo, hi);
    lo = withoutRights(lo);
  }
  dropLeaf(core, sptep);
  pool.store(sptep, lo, hi);
}
