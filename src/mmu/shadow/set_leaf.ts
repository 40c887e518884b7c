/** Sets leaves of the shadow engine. */

import type { Gfn, Pfn } from "../../base/u64.ts";
import { Cause, type Fault, FaultResult } from "../fault.ts";
import { blockStart, offsetInBlock } from "../level.ts";
import { LeafHow } from "../make_spte.ts";
import type { Memslot } from "../memslot.ts";
import { mmioHi, mmioLo } from "../mmio_spte.ts";
import { isPresent, isWritable, pfnOf, SpteLo } from "../spte.ts";
import { updateSpte } from "../spte_ops.ts";
import { Tp } from "../trace.ts";
import { traceSetSpte } from "../trace_points.ts";
import type { VcpuState } from "../vcpu_state.ts";
import { addToRmap, clearEntry, dropShadowLeaf, unlinkChild } from "./rmap.ts";
import type { ShadowState } from "./state.ts";

/** Sets the leaf of a fault: `fault.slot`, `fault.pfn` and what else has been found. */
export function setFaultLeaf(
  shadow: ShadowState,
  vcpu: VcpuState,
  fault: Fault,
  sptep: number,
  level: number,
  access: number,
): FaultResult {
  if (!fault.hasPage) {
    setMmioEntry(shadow, sptep, fault.gfn, access, fault.generation);
    return fault.end(FaultResult.EMULATE, Cause.GAINED);
  }
  const gfn = blockStart(fault.gfn, level);
  const pfn = fault.pfn - offsetInBlock(fault.pfn, level) as Pfn;
  const slot = fault.slot!;
  const { core } = shadow;
  const before = core.changes;
  // A guess is no reason to let a guest table go out of step.
  const how = (fault.prefault ? LeafHow.SPECULATIVE : LeafHow.CAN_UNSYNC) |
    (fault.mapWritable ? LeafHow.HOST_WRITABLE : 0) | (fault.write ? LeafHow.WRITTEN : 0);
  const isProtected = setLeaf(shadow, slot, sptep, level, access, gfn, pfn, how);
  if (isProtected) {
    core.stats.tlb_flush++;
    vcpu.tlb.flush();
    if (fault.write) return fault.end(FaultResult.EMULATE, Cause.GAINED);
  }
  if (core.changes === before) return fault.end(FaultResult.SPURIOUS, Cause.ALREADY_ALLOWED);
  return fault.end(FaultResult.FIXED, Cause.GAINED);
}

/**
 * Makes an entry a leaf that maps `gfn` to `pfn`.
 * @param how `LeafHow` bits; WAS_WRITABLE is found out here.
 * @returns true when the right to write was withheld: a guest table or a tracked page.
 */
export function setLeaf(
  shadow: ShadowState,
  slot: Memslot,
  sptep: number,
  level: number,
  access: number,
  gfn: Gfn,
  pfn: Pfn,
  how: number,
): boolean {
  const { core, maker } = shadow;
  const { pool } = core;
  let lo = pool.words[sptep];
  let hi = pool.words[sptep + 1];
  let flush = false;
  let mapped = isPresent(lo, hi);
  if (mapped) {
    if (level > 1 && (lo & SpteLo.LARGE) === 0) {
      unlinkChild(shadow, sptep, pfnOf(lo, hi));
      mapped = false;
      flush = true;
    } else if (pfnOf(lo, hi) !== pfn || shadow.gfnOfEntry(sptep) !== gfn) {
      dropShadowLeaf(shadow, sptep);
      mapped = false;
      flush = true;
    }
    lo = pool.words[sptep];
    hi = pool.words[sptep + 1];
  }
  const wasWritable = mapped && isWritable(lo) ? LeafHow.WAS_WRITABLE : 0;
  maker.leaf(slot, gfn, pfn, level, access, how | wasWritable);
  const isProtected = maker.writeProtected;
  if (updateSpte(core, sptep, maker.lo, maker.hi)) flush = true;
  if (flush) core.flushAll();
  if (core.trace !== undefined) traceSetSpte(core, gfn, sptep, level);
  if (!mapped) {
    if (level > 1) core.stats.lpages++;
    addToRmap(shadow, slot, gfn, sptep);
  }
  return isProtected;
}

/** Makes an entry an MMIO entry. */
export function setMmioEntry(
  shadow: ShadowState,
  sptep: number,
  gfn: Gfn,
  access: number,
  generation: number,
): void {
  const { core } = shadow;
  const { pool, mmio, trace } = core;
  if (isPresent(pool.words[sptep], pool.words[sptep + 1])) {
    clearEntry(shadow, sptep);
    core.flushAll();
  }
  if (trace !== undefined) trace.emit(Tp.MARK_MMIO_SPTE, sptep, gfn, access, generation);
  shadow.setGfnOfEntry(sptep, gfn);
  updateSpte(core, sptep, mmioLo(mmio, gfn, access, generation), mmioHi(mmio, gfn, generation));
}
