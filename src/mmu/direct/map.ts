/** Maps one fault: walks down to the level that was decided, makes the tables on the way, sets the leaf. */

import { frameFrom, type Gfn, type Pfn } from "../../base/u64.ts";
import { decideLevel as importedDecideLevel } from "../decide_level.ts";
import { Cause, type Fault, FaultResult } from "../fault.ts";
import type { MmuCore } from "../core.ts";
import {
  blockStart,
  entryOffset as importedEntryOffset,
  Level,
  offsetInBlock as importedOffsetInBlock,
} from "../level.ts";
import { LeafHow } from "../make_spte.ts";
import { mmioHi, mmioLo } from "../mmio_spte.ts";
import { Acc } from "../pferr.ts";
import { isPresent, isWritable, pfnOf, SpteLo } from "../spte.ts";
import { dropLeaf, updateSpte } from "../spte_ops.ts";
import { TableFlag, tableOf } from "../table_pool.ts";
import { Tp } from "../trace.ts";
import { traceRequested, traceSetSpte } from "../trace_points.ts";
import type { VcpuState } from "../vcpu_state.ts";
import { prefetchNeighbours } from "./prefetch.ts";
import { linkNewTable, zapSubtree } from "./tables.ts";

// Imported functions are looked up at every call, a module's own are not: this is a hot path.
const decideLevel = importedDecideLevel;
const entryOffset = importedEntryOffset;
const offsetInBlock = importedOffsetInBlock;

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { EMULATE, FIXED, RETRY, SPURIOUS } = FaultResult;
const { ALREADY_ALLOWED, GAINED, ROOT_INVALID } = Cause;
const { CAN_UNSYNC, HOST_WRITABLE, SPECULATIVE, WAS_WRITABLE, WRITTEN } = LeafHow;
const { LARGE } = SpteLo;
const { SIZE_2M, SIZE_4K } = Level;
const ALL_RIGHTS = Acc.ALL;

/** Maps `fault.gfn`. Tables have been reserved and all checks have passed. */
export function mapDirect(vcpu: VcpuState, fault: Fault): FaultResult {
  const { core } = vcpu;
  const { words } = core.pool;
  const { addressLo, addressHi } = fault;
  let table = vcpu.root;
  if (table === 0) {
    return withoutRoot(core, fault);
  }
  decideLevel(core, fault);
  if (core.trace !== undefined) traceRequested(core, fault, fault.requestedLevel);
  const key = addressLo >>> 21 | addressHi << 11;
  let level = fault.goalLevel;
  let sptep: number;
  if (level === SIZE_4K && key === vcpu.lastTableKey) {
    table = vcpu.lastTable;
    sptep = (table << 10) + (addressLo >>> 11 & 0x3fe);
  } else if (level === SIZE_2M && vcpu.isInDirectory(addressLo, addressHi)) {
    table = vcpu.lastDirectory;
    sptep = (table << 10) + (addressLo >>> 20 & 0x3fe);
    if (isNxSplit(core, sptep)) {
      sptep = walkToGoal(vcpu, fault, level);
      level = fault.goalLevel;
      table = tableOf(sptep);
    }
  } else {
    sptep = walkToGoal(vcpu, fault, level);
    level = fault.goalLevel;
    table = tableOf(sptep);
    if (level === SIZE_4K) vcpu.keepTable(sptep, addressLo, addressHi);
  }
  const result = (words[sptep] | words[sptep + 1]) === 0 && fault.pfn >= 0
    ? setNewLeaf(vcpu, fault, sptep, level)
    : setLeaf(vcpu, fault, sptep, level);
  if (result !== SPURIOUS) core.stats.pf_fixed++;
  if (level === SIZE_4K && core.prefetch && fault.pfn >= 0) {
    prefetchNeighbours(vcpu, fault, table, sptep);
  }
  return result;
}

/** Walks down to level `goal`, making tables; to the next below where the NX rule wants it. */
function walkToGoal(vcpu: VcpuState, fault: Fault, goal: number): number {
  const { core } = vcpu;
  const { words } = core.pool;
  const { addressLo, addressHi } = fault;
  let table = vcpu.root;
  let level = vcpu.rootLevel;
  if (goal <= SIZE_2M && vcpu.isInDirectory(addressLo, addressHi)) {
    table = vcpu.lastDirectory;
    level = SIZE_2M;
  }
  let sptep = (table << 10) + entryOffset(addressLo, addressHi, level);
  while (level > goal || (level > SIZE_4K && isNxSplit(core, sptep))) {
    // Above level 1 there are only tables and large leaves, which are never zero; a table's number
    // fits in bits 31:12.
    const lo = words[sptep];
    table = lo !== 0 && (lo & LARGE) === 0 ? lo >>> 12 : putTable(vcpu, fault, table, sptep, level);
    level--;
    if (level === SIZE_2M) vcpu.keepDirectory(table, addressLo, addressHi);
    sptep = (table << 10) + entryOffset(addressLo, addressHi, level);
  }
  fault.goalLevel = level;
  return sptep;
}

function withoutRoot(core: MmuCore, fault: Fault): FaultResult {
  core.warn("Cannot map a fault: the vCPU's root went away after the entry");
  return fault.end(RETRY, ROOT_INVALID);
}

/** A table that the NX rule made stays, or reads and fetches would replace each other's pages. */
function isNxSplit(core: MmuCore, sptep: number): boolean {
  const { words, flags } = core.pool;
  const lo = words[sptep];
  return lo !== 0 && (lo & LARGE) === 0 && (flags[lo >>> 12] & TableFlag.NX_SPLIT) !== 0;
}

