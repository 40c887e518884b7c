/** Brings unsync pages back into step with the guest's tables. */

import type { Gfn } from "../../base/u64.ts";
import { isMmio, isPresent, isWritable, pfnOf, SpteLo } from "../spte.ts";
import { mmioGeneration, mmioGfn } from "../mmio_spte.ts";
import { RangeOp } from "../mapping_engine.ts";
import { updateSpte } from "../spte_ops.ts";
import { TABLE_WORDS } from "../table_pool.ts";
import { forRange } from "../slot_updates.ts";
import { gpteAccess, gpteIsPresent, gpteIsReserved, gpteTableGfn } from "../walk/mod.ts";
import type { WalkRules } from "../walk/mod.ts";
import { LeafHow } from "../make_spte.ts";
import { Acc } from "../pferr.ts";
import { ENTRIES } from "../level.ts";
import type { ShadowContext } from "./context.ts";
import { clearEntry, dropShadowLeaf } from "./rmap.ts";
import { setMmioEntry } from "./set_leaf.ts";
import type { ShadowState } from "./state.ts";
import { clearUnsync, collectUnsync } from "./unsync.ts";
import { zapShadowPage } from "./zap.ts";

/** True when a last-level guest entry may be mapped without the guest having asked for it. */
export function isMappable(rules: WalkRules, lo: number, hi: number): boolean {
  if (!gpteIsPresent(rules, lo) || gpteIsReserved(rules, lo, hi, 1)) return false;
  return (lo & rules.accessedMask) === rules.accessedMask;
}

/** Rights of a last-level guest entry under a page of rights `above`; clean ones may not be written. */
export function leafAccess(rules: WalkRules, lo: number, hi: number, above: number): number {
  const access = above & gpteAccess(rules, lo, hi);
  return (lo & rules.dirtyMask) === rules.dirtyMask ? access : access & ~Acc.WRITE;
}

/**
 * Has a page agree with the guest's table again. TLBs are flushed if rights went away.
 * @returns false when the page is of no more use and has been zapped.
 */
export function syncPage(context: ShadowContext, table: number): boolean {
  const { shadow } = context;
  if (context.matches(shadow.role(table)) && refresh(context, table)) return true;
  zapShadowPage(shadow, table);
  shadow.core.flushAll();
  return false;
}

/** Brings all unsync pages below `table` into step. */
export function syncChildren(context: ShadowContext, table: number): void {
  const { shadow } = context;
  const { core } = shadow;
  while (shadow.unsyncChildren[table] > 0) {
    const pages: number[] = [];
    if (collectUnsync(shadow, table, pages) === 0) return;
    for (const page of pages) {
      const gfn = core.pool.gfn[page] as Gfn;
      const slot = shadow.slotOf(page, gfn);
      if (slot === undefined) continue;
      if (forRange(core, slot, gfn, gfn + 1 as Gfn, RangeOp.PROTECT)) core.flushAll();
    }
    for (const page of pages) {
      // Two paths may lead to one page, and a zap may have taken it.
      if (!shadow.isUnsync(page)) continue;
      clearUnsync(shadow, page);
      syncPage(context, page);
    }
  }
}

/** Works every entry of a page out again; false when none is left. */
function refresh(context: ShadowContext, table: number): boolean {
  const { shadow, rules, tables } = context;
  const { words } = shadow.core.pool;
  const above = (shadow.role(table) >>> 8) & Acc.ALL;
  const wide = rules.entryBytes === 8;
  let survivors = 0;
  let flush = false;
  for (let index = 0; index < ENTRIES; index++) {
    const sptep = table * TABLE_WORDS + index * 2;
    if ((words[sptep] | words[sptep + 1]) === 0) continue;
    const at = context.guestEntry(table, index);
    if (at < 0) return false;
    const lo = tables.words[at];
    const hi = wide ? tables.words[at + 1] : 0;
    if (!isMappable(rules, lo, hi)) {
      flush = clearEntry(shadow, sptep) || flush;
      continue;
    }
    const gfn = gpteTableGfn(lo, hi);
    const access = leafAccess(rules, lo, hi, above);
    if (isMmio(words[sptep + 1])) {
      if (mmioGfn(shadow.core.mmio, words[sptep], words[sptep + 1]) !== gfn) {
        clearEntry(shadow, sptep);
      } else {
        // Its generation stays: memory may have been added there since.
        const generation = mmioGeneration(words[sptep], words[sptep + 1]);
        setMmioEntry(shadow, sptep, gfn, access, generation);
        survivors++;
      }
    } else if (shadow.gfnOfEntry(sptep) !== gfn) {
      dropShadowLeaf(shadow, sptep);
      flush = true;
    } else {
      flush = recompute(context, sptep, gfn, access) || flush;
      survivors++;
    }
  }
  if (flush) shadow.core.flushAll();
  return survivors > 0;
}

/** Gives a present leaf the rights that the guest's entry has now. */
function recompute(context: ShadowContext, sptep: number, gfn: Gfn, access: number): boolean {
  const { shadow } = context;
  const { core, maker } = shadow;
  const lo = core.pool.words[sptep];
  const hi = core.pool.words[sptep + 1];
  const slot = context.vcpu.slots.find(gfn);
  if (slot === undefined || slot.invalid) {
    dropShadowLeaf(shadow, sptep);
    return true;
  }
  const how = LeafHow.SPECULATIVE |
    ((lo & SpteLo.HOST_WRITEABLE) !== 0 ? LeafHow.HOST_WRITABLE : 0) |
    (isWritable(lo) ? LeafHow.WAS_WRITABLE : 0);
  maker.leaf(slot, gfn, pfnOf(lo, hi), 1, access, how);
  // The accessed flag is the hardware's: recomputing must not lose it.
  const kept = isPresent(lo, hi) ? lo & core.format.accessed : 0;
  return updateSpte(core, sptep, maker.lo | kept, maker.hi);
}

/** Synchronises the unsync last-level pages of a guest table that becomes a higher-level one too. */
export function syncSiblings(context: ShadowContext, shadow: ShadowState, gfn: Gfn): void {
  const { pool } = shadow.core;
  let page = shadow.firstInBucket(gfn);
  while (page !== 0) {
    const next = shadow.nextInBucket(page);
    if (pool.gfn[page] === gfn && !shadow.isDirect(page) && shadow.isUnsync(page)) {
      clearUnsync(shadow, page);
      syncPage(context, page);
      // The page may be gone, and pages below it with it: begin again.
      page = shadow.firstInBucket(gfn);
    } else page = next;
  }
}
