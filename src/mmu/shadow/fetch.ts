/** Where a fault of a guest with paging is mapped: follows the guest's tables with pages that shadow them. */

import type { MmuCore } from "../core.ts";
import { decideLevel } from "../decide_level.ts";
import { Cause, type Fault } from "../fault.ts";
import { blockStart, entryOffset, Level } from "../level.ts";
import { isPresent, pfnOf, SpteLo } from "../spte.ts";
import { TABLE_WORDS, TableFlag, tableOf } from "../table_pool.ts";
import { traceRequested } from "../trace_points.ts";
import type { ShadowContext } from "./context.ts";
import { getPage, linkPage } from "./get_page.ts";
import { dropShadowLeaf, unlinkChild } from "./rmap.ts";
import { roleAccess } from "../root_role.ts";
import type { ShadowState } from "./state.ts";

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { GPTE_CHANGED, ROOT_INVALID } = Cause;
const { SIZE_4K } = Level;
/** Index of no SPTE: table 0 is never used. */
export const NO_ENTRY = 0;

/**
 * Our entry for what the walker has found, of the level that `fault.goalLevel` then says.
 * @param level Level of the guest's leaf.
 * @param access Rights of the leaf (`Acc`).
 * @returns The entry, or `NO_ENTRY` when the guest has changed one of its own meanwhile or the root
 *   is gone; `fault` says which.
 */
export function findEntry(
  context: ShadowContext,
  fault: Fault,
  level: number,
  access: number,
): number {
  const { addressLo, addressHi } = fault;
  fault.goalLevel = SIZE_4K;
  const isAtHand = level === SIZE_4K && context.isInTable(addressLo, addressHi) &&
    context.walker.unchangedDownTo(SIZE_4K);
  return isAtHand
    ? (context.lastTable << 10) + (addressLo >>> 11 & 0x3fe)
    : makeEntry(context, fault, level, access) | 0; // else V8 keeps it boxed on every way
}

/** Decides on the level, walks down to our entry of it, and makes what is missing on the way. */
function makeEntry(
  context: ShadowContext,
  fault: Fault,
  level: number,
  access: number,
): number {
  const { core } = context.shadow;
  const sptep = walkGuestTables(context, fault, level);
  if (sptep === NO_ENTRY) return NO_ENTRY;
  if (!context.walker.unchangedDownTo(level)) return changed(fault);
  if (level > SIZE_4K) {
    fault.maxLevel = largestLevel(context, fault);
    decideLevel(core, fault);
  }
  if (core.trace !== undefined) traceRequested(core, fault, level);
  return level > SIZE_4K ? walkBlock(context, fault, sptep, level, access) : sptep;
}

/**
 * The largest level for what a large guest page maps. A block in which a guest table lies that
 * translates the address itself may not be written at large.
 */
function largestLevel(context: ShadowContext, fault: Fault): number {
  const { walker, shadow } = context;
  const { gfn, level } = walker.result;
  // A 4 MiB page of a 32-bit guest is two blocks; its own table lies in the one that is mapped.
  if (context.mayWrite(fault.code) && walker.hasTableIn(gfn, level)) return SIZE_4K;
  return Math.min(level, shadow.core.maxPageLevel, context.isPae ? 2 : 3);
}

/**
 * Walks down to our entry for the guest's leaf, and makes what is missing on the way.
 * @returns The entry, or `NO_ENTRY` when the guest has changed one of its own meanwhile or the root
 *   is gone; `fault` says which.
 */
function walkGuestTables(context: ShadowContext, fault: Fault, guestLevel: number): number {
  const { shadow, walker } = context;
  const { core } = shadow;
  const { words } = core.pool;
  const { addressLo: lo, addressHi: hi } = fault;
  if (!walker.entryUnchanged(walker.topLevel)) return changed(fault);
  let table = context.topTable(lo);
  if (!context.hasRoots || table === 0) return withoutRoot(core, fault);
  let level = context.topLevel;
  let sptep = table * TABLE_WORDS + entryOffset(lo, hi, level);
  for (; level > guestLevel; level--) {
    shadow.flood[table] = 0;
    dropLargeLeaf(shadow, sptep);
    let child = pfnOf(words[sptep], words[sptep + 1]) as number;
    const isNew = !isPresent(words[sptep], words[sptep + 1]);
    if (isNew) {
      const gfn = walker.tableGfn(level - 1);
      child = getPage(context, gfn, lo, level - 1, false, walker.accessAt(level));
    }
    if (core.hooks !== undefined) core.hooks.midFetch?.(level - 1);
    if (isNew) {
      // The guest's table is protected by now: its entry must still be the one that was walked.
      if (!walker.unchangedDownTo(level - 1)) return changed(fault);
      linkPage(shadow, sptep, child);
    }
    table = child;
    sptep = table * TABLE_WORDS + entryOffset(lo, hi, level - 1);
  }
  // What is traced takes the whole way each time.
  if (level === SIZE_4K && core.trace === undefined) context.keepTable(table, lo, hi);
  return sptep;
}

