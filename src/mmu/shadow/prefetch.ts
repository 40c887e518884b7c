/** Maps the neighbours of a fault: what the guest's table says of them, as far as the host has them. */

import type { Gfn } from "../../base/u64.ts";
import type { Fault } from "../fault.ts";
import { PageKind } from "../host.ts";
import { Level } from "../level.ts";
import { LeafHow } from "../make_spte.ts";
import { Acc } from "../pferr.ts";
import { roleAccess } from "../root_role.ts";
import { isPresent } from "../spte.ts";
import { TABLE_WORDS, tableOf } from "../table_pool.ts";
import { gpteTableGfn } from "../walk/mod.ts";
import type { ShadowContext } from "./context.ts";
import { setLeaf } from "./set_leaf.ts";
import { isMappable, leafAccess } from "./sync.ts";

/** Entries looked at: an aligned window around the fault. */
const WINDOW = 8;

/**
 * Maps what is absent in the aligned window around `sptep`, the entry that has been set for `fault`, up
 * to the first entry that cannot be. Devices and large pages have no such neighbours.
 */
export function prefetchGuest(
  context: ShadowContext,
  fault: Fault,
  sptep: number,
): void {
  if (fault.pfn < 0 || fault.goalLevel > Level.SIZE_4K) return;
  const { shadow } = context;
  const { pool } = shadow.core;
  const table = tableOf(sptep);
  const entry = (sptep - table * TABLE_WORDS) >>> 1;
  const first = entry - entry % WINDOW;
  for (let i = first; i < first + WINDOW; i++) {
    const at = table * TABLE_WORDS + i * 2;
    if (i === entry || isPresent(pool.words[at], pool.words[at + 1])) continue;
    const done = shadow.isDirect(table)
      ? mapGuess(context, at, fault.gfn + (i - entry) as Gfn, roleAccess(shadow.role(table)))
      : refill(context, table, i);
    if (!done) return;
  }
}

/**
 * Maps what the guest's entry behind entry `index` of a last-level page says.
 * @returns false when it says nothing that can be mapped now.
 */
export function refill(context: ShadowContext, table: number, index: number): boolean {
  const { shadow, rules, tables } = context;
  const at = context.guestEntry(table, index);
  if (at < 0) return false;
  const lo = tables.words[at];
  const hi = rules.entryBytes === 8 ? tables.words[at + 1] : 0;
  if (!isMappable(rules, lo, hi)) return false;
  const access = leafAccess(rules, lo, hi, roleAccess(shadow.role(table)));
  return mapGuess(context, table * TABLE_WORDS + index * 2, gpteTableGfn(lo, hi), access);
}

/** Maps a frame that nobody has asked for, if the host has it at hand. */
function mapGuess(context: ShadowContext, sptep: number, gfn: Gfn, access: number): boolean {
  const { shadow, vcpu, guess: page } = context;
  const { core } = shadow;
  const slot = vcpu.slots.visible(gfn);
  if (slot === undefined) return false;
  if (slot.dirty !== undefined && (access & Acc.WRITE) !== 0) return false;
  const hostPage = slot.hostPageOf(gfn);
  if (core.notifier.covers(hostPage) || !shadow.lists.reserve(1)) return false;
  core.host.getPage(hostPage, false, false, page);
  if (page.kind !== PageKind.FRAME) return false;
  const writable = page.writable && !slot.readOnly ? LeafHow.HOST_WRITABLE : 0;
  setLeaf(shadow, slot, sptep, 1, access, gfn, page.pfn, LeafHow.SPECULATIVE | writable);
  core.host.putPage(page.pfn);
  return true;
}
