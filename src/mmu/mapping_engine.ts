/**
 * What the rest of the MMU asks of an engine that maps guest frames. The direct and the shadow
 * engine answer alike; the answer true always means that TLBs have to be flushed.
 */

import type { Gfn, Pfn } from "../base/u64.ts";
import type { Memslot } from "./memslot.ts";

/** Operations on whatever maps the frames [start, end) of a memslot. */
export const RangeOp = {
  /** Removes the mapping. */
  UNMAP: 0,
  /** Makes it read-only so that the next write is logged; the fast path may undo it. */
  PROTECT_FOR_LOG: 1,
  /** Makes it read-only for good: only the whole path may undo it. */
  PROTECT: 2,
  /** Clears the dirty flag, or protects an entry of level 2 and above (PML). */
  CLEAR_DIRTY: 3,
  /** Sets the dirty flag (the end of PML). */
  SET_DIRTY: 4,
  /** Forgets that it was used; true when it was. Wants no flush. */
  AGE: 5,
  /** True when it was used. */
  TEST_AGE: 6,
  /** Removes 4 KiB mappings that could be large ones. */
  COLLAPSE: 7,
} as const;
/** An operation on mappings. */
export type RangeOp = typeof RangeOp[keyof typeof RangeOp];

/** An engine that maps guest frames. */
export interface MappingEngine {
  /** Applies `op` to every leaf that maps one of the frames [start, end) of `slot`. */
  forRange(slot: Memslot, start: Gfn, end: Gfn, op: RangeOp): boolean;
  /** The host has put frame `pfn` behind `gfn`: a writable one is mapped by the next fault. */
  changePfn(slot: Memslot, gfn: Gfn, pfn: Pfn, writable: boolean): boolean;
  /** Takes a table of this engine out of use; returns how many tables that freed or made invalid. */
  zapTable(table: number): number;
  /** True for a table that recycling may take now: it costs the least to make again. */
  isRecyclable(table: number): boolean;
}
