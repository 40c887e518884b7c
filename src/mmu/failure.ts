/** Says in one line which fault could not be resolved, and why. */

import { bigFrom32, hex } from "../base/u64.ts";
import type { MmuCore } from "./core.ts";
import { FaultResult } from "./fault.ts";
import type { VcpuState } from "./vcpu_state.ts";

/** One line about the last fault of a vCPU, which ended as `result`. */
export function describeFailure(
  core: MmuCore,
  vcpu: VcpuState,
  result: FaultResult,
  isDirect: boolean,
): string {
  const { fault } = vcpu;
  const start = `Cannot resolve the fault at ${hex(bigFrom32(fault.addressLo, fault.addressHi))}`;
  switch (result) {
    case FaultResult.NO_MEMORY:
      return `${start}: no memory for page tables`;
    case FaultResult.NO_SPACE:
      return `${start}: all ${core.quota} page tables are in use`;
    case FaultResult.BAD_SPTE:
      return `${start}: its SPTE has reserved bits set`;
    case FaultResult.BAD_ADDRESS:
      if (fault.slot !== undefined) {
        return `${start}: the host has nothing there (memslot ${fault.slot.id})`;
      }
      return `${start}: expected an address below 2^${reachBits(core, vcpu, isDirect)}`;
    default:
      return vcpu.guard.describe(fault);
  }
}

/** Bits of the addresses that the vCPU's tables can hold. */
function reachBits(core: MmuCore, vcpu: VcpuState, isDirect: boolean): number {
  if (!isDirect) return core.linearBits;
  const byLevel = vcpu.rootLevel > 4 ? 52 : vcpu.rootLevel === 4 ? 48 : 32;
  return Math.min(core.maxPhyAddrBits, byLevel);
}
