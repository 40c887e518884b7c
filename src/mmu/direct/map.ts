/** Maps one fault: walks down to the level that was decided, makes the tables on the way, sets the leaf. */

import { frameFrom, type Gfn, type Pfn } from "../../base/u64.ts";
import { decideLevel as importedDecideLevel } from "../decide_level.ts";
import { Cause, type Fault, FaultResult } from "../fault.ts";
import type { MmuCore } from "../core.ts";
import {
  entryOffset as importedEntryOffset,
  Level,
  offsetInBlock as importedOffsetInBlock,
} from "../level.ts";
import { LeafHow } from "../make_spte.ts";
import { mmioHi, mmioLo } from "../mmio_spte.ts";
import { Acc } from "../pferr.ts";
import { isPresent, isWritable, pfnOf, SpteLo } from "../spte.ts";
import { dropLeaf, updateSpte } from "../spte_ops.ts";
import { TableFlag } from "../table_pool.ts";
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
const { CAN_UNSYNC, HOST_WRITABLE, SPECULATIVE, UNGUARDED, WAS_WRITABLE, WRITTEN } = LeafHow;
const { LARGE } = SpteLo;
const { SIZE_2M, SIZE_4K } = Level;
const ALL_RIGHTS = Acc.ALL;
/** Index of no SPTE: table 0 is never used. */
const NO_ENTRY = 0;

/**
 * Maps `fault.gfn`. Tables have been reserved and all checks have passed. What nearly every fault comes
 * to, a leaf where nothing is, is all in here: V8 inlines no function this long, and into it what it
 * calls, so that the path is three compiled functions, with `pageFault` and `directPageFault`.
 */
export function mapDirect(vcpu: VcpuState, fault: Fault): FaultResult {
  const { core, maker } = vcpu;
  if (vcpu.root === 0) return withoutRoot(core, fault);
  decideLevel(core, fault);
  if (core.trace !== undefined) traceRequested(core, fault, fault.requestedLevel);
  const { words } = core.pool;
  const { addressLo, addressHi, gfn, pfn } = fault;
  let level = fault.goalLevel;
  let sptep = NO_ENTRY;
  if (level === SIZE_4K) {
    if (vcpu.isInTable(addressLo, addressHi)) {
      sptep = (vcpu.lastTable << 10) + (addressLo >>> 11 & 0x3fe);
    }
  } else if (level === SIZE_2M && vcpu.isInDirectory(addressLo, addressHi)) {
    sptep = (vcpu.lastDirectory << 10) + (addressLo >>> 20 & 0x3fe);
    if (words[sptep] !== 0) sptep = NO_ENTRY;
  }
  if (sptep === NO_ENTRY) {
    sptep = walkToGoal(vcpu, fault, level) | 0; // else V8 keeps it boxed on every way
    level = fault.goalLevel;
  }
  if (pfn < 0) return setMmio(core, fault, sptep);
  const offset = offsetInBlock(pfn, level);
  const start = gfn - offset as Gfn;
  const head = pfn - offset as Pfn;
  if ((words[sptep] | words[sptep + 1]) !== 0 && !makeRoom(core, sptep, level, head)) {
    return setAgain(vcpu, fault, sptep, start, head);
  }
  maker.leaf(fault.slot!, start, head, level, ALL_RIGHTS, howOf(core, fault));
  words[sptep + 1] = maker.hi;
  words[sptep] = maker.lo;
  core.changes++;
  core.stats.pf_fixed++;
  fault.cause = GAINED;
  if (core.trace !== undefined) traceSetSpte(core, start, sptep, level);
  const result = maker.writeProtected ? afterProtection(vcpu, fault) : FIXED;
  if (level > SIZE_4K) core.stats.lpages++;
  else if (core.prefetch) prefetchNeighbours(vcpu, fault, sptep);
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
  if (level === SIZE_4K) vcpu.keepTable(sptep, addressLo, addressHi);
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
function howOf(core: MmuCore, fault: Fault): number {
  const how = fault.mapWritable ? CAN_UNSYNC | HOST_WRITABLE : CAN_UNSYNC;
  // A write of the guest's is the same bit in both words.
  return how | fault.code & WRITTEN | (fault.prefault ? SPECULATIVE : 0) |
    (core.writeGuard === undefined ? UNGUARDED : 0);
}

/** The guest may not write the page: a table or a tracked page. */
function afterProtection(vcpu: VcpuState, fault: Fault): FaultResult {
  vcpu.core.stats.tlb_flush++;
  vcpu.tlb.flush();
  return fault.write ? EMULATE : FIXED;
}

/** Takes away what is in the place of a leaf; false when that maps the same frame already. */
function makeRoom(core: MmuCore, sptep: number, level: number, pfn: Pfn): boolean {
  const { pool } = core;
  const lo = pool.words[sptep];
  const hi = pool.words[sptep + 1];
  if (!isPresent(lo, hi)) {
    pool.clear(sptep); // an MMIO entry that memory has made stale
    return true;
  }
  if (level > 1 && (lo & LARGE) === 0) zapSubtree(core, pfnOf(lo, hi));
  else if (pfnOf(lo, hi) === pfn) return false;
  else dropLeaf(core, sptep);
  core.flushAll();
  return true;
}

/** Sets a leaf where the same frame is mapped: the fault may ask for another right. */
function setAgain(
  vcpu: VcpuState,
  fault: Fault,
  sptep: number,
  gfn: Gfn,
  pfn: Pfn,
): FaultResult {
  const { core, maker } = vcpu;
  const { words } = core.pool;
  const level = fault.goalLevel;
  const lo = words[sptep];
  const wasWritable = isWritable(lo) ? WAS_WRITABLE : 0;
  maker.leaf(fault.slot!, gfn, pfn, level, ALL_RIGHTS, howOf(core, fault) | wasWritable);
  const isSame = maker.lo === lo && maker.hi === words[sptep + 1];
  if (updateSpte(core, sptep, maker.lo, maker.hi)) core.flushAll();
  if (core.trace !== undefined) traceSetSpte(core, gfn, sptep, level);
  fault.cause = isSame ? ALREADY_ALLOWED : GAINED;
  const set = isSame ? SPURIOUS : FIXED;
  const result = maker.writeProtected && afterProtection(vcpu, fault) === EMULATE ? EMULATE : set;
  if (result !== SPURIOUS) core.stats.pf_fixed++;
  if (core.prefetch && level === SIZE_4K) prefetchNeighbours(vcpu, fault, sptep);
  return result;
}

function setMmio(core: MmuCore, fault: Fault, sptep: number): FaultResult {
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
  core.stats.pf_fixed++;
  return fault.end(EMULATE, GAINED);
}
