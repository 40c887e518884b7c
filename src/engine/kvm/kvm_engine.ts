/**
 * The KVM engine. vCPU 0 runs on the thread that owns the engine and the devices; every other vCPU
 * has a worker (ap_worker.ts), which hands its exits over here, so that devices see one thread.
 *
 * A thread is taken out of KVM_RUN by kvm_run.immediate_exit and a signal. No wake-up is lost,
 * because the thread clears immediate_exit first and looks at the shared words only then, while the
 * others set their word first and immediate_exit only then.
 */

import { DenovisorError } from "../../base/errors.ts";
import { offsetOf } from "../../base/struct.ts";
import { join32 } from "../../base/u64.ts";
import type { CpuidLeaf } from "../../cpu/cpuid.ts";
import { CpuState } from "../../cpu/state.ts";
import type { GuestMemory } from "../../memory/guest_memory.ts";
import { Assisted, type InstructionAssist } from "../assist.ts";
import { type ChipEngine, Exit, ExitCode } from "../engine.ts";
import { ApCommand, ApSlot, ApState, IMMEDIATE_EXIT, KvmControl } from "./control.ts";
import { Errno, errnoName } from "./errno.ts";
import {
  describeFailEntry,
  describeInternalError,
  describeShutdown,
  describeSystemEvent,
  describeUnknownExit,
  type ExitedVcpu,
  type GuestAccess,
  isEmulationFailure,
} from "./exit_reasons.ts";
import { Ioctl } from "./ioctls.ts";
import { KvmAssist } from "./kvm_assist.ts";
import { KVM_EXIT_IO_OUT, KvmCap, KvmExit, KvmRun } from "./kvm_abi.ts";
import { guestCpuid, setCpuid, supportedCpuid } from "./kvm_cpuid.ts";
import { extension } from "./kvm_device.ts";
import { setFirmwareMsrs } from "./kvm_msrs.ts";
import { addKernelStats } from "./kvm_stats.ts";
import { KvmStateAccess } from "./kvm_state.ts";
import { disposedError, KvmVcpu } from "./kvm_vcpu.ts";
import { KvmVm } from "./kvm_vm.ts";
import { Shim, type ShimSymbols } from "./shim.ts";

// Indices of kvm_run's fields in arrays of the width of the field.
const EXIT_REASON = offsetOf(KvmRun, "exit_reason") / 4;
const IO_DIRECTION = offsetOf(KvmRun, "io.direction");
const IO_SIZE = offsetOf(KvmRun, "io.size");
const IO_PORT = offsetOf(KvmRun, "io.port") / 2;
const IO_COUNT = offsetOf(KvmRun, "io.count") / 4;
const IO_DATA_OFFSET = offsetOf(KvmRun, "io.data_offset") / 4;
const MMIO_ADDRESS = offsetOf(KvmRun, "mmio.phys_addr") / 4;
const MMIO_DATA = offsetOf(KvmRun, "mmio.data");
const MMIO_LENGTH = offsetOf(KvmRun, "mmio.len") / 4;
const MMIO_IS_WRITE = offsetOf(KvmRun, "mmio.is_write");

const KVM_RUN = Ioctl.RUN;
const EINTR = -Errno.EINTR;
/** The vCPU came out of its wait for INIT or a start-up interrupt (SDM 3A §8.4.3): run it again. */
const EAGAIN = -Errno.EAGAIN;

/** Instead of an ExitCode: nothing for the machine, go on. */
const NOTHING = -1;
/** No vCPU. */
const NOBODY = -1;

/** Exit reasons have counters up to here; later ones share the last. */
const REASONS = 64;
/** The kernel's names of the counters that it has too, and ours for the others. */
const COUNTERS: ReadonlyArray<readonly [name: string, reason: number]> = [
  ["io_exits", KvmExit.IO],
  ["mmio_exits", KvmExit.MMIO],
  ["halt_exits", KvmExit.HLT],
  ["irq_window_exits", KvmExit.IRQ_WINDOW_OPEN],
  ["shutdown_exits", KvmExit.SHUTDOWN],
  ["internal_error_exits", KvmExit.INTERNAL_ERROR],
  ["system_event_exits", KvmExit.SYSTEM_EVENT],
];

