/** The direct engine: roots, and operations on whatever maps a range of frames. */

import { frameHi, frameLo, type Gfn, type Pfn } from "../../base/u64.ts";
import type { MmuCore } from "../core.ts";
import { couldBeLarge } from "../decide_level.ts";
import { HostPage } from "../host.ts";
import { ENTRIES, FRAMES_AT } from "../level.ts";
import { type MappingEngine, RangeOp } from "../mapping_engine.ts";
import type { Memslot } from "../memslot.ts";
import { isObsolete } from "../reclaim.ts";
import { roleLevel, RoleMask, type RootRole } from "../root_role.ts";
import { isLeaf, isPresent, pfnOf } from "../spte.ts";
import { changeLeaf, dropLeaf, replacePfn } from "../spte_ops.ts";
import { TableWalk } from "../table_walk.ts";
import { TABLE_WORDS, TableFlag } from "../table_pool.ts";
import { zapSubtree } from "./tables.ts";

/** Maps frames with tables of its own, one tree for each root role. */
export class DirectEngine implements MappingEngine {
  readonly #core: MmuCore;
  /** Roots that are there, obsolete ones with a pin included. */
  readonly #roots: number[] = [];

  readonly #walk: TableWalk;
  readonly #page: HostPage = new HostPage();

  constructor(core: MmuCore) {
    this.#core = core;
    this.#walk = new TableWalk(core);
  }

  /** Roots that are there. */
  get roots(): readonly number[] {
    return this.#roots;
  }

  /** Pins the root of `role`, making it if need be; 0 when there is no table for it. */
  acquireRoot(role: RootRole): number {
    const { pool, generation } = this.#core;
    for (const root of this.#roots) {
      if (pool.role[root] === role && !isObsolete(this.#core, root)) {
        pool.rootCount[root]++;
        return root;
      }
    }
    if (!pool.reserve(1)) return 0;
    const root = pool.allocate(0 as Gfn, role, 0, generation);
    pool.rootCount[root] = 1;
    this.#roots.push(root);
    return root;
  }

  /** Takes one pin from a root; an invalid one is freed with the last. */
  releaseRoot(root: number): void {
    const { pool } = this.#core;
    pool.rootCount[root]--;
    if (pool.rootCount[root] === 0 && (pool.flags[root] & TableFlag.INVALID) !== 0) {
      this.#forget(root);
      pool.release(root);
    }
  }

  zapTable(table: number): number {
    const { pool } = this.#core;
    if (pool.parent[table] < 0 && pool.rootCount[table] === 0) this.#forget(table);
    return zapSubtree(this.#core, table);
  }

  /** A table without tables below; the others would take more with them than was asked. */
  isRecyclable(table: number): boolean {
    const { pool } = this.#core;
    return pool.children[table] === 0 && pool.parent[table] >= 0;
  }

  forRange(slot: Memslot, start: Gfn, end: Gfn, op: RangeOp): boolean {
    const { pool } = this.#core;
    let any = false;
    for (const root of this.#roots) {
      if (!this.#serves(root, slot)) continue;
      const level = roleLevel(pool.role[root] as RootRole);
      any = this.#visit(root, level, slot, start, end, op) || any;
    }
    return any;
  }

  changePfn(slot: Memslot, gfn: Gfn, pfn: Pfn, writable: boolean): boolean {
    const core = this.#core;
    const walk = this.#walk;
    let any = false;
    for (const root of this.#roots) {
      const level = roleLevel(core.pool.role[root] as RootRole);
      // A walk for a frame beyond what the root reaches would wrap to another.
      if (!this.#serves(root, slot) || gfn >= FRAMES_AT[level] * ENTRIES) continue;
      walk.to(root, level, frameLo(gfn), frameHi(gfn));
      if (!isPresent(walk.lo, walk.hi) || !isLeaf(walk.lo, walk.level)) continue;
      any = true;
      if (writable || walk.level > 1) dropLeaf(core, walk.sptep);
      else replacePfn(core, walk.sptep, pfn);
    }
    return any;
  }

  #serves(root: number, slot: Memslot): boolean {
    const smm = (this.#core.pool.role[root] & RoleMask.SMM) !== 0;
    return smm === (slot.addressSpace === 1);
  }

  #forget(root: number): void {
    const at = this.#roots.indexOf(root);
    if (at >= 0) this.#roots.splice(at, 1);
  }

  #visit(
    table: number,
    level: number,
    slot: Memslot,
    start: Gfn,
    end: Gfn,
    op: RangeOp,
  ): boolean {
    const { pool } = this.#core;
    const frames = FRAMES_AT[level];
    const base = pool.gfn[table];
    const first = Math.max(0, Math.floor((start - base) / frames));
    const last = Math.min(ENTRIES - 1, Math.floor((end - 1 - base) / frames));
    let any = false;
    for (let index = first; index <= last; index++) {
      const sptep = table * TABLE_WORDS + index * 2;
      const lo = pool.words[sptep];
      const hi = pool.words[sptep + 1];
      if (!isPresent(lo, hi)) continue;
      any = (isLeaf(lo, level)
        ? this.#apply(sptep, level, slot, base + index * frames as Gfn, op)
        : this.#visit(pfnOf(lo, hi), level - 1, slot, start, end, op)) || any;
    }
    return any;
  }

  #apply(sptep: number, level: number, slot: Memslot, gfn: Gfn, op: RangeOp): boolean {
    switch (op) {
      case RangeOp.UNMAP:
        dropLeaf(this.#core, sptep);
        return true;
      case RangeOp.COLLAPSE:
        return this.#collapse(sptep, level, slot, gfn);
      default:
        return changeLeaf(this.#core, sptep, level, op);
    }
  }

  /** Drops a 4 KiB leaf whose frame could be mapped by a large page; the next access makes that. */
  #collapse(sptep: number, level: number, slot: Memslot, gfn: Gfn): boolean {
    const core = this.#core;
    const table = Math.floor(sptep / TABLE_WORDS);
    if (level > 1 || (core.pool.flags[table] & TableFlag.NX_SPLIT) !== 0) return false;
    if (!couldBeLarge(core, slot, gfn, this.#page)) return false;
    dropLeaf(core, sptep);
    return true;
  }
}
