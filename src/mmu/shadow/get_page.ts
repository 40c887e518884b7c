/** Finds or makes the shadow page of a guest table, or of a part of a large guest page. */

import { frameHi, frameLo, type Gfn, type Pfn } from "../../base/u64.ts";
import { RangeOp } from "../mapping_engine.ts";
import { isObsolete } from "../reclaim.ts";
import { childRole, quadrantOf, RoleMask, type RootRole } from "../root_role.ts";
import { forRange } from "../slot_updates.ts";
import { SpteLo } from "../spte.ts";
import { TableFlag } from "../table_pool.ts";
import { Tp } from "../trace.ts";
import { traceTable } from "../trace_points.ts";
import type { ShadowContext } from "./context.ts";
import { type ShadowState } from "./state.ts";
import { syncPage, syncSiblings } from "./sync.ts";
import { markEntry } from "./unsync.ts";
import { account } from "./zap.ts";

/**
 * The page of `level` for the guest table (or, when `direct`, the first frame) `gfn`. Tables have
 * been reserved. A guest table is write-protected, or at least known to be unsync, when this returns.
 * @param lo Low half of the linear address, which says what part of a 32-bit table is meant.
 * @param access Rights that all entries above grant (`Acc`).
 */
export function getPage(
  context: ShadowContext,
  gfn: Gfn,
  lo: number,
  level: number,
  direct: boolean,
  access: number,
): number {
  const { shadow, rootRole } = context;
  const { core } = shadow;
  const narrow = (rootRole & RoleMask.GPTE8) === 0;
  const quadrant = narrow && !direct ? quadrantOf(lo, level) : 0;
  const role = childRole(rootRole, level, direct, access, quadrant);
  let anyUnsync = false;
  let collisions = 0;
  for (let page = shadow.firstInBucket(gfn); page !== 0; page = shadow.nextInBucket(page)) {
    if (isObsolete(core, page)) continue;
    if (core.pool.gfn[page] !== gfn) {
      collisions++;
      continue;
    }
    anyUnsync ||= shadow.isUnsync(page);
    if (core.pool.role[page] !== role) continue;
    // The guest's table stays writable, so the page stays unsync; but what it maps must be right.
    if (shadow.isUnsync(page) && !syncPage(context, page)) break;
    shadow.flood[page] = 0;
    shadow.countCollisions(collisions);
    if (core.trace !== undefined) traceTable(core, Tp.GET_PAGE, page, false);
    return page;
  }
  shadow.countCollisions(collisions);
  return makePage(context, gfn, role, level, direct, anyUnsync);
}

function makePage(
  context: ShadowContext,
  gfn: Gfn,
  role: RootRole,
  level: number,
  direct: boolean,
  anyUnsync: boolean,
): number {
  const { shadow } = context;
  const { core } = shadow;
  core.stats.mmu_cache_miss++;
  core.changes++;
  const page = core.pool.allocate(gfn, role, TableFlag.SHADOW, core.generation);
  shadow.enter(page);
  if (!direct) {
    // Protect first: what is read of the guest's table after this cannot change unseen.
    account(shadow, page);
    const slot = shadow.slotOf(page, gfn);
    if (
      level === 1 && slot !== undefined &&
      forRange(core, slot, gfn, gfn + 1 as Gfn, RangeOp.PROTECT)
    ) core.flushAll();
    if (level > 1 && anyUnsync) syncSiblings(context, shadow, gfn);
  }
  if (core.trace !== undefined) traceTable(core, Tp.GET_PAGE, page, true);
  return page;
}

/** Points an entry to a table. */
export function linkPage(shadow: ShadowState, sptep: number, child: number): void {
  const { core } = shadow;
  const { pool, format } = core;
  const number = child as Pfn;
  pool.store(
    sptep,
    frameLo(number) | format.present | SpteLo.WRITE | format.user | format.exec | format.accessed,
    frameHi(number) | format.kindHi,
  );
  core.changes++;
  pool.parent[child] = shadow.lists.add(pool.parent[child], sptep);
  if (shadow.unsyncChildren[child] > 0 || shadow.isUnsync(child)) markEntry(shadow, sptep);
}