/** Walks on, below a large guest page, to the level that is to be mapped; returns the entry there. */
function walkBlock(
  context: ShadowContext,
  fault: Fault,
  from: number,
  guestLevel: number,
  access: number,
): number {
  const { shadow } = context;
  const { core } = shadow;
  const { words } = core.pool;
  const { addressLo: lo, addressHi: hi } = fault;
  let sptep = from;
  let table = tableOf(sptep);
  for (let level = guestLevel;; level--) {
    shadow.flood[table] = 0;
    if (level === fault.goalLevel) {
      if (level === SIZE_4K || !isNxSplit(shadow, sptep)) return sptep;
      fault.goalLevel--;
    }
    dropWrongChild(shadow, sptep, access);
    dropLargeLeaf(shadow, sptep);
    let child = pfnOf(words[sptep], words[sptep + 1]) as number;
    if (!isPresent(words[sptep], words[sptep + 1])) {
      child = getPage(context, blockStart(fault.gfn, level), lo, level - 1, true, access);
      linkPage(shadow, sptep, child);
      if (fault.hugeDisallowed && fault.requestedLevel >= level) core.nxSplits.add(child, true);
    }
    table = child;
    sptep = table * TABLE_WORDS + entryOffset(lo, hi, level - 1);
  }
}

function withoutRoot(core: MmuCore, fault: Fault): number {
  core.warn("Cannot map a fault: the vCPU's root went away after the entry");
  fault.cause = ROOT_INVALID;
  return NO_ENTRY;
}

function changed(fault: Fault): number {
  fault.cause = GPTE_CHANGED;
  return NO_ENTRY;
}

/** A large leaf stands where a table has to be. */
function dropLargeLeaf(shadow: ShadowState, sptep: number): void {
  const { words } = shadow.core.pool;
  if (!isPresent(words[sptep], words[sptep + 1]) || (words[sptep] & SpteLo.LARGE) === 0) return;
  dropShadowLeaf(shadow, sptep);
  shadow.core.flushAll();
}

/** A table for part of a large guest page has other rights than that page has now. */
function dropWrongChild(shadow: ShadowState, sptep: number, access: number): void {
  const { words } = shadow.core.pool;
  const lo = words[sptep];
  const hi = words[sptep + 1];
  if (!isPresent(lo, hi) || (lo & SpteLo.LARGE) !== 0) return;
  const child = pfnOf(lo, hi);
  if (shadow.isDirect(child) && roleAccess(shadow.role(child)) === access) return;
  unlinkChild(shadow, sptep, child);
  shadow.core.flushAll();
}

function isNxSplit(shadow: ShadowState, sptep: number): boolean {
  const { words, flags } = shadow.core.pool;
  const lo = words[sptep];
  const hi = words[sptep + 1];
  return isPresent(lo, hi) && (lo & SpteLo.LARGE) === 0 &&
    (flags[pfnOf(lo, hi)] & TableFlag.NX_SPLIT) !== 0;
}

/** Resets the counts of writes to the guest tables that translate `hi:lo`: the guest uses them. */
export function clearFlood(context: ShadowContext, lo: number, hi: number): void {
  const { shadow } = context;
  const { words } = shadow.core.pool;
  let table = context.topTable(lo);
  for (let level = context.topLevel; table !== 0; level--) {
    shadow.flood[table] = 0;
    const sptep = table * TABLE_WORDS + entryOffset(lo, hi, level);
    const isTable = level > 1 && isPresent(words[sptep], words[sptep + 1]) &&
      (words[sptep] & SpteLo.LARGE) === 0;
    table = isTable ? pfnOf(words[sptep], words[sptep + 1]) : 0;
  }
}
