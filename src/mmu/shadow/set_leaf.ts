/** Sets leaves of the shadow engine. */

import type { Gfn, Pfn } from "../../base/u64.ts";
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
import type { ShadowContext } from "./context.ts";
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

/**
 * Sets the entry of a fault: `fault.slot`, `fault.pfn` and what else has been found.
 * @param access Rights of the leaf (`Acc`).
 */
export function setFaultLeaf(
  context: ShadowContext,
  fault: Fault,
  sptep: number,
  access: number,
): FaultResult {
  const { shadow } = context;
  const { core, maker } = shadow;
  const { code, gfn, goalLevel: level, pfn } = fault;
  if (pfn < 0) return mapDevice(shadow, fault, sptep, access);
  const { words } = core.pool;
  const slot = fault.slot!;
  const offset = offsetInBlock(pfn, level);
  const start = gfn - offset as Gfn;
  const head = pfn - offset as Pfn;
  // A guess is no reason to let a guest table go out of step.
  const how = code & WRITTEN | (fault.prefault ? SPECULATIVE : CAN_UNSYNC) |
    (fault.mapWritable ? HOST_WRITABLE : 0) | (shadow.firstInBucket(start) === 0 ? UNGUARDED : 0);
  if ((words[sptep] | words[sptep + 1]) !== 0) {
    return setAgain(context, fault, sptep, access, start, head, how);
  }
  core.stats.pf_fixed++;
  maker.leaf(slot, start, head, level, access, how);
  putLeaf(shadow, slot, level, start, sptep);
  if (maker.writeProtected) return afterProtection(context.vcpu, fault);
  fault.cause = GAINED;
  return FIXED;
}

/** Sets the leaf where something stands already: perhaps the same. */
function setAgain(
  context: ShadowContext,
  fault: Fault,
  sptep: number,
  access: number,
  start: Gfn,
  head: Pfn,
  how: number,
): FaultResult {
  const { core, maker } = context.shadow;
  const before = core.changes;
  setLeaf(context.shadow, fault.slot!, sptep, fault.goalLevel, access, start, head, how);
  const { writeProtected } = maker;
  if (!writeProtected && core.changes === before) return fault.end(SPURIOUS, ALREADY_ALLOWED);
  core.stats.pf_fixed++;
  return writeProtected ? afterProtection(context.vcpu, fault) : fault.end(FIXED, GAINED);
}

/** There is no memory at `fault.gfn`. */
function mapDevice(shadow: ShadowState, fault: Fault, sptep: number, access: number): FaultResult {
  setMmioEntry(shadow, sptep, fault.gfn, access, fault.generation);
  shadow.core.stats.pf_fixed++;
  return fault.end(EMULATE, GAINED);
}

/** A guest table, or a tracked page: the page stays read-only. */
function afterProtection(vcpu: VcpuState, fault: Fault): FaultResult {
  vcpu.core.stats.tlb_flush++;
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
