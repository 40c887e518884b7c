/**
 * How a machine runs its guest, as far as all engines have it in common: a step at a time, until
 * there is an outcome. Steps allocate nothing.
 */

import { CpuState } from "../cpu/state.ts";
import { type Engine, ExitCode } from "../engine/engine.ts";
import type { Pc } from "../platform/pc.ts";
import type { MachineClock } from "./clock.ts";
import { haltedForGood } from "./halted.ts";
import type { MachineOutcome } from "./outcome.ts";
import { lower, raised, Signal } from "./signals.ts";
import { Counter } from "./stats.ts";

/** What a runner works on. */
export interface RunnerParts {
  readonly pc: Pc;
  readonly clock: MachineClock;
  /** Of `createSignals`. */
  readonly signals: Int32Array;
  /** Of `COUNTER_BYTES` bytes. */
  readonly counters: Float64Array;
}

/** Runs one guest once. */
export abstract class Runner {
  /** How the run ended, once it has. */
  outcome: MachineOutcome | undefined;
  protected readonly pc: Pc;
  protected readonly clock: MachineClock;
  protected readonly signals: Int32Array;
  protected readonly counters: Float64Array;
  readonly #engine: Engine;
  readonly #vcpuState = new CpuState();

  constructor(engine: Engine, parts: RunnerParts) {
    this.#engine = engine;
    this.pc = parts.pc;
    this.clock = parts.clock;
    this.signals = parts.signals;
    this.counters = parts.counters;
  }

  /** Lets the engine run until something has to be done, and does it. */
  abstract step(): void;

  /** Takes waiting input and raises the interrupts that have come due. */
  protected abstract poll(): void;

  /** The run ends here: the first reason is the outcome. */
  end(outcome: MachineOutcome): void {
    this.outcome ??= outcome;
  }

  /** Does what other threads have asked for. */
  attend(): void {
    const { signals } = this;
    if (raised(signals, Signal.STOP)) return this.end({ kind: "stopped" });
    if (lower(signals, Signal.INPUT)) this.poll();
    if (lower(signals, Signal.CHECK_HALT)) {
      this.countUnclaimed();
      this.endIfHalted();
    }
  }

  /** Brings the counters of what no device took up to date. */
  countUnclaimed(): void {
    const { ports, mmio } = this.pc;
    this.counters[Counter.UNCLAIMED_PORT] = ports.unclaimedReads + ports.unclaimedWrites;
    this.counters[Counter.UNCLAIMED_MMIO] = mmio.unclaimedReads + mmio.unclaimedWrites;
  }

  /** Takes an exit that has nothing to do with devices. */
  protected take(code: ExitCode): void {
    const { exit } = this.#engine;
    switch (code) {
      case ExitCode.SHUTDOWN:
        return this.end({ kind: "triple-fault", reason: exit.reason });
      case ExitCode.SYSTEM_EVENT:
        return this.end({ kind: exit.eventReset ? "reset" : "power-off" });
      case ExitCode.FAILED:
        return this.end({ kind: "failed", reason: exit.reason });
      default:
        return this.attend();
    }
  }

  /** True when nothing can wake the guest any more: that ends the run. */
  protected endIfHalted(): boolean {
    const halted = haltedForGood(this.#engine.vcpus, this.#vcpuState);
    if (halted) this.end({ kind: "halted" });
    return halted;
  }
}
