/** One side: KVM, whose kernel emulates ring 0 or whose processor runs it. */

import { offsetOf } from "../../../src/base/struct.ts";
import { gpa } from "../../../src/base/u64.ts";
import type { CpuState } from "../../../src/cpu/state.ts";
import { IMMEDIATE_EXIT } from "../../../src/engine/kvm/control.ts";
import { Ioctl } from "../../../src/engine/kvm/ioctls.ts";
import { Shim } from "../../../src/engine/kvm/shim.ts";
import { KVM_INTERNAL_ERROR_EMULATION, KvmExit, KvmRun } from "../../../src/engine/kvm/kvm_abi.ts";
import { KvmEngine } from "../../../src/engine/kvm/kvm_engine.ts";
import type { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { buildMemory } from "./image.ts";
import { RAM_BYTES } from "./layout.ts";
import { Watchdog } from "./watchdog.ts";
import { SyncRegs } from "./sync_regs.ts";

/** How a case has ended. */
export const End = {
  /** On a landing place or in a handler. */
  STOPPED: "stopped",
  /** By a triple fault. */
  SHUTDOWN: "shutdown",
  /** Not at all. */
  ENDLESS: "endless",
  /** KVM's emulator does not know the instruction. */
  NOT_SHOWN: "not shown",
  /** Anything else: what, is in `reason`. */
  FAILED: "failed",
} as const;
export type End = typeof End[keyof typeof End];

const EXIT_REASON = offsetOf(KvmRun, "exit_reason");
const MMIO_DATA = offsetOf(KvmRun, "mmio.data");
const SUBERROR = offsetOf(KvmRun, "internal.suberror");
/** Accesses of a case to what is not RAM. */
const MAX_ACCESSES = 64;

/** A case that goes on behind so many kicks has no end: one alone may have met a thread that waited. */
const MAX_KICKS = 3;

/** The host's KVM. */
export class NativeSide implements Disposable {
  readonly memory: GuestMemory = buildMemory();
  readonly bytes: Uint8Array = this.memory.view(gpa(0), RAM_BYTES);
  #reason = "";
  readonly #watchdog = new Watchdog();
  readonly #engine = new KvmEngine({
    memory: this.memory,
    cpus: 1,
    control: this.#watchdog.control,
  });
  readonly #shim = Shim.open();
  readonly #sync = new SyncRegs(this.#engine.vcpus[0].view);
  /** What is not in the shared registers must be set, too. */
  #stale = true;

  /** Runs from `from` to the end of the case, and gives the state there. */
  run(from: CpuState, full: boolean, into: CpuState): End {
    const [vcpu] = this.#engine.vcpus;
    if (full || this.#stale) vcpu.writeState(from);
    this.#stale = full;
    this.#sync.write(from);
    this.#watchdog.begin();
    const end = this.#toEnd();
    if (end === End.STOPPED && full) vcpu.readState(into);
    else this.#sync.read(into);
    if (end !== End.STOPPED && end !== End.NOT_SHOWN) this.#stale = true;
    return end;
  }

  /** KVM_RUN itself: the engine would describe each failure at length. */
  #toEnd(): End {
    const { fd, u8, view } = this.#engine.vcpus[0];
    const { symbols } = this.#shim;
    let kicks = 0;
    for (let accesses = 0; accesses < MAX_ACCESSES;) {
      if (symbols.kvm_shim_ioctl(fd, Ioctl.RUN, 0) !== 0) {
        u8[IMMEDIATE_EXIT] = 0;
        if (this.#watchdog.expired && ++kicks === MAX_KICKS) return End.ENDLESS;
        continue;
      }
      const reason = view.getUint32(EXIT_REASON, true);
      switch (reason) {
        case KvmExit.IO:
          return End.STOPPED;
        case KvmExit.MMIO: // what is read there is all ones
          u8.fill(0xff, MMIO_DATA, MMIO_DATA + 8);
          accesses++;
          break;
        case KvmExit.SHUTDOWN:
          return End.SHUTDOWN;
        case KvmExit.IRQ_WINDOW_OPEN:
        case KvmExit.INTR:
          break;
        default:
          return this.#failure(reason);
      }
    }
    return End.ENDLESS;
  }

  #failure(reason: number): End {
    const suberror = this.#engine.vcpus[0].view.getUint32(SUBERROR, true);
    if (reason === KvmExit.INTERNAL_ERROR && suberror === KVM_INTERNAL_ERROR_EMULATION) {
      return End.NOT_SHOWN;
    }
    this.#reason = `exit ${reason}, ${suberror}`;
    return End.FAILED;
  }

  /** How the last case has ended. */
  endText(end: End): string {
    return end === End.FAILED ? this.#reason : end;
  }

  [Symbol.dispose](): void {
    this.#engine[Symbol.dispose]();
    this.#shim[Symbol.dispose]();
    this.#watchdog[Symbol.dispose]();
  }
}
