/** Sets leaves of the shadow engine. */

import type { Gfn, Pfn } from "../../base/u64.ts";
import type { MmuCore } from "../core.ts";
import { Cause, type Fault, FaultResult } from "../fault.ts";
import { Level, offsetInBlock as importedOffsetInBlock } from "../level.ts";
import { LeafHow } from "../make_spte.ts";
import type { Memslot } from "../memslot.ts";
import { mmioHi, mmioLo } from "../mmio_spte.ts";
import { isPresent, isWritable, pfnOf, SpteLo } from "../spte.ts";
import { updateSpte } from "../spte_ops.ts";
import { Tp } from "../trace.ts";
import { traceSetSpte } from "../trace_points.ts";
import type { VcpuState } from "../vcpu_state.ts";
import { addToRmap as importedAddToRmap, clearEntry, dropShadowLeaf, unlinkChild } from "./rmap.ts";
import type { ShadowState } from "./state.ts";

// Imported functions are looked up at every call, a module's own are not: this is a hot path.
const addToRmap = importedAddToRmap;
const offsetInBlock = importedOffsetInBlock;

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { EMULATE, FIXED, SPURIOUS } = FaultResult;
const { ALREADY_ALLOWED, GAINED } = Cause;
const { CAN_UNSYNC, HOST_WRITABLE, SPECULATIVE, UNGUARDED, WAS_WRITABLE, WRITTEN } = LeafHow;
const { SIZE_4K } = Level;

/** Sets the leaf of a fault that has a frame: `fault.slot`, `fault.pfn` and what else has been found. */
export function setFaultLeaf(
  shadow: ShadowState,
  vcpu: VcpuState,
  fault: Fault,
  sptep: number,
  level: number,
  access: number,
): FaultResult {
  const { gfn, pfn, code } = fault;
  const { core, maker } = shadow;
  const { words } = core.pool;
  const slot = fault.slot!;
  const offset = offsetInBlock(pfn, level);
  const start = gfn - offset as Gfn;
  const head = pfn - offset as Pfn;
  // A guess is no reason to let a guest table go out of step.
  const how = code & WRITTEN | (fault.prefault ? SPECULATIVE : CAN_UNSYNC) |
    (fault.mapWritable ? HOST_WRITABLE : 0) | (shadow.firstInBucket(start) === 0 ? UNGUARDED : 0);
  if ((words[sptep] | words[sptep + 1]) !== 0) {
    return setAgain(shadow, vcpu, fault, sptep, level, access, start, head, how);
  }
  maker.leaf(slot, start, head, level, access, how);
  putLeaf(shadow, slot, level, start, sptep);
  if (maker.writeProtected) return afterProtection(core, vcpu, fault);
  fault.cause = GAINED;
  return FIXED;
}

/** Sets the leaf where something stands already: perhaps the same. */
function setAgain(
  shadow: ShadowState,
  vcpu: VcpuState,
  fault: Fault,
  sptep: number,
  level: number,
  access: number,
  start: Gfn,
  head: Pfn,
  how: number,
): FaultResult {
  const { core, maker } = shadow;
  const before = core.changes;
  setLeaf(shadow, fault.slot!, sptep, level, access, start, head, how);
  if (maker.writeProtected) return afterProtection(core, vcpu, fault);
  if (core.changes === before) return fault.end(SPURIOUS, ALREADY_ALLOWED);
  return fault.end(FIXED, GAINED);
}

/** A guest table, or a tracked page: the page stays read-only. */
function afterProtection(core: MmuCore, vcpu: VcpuState, fault: Fault): FaultResult {
  core.stats.tlb_flush++;
  vcpu.tlb.flush();
  return fault.end(fault.write ? EMULATE : FIXED, GAINED);
}

/** Makes an empty entry the leaf that `maker` holds, which maps `gfn`. */
function putLeaf(
  shadow: ShadowState,
  slot: Memslot,
  level: number,
  gfn: Gfn,
  sptep: number,
): void {
  const { core, maker } = shadow;
  const { words } = core.pool;
  words[sptep + 1] = maker.hi;
  words[sptep] = maker.lo;
  core.changes++;
  if (level > SIZE_4K) core.stats.lpages++;
  if (core.trace !== undefined) traceSetSpte(core, gfn, sptep, level);
  addToRmap(shadow, slot, level, gfn, sptep);
}

/**
 * Makes an entry a leaf that maps `gfn` to `pfn`. `maker.writeProtected` says afterwards whether the
 * right to write was withheld: a guest table or a tracked page.
 * @param how `LeafHow` bits; WAS_WRITABLE is found out here.
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
): void {
  const { core, maker } = shadow;
  const { words } = core.pool;
  const oldLo = words[sptep];
  const isNew = (oldLo | words[sptep + 1]) === 0 || makeRoom(shadow, sptep, level, gfn, pfn);
  maker.leaf(slot, gfn, pfn, level, access, isNew ? how : how | wasWritable(oldLo));
  if (isNew) putLeaf(shadow, slot, level, gfn, sptep);
  else {
    if (updateSpte(core, sptep, maker.lo, maker.hi)) core.flushAll();
    if (core.trace !== undefined) traceSetSpte(core, gfn, sptep, level);
  }
}

function wasWritable(lo: number): number {
  return isWritable(lo) ? WAS_WRITABLE : 0;
}

/** Removes what stands in the way of a leaf; false when a leaf of the same frames stands there. */
function makeRoom(
  shadow: ShadowState,
  sptep: number,
  level: number,
  gfn: Gfn,
  pfn: Pfn,
): boolean {
  const { core } = shadow;
  const { words } = core.pool;
  const lo = words[sptep];
  const hi = words[sptep + 1];
  if (isPresent(lo, hi)) {
    if (level > SIZE_4K && (lo & SpteLo.LARGE) === 0) unlinkChild(shadow, sptep, pfnOf(lo, hi));
    else if (pfnOf(lo, hi) === pfn && shadow.gfnOfEntry(sptep) === gfn) return false;
    else dropShadowLeaf(shadow, sptep);
    core.flushAll();
  }
  return true;
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
