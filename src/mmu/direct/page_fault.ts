/**
 * The direct engine's fault handler: stage 2 (TDP), and guests that have paging off, through one
 * function. Its steps and their order: `mmu-spec` §2 (6) with the corrections of §7.
 */

import { frameFrom, type Gfn } from "../../base/u64.ts";
import { Cause, type Fault, FaultResult } from "../fault.ts";
import { faultIn } from "../fault_in.ts";
import { Level } from "../level.ts";
import { Acc } from "../pferr.ts";
import { makeTablesAvailable } from "../reclaim.ts";
import type { TableWalk } from "../table_walk.ts";
import type { VcpuState } from "../vcpu_state.ts";
import { fastPageFault } from "./fast_path.ts";
import { mapDirect } from "./map.ts";

/** Most tables that one fault makes, with the prefetch of its neighbours. */
export const TABLES_A_FAULT = 8;

/** Handles a stage-2 fault: `fault` holds a guest physical address. */
export function tdpPageFault(vcpu: VcpuState, fault: Fault, walk: TableWalk): FaultResult {
  const { core } = vcpu;
  const { addressLo, addressHi } = fault;
  fault.tdp = true;
  fault.gfn = frameFrom(addressLo, addressHi) as Gfn;
  fault.maxLevel = core.mtrr === undefined
    ? core.maxPageLevel
    : core.mtrr.largestUniformLevel(fault.gfn, core.maxPageLevel);
  return directPageFault(vcpu, fault, walk);
}

/** Handles a fault of a guest with paging off, whose linear addresses are physical. */
export function nonpagingPageFault(vcpu: VcpuState, fault: Fault, walk: TableWalk): FaultResult {
  fault.tdp = false;
  fault.gfn = frameFrom(fault.addressLo, fault.addressHi) as Gfn;
  // PAE tables have no 1 GiB pages.
  fault.maxLevel = Math.min(Level.SIZE_2M, vcpu.core.maxPageLevel);
  return directPageFault(vcpu, fault, walk);
}

function directPageFault(vcpu: VcpuState, fault: Fault, walk: TableWalk): FaultResult {
  const { core, slots } = vcpu;
  const slot = slots.find(fault.gfn);
  fault.slot = slot;
  fault.generation = slots.generation;
  if (
    slot !== undefined && fault.present && fault.write && !fault.reserved &&
    slot.isTracked(fault.gfn)
  ) return FaultResult.EMULATE;

  const fast = fastPageFault(vcpu, fault, walk);
  if (fast !== FaultResult.INVALID) return fast;

  const { hooks } = core;
  if (hooks !== undefined && hooks.failTopup?.() === true) return FaultResult.NO_MEMORY;
  if (!core.pool.reserve(TABLES_A_FAULT)) return FaultResult.NO_MEMORY;

  fault.sequence = core.notifier.sequence;
  if (hooks !== undefined) hooks.afterSequence?.();
  const gvaLo = fault.tdp ? 0 : fault.addressLo;
  const found = faultIn(vcpu, fault, gvaLo, 0, Acc.WRITE | Acc.USER);
  if (found !== FaultResult.CONTINUE) return found;

  if (hooks !== undefined) hooks.beforeLock?.();
  const result = mapLocked(vcpu, fault);
  if (fault.hasPage) core.host.putPage(fault.pfn);
  return result;
}

/** What another host would do under its lock. */
function mapLocked(vcpu: VcpuState, fault: Fault): FaultResult {
  const { core } = vcpu;
  const { slot, sequence } = fault;
  if (slot !== undefined && core.notifier.isStale(slot.hostPageOf(fault.gfn), sequence)) {
    return fault.end(FaultResult.RETRY, Cause.NOTIFIER);
  }
  if (vcpu.hasRoot && vcpu.rootIsObsolete) return fault.end(FaultResult.RETRY, Cause.ROOT_INVALID);
  if (!makeTablesAvailable(core)) return FaultResult.NO_SPACE;
  if (core.hooks !== undefined) core.hooks.beforeMap?.();
  return mapDirect(vcpu, fault);
}
