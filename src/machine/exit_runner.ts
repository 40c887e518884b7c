/**
 * Running on an engine in the host's kernel, which comes back with each access to a device. While it
 * does not come back, another thread is the alarm clock.
 */

import type { AccessSize } from "../devices/device.ts";
import { type ChipEngine, ExitCode } from "../engine/engine.ts";
import { Runner, type RunnerParts } from "./runner.ts";
import { lower, Signal } from "./signals.ts";
import { epochMs } from "./stats.ts";

/** Runs one guest on a `ChipEngine`. */
export class ExitRunner extends Runner {
  readonly #engine: ChipEngine;
  readonly #setAlarm: (epochMs: number) => void;
  /** The deadline that the alarm is set to. */
  #alarmNs = Infinity;

  /**
   * @param setAlarm asked to raise `Signal.DEADLINE` and to kick the engine at so many milliseconds
   * since the Unix epoch; replaces what was asked before. Infinity: nothing.
   */
  constructor(engine: ChipEngine, parts: RunnerParts, setAlarm: (epochMs: number) => void) {
    super(engine, parts);
    this.#engine = engine;
    this.#setAlarm = setAlarm;
  }

  override step(): void {
    const { exit } = this.#engine;
    const { ports, mmio } = this.pc;
    const code = this.#engine.run(0);
    this.counters[code]++;
    switch (code) {
      case ExitCode.PORT_IN:
        ports.readString(exit.port, exit.size as AccessSize, exit.count, exit.data, exit.offset);
        return this.#updateAlarm();
      case ExitCode.PORT_OUT:
        ports.writeString(exit.port, exit.size as AccessSize, exit.count, exit.data, exit.offset);
        return this.#updateAlarm();
      case ExitCode.MMIO_READ:
        return mmio.read(exit.gpa, exit.size, exit.data, exit.offset);
      case ExitCode.MMIO_WRITE:
        return mmio.write(exit.gpa, exit.size, exit.data, exit.offset);
      case ExitCode.HALT:
        return this.#sleep();
      default:
        return this.take(code);
    }
  }

  override attend(): void {
    // Once the alarm has gone off it is not set any more.
    if (lower(this.signals, Signal.DEADLINE)) {
      this.#alarmNs = Infinity;
      this.poll();
    }
    super.attend();
  }

  protected override poll(): void {
    this.pc.poll();
    this.#updateAlarm();
  }

  /** No vCPU can run until a device brings an interrupt. */
  #sleep(): void {
    if (this.endIfHalted()) return;
    this.clock.idle(this.pc.nextDeadlineNs(), this.signals);
    this.poll();
    this.attend();
  }

  /** Asks to be woken when a device is due. */
  #updateAlarm(): void {
    const deadlineNs = this.pc.nextDeadlineNs();
    if (deadlineNs === this.#alarmNs) return;
    this.#alarmNs = deadlineNs;
    this.#setAlarm(epochMs() + (deadlineNs - this.clock.nowNs()) / 1e6);
  }
}
