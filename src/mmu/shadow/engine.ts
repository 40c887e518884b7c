/** The shadow engine: operations on whatever maps a range of frames, and the guard of guest tables. */

import type { Gfn, Pfn } from "../../base/u64.ts";
import type { WriteGuard } from "../core.ts";
import { MAX_LEAF_LEVEL } from "../level.ts";
import { couldBeLarge } from "../decide_level.ts";
import { HostPage } from "../host.ts";
import { type MappingEngine, RangeOp } from "../mapping_engine.ts";
import type { Memslot } from "../memslot.ts";
import { changeLeaf, replacePfn } from "../spte_ops.ts";
import { TableFlag, tableOf } from "../table_pool.ts";
import { EMPTY } from "./pte_lists.ts";
import { dropAll, dropShadowLeaf, rmapHeads, rmapIndex, rmapIsEmpty } from "./rmap.ts";
import type { ShadowState } from "./state.ts";
import { mustProtect } from "./unsync.ts";
import { zapShadowPage } from "./zap.ts";

/** Maps frames with pages that shadow the guest's tables. */
export class ShadowEngine implements MappingEngine, WriteGuard {
  readonly state: ShadowState;
  readonly #page: HostPage = new HostPage();
  /** SPTEs of one list, while operations change the list. */
  readonly #leaves: number[] = [];

  constructor(state: ShadowState) {
    this.state = state;
  }

  zapTable(table: number): number {
    return zapShadowPage(this.state, table);
  }

  isRecyclable(_table: number): boolean {
    return true;
  }

  mustProtect(_slot: Memslot, gfn: Gfn, canUnsync: boolean): boolean {
    return mustProtect(this.state, gfn, canUnsync);
  }

  forRange(slot: Memslot, start: Gfn, end: Gfn, op: RangeOp): boolean {
    let any = false;
    for (let level = 1; level <= MAX_LEAF_LEVEL; level++) {
      if (rmapIsEmpty(slot, level)) continue;
      const heads = rmapHeads(slot, level);
      const last = rmapIndex(slot, end - 1 as Gfn, level);
      for (let at = rmapIndex(slot, start, level); at <= last; at++) {
        if (heads[at] === EMPTY) continue;
        any = this.#apply(slot, heads, at, level, op) || any;
      }
    }
    return any;
  }

  changePfn(slot: Memslot, gfn: Gfn, pfn: Pfn, writable: boolean): boolean {
    let any = false;
    for (let level = 1; level <= MAX_LEAF_LEVEL; level++) {
      if (rmapIsEmpty(slot, level)) continue;
      const heads = rmapHeads(slot, level);
      const at = rmapIndex(slot, gfn, level);
      if (writable || level > 1) any = dropAll(this.state, heads, at) || any;
      else {
        for (const sptep of this.#leavesOf(heads[at])) {
          replacePfn(this.state.core, sptep, pfn);
          any = true;
        }
      }
    }
    return any;
  }

  #apply(slot: Memslot, heads: Int32Array, at: number, level: number, op: RangeOp): boolean {
    if (op === RangeOp.UNMAP) return dropAll(this.state, heads, at);
    let any = false;
    for (const sptep of this.#leavesOf(heads[at])) {
      const flush = op === RangeOp.COLLAPSE
        ? this.#collapse(slot, sptep, level)
        : changeLeaf(this.state.core, sptep, level, op);
      any = flush || any;
    }
    return any;
  }

  /** Only below a large guest page could a larger leaf stand. */
  #collapse(slot: Memslot, sptep: number, level: number): boolean {
    const { core } = this.state;
    const table = tableOf(sptep);
    const isSplit = (core.pool.flags[table] & TableFlag.NX_SPLIT) !== 0;
    if (level > 1 || !this.state.isDirect(table) || isSplit) return false;
    const gfn = this.state.gfnOfEntry(sptep);
    if (!couldBeLarge(core, slot, gfn, this.#page)) return false;
    dropShadowLeaf(this.state, sptep);
    return true;
  }

  #leavesOf(head: number): readonly number[] {
    const leaves = this.#leaves;
    leaves.length = 0;
    const { lists } = this.state;
    for (let i = 0, sptep = lists.at(head, 0); sptep !== 0; sptep = lists.at(head, ++i)) {
      leaves.push(sptep);
    }
    return leaves;
  }
}
