/** The MMIO quick path: a reserved-bit fault is most often a hole that is known already. */

import { Cause, type Fault, FaultResult } from "./fault.ts";
import type { Memslots } from "./memslots.ts";
import { MMIO_GENERATIONS, mmioAccess, mmioGeneration, mmioGfn } from "./mmio_spte.ts";
import { Access } from "./pferr.ts";
import { isMmio } from "./spte.ts";
import type { TableWalk } from "./table_walk.ts";
import { Tp } from "./trace.ts";
import type { VcpuState } from "./vcpu_state.ts";

/**
 * Decides a reserved-bit fault by what stands in the tables.
 * @param direct The address is guest physical: it is no linear address to remember.
 * @param table Root of the walk, of `level`.
 * @param permissions What the guest's own tables refuse, by access and rights; undefined when direct.
 */
export function mmioFault(
  vcpu: VcpuState,
  fault: Fault,
  walk: TableWalk,
  direct: boolean,
  table: number,
  level: number,
  permissions: Uint8Array | undefined,
): FaultResult {
  const { core } = vcpu;
  const { addressLo, addressHi } = fault;
  walk.toChecked(table, level, addressLo, addressHi);
  if (walk.corruptLevel !== 0) {
    core.warn(`Found an SPTE of level ${walk.corruptLevel} with reserved bits set`);
    return FaultResult.BAD_SPTE;
  }
  const { lo, hi } = walk;
  // The entry went away before we looked: the guest faults again, then without the reserved bit.
  if (!isMmio(hi)) return fault.end(FaultResult.RETRY, Cause.TABLE_ZAPPED);
  if (!isCurrent(vcpu, vcpu.slots, lo, hi)) return FaultResult.INVALID;
  const gfn = mmioGfn(core.mmio, lo, hi);
  const access = mmioAccess(core.mmio, lo);
  if (permissions !== undefined && isRefused(vcpu, fault, permissions, access)) {
    return FaultResult.INVALID;
  }
  fault.gfn = gfn;
  const gvaLo = direct ? 0 : addressLo;
  const gvaHi = direct ? 0 : addressHi;
  if (core.trace !== undefined) {
    core.trace.emit(Tp.HANDLE_MMIO_PAGE_FAULT, gvaLo, gvaHi, gfn, access);
  }
  const { generation } = vcpu.slots;
  vcpu.mmioCache.fill(vcpu.slots, generation, direct, gvaLo, gvaHi, gfn, access);
  return FaultResult.EMULATE;
}

/** True when no memslot has changed since the MMIO SPTE was made, and none is changing. */
function isCurrent(vcpu: VcpuState, slots: Memslots, lo: number, hi: number): boolean {
  const made = mmioGeneration(lo, hi);
  const { trace } = vcpu.core;
  if (trace !== undefined) trace.emit(Tp.CHECK_MMIO_SPTE, lo, hi, slots.generation, made);
  return !slots.updating && made === slots.generation % MMIO_GENERATIONS;
}

/**
 * True when the guest's tables may refuse the access to a hole they map with these rights: only a walk
 * can tell. MMIO entries do not say whether the page may be executed, so every fetch is walked. KVM
 * leaves this check to its emulator.
 */
export function isRefused(
  vcpu: VcpuState,
  fault: Fault,
  permissions: Uint8Array,
  rights: number,
): boolean {
  const suspended = vcpu.smapSuspended ? Access.SMAP_SUSPENDED : 0;
  const access = fault.code & (Access.WRITE | Access.USER) | suspended;
  return fault.fetch || (permissions[access >>> 1 & 15] >>> rights & 1) !== 0;
}
