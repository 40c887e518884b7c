/** Maps one fault: walks down to the level that was decided, makes the tables on the way, sets the leaf. */

import { frameFrom, type Gfn, type Pfn } from "../../base/u64.ts";
import { decideLevel } from "../decide_level.ts";
import { Cause, type Fault, FaultResult } from "../fault.ts";
import { blockStart, Level, offsetInBlock, tableIndex } from "../level.ts";
import { mmioHi, mmioLo } from "../mmio_spte.ts";
import { Acc } from "../pferr.ts";
import { isPresent, isWritable, pfnOf, SpteLo } from "../spte.ts";
import { dropLeaf, updateSpte } from "../spte_ops.ts";
import { Stat } from "../stats.ts";
import { TABLE_WORDS, TableFlag } from "../table_pool.ts";
import { Tp } from "../trace.ts";
import { traceSetSpte } from "../trace_points.ts";
import type { VcpuState } from "../vcpu_state.ts";
import { prefetchNeighbours } from "./prefetch.ts";
import { linkNewTable, zapSubtree } from "./tables.ts";

/** Maps `fault.gfn`. Tables have been reserved and all checks have passed. */
export function mapDirect(vcpu: VcpuState, fault: Fault): FaultResult {
  const { core } = vcpu;
  const { pool } = core;
  const { words } = pool;
  if (!vcpu.hasRoot) {
    core.warn("Cannot map a fault: the vCPU's root went away after the entry");
    return fault.end(FaultResult.RETRY, Cause.ROOT_INVALID);
  }
  decideLevel(core, fault);
  if (core.trace !== undefined) {
    core.trace.emit(Tp.SPTE_REQUESTED, fault.gfn, fault.pfn, fault.requestedLevel);
  }
  const { addressLo, addressHi, gfn } = fault;
  let goal = fault.goalLevel;
  let level = vcpu.rootLevel;
  let table = vcpu.root;
  let sptep = 0;
  for (;;) {
    sptep = table * TABLE_WORDS + tableIndex(addressLo, addressHi, level) * 2;
    const lo = words[sptep];
    const hi = words[sptep + 1];
    const present = isPresent(lo, hi);
    const large = level > 1 && (lo & SpteLo.LARGE) !== 0;
    if (level === goal) {
      // A table that the NX rule made stays, or reads and fetches would replace each other's pages.
      const kept = level > 1 && present && !large &&
        (pool.flags[pfnOf(lo, hi)] & TableFlag.NX_SPLIT) !== 0;
      if (!kept) break;
      goal--;
    }
    if (present && !large) {
      table = pfnOf(lo, hi);
    } else {
      if (present) {
        dropLeaf(core, sptep);
        core.flushAll();
      }
      const start = level > 4 ? fiveLevelStart(gfn) : startOfTable(addressLo, addressHi, level);
      table = linkNewTable(core, table, sptep, start, level - 1);
      if (fault.hugeDisallowed && fault.requestedLevel >= level) {
        core.nxSplits.add(table, fault.tdp);
      }
    }
    level--;
  }
  fault.goalLevel = goal;
  const result = setLeaf(vcpu, fault, sptep, goal);
  if (result !== FaultResult.SPURIOUS) core.counters[Stat.PF_FIXED]++;
  if (goal === Level.SIZE_4K && core.prefetch && fault.hasPage) {
    prefetchNeighbours(vcpu, fault, table, sptep);
  }
  return result;
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

function setLeaf(
  vcpu: VcpuState,
  fault: Fault,
  sptep: number,
  level: number,
): FaultResult {
  const { core, maker } = vcpu;
  const { pool } = core;
  if (!fault.hasPage) return setMmio(vcpu, fault, sptep);
  const gfn = blockStart(fault.gfn, level);
  const pfn = fault.pfn - offsetInBlock(fault.pfn, level) as Pfn;
  let lo = pool.words[sptep];
  let hi = pool.words[sptep + 1];
  let flush = false;
  let mapped = isPresent(lo, hi);
  if (mapped) {
    if (level > 1 && (lo & SpteLo.LARGE) === 0) {
      zapSubtree(core, pfnOf(lo, hi));
      mapped = false;
      flush = true;
    } else if (pfnOf(lo, hi) !== pfn) {
      dropLeaf(core, sptep);
      mapped = false;
      flush = true;
    }
    lo = pool.words[sptep];
    hi = pool.words[sptep + 1];
  }
  const { write, mapWritable } = fault;
  const wasWritable = mapped && isWritable(lo);
  maker.leaf(
    fault.slot!,
    gfn,
    pfn,
    level,
    Acc.ALL,
    fault.prefault,
    mapWritable,
    write,
    wasWritable,
    true,
  );
  let result: FaultResult = FaultResult.FIXED;
  fault.cause = Cause.GAINED;
  if (mapped && maker.lo === lo && maker.hi === hi) {
    result = FaultResult.SPURIOUS;
    fault.cause = Cause.ALREADY_ALLOWED;
  } else if (updateSpte(core, sptep, maker.lo, maker.hi)) flush = true;
  if (maker.writeProtected) {
    if (write) result = FaultResult.EMULATE;
    core.counters[Stat.TLB_FLUSH]++;
    vcpu.tlb.flush();
  }
  if (flush) core.flushAll();
  if (!mapped && level > 1) core.counters[Stat.LPAGES]++;
  if (core.trace !== undefined) traceSetSpte(core, gfn, sptep, level);
  return result;
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
  return fault.end(FaultResult.EMULATE, Cause.GAINED);
}
