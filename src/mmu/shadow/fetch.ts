/** Maps one fault of a guest with paging: follows the guest's tables with pages that shadow them. */

import { decideLevel } from "../decide_level.ts";
import { Cause, type Fault, FaultResult } from "../fault.ts";
import { blockStart, Level, tableIndex } from "../level.ts";
import { isPresent, pfnOf, SpteLo } from "../spte.ts";
import { TABLE_WORDS, TableFlag } from "../table_pool.ts";
import { traceRequested } from "../trace_points.ts";
import type { ShadowContext } from "./context.ts";
import { getPage, linkPage } from "./get_page.ts";
import { prefetchGuest } from "./prefetch.ts";
import { dropShadowLeaf, unlinkChild } from "./rmap.ts";
import { roleAccess } from "../root_role.ts";
import { setFaultLeaf } from "./set_leaf.ts";
import type { ShadowState } from "./state.ts";

/**
 * Maps `fault` with what the walker has found.
 * @param access Rights of the leaf (`Acc`).
 */
export function fetch(context: ShadowContext, fault: Fault, access: number): FaultResult {
  const { shadow, walker, vcpu } = context;
  const { core } = shadow;
  const { words } = core.pool;
  if (!walker.entryUnchanged(walker.topLevel)) return changed(fault);
  const lo = fault.addressLo;
  const hi = fault.addressHi;
  let table = context.topTable(lo);
  let level = context.topLevel;
  if (!context.hasRoots || table === 0) {
    core.warn("Cannot map a fault: the vCPU's root went away after the entry");
    return fault.end(FaultResult.RETRY, Cause.ROOT_INVALID);
  }
  const guestLevel = walker.result.level;
  let sptep = table * TABLE_WORDS + tableIndex(lo, hi, level) * 2;
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
    sptep = table * TABLE_WORDS + tableIndex(lo, hi, level - 1) * 2;
  }
  if (!walker.unchangedDownTo(guestLevel)) return changed(fault);
  decideLevel(core, fault);
  if (core.trace !== undefined) traceRequested(core, fault, guestLevel);
  for (;; level--) {
    shadow.flood[table] = 0;
    if (level === fault.goalLevel) {
      if (level === 1 || !isNxSplit(shadow, sptep)) break;
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
    sptep = table * TABLE_WORDS + tableIndex(lo, hi, level - 1) * 2;
  }
  const result = setFaultLeaf(shadow, vcpu, fault, sptep, level, access);
  if (result !== FaultResult.SPURIOUS) core.stats.pf_fixed++;
  if (level === Level.SIZE_4K && core.prefetch && fault.hasPage) {
    prefetchGuest(context, fault, table, sptep);
  }
  return result;
}

function changed(fault: Fault): FaultResult {
  return fault.end(FaultResult.RETRY, Cause.GPTE_CHANGED);
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
    const sptep = table * TABLE_WORDS + tableIndex(lo, hi, level) * 2;
    const isTable = level > 1 && isPresent(words[sptep], words[sptep + 1]) &&
      (words[sptep] & SpteLo.LARGE) === 0;
    table = isTable ? pfnOf(words[sptep], words[sptep + 1]) : 0;
  }
}
