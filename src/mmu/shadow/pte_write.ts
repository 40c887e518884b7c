/** The guest has written into a table that is shadowed, and the write has been carried out. */

import { frameFrom, type Gfn } from "../../base/u64.ts";
import { isObsolete } from "../reclaim.ts";
import { RoleMask, RoleShift } from "../root_role.ts";
import { isPresent } from "../spte.ts";
import { TABLE_WORDS } from "../table_pool.ts";
import type { ShadowContext } from "./context.ts";
import { refill } from "./prefetch.ts";
import { clearEntry } from "./rmap.ts";
import type { ShadowState } from "./state.ts";
import { zapShadowPage } from "./zap.ts";

/** Writes to a higher-level table without a walk through it between, at which its shadow goes. */
const FLOOD = 3;

/** Adjusts the shadow pages of the table that was written at `hi:lo`, `sizeBytes` bytes in one page. */
export function pteWrite(context: ShadowContext, lo: number, hi: number, sizeBytes: number): void {
  const { shadow } = context;
  const { core } = shadow;
  if (shadow.indirectPages === 0) return;
  const gfn = frameFrom(lo, hi) as Gfn;
  let offset = lo & 0xfff;
  let size = sizeBytes;
  if (context.rules.entryBytes === 8 && size === 4 && (offset & 7) <= 4) {
    // A 32-bit guest with 8-byte entries writes them in halves. KVM widens a write across two
    // entries as well, and then takes no notice of the second.
    offset &= ~7;
    size = 8;
  }
  core.stats.mmu_pte_write++;
  core.changes++;
  let flush = false;
  let page = shadow.firstInBucket(gfn);
  while (page !== 0) {
    const next = shadow.nextInBucket(page);
    if (core.pool.gfn[page] !== gfn || shadow.isDirect(page) || isObsolete(core, page)) {
      page = next;
      continue;
    }
    if (isMisaligned(shadow, page, offset, size) || isFlooded(shadow, page)) {
      zapShadowPage(shadow, page);
      core.stats.mmu_flooded++;
      flush = true;
      // Other pages of the bucket may have gone with it.
      page = shadow.firstInBucket(gfn);
      continue;
    }
    flush = update(context, page, offset) || flush;
    page = next;
  }
  if (flush) core.flushAll();
}

/** True when the write is none of exactly one entry, as far as one can tell. */
function isMisaligned(shadow: ShadowState, page: number, offset: number, size: number): boolean {
  const entry = (shadow.role(page) & RoleMask.GPTE8) !== 0 ? 8 : 4;
  // Linux clears a flag with a one-byte instruction.
  if (size === 1 && offset % entry === 0) return false;
  return size < 4 || ((offset ^ (offset + size - 1)) & ~(entry - 1)) !== 0;
}

function isFlooded(shadow: ShadowState, page: number): boolean {
  // The shadow of a last-level table can go out of step instead.
  if (shadow.level(page) === 1) return false;
  shadow.flood[page]++;
  // The next walk has to come by here, and to clear the count.
  shadow.core.forgetTables();
  return shadow.flood[page] >= FLOOD;
}

/** Zaps the entries that shadow what was written, and fills a last-level one again. */
function update(context: ShadowContext, page: number, guestOffset: number): boolean {
  const { shadow } = context;
  const { pool, stats } = shadow.core;
  const role = shadow.role(page);
  const level = shadow.level(page);
  let offset = guestOffset;
  let count = 1;
  if ((role & RoleMask.GPTE8) === 0) {
    offset *= 2;
    if (level === 2) {
      // One guest entry of 4 MiB is two shadow entries of 2 MiB.
      offset *= 2;
      count = 2;
    }
    if (offset >>> 12 !== (role & RoleMask.QUADRANT) >>> RoleShift.QUADRANT) return false;
    offset &= 0xfff;
  }
  const first = offset >>> 3;
  let flush = false;
  for (let index = first; index < first + count; index++) {
    const sptep = page * TABLE_WORDS + index * 2;
    const isThere = isPresent(pool.words[sptep], pool.words[sptep + 1]);
    clearEntry(shadow, sptep);
    flush ||= isThere;
    if (!context.matches(role)) continue;
    if (level > 1) {
      stats.mmu_pde_zapped++;
    } else {
      stats.mmu_pte_updated++;
      refill(context, page, index);
    }
  }
  return flush;
}
