/**
 * The seam between the machine and what executes guest code. One engine runs all vCPUs of one
 * guest; `run` returns whenever the machine has to do something. Neither side allocates per exit:
 * the operands are in one `Exit` record that the engine reuses.
 */

import type { CpuState } from "../cpu/state.ts";
import type { CpuSignals } from "./cpu_bus.ts";

/** Why `run` returned. */
export const ExitCode = {
  /** The guest reads a port: the machine stores `count` values of `size` bytes into `data`. */
  PORT_IN: 0,
  /** The guest wrote `count` values of `size` bytes, which stand in `data`, to a port. */
  PORT_OUT: 1,
  /** The guest reads `size` bytes at `gpa`: the machine stores them into `data`. */
  MMIO_READ: 2,
  /** The guest wrote the `size` bytes in `data` to `gpa`. */
  MMIO_WRITE: 3,
  /** All vCPUs wait for an interrupt that only the machine can bring. */
  HALT: 4,
  /** Triple fault. `reason` has RIP and the last exception. */
  SHUTDOWN: 5,
  /** The budget is spent. */
  BUDGET: 6,
  /** `kick` was called, or a signal came. */
  KICKED: 7,
  /** The guest asked the engine itself to end: `reason` says how, `eventReset` whether to reset. */
  SYSTEM_EVENT: 8,
  /** The engine cannot go on. `reason` says why, in one line. */
  FAILED: 9,
} as const;
export type ExitCode = typeof ExitCode[keyof typeof ExitCode];

/** Operands of the last exit. Which fields are valid depends on the code; the engine fills those. */
export class Exit {
  /** The vCPU that exited. Set at every exit but HALT, BUDGET and KICKED. */
  vcpu = 0;
  /** I/O port. */
  port = 0;
  /** Bytes of one access: 1, 2 or 4 for ports, 1 to 8 for MMIO. */
  size = 0;
  /** Number of accesses: more than 1 for string instructions; 1 for MMIO. */
  count = 0;
  /** Guest physical address of an MMIO access: all 52 bits. */
  gpa = 0;
  /** The bytes of the access start at `offset` of `data`, little-endian, `size` * `count` of them. */
  data: DataView = new DataView(new ArrayBuffer(8));
  offset = 0;
  /** SYSTEM_EVENT: true for a reset, false for a power-off or crash. */
  eventReset = false;
  /** SHUTDOWN, SYSTEM_EVENT, FAILED: one line for people. */
  reason = "";
}

/** One vCPU as inspection, boot and snapshots see it. Only valid between calls of `run`. */
export interface Vcpu {
  readonly index: number;
  /** Copies the whole architectural state out. */
  readState(into: CpuState): void;
  /** Replaces the whole architectural state. */
  writeState(from: CpuState): void;
}

/**
 * What runs guest code. Made, used and disposed on one thread. The machine drives a `ChipEngine` or
 * a `BusEngine`: this is what they have in common.
 */
export interface Engine extends Disposable {
  readonly name: "kvm" | "wasm";
  readonly vcpus: readonly Vcpu[];
  readonly exit: Exit;
  /**
   * Completes the last exit and runs until the next one. `budget` bounds the instructions where
   * the engine counts them (0: no bound).
   */
  run(budget: number): ExitCode;
  /** Engine counters for `--stats`, by name; asked for after the run. */
  stats(): Record<string, number>;
}

/** An engine in the host's kernel, which has interrupt controllers and timer too. */
export interface ChipEngine extends Engine {
  readonly hasIrqchip: true;
  /** Drives the interrupt line of a global system interrupt (the ISA IRQ n is GSI n). */
  setIrqLine(gsi: number, level: boolean): void;
}

/**
 * An engine that calls the machine's `CpuBus` in the middle of instructions and is signalled by the
 * machine's local APICs. It has the exits HALT, SHUTDOWN, BUDGET, KICKED and FAILED only. Where a
 * budget ends never changes what the guest does.
 */
export interface BusEngine extends Engine, CpuSignals {
  readonly hasIrqchip: false;
  /** Instructions retired by all vCPUs; in a call of the bus, those before the one under way. */
  readonly retired: number;
  /**
   * In a call of the bus: `run` returns BUDGET `instructions` after the one under way, or at the end
   * of its budget, whichever is first.
   */
  limit(instructions: number): void;
  /** If `run` is under way, in a call of the bus: it returns KICKED after this instruction. */
  kick(): void;
}
