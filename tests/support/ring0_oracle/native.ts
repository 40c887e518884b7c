/** One side: KVM, whose kernel emulates ring 0 or whose processor runs it. */

import { offsetOf } from "../../../src/base/struct.ts";
import { gpa } from "../../../src/base/u64.ts";
import type { CpuState } from "../../../src/cpu/state.ts";
import { ExitCode } from "../../../src/engine/engine.ts";
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
const SUBERROR = offsetOf(KvmRun, "internal.suberror");
/** Accesses of a case to what is not RAM. */
const MAX_ACCESSES = 64;

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
    if (end !== End.STOPPED) this.#stale = true;
    return end;
  }

  #toEnd(): End {
    const engine = this.#engine;
    for (let accesses = 0; accesses < MAX_ACCESSES; accesses++) {
      const code = engine.run(0);
      switch (code) {
        case ExitCode.PORT_OUT:
          return End.STOPPED;
        case ExitCode.MMIO_READ:
          for (let i = 0; i < engine.exit.size; i++) {
            engine.exit.data.setUint8(engine.exit.offset + i, 0xff);
          }
          break;
        case ExitCode.MMIO_WRITE:
          break;
        case ExitCode.SHUTDOWN:
          return End.SHUTDOWN;
        case ExitCode.KICKED:
          if (this.#watchdog.expired) return End.ENDLESS;
          break;
        default:
          return this.#failure(code);
      }
    }
    return End.ENDLESS;
  }

  #failure(code: ExitCode): End {
    const { view } = this.#engine.vcpus[0];
    this.#reason = `exit ${code}, ${this.#engine.exit.reason}`;
    const emulation = view.getUint32(EXIT_REASON, true) === KvmExit.INTERNAL_ERROR &&
      view.getUint32(SUBERROR, true) === KVM_INTERNAL_ERROR_EMULATION;
    return emulation ? End.NOT_SHOWN : End.FAILED;
  }

  /** How the last case has ended. */
  endText(end: End): string {
    return end === End.FAILED ? this.#reason : end;
  }

  [Symbol.dispose](): void {
    this.#engine[Symbol.dispose]();
    this.#watchdog[Symbol.dispose]();
  }
}