/** How long a vCPU's thread may take to leave KVM_RUN before that is an error, in milliseconds. */
const THREAD_EXIT_MS = 10_000;

/** What an engine is made of. */
export interface KvmEngineOptions {
  readonly memory: GuestMemory;
  /** 1 or more. */
  readonly cpus: number;
  /** Shared with kickers and with the threads of vCPUs 1 to cpus - 1; needed for those. */
  readonly control?: KvmControl;
  /**
   * Makes what completes instructions that KVM does not know, given what CPUID tells the guest; it is
   * called when the first of them comes. Without it they end the run.
   */
  readonly assist?: ((cpuid: readonly CpuidLeaf[]) => InstructionAssist) | undefined;
  /**
   * For tests only: cuts `Exit.gpa` to 32 bits. Devices are then found at the low alias of an
   * address, while the guest's mappings keep the whole of it.
   */
  readonly maskMmioTo32Bits?: boolean;
}

/** Runs one guest on KVM. */
export class KvmEngine implements ChipEngine {
  readonly name = "kvm";
  readonly hasIrqchip = true;
  readonly exit: Exit = new Exit();
  readonly vcpus: readonly KvmVcpu[];
  readonly #guest: GuestAccess;
  readonly #control: KvmControl;
  readonly #slots: readonly ApSlot[];
  readonly #vm: KvmVm;
  readonly #state: KvmStateAccess;
  readonly #assist: KvmAssist | undefined;
  readonly #symbols: ShimSymbols;
  readonly #resources: DisposableStack;
  readonly #counts = new Float64Array(REASONS);
  #signals = 0;
  /** Kept when the engine is disposed. */
  #lastKernelStats: Record<string, number> | undefined;
  /** KVM_RUN's way, in fields of its own: the hot path. */
  readonly #ioctl: ShimSymbols["kvm_shim_ioctl"];
  readonly #bootFd: number;
  readonly #boot: KvmVcpu;
  /** Bits of the upper half of an MMIO address that the machine gets to see: all but in tests. */
  readonly #gpaHighMask: number;
  /** The vCPU whose port or MMIO exit the machine is serving. */
  #served = NOBODY;
  /** The instruction of `#served`, another vCPU, has been completed already. */
  #settled = false;
  /** Completing that instruction on vCPU 0 brought the next exit. */
  #undelivered = false;
  /** The shared words have to be looked at before vCPU 0 runs. */
  #attention = true;
  /** The other vCPUs' threads have to be told to run. */
  #parked = true;
  /** Where the search for the next waiting vCPU starts. */
  #nextWaiting = 1;
  #disposed = false;

