/** One vCPU: its descriptor, its kvm_run page and access to its state. */

import { DenovisorError } from "../../base/errors.ts";
import type { CpuState } from "../../cpu/state.ts";
import type { Vcpu } from "../engine.ts";
import { Ioctl } from "./ioctls.ts";
import type { KvmStateAccess } from "./kvm_state.ts";
import type { KvmVm } from "./kvm_vm.ts";
import type { MappedRegion, Shim } from "./shim.ts";

/**
 * Holds a vCPU between two instructions and gives access to its state.
 * @throws DenovisorError `stopped` after disposal
 */
export type StateGate = (index: number) => KvmStateAccess;

/** Owns the descriptor and the mapping of kvm_run. */
export class KvmVcpu implements Vcpu, Disposable {
  readonly index: number;
  readonly fd: number;
  /** The mapping that starts with kvm_run, seen in all widths. Not to be touched after disposal. */
  readonly run: MappedRegion;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly view: DataView;
  readonly #gate: StateGate;
  readonly #resources: DisposableStack;

  /** @throws DenovisorError `kvm` */
  constructor(shim: Shim, vm: KvmVm, index: number, gate: StateGate) {
    using undo = new DisposableStack();
    this.index = index;
    this.#gate = gate;
    this.fd = vm.scratch.plainIoctl(vm.fd, Ioctl.CREATE_VCPU, index, `create vCPU ${index}`);
    undo.defer(() => vm.scratch.close(this.fd));
    this.run = undo.use(shim.mapRegion(this.fd, vm.device.runBytes));
    this.u8 = new Uint8Array(this.run.buffer);
    this.u16 = new Uint16Array(this.run.buffer);
    this.u32 = new Uint32Array(this.run.buffer);
    this.view = new DataView(this.run.buffer);
    this.#resources = undo.move();
  }

  /** @throws DenovisorError `stopped` after disposal, `kvm` when KVM refuses */
  readState(into: CpuState): void {
    this.#gate(this.index).read(this.fd, into);
  }

  /** @throws DenovisorError `stopped` after disposal, `kvm` when KVM refuses a value */
  writeState(from: CpuState): void {
    this.#gate(this.index).write(this.fd, from);
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

/** What a call on a disposed engine throws. */
export function disposedError(): DenovisorError {
  return new DenovisorError("stopped", "Cannot use the KVM engine: it has been disposed");
}
