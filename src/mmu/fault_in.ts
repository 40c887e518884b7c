/** From a guest frame to the host's frame: the part of a fault that may wait, and takes no lock. */

import { Cause, type Fault, FaultResult } from "./fault.ts";
import { PageKind } from "./host.ts";
import type { Memslot } from "./memslot.ts";
import { Tp } from "./trace.ts";
import type { VcpuState } from "./vcpu_state.ts";

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { BAD_ADDRESS, CONTINUE, EMULATE, RETRY } = FaultResult;
const { SLOT_UPDATE } = Cause;
const { FRAME, MUST_WAIT, POISONED } = PageKind;

/**
 * Looks up the frame behind `fault.gfn`, which lies in `slot`. On CONTINUE `fault.hasPage` is true, and
 * the caller gives the reference to the frame back.
 */
export function faultIn(vcpu: VcpuState, fault: Fault, slot: Memslot): FaultResult {
  const { page, write } = fault;
  if (slot.invalid) return fault.end(RETRY, SLOT_UPDATE);
  if (slot.readOnly && write) return EMULATE;
  const hostPage = slot.hostPageOf(fault.gfn);
  vcpu.core.host.getPage(hostPage, write, false, page);
  if (page.kind !== FRAME) {
    const refused = waitForPage(vcpu, fault, hostPage);
    if (refused !== CONTINUE) return refused;
  }
  fault.pfn = page.pfn;
  fault.mapWritable = page.writable ? !slot.readOnly : false;
  return CONTINUE;
}

/**
 * There is no memory at `fault.gfn`: the vCPU's MMIO cache remembers the page. Always CONTINUE.
 * @param gvaLo Halves of the linear address; 0 when there is none.
 * @param access Rights of the guest (`Acc`).
 */
export function rememberHole(
  vcpu: VcpuState,
  fault: Fault,
  gvaLo: number,
  gvaHi: number,
  access: number,
): FaultResult {
  const kept = access & vcpu.core.mmio.accessMask;
  const { generation, gfn } = fault;
  vcpu.mmioCache.fill(vcpu.slots, generation, vcpu.isDirect, gvaLo, gvaHi, gfn, kept);
  return CONTINUE;
}

/** The page was not at hand: waits for it, unless the guest can do something else meanwhile. */
function waitForPage(vcpu: VcpuState, fault: Fault, hostPage: number): FaultResult {
  const { page } = fault;
  const { host } = vcpu.core;
  if (page.kind === MUST_WAIT) {
    if (deferred(vcpu, fault, hostPage)) return fault.end(RETRY, Cause.ASYNC_QUEUED);
    host.getPage(hostPage, fault.write, true, page);
  }
  if (page.kind === FRAME) return CONTINUE;
  if (page.kind !== POISONED) return BAD_ADDRESS;
  host.signalPoison(hostPage);
  return fault.end(RETRY, Cause.POISON);
}

/** Lets the guest run something else while the host brings the page in, if that may be. */
function deferred(vcpu: VcpuState, fault: Fault, hostPage: number): boolean {
  const { asyncFaults } = vcpu;
  const { port } = asyncFaults;
  const { trace } = vcpu.core;
  if (fault.prefault || port === undefined || !port.mayDefer()) return false;
  const { addressLo, addressHi, gfn } = fault;
  if (asyncFaults.has(gfn)) {
    trace?.emit(Tp.ASYNC_PF_DOUBLEFAULT, addressLo, addressHi, gfn);
    asyncFaults.haltRequested = true;
    return true;
  }
  trace?.emit(Tp.TRY_ASYNC_GET_PAGE, addressLo, addressHi, gfn);
  if (!asyncFaults.queue(gfn, hostPage, addressLo, addressHi, vcpu.context)) return false;
  vcpu.core.changes++;
  return true;
}
