/** Takes shadow pages out of use. */

import type { Gfn } from "../../base/u64.ts";
import { isObsolete } from "../reclaim.ts";
import { RoleMask } from "../root_role.ts";
import { TABLE_WORDS, TableFlag } from "../table_pool.ts";
import { Tp } from "../trace.ts";
import { traceTable } from "../trace_points.ts";
import { clearEntry, unlinkChild } from "./rmap.ts";
import type { ShadowState } from "./state.ts";
import { clearUnsync, collectUnsync } from "./unsync.ts";

/**
 * Zaps a page and the unsync pages below it, which nobody would find to synchronise any more. A page
 * that a vCPU has as root becomes invalid and is freed with its last pin. TLBs are the caller's.
 * @returns How many pages that were.
 */
export function zapShadowPage(shadow: ShadowState, table: number): number {
  const { core } = shadow;
  const { pool } = core;
  if ((pool.flags[table] & TableFlag.INVALID) !== 0) return 0;
  let zapped = 1 + zapUnsyncBelow(shadow, table);
  const wasObsolete = isObsolete(core, table);
  if (core.trace !== undefined) traceTable(core, Tp.PREPARE_ZAP_PAGE, table, false);
  core.stats.mmu_shadow_zapped++;
  core.changes++;
  for (let at = table * TABLE_WORDS; at < (table + 1) * TABLE_WORDS; at += 2) {
    if ((pool.words[at] | pool.words[at + 1]) !== 0) clearEntry(shadow, at);
  }
  for (
    let sptep = shadow.lists.first(pool.parent[table]);
    sptep !== 0;
    sptep = shadow.lists.first(pool.parent[table])
  ) unlinkChild(shadow, sptep, table);
  if (!shadow.isDirect(table)) unaccount(shadow, table);
  if (shadow.isUnsync(table)) clearUnsync(shadow, table);
  core.nxSplits.remove(table);
  shadow.leave(table);
  pool.unlink(table);
  if (pool.rootCount[table] === 0) pool.release(table);
  else {
    pool.flags[table] |= TableFlag.INVALID;
    pool.role[table] |= RoleMask.INVALID;
    // An obsolete root has had its reload asked for already.
    if (!wasObsolete) shadow.reloadRoots();
    zapped--;
  }
  return zapped;
}

/** Takes one pin from a root; an invalid one is freed with the last. */
export function releaseShadowRoot(shadow: ShadowState, table: number): void {
  const { pool } = shadow.core;
  pool.rootCount[table]--;
  if (pool.rootCount[table] === 0 && (pool.flags[table] & TableFlag.INVALID) !== 0) {
    pool.release(table);
  }
}

/** Zaps all pages that shadow the guest table `gfn`; true when there were any. */
export function zapShadowsOf(shadow: ShadowState, gfn: Gfn): boolean {
  let any = false;
  for (;;) {
    let page = shadow.firstInBucket(gfn);
    while (page !== 0 && (shadow.core.pool.gfn[page] !== gfn || shadow.isDirect(page))) {
      page = shadow.nextInBucket(page);
    }
    if (page === 0) break;
    zapShadowPage(shadow, page);
    any = true;
  }
  if (any) shadow.core.flushAll();
  return any;
}

function zapUnsyncBelow(shadow: ShadowState, table: number): number {
  if (shadow.unsyncChildren[table] === 0) return 0;
  const pages: number[] = [];
  collectUnsync(shadow, table, pages);
  let zapped = 0;
  for (const page of pages) {
    // Two paths may lead to one page.
    if (shadow.isUnsync(page)) zapped += zapShadowPage(shadow, page);
  }
  return zapped;
}

/** A guest table begins to be shadowed: writes to it are seen, or at least in no large page. */
export function account(shadow: ShadowState, table: number): void {
  const gfn = shadow.core.pool.gfn[table] as Gfn;
  const slot = shadow.slotOf(table, gfn);
  shadow.indirectPages++;
  if (slot === undefined) return;
  if (shadow.level(table) > 1) shadow.tracking.track(slot, gfn);
  else slot.large.disallow(gfn);
}

function unaccount(shadow: ShadowState, table: number): void {
  const gfn = shadow.core.pool.gfn[table] as Gfn;
  const slot = shadow.slotOf(table, gfn);
  shadow.indirectPages--;
  if (slot === undefined) return;
  if (shadow.level(table) > 1) shadow.tracking.untrack(slot, gfn);
  else slot.large.allow(gfn);
}
