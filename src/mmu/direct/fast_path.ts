/**
 * Faults that need no lock: the access is allowed by now, an access-tracked entry gets its rights
 * back, or a page that only dirty logging protects becomes writable again. The entry changes by one
 * compare-and-exchange; the memslot decides nothing but where the write is logged.
 */

import { Cause, type Fault, FaultResult } from "../fault.ts";
import { entryOffset as importedEntryOffset } from "../level.ts";
import { Pferr } from "../pferr.ts";
import {
  canBecomeWritable,
  isAccessTracked,
  isAllowed as importedIsAllowed,
  isPresent as importedIsPresent,
  isWritable,
  restoredHi,
  restoredLo,
  SpteLo,
} from "../spte.ts";
import { Tp } from "../trace.ts";
import type { VcpuState } from "../vcpu_state.ts";

// Imported functions are looked up at every call, a module's own are not: this is a hot path.
const entryOffset = importedEntryOffset;
const isPresent = importedIsPresent;
const isAllowed = importedIsAllowed;

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { FIXED, INVALID, SPURIOUS } = FaultResult;
const { ALREADY_ALLOWED, GAINED } = Cause;
const { LARGE, WRITE } = SpteLo;
const { FETCH, PRESENT, RSVD } = Pferr;
const WRITE_FAULT = Pferr.WRITE;

/** Exchanges that may fail before the whole path is taken. */
export const MAX_EXCHANGES = 5;

/**
 * Tries to settle the fault; INVALID when the whole path has to. To be asked about writes to present
 * entries, and about every fault where entries are access-tracked.
 */
export function fastPageFault(vcpu: VcpuState, fault: Fault): FaultResult {
  const { core, root, rootLevel } = vcpu;
  const { format, pool } = core;
  const { words } = pool;
  const { code, addressLo, addressHi } = fault;
  const isFetch = (code & FETCH) !== 0;
  const isWrite = (code & WRITE_FAULT) !== 0;
  if ((code & RSVD) !== 0 || (isFetch && (code & PRESENT) !== 0)) return INVALID;
  if (vcpu.rootIsObsolete) return INVALID;
  for (let tries = 0; tries < MAX_EXCHANGES; tries++) {
    let level = 1;
    let sptep = (vcpu.lastTable << 10) + (addressLo >>> 11 & 0x3fe);
    if ((addressLo >>> 21 | addressHi << 11) !== vcpu.lastTableKey) {
      level = rootLevel;
      sptep = (root << 10) + entryOffset(addressLo, addressHi, level);
      // Above level 1 there are only tables and large leaves, which are never zero.
      for (let entry = words[sptep]; level > 1 && entry !== 0 && (entry & LARGE) === 0;) {
        level--;
        sptep = (entry >>> 12 << 10) + entryOffset(addressLo, addressHi, level);
        entry = words[sptep];
      }
      if (level === 1) vcpu.keepTable(sptep, addressLo, addressHi);
    }
    const lo = words[sptep];
    const hi = words[sptep + 1];
    if (!isPresent(lo, hi)) return INVALID;
    if (isAllowed(format, lo, hi, isFetch, isWrite)) {
      if (core.trace !== undefined) trace(vcpu, fault, sptep, lo, hi, lo, hi, true);
      return fault.end(SPURIOUS, ALREADY_ALLOWED);
    }
    let newLo = lo;
    let newHi = hi;
    if (isAccessTracked(format, lo, hi)) {
      newLo = restoredLo(lo, hi);
      newHi = restoredHi(hi);
    }
    if (isWrite && canBecomeWritable(lo)) {
      // A large page is logged as 4 KiB pages: the whole path splits it.
      if (level > 1) return INVALID;
      newLo |= WRITE;
    }
    if (newLo === lo && newHi === hi) return INVALID;
    if (!isAllowed(format, newLo, newHi, isFetch, isWrite)) return INVALID;
    const done = exchange(vcpu, fault, sptep, lo, hi, newLo, newHi);
    if (core.trace !== undefined) trace(vcpu, fault, sptep, lo, hi, newLo, newHi, done);
    if (done) return fault.end(FIXED, GAINED);
  }
  return INVALID;
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
  if (isWritable(newLo) && !isWritable(lo)) vcpu.slots.find(fault.gfn)?.markDirty(fault.gfn);
  return true;
}

function trace(
  vcpu: VcpuState,
  fault: Fault,
  sptep: number,
  lo: number,
  hi: number,
  newLo: number,
  newHi: number,
  done: boolean,
): void {
  const { addressLo, addressHi, code } = fault;
  vcpu.core.trace!.emit(
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
