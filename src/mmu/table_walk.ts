/** Looks at our own tables without changing them: what the fast and the MMIO path do without a lock. */

import type { MmuCore } from "./core.ts";
import { entryOffset, tableIndex } from "./level.ts";
import { isLeaf, isPresent, pfnOf, SpteLo } from "./spte.ts";
import { TABLE_WORDS } from "./table_pool.ts";

/** Where a walk of our own tables ended. One object serves one MMU. */
export class TableWalk {
  /** The last SPTE seen, its level and its halves. */
  sptep = 0;
  level = 0;
  lo = 0;
  hi = 0;
  /** Level of an SPTE on the way that has reserved bits set, or 0. */
  corruptLevel = 0;
  readonly #core: MmuCore;

  constructor(core: MmuCore) {
    this.#core = core;
  }

  /** Follows `hi:lo` from `table` of `level` down to a leaf or to an entry that is not present. */
  to(table: number, level: number, lo: number, hi: number): void {
    const { words } = this.#core.pool;
    let at = level;
    let from = table;
    let sptep = (from << 10) + entryOffset(lo, hi, at);
    // Above level 1 there are only tables and large leaves, which are never zero; a table's number
    // fits in bits 31:12.
    for (; at > 1; at--) {
      const entry = words[sptep];
      if (entry === 0 || (entry & SpteLo.LARGE) !== 0) break;
      from = entry >>> 12;
      sptep = (from << 10) + entryOffset(lo, hi, at - 1);
    }
    const slo = words[sptep];
    const shi = words[sptep + 1];
    this.sptep = sptep;
    this.level = at;
    this.lo = slo;
    this.hi = shi;
  }

  /** Like `to`, but also looks for bits that no SPTE of ours has. Stops at a corrupt entry. */
  toChecked(table: number, level: number, lo: number, hi: number): void {
    const { pool } = this.#core;
    this.corruptLevel = 0;
    let at = level;
    let from = table;
    for (;;) {
      const sptep = from * TABLE_WORDS + tableIndex(lo, hi, at) * 2;
      this.sptep = sptep;
      this.level = at;
      this.lo = pool.words[sptep];
      this.hi = pool.words[sptep + 1];
      if (!isPresent(this.lo, this.hi)) return;
      if (isCorrupt(this.#core, this.lo, this.hi, at)) {
        this.corruptLevel = at;
        return;
      }
      if (isLeaf(this.lo, at)) return;
      from = pfnOf(this.lo, this.hi);
      at--;
    }
  }
}

/** True when a present SPTE has bits that the hardware reserves: nothing of ours sets them. */
export function isCorrupt(core: MmuCore, lo: number, hi: number, level: number): boolean {
  const { format, pool } = core;
  const beyond = ~0 << (core.maxPhyAddrBits - 32) & 0xf_ffff;
  if ((hi & beyond) !== 0) return true;
  const leaf = isLeaf(lo, level);
  if (format.ept) {
    // W without R, and a memory type or flags where a table's entry has none (SDM 3C §28.2.3.1).
    if ((lo & 3) === 2) return true;
    if (!leaf && (lo & 0xf8) !== 0) return true;
  }
  if (leaf && level > 1) {
    const offset = level === 2 ? 0x1f_f000 : 0x3fff_f000;
    return level > core.maxPageLevel || (lo & offset) !== 0;
  }
  // A table of ours exists.
  return !leaf && pfnOf(lo, hi) >= pool.capacity;
}
