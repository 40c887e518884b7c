/**
 * The direct engine's fault handler: stage 2 (TDP), and guests that have paging off, through one
 * function. Its steps and their order: `mmu-spec` §2 (6) with the corrections of §7.
 */

import { frameFrom as importedFrameFrom, type Gfn } from "../../base/u64.ts";
import type { MmuCore } from "../core.ts";
import { Cause, type Fault, FaultResult } from "../fault.ts";
import { faultIn as importedFaultIn, rememberHole } from "../fault_in.ts";
import type { MmuHooks } from "../hooks.ts";
import { Acc, Pferr } from "../pferr.ts";
import { isShortOfTables as importedIsShortOfTables, makeTablesAvailable } from "../reclaim.ts";
import type { VcpuState } from "../vcpu_state.ts";
import { fastPageFault as importedFastPageFault } from "./fast_path.ts";
import { mapDirect as importedMapDirect } from "./map.ts";

// Imported functions are looked up at every call, a module's own are not: this is a hot path.
const frameFrom = importedFrameFrom;
const fastPageFault = importedFastPageFault;
const faultIn = importedFaultIn;
const isShortOfTables = importedIsShortOfTables;
const mapDirect = importedMapDirect;

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { BAD_ADDRESS, CONTINUE, EMULATE, INVALID, NO_MEMORY, NO_SPACE, RETRY } = FaultResult;
const { NOTIFIER, ROOT_INVALID } = Cause;
const { PRESENT, RSVD, WRITE } = Pferr;
const MMIO_RIGHTS = Acc.WRITE | Acc.USER;

/** Most tables that one fault makes, with the prefetch of its neighbours. */
const TABLES = 8;

/** Handles a fault whose address is guest physical: of stage 2, or of a guest with paging off. */
export function directPageFault(vcpu: VcpuState, fault: Fault): FaultResult {
  const { core, slots } = vcpu;
  const { addressLo, addressHi } = fault;
  if ((addressHi & vcpu.illegalHi) !== 0) return BAD_ADDRESS;
  fault.gfn = frameFrom(addressLo, addressHi) as Gfn;
  // A page whose writes are tracked is not for the fast path: nothing may give it the right back.
  const how = fault.code & (PRESENT | WRITE | RSVD);
  if (how === (PRESENT | WRITE) || core.format.accessTracking) {
    const fast = fastPageFault(vcpu, fault);
    if (fast !== INVALID) return fast;
  }
  const slot = slots.find(fault.gfn);
  fault.slot = slot;
  fault.generation = slots.generation;
  if (how === (PRESENT | WRITE) && slot !== undefined && slot.isTracked(fault.gfn)) return EMULATE;
  if (core.pool.lacks(TABLES) && !core.pool.reserve(TABLES)) return NO_MEMORY;
  if (core.hooks !== undefined && failsTopup(core.hooks)) return NO_MEMORY;
  fault.maxLevel = core.mtrr === undefined ? core.largestDirect : limitOf(core, fault);
  fault.sequence = core.notifier.sequence;
  if (core.hooks !== undefined) core.hooks.afterSequence?.();
  const found = slot === undefined ? holeAt(vcpu, fault) : faultIn(vcpu, fault, slot);
  if (found !== CONTINUE) return found;
  if (core.hooks !== undefined) core.hooks.beforeLock?.();
  // What another host would do under its lock; then the reference to the page is given back.
  let result: FaultResult = NO_SPACE;
  if (!core.notifier.isQuiet(fault.sequence) && isStale(core, fault)) {
    result = fault.end(RETRY, NOTIFIER);
  } else if (vcpu.rootIsObsolete) result = fault.end(RETRY, ROOT_INVALID);
  else if (!isShortOfTables(core) || makeTablesAvailable(core)) {
    if (core.hooks !== undefined) core.hooks.beforeMap?.();
    result = mapDirect(vcpu, fault);
  }
  if (fault.pfn >= 0) core.host.putPage(fault.pfn);
  return result;
}

function failsTopup(hooks: MmuHooks): boolean {
  return hooks.failTopup?.() === true;
}

/** A stage-2 page may not span two memory types. */
function limitOf(core: MmuCore, fault: Fault): number {
  const { mtrr, tdp, largestDirect } = core;
  if (!tdp || mtrr === undefined) return largestDirect;
  return mtrr.largestUniformLevel(fault.gfn, largestDirect);
}

/** The address is linear, too, where the guest has paging off. */
function holeAt(vcpu: VcpuState, fault: Fault): FaultResult {
  return rememberHole(vcpu, fault, vcpu.core.tdp ? 0 : fault.addressLo, 0, MMIO_RIGHTS);
}

/** True when the host takes away, or has taken away, what was looked up. */
function isStale(core: MmuCore, fault: Fault): boolean {
  const { slot, sequence } = fault;
  return slot !== undefined && core.notifier.isStale(slot.hostPageOf(fault.gfn), sequence);
}
