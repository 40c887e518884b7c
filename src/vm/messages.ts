/**
 * What goes between the main thread and the worker that hosts a machine.
 */

import type { ErrorMessage } from "../base/errors.ts";
import type { BootSource, NamedBytes } from "../boot/boot.ts";
import type { MachineOutcome } from "../machine/outcome.ts";
import type { GuestMemoryHandle } from "../memory/guest_memory.ts";
import type { ClockChoice, MmuChoice } from "./options.ts";

/** Which engine, and what it takes to make it. */
export type EngineSetup =
  /** `control`: of `KvmControl`. */
  | { readonly name: "kvm"; readonly assist: boolean; readonly control: SharedArrayBuffer }
  /** `jitBytes`: of translated code at most; 0: none is made. `jitTrace`: path of a `TraceFile`. */
  | {
    readonly name: "wasm";
    readonly mmu: MmuChoice;
    readonly clock: ClockChoice;
    readonly jitBytes: number;
    readonly jitTrace: string | undefined;
  };

/** To the worker, once: the machine to build and run. */
export interface MachineSetup {
  readonly memory: GuestMemoryHandle;
  readonly cpus: number;
  readonly engine: EngineSetup;
  readonly source: BootSource;
  readonly firmware: NamedBytes | undefined;
  readonly debugExit: boolean;
  readonly shared: SharedState;
}

/** The memory that both threads see. */
export interface SharedState {
  /** Of `createSignals`. */
  readonly signals: Int32Array<SharedArrayBuffer>;
  /** Of `COUNTER_BYTES` bytes. */
  readonly counters: Float64Array<SharedArrayBuffer>;
  /** Of `createActivity`. */
  readonly activity: Int32Array<SharedArrayBuffer>;
  /** Of `createAlarm`. */
  readonly alarm: SharedArrayBuffer;
  /** Rings of bytes: from the keyboard, to the screen, to the debug log. */
  readonly input: SharedArrayBuffer;
  readonly output: SharedArrayBuffer;
  readonly debug: SharedArrayBuffer;
}

/** From the worker. */
export type MachineMessage =
  /** The guest is loaded and runs from now on. */
  | { readonly type: "ready"; readonly description: string }
  /** The run has ended and the engine is gone. */
  | {
    readonly type: "ended";
    readonly outcome: MachineOutcome;
    readonly engineStats: Readonly<Record<string, number>>;
  }
  /** The machine could not be built, or has a defect. The engine is gone. */
  | { readonly type: "error"; readonly error: ErrorMessage };