  /**
   * Creates the VM and its vCPUs. They have KVM's state after reset until `writeState`; vCPUs 1 and
   * up wait for the guest's start-up interrupt.
   * @throws DenovisorError `kvm-unavailable`, or `kvm` when the kernel refuses something
   */
  constructor(options: KvmEngineOptions) {
    const { memory, cpus } = options;
    if (cpus > 1 && (options.control === undefined || options.control.cpus < cpus)) {
      throw new DenovisorError("internal", `Cannot run ${cpus} vCPUs without a control block`);
    }
    this.#control = options.control ?? new KvmControl(1);
    using undo = new DisposableStack();
    const shim = undo.use(Shim.open());
    this.#symbols = shim.symbols;
    this.#ioctl = shim.symbols.kvm_shim_ioctl;
    this.#vm = undo.use(new KvmVm(shim, memory));
    this.#guest = { memory, scratch: this.#vm.scratch };
    if (!(cpus >= 1 && cpus <= this.#vm.device.maxCpus)) {
      const most = this.#vm.device.maxCpus;
      throw new DenovisorError("usage", `Cannot run ${cpus} vCPUs: KVM has 1 to ${most}`, { cpus });
    }
    const access = (index: number) => this.#pausedState(index);
    this.vcpus = Array.from({ length: cpus }, (_, index) => {
      return undo.use(new KvmVcpu(shim, this.#vm, index, access));
    });
    const cpuid = this.#identify();
    this.#gpaHighMask = options.maskMmioTo32Bits === true ? 0 : 0xffff_ffff;
    this.#boot = this.vcpus[0];
    this.#bootFd = this.#boot.fd;
    this.#state = new KvmStateAccess(this.#vm.scratch, this.#bootFd);
    const { assist } = options;
    if (assist !== undefined) this.#assist = new KvmAssist(() => assist(cpuid), this.#state);
    this.#slots = this.vcpus.slice(1).map((vcpu) => {
      const slot = this.#control.slot(vcpu.index);
      slot.fd = vcpu.fd;
      slot.region = vcpu.run.id;
      return slot;
    });
    this.#control.setEngineThread(shim.symbols.kvm_shim_thread_id(), this.#boot.run.id);
    this.#resources = undo.move();
  }

  /** Completes the last exit and runs until the next one; `budget` is not used. */
  run(_budget: number): ExitCode {
    if (this.#served > 0) this.#release(this.#served);
    if (this.#attention) {
      const code = this.#attend();
      if (code !== NOTHING) return code as ExitCode;
    }
    for (;;) {
      const result = this.#ioctl(this.#bootFd, KVM_RUN, 0);
      let code: number;
      if (result === 0) {
        code = this.#deliver(this.#boot);
      } else {
        this.#served = NOBODY;
        code = this.#notRun(result);
      }
      if (code !== NOTHING) return code as ExitCode;
    }
  }

  setIrqLine(gsi: number, level: boolean): void {
    if (!this.#disposed) this.#vm.setIrqLine(gsi, level);
  }

  /** Exits to the machine as counted here, then what the kernel counts, which prevails. */
  stats(): Record<string, number> {
    const stats: Record<string, number> = { exits: this.#signals, signal_exits: this.#signals };
    for (let reason = 0; reason < REASONS; reason++) stats.exits += this.#counts[reason];
    for (const [name, reason] of COUNTERS) stats[name] = this.#counts[reason];
    return { ...stats, ...this.#assist?.stats(), ...this.#lastKernelStats ?? this.#kernelStats() };
  }

  /** Ends every vCPU's thread, then closes and unmaps all that the engine opened. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#attention = true;
    this.#served = NOBODY;
    this.exit.data = new DataView(new ArrayBuffer(8));
    this.#control.setEngineThread(0, 0);
    for (let index = 1; index <= this.#slots.length; index++) this.#stopThread(index);
    this.#lastKernelStats = this.#kernelStats();
    this.#resources.dispose();
  }

  /** The threads of the other vCPUs are stopped: KVM answers nothing about a vCPU that runs. */
  #kernelStats(): Record<string, number> {
    if (!this.#disposed) this.#slots.forEach((_, i) => this.#parkThread(i + 1));
    const sums: Record<string, number> = {};
    for (const { fd } of [this.#vm, ...this.vcpus]) addKernelStats(this.#vm.scratch, fd, sums);
    return sums;
  }

  /** Fills the exit record from the vCPU's kvm_run. */
  #deliver(vcpu: KvmVcpu): number {
    const exit = this.exit;
    const reason = vcpu.u32[EXIT_REASON];
    this.#counts[reason < REASONS ? reason : REASONS - 1]++;
    exit.vcpu = vcpu.index;
    if (reason === KvmExit.IO) {
      this.#served = vcpu.index;
      exit.port = vcpu.u16[IO_PORT];
      exit.size = vcpu.u8[IO_SIZE];
      exit.count = vcpu.u32[IO_COUNT];
      exit.data = vcpu.view;
      exit.offset = vcpu.u32[IO_DATA_OFFSET];
      return vcpu.u8[IO_DIRECTION] === KVM_EXIT_IO_OUT ? ExitCode.PORT_OUT : ExitCode.PORT_IN;
    }
    if (reason === KvmExit.MMIO) {
      this.#served = vcpu.index;
      const high = vcpu.u32[MMIO_ADDRESS + 1] & this.#gpaHighMask;
      exit.gpa = join32(vcpu.u32[MMIO_ADDRESS], high);
      exit.size = vcpu.u32[MMIO_LENGTH];
      exit.count = 1;
      exit.data = vcpu.view;
      exit.offset = MMIO_DATA;
      return vcpu.u8[MMIO_IS_WRITE] !== 0 ? ExitCode.MMIO_WRITE : ExitCode.MMIO_READ;
    }
    this.#served = NOBODY;
    return this.#deliverRare(vcpu, reason);
  }

  /** The exits that are not the machine's daily work. */
  #deliverRare(vcpu: KvmVcpu, reason: number): number {
    const exit = this.exit;
    switch (reason) {
      case KvmExit.IRQ_WINDOW_OPEN:
      case KvmExit.INTR:
        return NOTHING;
      case KvmExit.HLT:
        return ExitCode.HALT;
      case KvmExit.SHUTDOWN:
        exit.reason = describeShutdown(this.#exited(vcpu), this.#guest);
        return ExitCode.SHUTDOWN;
      case KvmExit.SYSTEM_EVENT: {
        const event = describeSystemEvent(this.#exited(vcpu));
        exit.reason = event.reason;
        exit.eventReset = event.reset;
        return ExitCode.SYSTEM_EVENT;
      }
      case KvmExit.INTERNAL_ERROR:
        return isEmulationFailure(vcpu.view) ? this.#tryAssist(vcpu) : this.#internalError(vcpu);
      case KvmExit.FAIL_ENTRY:
        exit.reason = describeFailEntry(this.#exited(vcpu));
        return ExitCode.FAILED;
      default:
        exit.reason = describeUnknownExit(this.#exited(vcpu));
        return ExitCode.FAILED;
    }
  }

  #internalError(vcpu: KvmVcpu, more = ""): ExitCode {
    this.exit.reason = describeInternalError(this.#exited(vcpu), this.#guest) + more;
    return ExitCode.FAILED;
  }

  /**
   * KVM does not know an instruction: the assist completes it, if there is one. No other vCPU runs
   * meanwhile, so that an access of any width, locked or not, is atomic.
   */
  #tryAssist(vcpu: KvmVcpu): number {
    const assist = this.#assist;
    if (assist === undefined) return this.#internalError(vcpu);
    this.#slots.forEach((_, i) => {
      if (i + 1 !== vcpu.index) this.#parkThread(i + 1);
    });
    const result = assist.complete(vcpu.index, vcpu.fd);
    if (result === Assisted.REFUSED) return this.#internalError(vcpu, `; ${assist.reason}`);
    if (result === Assisted.SHUTDOWN) {
      this.exit.reason = assist.reason;
      return ExitCode.SHUTDOWN;
    }
    if (this.#parked) this.#startThreads();
    return NOTHING;
  }

  /** KVM_RUN of vCPU 0 came back without an exit. */
  #notRun(result: number): number {
    if (result === EAGAIN) return NOTHING;
    if (result !== EINTR) return this.#runFailed(0, result);
    this.#signals++;
    return this.#attend();
  }

  /** KVM_RUN itself failed. */
  #runFailed(index: number, result: number): ExitCode {
    this.exit.vcpu = index;
    this.exit.reason = `KVM cannot run vCPU ${index}: ${errnoName(-result)}`;
    return ExitCode.FAILED;
  }

  /** What the guest needs is gone; who knows why tells the owner. */
  #guestFailed(): ExitCode {
    this.exit.vcpu = 0;
    this.exit.reason = "Guest memory cannot be brought in any more";
    return ExitCode.FAILED;
  }

  #exited(vcpu: KvmVcpu): ExitedVcpu {
    const state = new CpuState();
    this.#state.read(vcpu.fd, state);
    return { index: vcpu.index, fd: vcpu.fd, view: vcpu.view, state };
  }

  /**
   * Something wants vCPU 0's thread: starts the other threads, takes a kick, or delivers the exit
   * of another vCPU. NOTHING when vCPU 0 may run.
   */
  #attend(): number {
    if (this.#disposed) throw disposedError();
    if (this.#control.failed) return this.#guestFailed();
    if (this.#parked) this.#startThreads();
    // The exit of another vCPU may come first: vCPU 0 must not stay in the middle of an instruction.
    if (this.#served === 0) this.#settle(0);
    if (this.#undelivered) {
      this.#undelivered = false;
      return this.#deliver(this.#boot);
    }
    this.#attention = true;
    Atomics.store(this.#boot.u8, IMMEDIATE_EXIT, 0);
    if (this.#control.failed) return this.#guestFailed();
    if (this.#control.takeKick()) return ExitCode.KICKED;
    const cpus = this.vcpus.length;
    for (let step = 1; step < cpus; step++) {
      const index = this.#nextWaiting;
      this.#nextWaiting = index + 1 < cpus ? index + 1 : 1;
      const slot = this.#slots[index - 1];
      if (slot.state !== ApState.PENDING) continue;
      const result = slot.result;
      const code = result === 0 ? this.#deliver(this.vcpus[index]) : this.#runFailed(index, result);
      if (code !== NOTHING) return code;
      slot.resume();
    }
    this.#attention = false;
    return NOTHING;
  }

  /** The machine has served this vCPU's exit: its thread goes on. */
  #release(index: number): void {
    if (this.#disposed) throw disposedError();
    this.#served = NOBODY;
    this.#settled = false;
    if (this.#parked) this.#startThreads();
    this.#slots[index - 1].resume();
  }

  #startThreads(): void {
    this.#parked = false;
    for (const slot of this.#slots) slot.command = ApCommand.RUN;
  }

  /** Holds a vCPU between two instructions, the last exit's instruction completed. */
  #pausedState(index: number): KvmStateAccess {
    if (this.#disposed) throw disposedError();
    if (index > 0) this.#parkThread(index);
    if (this.#served === index) this.#settle(index);
    return this.#state;
  }

  /**
   * Completes the instruction whose access the machine has served: with immediate_exit set, KVM_RUN
   * does that and returns before the guest runs on. It is left set: whoever runs the vCPU next
   * clears it and looks at the shared words.
   */
  #settle(index: number): void {
    if (this.#settled) return;
    const vcpu = this.vcpus[index];
    Atomics.store(vcpu.u8, IMMEDIATE_EXIT, 1);
    const result = this.#ioctl(vcpu.fd, KVM_RUN, 0);
    this.#attention = true;
    if (index === 0) {
      this.#served = NOBODY;
      // An access wider than 8 bytes has another part: it is delivered by the next run.
      this.#undelivered = result === 0;
    } else if (result === 0) {
      this.#served = NOBODY; // likewise: its slot still says PENDING
    } else {
      this.#settled = true;
    }
  }

  #parkThread(index: number): void {
    const slot = this.#slots[index - 1];
    this.#parked = true;
    this.#attention = true;
    slot.command = ApCommand.PARK;
    const interrupt = () => slot.interrupt(this.#symbols);
    this.#waitForThread(index, interrupt, (state) => state !== ApState.RUNNING);
  }

  #stopThread(index: number): void {
    const stop = () => this.#slots[index - 1].stop(this.#symbols);
    const gone = (state: number) => state === ApState.DONE || state === ApState.ABSENT;
    stop();
    this.#waitForThread(index, stop, gone);
  }

  /** Does `again` until the state of a vCPU's thread is as wanted. */
  #waitForThread(index: number, again: () => void, wanted: (state: number) => boolean): void {
    const slot = this.#slots[index - 1];
    const giveUp = performance.now() + THREAD_EXIT_MS;
    for (let state = slot.state; !wanted(state); state = slot.state) {
      if (performance.now() > giveUp) {
        throw new DenovisorError(
          "internal",
          `Cannot stop the thread of vCPU ${index}: its state is ${state} after ${THREAD_EXIT_MS} ms`,
        );
      }
      again();
      slot.waitWhileState(state, 10);
    }
  }

  /** Gives every vCPU its CPUID table, and MSRs that go with it; returns vCPU 0's table. */
  #identify(): readonly CpuidLeaf[] {
    const { scratch, device } = this.#vm;
    const supported = supportedCpuid(scratch, device.fd);
    const tscDeadline = extension(scratch, device.fd, KvmCap.TSC_DEADLINE_TIMER) > 0;
    const tables = this.vcpus.map((vcpu) => {
      // An old or unusual KVM may not say: then the guest measures for itself.
      const tscKhz = Math.max(scratch.tryPlainIoctl(vcpu.fd, Ioctl.GET_TSC_KHZ, 0), 0);
      const { index } = vcpu;
      const cpus = this.vcpus.length;
      const table = guestCpuid(supported, { index, cpus, tscKhz, tscDeadline });
      setCpuid(scratch, vcpu.fd, table);
      setFirmwareMsrs(scratch, vcpu.fd);
      return table;
    });
    return tables[0];
  }
}