/** Puts a new table in the place of nothing, or of a large leaf. */
function putTable(
  vcpu: VcpuState,
  fault: Fault,
  parent: number,
  sptep: number,
  level: number,
): number {
  const { core } = vcpu;
  if (core.pool.words[sptep] !== 0) {
    dropLeaf(core, sptep);
    core.flushAll();
  }
  const start = level > 4
    ? fiveLevelStart(fault.gfn)
    : startOfTable(fault.addressLo, fault.addressHi, level);
  const table = linkNewTable(core, parent, sptep, start, level - 1);
  if (fault.hugeDisallowed && fault.requestedLevel >= level) core.nxSplits.add(table, core.tdp);
  return table;
}

/** First frame of the table that an entry of `level` (2 to 4) for `hi:lo` points to. */
function startOfTable(lo: number, hi: number, level: number): Gfn {
  switch (level) {
    case 2:
      return frameFrom(lo & ~0x1f_ffff, hi) as Gfn;
    case 3:
      return frameFrom(lo & ~0x3fff_ffff, hi) as Gfn;
    default:
      return frameFrom(0, hi & ~0x7f) as Gfn;
  }
}

/** First frame of the 256 TiB under an entry of level 5. */
function fiveLevelStart(gfn: Gfn): Gfn {
  return Math.floor(gfn / 2 ** 36) * 2 ** 36 as Gfn;
}

/** `LeafHow` bits of a fault's leaf. */
function howOf(fault: Fault): number {
  const how = fault.mapWritable ? CAN_UNSYNC | HOST_WRITABLE : CAN_UNSYNC;
  // A write of the guest's is the same bit in both words.
  return how | fault.code & WRITTEN | (fault.prefault ? SPECULATIVE : 0);
}

/** Sets a leaf where nothing is: what nearly every fault comes to. */
function setNewLeaf(vcpu: VcpuState, fault: Fault, sptep: number, level: number): FaultResult {
  const { core, maker } = vcpu;
  const { words } = core.pool;
  const { gfn, pfn } = fault;
  const offset = offsetInBlock(pfn, level);
  const start = gfn - offset as Gfn;
  maker.leaf(fault.slot!, start, pfn - offset as Pfn, level, ALL_RIGHTS, howOf(fault));
  words[sptep + 1] = maker.hi;
  words[sptep] = maker.lo;
  core.changes++;
  fault.cause = GAINED;
  if (level > 1) core.stats.lpages++;
  if (core.trace !== undefined) traceSetSpte(core, start, sptep, level);
  return maker.writeProtected ? afterProtection(vcpu, fault) : FIXED;
}

/** The guest may not write the page: a table or a tracked page. */
function afterProtection(vcpu: VcpuState, fault: Fault): FaultResult {
  vcpu.core.stats.tlb_flush++;
  vcpu.tlb.flush();
  return fault.write ? EMULATE : FIXED;
}

/** Sets the leaf of a fault in the place of whatever is there. */
function setLeaf(vcpu: VcpuState, fault: Fault, sptep: number, level: number): FaultResult {
  const { core, maker } = vcpu;
  const { pool } = core;
  if (!fault.hasPage) return setMmio(vcpu, fault, sptep);
  const gfn = blockStart(fault.gfn, level);
  const pfn = fault.pfn - offsetInBlock(fault.pfn, level) as Pfn;
  let lo = pool.words[sptep];
  let hi = pool.words[sptep + 1];
  if (isPresent(lo, hi)) {
    const isTable = level > 1 && (lo & LARGE) === 0;
    if (isTable) zapSubtree(core, pfnOf(lo, hi));
    else if (pfnOf(lo, hi) !== pfn) dropLeaf(core, sptep);
  } else if ((lo | hi) !== 0) pool.clear(sptep); // an MMIO entry that memory has made stale
  if (pool.words[sptep] === 0 && pool.words[sptep + 1] === 0) {
    if (isPresent(lo, hi)) core.flushAll();
    return setNewLeaf(vcpu, fault, sptep, level);
  }
  lo = pool.words[sptep];
  hi = pool.words[sptep + 1];
  const wasWritable = isWritable(lo) ? WAS_WRITABLE : 0;
  maker.leaf(fault.slot!, gfn, pfn, level, ALL_RIGHTS, howOf(fault) | wasWritable);
  const isSame = maker.lo === lo && maker.hi === hi;
  if (updateSpte(core, sptep, maker.lo, maker.hi)) core.flushAll();
  if (core.trace !== undefined) traceSetSpte(core, gfn, sptep, level);
  fault.cause = isSame ? ALREADY_ALLOWED : GAINED;
  if (maker.writeProtected) {
    const result = afterProtection(vcpu, fault);
    if (result === EMULATE) return result;
  }
  return isSame ? SPURIOUS : FIXED;
}

function setMmio(vcpu: VcpuState, fault: Fault, sptep: number): FaultResult {
  const { core } = vcpu;
  const { pool, mmio, trace } = core;
  if (isPresent(pool.words[sptep], pool.words[sptep + 1])) {
    dropLeaf(core, sptep);
    core.flushAll();
  }
  const access = Acc.WRITE | Acc.USER;
  const lo = mmioLo(mmio, fault.gfn, access, fault.generation);
  const hi = mmioHi(mmio, fault.gfn, fault.generation);
  if (trace !== undefined) {
    trace.emit(Tp.MARK_MMIO_SPTE, sptep, fault.gfn, access, fault.generation);
  }
  updateSpte(core, sptep, lo, hi);
  return fault.end(EMULATE, GAINED);
}
