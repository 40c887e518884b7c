/** The shadow engine's fault handler: `mmu-spec` §2 (7) with the corrections of §7. */

import type { MmuCore } from "../core.ts";
import { Cause, type Fault, FaultResult } from "../fault.ts";
import { faultIn as importedFaultIn, rememberHole } from "../fault_in.ts";
import { Level } from "../level.ts";
import { Acc, Access, Pferr } from "../pferr.ts";
import {
  isObsolete,
  isShortOfTables as importedIsShortOfTables,
  makeTablesAvailable,
} from "../reclaim.ts";
import { WalkFault } from "../walk/mod.ts";
import type { ShadowContext } from "./context.ts";
import {
  clearFlood,
  findEntry as importedFindEntry,
  NO_ENTRY as importedNoEntry,
} from "./fetch.ts";
import { prefetchGuest } from "./prefetch.ts";
import { setFaultLeaf as importedSetFaultLeaf } from "./set_leaf.ts";
import type { ShadowState } from "./state.ts";

// What is imported is looked up at every use, a module's own is not: this is a hot path.
const faultIn = importedFaultIn;
const findEntry = importedFindEntry;
const isShortOfTables = importedIsShortOfTables;
const NO_ENTRY = importedNoEntry;
const setFaultLeaf = importedSetFaultLeaf;

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { CONTINUE, EMULATE, NO_MEMORY, NO_SPACE, RETRY } = FaultResult;
const { GPTE_CHANGED, GUEST_EXCEPTION, NOTIFIER, ROOT_INVALID } = Cause;
const { PRESENT, WRITE } = Pferr;
const { SMAP_SUSPENDED } = Access;
const { SIZE_4K } = Level;
const WRITE_RIGHT = Acc.WRITE;

/** Most tables that one fault makes, and most descriptors of lists. */
const TABLES = 8;
const DESCRIPTORS = 32;

/** Bits of an error code that say what the access was; the place of RSVD means something else there. */
const ACCESS_MASK = Access.WRITE | Access.USER | Access.FETCH;

/** Handles a fault: `fault` holds a linear address. */
export function shadowPageFault(context: ShadowContext, fault: Fault): FaultResult {
  const { addressLo, addressHi, code } = fault;
  context.writesOwnTable = false;
  const access = code & ACCESS_MASK | (context.vcpu.smapSuspended ? SMAP_SUSPENDED : 0);
  if (!context.walker.walk(addressLo, addressHi, access)) return refused(context, fault);
  // Read after the walk: V8 checks anew each object that it had read before a call.
  const { shadow, vcpu, walker } = context;
  const { slots } = vcpu;
  const { core } = shadow;
  const { gfn, level, cacheAccess } = walker.result;
  fault.gfn = gfn;
  fault.generation = slots.generation;
  const slot = slots.find(gfn);
  fault.slot = slot;
  const isPresentWrite = (code & (PRESENT | WRITE)) === (PRESENT | WRITE);
  if (isPresentWrite && slot !== undefined && slot.isTracked(gfn)) {
    clearFlood(context, addressLo, addressHi);
    return emulated(context, fault);
  }
  if (core.hooks !== undefined && core.hooks.failTopup?.() === true) return NO_MEMORY;
  const isShort = core.pool.lacks(TABLES) || shadow.lists.lacks(DESCRIPTORS);
  if (isShort && !topUp(shadow)) return NO_MEMORY;
  fault.sequence = core.notifier.sequence;
  if (core.hooks !== undefined) core.hooks.afterSequence?.();
  const found = slot === undefined
    ? rememberHole(vcpu, fault, addressLo, addressHi, cacheAccess)
    : faultIn(vcpu, fault, slot);
  if (found !== CONTINUE) return found === EMULATE ? emulated(context, fault) : found;
  if (core.hooks !== undefined) core.hooks.beforeLock?.();
  // What another host would do under its lock; then the reference to the page is given back.
  const isCalm = core.notifier.isQuiet(fault.sequence) && !vcpu.rootIsObsolete &&
    !isShortOfTables(core);
  let result = isCalm ? CONTINUE : lookAround(context, fault);
  if (result === CONTINUE) {
    if (core.hooks !== undefined) core.hooks.beforeMap?.();
    const isGranted = (code & WRITE) === 0 || (cacheAccess & WRITE_RIGHT) !== 0;
    const rights = isGranted ? cacheAccess : withoutWriteProtection(context, fault, cacheAccess);
    const sptep = findEntry(context, fault, level, rights);
    result = sptep === NO_ENTRY ? RETRY : setFaultLeaf(context, fault, sptep, rights);
    if (core.prefetch && sptep !== NO_ENTRY) prefetchGuest(context, fault, sptep);
  }
  if (fault.pfn >= 0) core.host.putPage(fault.pfn);
  return result === EMULATE ? emulated(context, fault) : result;
}

/** Makes sure of the tables and descriptors that a fault may need; false when there is no memory. */
function topUp({ core, lists }: ShadowState): boolean {
  return core.pool.reserve(TABLES) && lists.reserve(DESCRIPTORS);
}

/** Finds out whether the fault may still be mapped: CONTINUE, or how it ends instead. */
function lookAround(context: ShadowContext, fault: Fault): FaultResult {
  const { core } = context.shadow;
  if (isStale(core, fault)) return fault.end(RETRY, NOTIFIER);
  if (context.vcpu.rootIsObsolete && hasObsoleteRoot(context, fault.addressLo)) {
    return fault.end(RETRY, ROOT_INVALID);
  }
  return makeTablesAvailable(core) ? CONTINUE : NO_SPACE;
}

/** The guest's tables do not allow the access. */
function refused(context: ShadowContext, fault: Fault): FaultResult {
  const { guestFault, vcpu } = context;
  const { result } = context.walker;
  if (result.fault === WalkFault.CONTENDED) return fault.end(RETRY, GPTE_CHANGED);
  if (!fault.prefault) {
    guestFault.pending = true;
    guestFault.errorCode = result.errorCode;
    guestFault.addressLo = fault.addressLo;
    guestFault.addressHi = fault.addressHi;
    vcpu.core.stats.pf_guest++;
  }
  return fault.end(RETRY, GUEST_EXCEPTION);
}

/** The access has to be emulated: finds out whether it goes to a table that translates its address. */
function emulated(context: ShadowContext, fault: Fault): FaultResult {
  context.writesOwnTable = context.mayWrite(fault.code) &&
    context.walker.hasTableIn(fault.gfn, SIZE_4K);
  return EMULATE;
}

/** True when the host takes away, or has taken away, what was looked up. */
function isStale(core: MmuCore, fault: Fault): boolean {
  const { slot, sequence } = fault;
  return slot !== undefined && core.notifier.isStale(slot.hostPageOf(fault.gfn), sequence);
}

function hasObsoleteRoot(context: ShadowContext, lo: number): boolean {
  const root = context.topTable(lo);
  return root !== 0 && isObsolete(context.shadow.core, root);
}

/**
 * With CR0.WP clear the kernel writes what is read-only to users. Our hardware runs with WP set, so
 * the entry becomes the kernel's alone, until a user access changes it back; and where SMEP would
 * have kept the kernel from executing a user page, the entry is not executable.
 */
function withoutWriteProtection(context: ShadowContext, fault: Fault, access: number): number {
  if (!fault.hasPage || !context.writesAnyway(fault.code)) return access;
  const kernels = (access | WRITE_RIGHT) & ~Acc.USER;
  return context.rules.role.smep ? kernels & ~Acc.EXEC : kernels;
}
