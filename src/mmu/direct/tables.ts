/**
 * The tables of the direct engine. Each has exactly one parent, so no reverse maps are needed: what
 * maps a frame is found by walking from the roots, and a table goes away with all below it.
 */

import { frameHi, frameLo, type Gfn, type Pfn } from "../../base/u64.ts";
import type { MmuCore } from "../core.ts";
import { FRAMES_AT } from "../level.ts";
import { roleLevel, RoleMask, type RootRole } from "../root_role.ts";
import { childRole } from "../root_role.ts";
import { Acc } from "../pferr.ts";
import { isLeaf, isPresent, pfnOf, SpteLo } from "../spte.ts";
import { dropLeaf } from "../spte_ops.ts";
import { TABLE_WORDS, TableFlag } from "../table_pool.ts";
import { Tp } from "../trace.ts";
import { traceTable } from "../trace_points.ts";

/** Makes a table of `level` and points the entry `sptep` of `parent` to it. */
export function linkNewTable(
  core: MmuCore,
  parent: number,
  sptep: number,
  gfn: Gfn,
  level: number,
): number {
  const { pool, format } = core;
  const role = childRole(pool.role[parent] as RootRole, level, true, Acc.ALL, 0);
  const table = pool.allocate(gfn, role, 0, core.generation);
  pool.parent[table] = sptep;
  pool.children[parent]++;
  core.stats.mmu_cache_miss++;
  if (core.trace !== undefined) traceTable(core, Tp.GET_PAGE, table, true);
  const number = table as Pfn;
  pool.store(
    sptep,
    frameLo(number) | format.present | SpteLo.WRITE | format.user | format.exec | format.accessed,
    frameHi(number) | format.kindHi,
  );
  core.changes++;
  return table;
}

/**
 * Empties a table and all below it, and takes them out of use. A root that a vCPU still has becomes
 * invalid and is freed with its last pin.
 * @returns How many tables that were.
 */
export function zapSubtree(core: MmuCore, table: number): number {
  const { pool } = core;
  const level = roleLevel(pool.role[table] as RootRole);
  const parent = pool.parent[table];
  let zapped = 1;
  if (level <= 2) core.forgetTables();
  for (let at = table * TABLE_WORDS; at < (table + 1) * TABLE_WORDS; at += 2) {
    const lo = pool.words[at];
    const hi = pool.words[at + 1];
    if (isPresent(lo, hi) && !isLeaf(lo, level)) zapped += zapSubtree(core, pfnOf(lo, hi));
    else if ((lo | hi) !== 0) dropLeaf(core, at);
  }
  if (core.trace !== undefined) traceTable(core, Tp.PREPARE_ZAP_PAGE, table, false);
  core.stats.mmu_shadow_zapped++;
  core.changes++;
  if (parent >= 0) {
    pool.clear(parent);
    pool.children[Math.floor(parent / TABLE_WORDS)]--;
    pool.parent[table] = -1;
  }
  core.nxSplits.remove(table);
  if ((pool.flags[table] & TableFlag.INVALID) === 0) pool.unlink(table);
  if (pool.rootCount[table] === 0) pool.release(table);
  else {
    pool.flags[table] |= TableFlag.INVALID;
    pool.role[table] |= RoleMask.INVALID;
  }
  return zapped;
}

/** First frame under entry `index` of a table. */
export function frameOfEntry(core: MmuCore, table: number, level: number, index: number): Gfn {
  return core.pool.gfn[table] + index * FRAMES_AT[level] as Gfn;
}
