/**
 * Faults that need no lock: the access is allowed by now, an access-tracked entry gets its rights
 * back, or a page that only dirty logging protects becomes writable again. The entry changes by one
 * compare-and-exchange; the memslot decides nothing but where the write is logged.
 */

import type { Gfn } from "../../base/u64.ts";
import { Cause, type Fault, FaultResult } from "../fault.ts";
import { Level } from "../level.ts";
import {
  canBecomeWritable,
  isAccessTracked,
  isAllowed,
  isLeaf,
  isPresent,
  isWritable,
  restoredHi,
  restoredLo,
  SpteLo,
} from "../spte.ts";
import type { TableWalk } from "../table_walk.ts";
import { Tp } from "../trace.ts";
import type { VcpuState } from "../vcpu_state.ts";

/** Exchanges that may fail before the whole path is taken. */
export const MAX_EXCHANGES = 5;

/** Tries to settle the fault; INVALID when the whole path has to. */
export function fastPageFault(vcpu: VcpuState, fault: Fault, walk: TableWalk): FaultResult {
  const { core } = vcpu;
  const { format } = core;
  if (fault.reserved || (fault.fetch && fault.present)) return FaultResult.INVALID;
  if (!format.accessTracking && !(fault.write && fault.present)) return FaultResult.INVALID;
  if (vcpu.rootIsObsolete) return FaultResult.INVALID;
  for (let tries = 0; tries < MAX_EXCHANGES; tries++) {
    walk.to(vcpu.root, vcpu.rootLevel, fault.addressLo, fault.addressHi);
    const { lo, hi, level } = walk;
    if (!isPresent(lo, hi) || !isLeaf(lo, level)) return FaultResult.INVALID;
    if (isAllowed(format, lo, hi, fault.fetch, fault.write)) {
      trace(vcpu, fault, walk, lo, hi, true);
      return fault.end(FaultResult.SPURIOUS, Cause.ALREADY_ALLOWED);
    }
    let newLo = lo;
    let newHi = hi;
    if (isAccessTracked(format, lo, hi)) {
      newLo = restoredLo(lo, hi);
      newHi = restoredHi(hi);
    }
    if (fault.write && canBecomeWritable(lo)) {
      // A large page is logged as 4 KiB pages: the whole path splits it.
      if (level > Level.SIZE_4K) return FaultResult.INVALID;
      newLo |= SpteLo.WRITE;
    }
    if (
      (newLo === lo && newHi === hi) || !isAllowed(format, newLo, newHi, fault.fetch, fault.write)
    ) return FaultResult.INVALID;
    const done = exchange(vcpu, fault, walk.sptep, lo, hi, newLo, newHi);
    trace(vcpu, fault, walk, newLo, newHi, done);
    if (done) return fault.end(FaultResult.FIXED, Cause.GAINED);
  }
  return FaultResult.INVALID;
}

/** Replaces the entry unless someone else has changed it. */
function exchange(
  vcpu: VcpuState,
  fault: Fault,
  sptep: number,
  lo: number,
  hi: number,
  newLo: number,
  newHi: number,
): boolean {
  const { core } = vcpu;
  const { pool } = core;
  if (core.hooks !== undefined) core.hooks.betweenCasReadAndWrite?.(sptep);
  if (pool.words[sptep] !== lo || pool.words[sptep + 1] !== hi) return false;
  pool.store(sptep, newLo, newHi);
  core.changes++;
  if (isWritable(newLo) && !isWritable(lo) && fault.slot !== undefined) {
    fault.slot.markDirty(fault.gfn as Gfn);
  }
  return true;
}

function trace(
  vcpu: VcpuState,
  fault: Fault,
  walk: TableWalk,
  newLo: number,
  newHi: number,
  done: boolean,
): void {
  const { addressLo, addressHi, code } = fault;
  const { sptep, lo, hi } = walk;
  vcpu.core.trace?.emit(
    Tp.FAST_PAGE_FAULT,
    vcpu.index,
    addressLo,
    addressHi,
    code >>> 0,
    sptep,
    lo,
    hi,
    newLo,
    newHi,
    Number(done),
  );
}
