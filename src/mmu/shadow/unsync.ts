/**
 * Unsync pages: shadows of last-level guest tables that the guest may write without a fault, as a CPU
 * lets it until it flushes. Every page above an unsync one knows in which of its entries to look.
 */

import type { Gfn } from "../../base/u64.ts";
import { isLeaf, isPresent, pfnOf } from "../spte.ts";
import { TABLE_WORDS, TableFlag, tableOf } from "../table_pool.ts";
import { Tp } from "../trace.ts";
import { traceTable } from "../trace_points.ts";
import { isObsolete } from "../reclaim.ts";
import type { ShadowState } from "./state.ts";

/** Lets a page go out of step; all pages above know before the guest's table becomes writable. */
export function markUnsync(shadow: ShadowState, table: number): void {
  const { core } = shadow;
  core.pool.flags[table] |= TableFlag.UNSYNC;
  core.stats.mmu_unsync++;
  core.changes++;
  if (core.trace !== undefined) traceTable(core, Tp.UNSYNC_PAGE, table, false);
  markParents(shadow, table);
}

/** The page is in step again, or goes away. */
export function clearUnsync(shadow: ShadowState, table: number): void {
  const { core } = shadow;
  if (core.trace !== undefined) traceTable(core, Tp.SYNC_PAGE, table, false);
  core.pool.flags[table] &= ~TableFlag.UNSYNC;
  core.stats.mmu_unsync--;
  core.changes++;
}

/** Has all pages above an entry know that its child is unsync or leads to one. */
export function markEntry(shadow: ShadowState, sptep: number): void {
  if (!shadow.markChild(sptep)) return;
  const table = tableOf(sptep);
  // With a marked child already, the pages above know.
  if (shadow.unsyncChildren[table] === 1) markParents(shadow, table);
}

function markParents(shadow: ShadowState, table: number): void {
  const { lists } = shadow;
  const head = shadow.core.pool.parent[table];
  for (let i = 0;; i++) {
    const sptep = lists.at(head, i);
    if (sptep === 0) return;
    markEntry(shadow, sptep);
  }
}

/**
 * Collects the unsync pages below `table` and forgets marks that lead to none.
 * @param into Where they are added.
 * @returns How many there are.
 */
export function collectUnsync(shadow: ShadowState, table: number, into: number[]): number {
  const { pool } = shadow.core;
  const level = shadow.level(table);
  let found = 0;
  for (let i = shadow.nextMarked(table, 0); i >= 0; i = shadow.nextMarked(table, i + 1)) {
    const sptep = table * TABLE_WORDS + i * 2;
    const lo = pool.words[sptep];
    const hi = pool.words[sptep + 1];
    let below = 0;
    if (isPresent(lo, hi) && !isLeaf(lo, level)) {
      const child = pfnOf(lo, hi);
      if (shadow.unsyncChildren[child] > 0) below = collectUnsync(shadow, child, into);
      else if (shadow.isUnsync(child)) {
        into.push(child);
        below = 1;
      }
    }
    if (below === 0) shadow.unmarkChild(table, i);
    found += below;
    if (i === 511) break;
  }
  return found;
}

/**
 * Decides whether a guest frame may become writable.
 * @param canUnsync Shadows of last-level tables may go out of step.
 * @returns true when it must stay read-only.
 */
export function mustProtect(shadow: ShadowState, gfn: Gfn, canUnsync: boolean): boolean {
  const { pool } = shadow.core;
  if (shadow.indirectPages === 0) return false;
  for (let page = shadow.firstInBucket(gfn); page !== 0; page = shadow.nextInBucket(page)) {
    if (pool.gfn[page] !== gfn || shadow.isDirect(page) || isObsolete(shadow.core, page)) continue;
    if (!canUnsync || shadow.level(page) > 1) return true;
    if (!shadow.isUnsync(page)) markUnsync(shadow, page);
  }
  return false;
}
