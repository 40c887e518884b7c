/**
 * Registers in the page that KVM shares with user space: they go in and out with KVM_RUN itself
 * (KVM_CAP_SYNC_REGS, api.rst §4.114), which saves four system calls a case.
 */

import { offsetOf } from "../../../src/base/struct.ts";
import { type CpuState, State } from "../../../src/cpu/state.ts";
import { KvmRegs, KvmRun, KvmSregs, KvmVcpuEvents } from "../../../src/engine/kvm/kvm_abi.ts";
import {
  CONTROL_FIELDS,
  copySegmentsIn,
  copySegmentsOut,
  REGISTER_FIELDS,
} from "../../../src/engine/kvm/kvm_state.ts";

/** kvm_sync_regs follows the fields of kvm_run that the engine uses. */
const REGS = KvmRun.size;
const SREGS = REGS + KvmRegs.size;
const EVENTS = SREGS + KvmSregs.size;
/** All three: KVM_SYNC_X86_REGS, _SREGS, _EVENTS. */
const ALL = 7;
const VALID = offsetOf(KvmRun, "kvm_valid_regs");
const DIRTY = offsetOf(KvmRun, "kvm_dirty_regs");

/** The shared registers of one vCPU. */
export class SyncRegs {
  readonly #run: DataView;
  readonly #sregs: DataView;
  readonly #bytes: Uint8Array;

  /** @param run The vCPU's kvm_run. */
  constructor(run: DataView) {
    this.#run = run;
    this.#sregs = new DataView(run.buffer, run.byteOffset + SREGS, KvmSregs.size);
    this.#bytes = new Uint8Array(run.buffer, run.byteOffset);
  }

  /** The next KVM_RUN starts with these registers and without an event. */
  write(from: CpuState): void {
    const run = this.#run;
    for (const [state, kvm] of REGISTER_FIELDS) copy(from.view, state, run, REGS + kvm);
    this.#bytes.fill(0, SREGS, EVENTS + KvmVcpuEvents.size);
    for (const [state, kvm] of CONTROL_FIELDS) copy(from.view, state, run, SREGS + kvm);
    copySegmentsIn(this.#sregs, from);
    run.setUint32(VALID, ALL, true);
    run.setUint32(DIRTY, ALL, true);
  }

  /** The registers after the last KVM_RUN; what else is in the state stays as it was. */
  read(into: CpuState): void {
    const run = this.#run;
    for (const [state, kvm] of REGISTER_FIELDS) copy(run, REGS + kvm, into.view, state);
    for (const [state, kvm] of CONTROL_FIELDS) copy(run, SREGS + kvm, into.view, state);
    copySegmentsOut(this.#sregs, into);
    into.view.setUint32(State.XCR0, 1, true);
  }
}

function copy(from: DataView, at: number, to: DataView, toAt: number): void {
  to.setInt32(toAt, from.getInt32(at, true), true);
  to.setInt32(toAt + 4, from.getInt32(at + 4, true), true);
}
