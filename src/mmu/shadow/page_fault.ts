/** The shadow engine's fault handler: `mmu-spec` §2 (7) with the corrections of §7. */

import { Cause, type Fault, FaultResult } from "../fault.ts";
import { faultIn, rememberHole } from "../fault_in.ts";
import { blockStart, Level } from "../level.ts";
import { Acc, Access, Pferr } from "../pferr.ts";
import { isObsolete, makeTablesAvailable } from "../reclaim.ts";
import { WalkFault } from "../walk/mod.ts";
import type { ShadowContext } from "./context.ts";
import { clearFlood, fetch } from "./fetch.ts";

/** Most tables that one fault makes, and most descriptors of lists. */
const TABLES_A_FAULT = 8;
const DESCRIPTORS_A_FAULT = 32;

/** Bits of an error code that say what the access was; the place of RSVD means something else there. */
const ACCESS_MASK = Access.WRITE | Access.USER | Access.FETCH;

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { USER } = Pferr;
const { SIZE_4K } = Level;
const WRITE_RIGHT = Acc.WRITE;

/** What `ownTables` finds: nothing, a table in the block, the frame is a table. */
const NONE_OWN = 0;
const OWN_BLOCK = 1;
const OWN_TABLE = 2;

/** Handles a fault: `fault` holds a linear address. */
export function shadowPageFault(context: ShadowContext, fault: Fault): FaultResult {
  const { shadow, vcpu } = context;
  const { core } = shadow;
  const ended = translate(context, fault);
  if (ended !== FaultResult.CONTINUE) return ended;

  const { walker } = context;
  const { slots } = vcpu;
  fault.gfn = walker.result.gfn;
  fault.slot = slots.find(fault.gfn);
  fault.generation = slots.generation;
  const { slot } = fault;
  if (slot !== undefined && fault.present && fault.write && slot.isTracked(fault.gfn)) {
    clearFlood(context, fault.addressLo, fault.addressHi);
    context.writesOwnTable = ownTables(context, fault) === OWN_TABLE;
    return FaultResult.EMULATE;
  }
  const { hooks } = core;
  if (hooks !== undefined && hooks.failTopup?.() === true) return FaultResult.NO_MEMORY;
  if (!core.pool.reserve(TABLES_A_FAULT) || !shadow.lists.reserve(DESCRIPTORS_A_FAULT)) {
    return FaultResult.NO_MEMORY;
  }
  const own = ownTables(context, fault);
  context.writesOwnTable = own === OWN_TABLE;
  fault.maxLevel = own !== NONE_OWN
    ? SIZE_4K
    : Math.min(walker.result.level, core.maxPageLevel, context.isPae ? 2 : 3);

  fault.sequence = core.notifier.sequence;
  if (hooks !== undefined) hooks.afterSequence?.();
  const access = walker.result.cacheAccess;
  const found = slot === undefined
    ? rememberHole(vcpu, fault, fault.addressLo, fault.addressHi, access)
    : faultIn(vcpu, fault, slot);
  if (found !== FaultResult.CONTINUE) return found;

  if (hooks !== undefined) hooks.beforeLock?.();
  const result = mapLocked(context, fault, withoutWriteProtection(context, fault, access));
  if (fault.hasPage) core.host.putPage(fault.pfn);
  return result;
}

/** Walks the guest's tables. CONTINUE when they allow the access. */
function translate(context: ShadowContext, fault: Fault): FaultResult {
  const { walker, guestFault, vcpu } = context;
  const { addressLo, addressHi } = fault;
  const access = fault.code & ACCESS_MASK | (vcpu.smapSuspended ? Access.SMAP_SUSPENDED : 0);
  walker.trace = vcpu.core.trace?.walks ?? null;
  if (walker.walk(addressLo, addressHi, access)) return FaultResult.CONTINUE;
  const { result } = walker;
  if (result.fault === WalkFault.CONTENDED) {
    return fault.end(FaultResult.RETRY, Cause.GPTE_CHANGED);
  }
  if (!fault.prefault) {
    guestFault.pending = true;
    guestFault.errorCode = result.errorCode;
    guestFault.addressLo = addressLo;
    guestFault.addressHi = addressHi;
    vcpu.core.stats.pf_guest++;
  }
  return fault.end(FaultResult.RETRY, Cause.GUEST_EXCEPTION);
}

/**
 * Whether the accessed frame is a guest table that translates the address itself and may be written,
 * or one lies in the block around it.
 */
function ownTables(context: ShadowContext, fault: Fault): number {
  const { walker } = context;
  const { gfn, level: size, cacheAccess } = walker.result;
  const asSupervisor = !context.rules.role.wp && (fault.code & USER) === 0;
  if ((cacheAccess & WRITE_RIGHT) === 0 && !asSupervisor) return NONE_OWN;
  // A 4 MiB page of a 32-bit guest is two blocks; its own table lies in the one that is mapped.
  const block = blockStart(gfn, size);
  let own = NONE_OWN;
  for (let level = walker.topLevel; level >= size; level--) {
    const table = walker.tableGfn(level);
    if (table === gfn) return OWN_TABLE;
    if (size > SIZE_4K && blockStart(table, size) === block) own = OWN_BLOCK;
  }
  return own;
}

/**
 * With CR0.WP clear the kernel writes what is read-only to users. Our hardware runs with WP set, so
 * the entry becomes the kernel's alone, until a user access changes it back; and where SMEP would
 * have kept the kernel from executing a user page, the entry is not executable.
 */
function withoutWriteProtection(context: ShadowContext, fault: Fault, access: number): number {
  const { role } = context.rules;
  const isUser = (fault.code & Pferr.USER) !== 0;
  if (!fault.write || !fault.hasPage || (access & Acc.WRITE) !== 0 || role.wp || isUser) {
    return access;
  }
  const kernels = (access | Acc.WRITE) & ~Acc.USER;
  return role.smep ? kernels & ~Acc.EXEC : kernels;
}

function mapLocked(context: ShadowContext, fault: Fault, access: number): FaultResult {
  const { core } = context.shadow;
  const { slot, sequence } = fault;
  if (slot !== undefined && core.notifier.isStale(slot.hostPageOf(fault.gfn), sequence)) {
    return fault.end(FaultResult.RETRY, Cause.NOTIFIER);
  }
  const root = context.topTable(fault.addressLo);
  if (root !== 0 && isObsolete(core, root)) {
    return fault.end(FaultResult.RETRY, Cause.ROOT_INVALID);
  }
  if (!makeTablesAvailable(core)) return FaultResult.NO_SPACE;
  if (core.hooks !== undefined) core.hooks.beforeMap?.();
  return fetch(context, fault, access);
}
