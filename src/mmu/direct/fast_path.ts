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
    if (core.hooks !== undefined) core.hooks.betweenCasReadAndWrite?.(sptep);
    // The exchange: the entry changes unless someone else has changed it.
    const done = words[sptep] === lo && words[sptep + 1] === hi;
    if (done) {
      words[sptep + 1] = newHi;
      words[sptep] = newLo;
      core.changes++;
      if ((newLo & WRITE) !== (lo & WRITE)) logWrite(vcpu, fault);
    }
    if (core.trace !== undefined) trace(vcpu, fault, sptep, lo, hi, newLo, newHi, done);
    if (done) return fault.end(FIXED, GAINED);
  }
  return INVALID;
}

/** The page has become writable by this fault's write. */
function logWrite(vcpu: VcpuState, fault: Fault): void {
  const slot = vcpu.slots.find(fault.gfn);
  if (slot !== undefined) slot.markDirty(fault.gfn);
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
