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
import { clearFlood, fetch as importedFetch } from "./fetch.ts";

// Imported functions are looked up at every call, a module's own are not: this is a hot path.
const faultIn = importedFaultIn;
const fetch = importedFetch;
const isShortOfTables = importedIsShortOfTables;

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { CONTINUE, EMULATE, NO_MEMORY, NO_SPACE, RETRY } = FaultResult;
const { GPTE_CHANGED, GUEST_EXCEPTION, NOTIFIER, ROOT_INVALID } = Cause;
const { PRESENT, USER, WRITE } = Pferr;
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
  const { shadow, vcpu, walker } = context;
  const { slots } = vcpu;
  const { core } = shadow;
  const { addressLo, addressHi, code } = fault;
  context.writesOwnTable = false;
  const access = code & ACCESS_MASK | (vcpu.smapSuspended ? SMAP_SUSPENDED : 0);
  if (!walker.walk(addressLo, addressHi, access)) return refused(context, fault);
  const { gfn, level, cacheAccess } = walker.result;
  const slot = slots.find(gfn);
  fault.gfn = gfn;
  fault.slot = slot;
  fault.generation = slots.generation;
  const isPresentWrite = (code & (PRESENT | WRITE)) === (PRESENT | WRITE);
  if (isPresentWrite && slot !== undefined && slot.isTracked(gfn)) {
    clearFlood(context, addressLo, addressHi);
    return emulated(context, fault);
  }
  if (core.hooks !== undefined && core.hooks.failTopup?.() === true) return NO_MEMORY;
  if (!core.pool.reserve(TABLES) || !shadow.lists.reserve(DESCRIPTORS)) return NO_MEMORY;
  fault.maxLevel = level === SIZE_4K ? SIZE_4K : largestLevel(context, fault);
  fault.sequence = core.notifier.sequence;
  if (core.hooks !== undefined) core.hooks.afterSequence?.();
  const found = slot === undefined
    ? rememberHole(vcpu, fault, addressLo, addressHi, cacheAccess)
    : faultIn(vcpu, fault, slot);
  if (found !== CONTINUE) return found === EMULATE ? emulated(context, fault) : found;
  if (core.hooks !== undefined) core.hooks.beforeLock?.();
  // What another host would do under its lock; then the reference to the page is given back.
  let result: FaultResult = NO_SPACE;
  if (!core.notifier.isQuiet(fault.sequence) && isStale(core, fault)) {
    result = fault.end(RETRY, NOTIFIER);
  } else if (vcpu.rootIsObsolete && hasObsoleteRoot(context, addressLo)) {
    result = fault.end(RETRY, ROOT_INVALID);
  } else if (!isShortOfTables(core) || makeTablesAvailable(core)) {
    if (core.hooks !== undefined) core.hooks.beforeMap?.();
    const isGranted = (code & WRITE) === 0 || (cacheAccess & WRITE_RIGHT) !== 0;
    const rights = isGranted ? cacheAccess : withoutWriteProtection(context, fault, cacheAccess);
    result = fetch(context, fault, rights);
  }
  if (fault.pfn >= 0) core.host.putPage(fault.pfn);
  return result === EMULATE ? emulated(context, fault) : result;
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
  context.writesOwnTable = mayWrite(context, fault) &&
    context.walker.hasTableIn(fault.gfn, SIZE_4K);
  return EMULATE;
}

/** True when the walk lets the access's page be written. */
function mayWrite(context: ShadowContext, fault: Fault): boolean {
  return (context.walker.result.cacheAccess & WRITE_RIGHT) !== 0 || writesAnyway(context, fault);
}

/** True for the supervisor with CR0.WP clear. */
function writesAnyway(context: ShadowContext, fault: Fault): boolean {
  return !context.rules.role.wp && (fault.code & USER) === 0;
}

/**
 * The largest level for what a large guest page maps. A block in which a guest table lies that
 * translates the address itself may not be written at large.
 */
function largestLevel(context: ShadowContext, fault: Fault): number {
  const { walker, shadow } = context;
  const { gfn, level } = walker.result;
  // A 4 MiB page of a 32-bit guest is two blocks; its own table lies in the one that is mapped.
  if (mayWrite(context, fault) && walker.hasTableIn(gfn, level)) return SIZE_4K;
  return Math.min(level, shadow.core.maxPageLevel, context.isPae ? 2 : 3);
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
  if (!fault.hasPage || !writesAnyway(context, fault)) return access;
  const kernels = (access | WRITE_RIGHT) & ~Acc.USER;
  return context.rules.role.smep ? kernels & ~Acc.EXEC : kernels;
}
