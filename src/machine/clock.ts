/**
 * Time as the guest sees it, and how a machine spends it: how long its engine runs before it looks
 * at devices and signals again, and what it does while the guest waits.
 */

import type { Clock } from "../devices/device.ts";
import { waitForSignal } from "./signals.ts";

/** A clock that a machine runs by. */
export interface MachineClock extends Clock {
  /** `counter` counts the guest's instructions, from 0 on. */
  attach(counter: InstructionCounter): void;
  /** Instructions that may run before `deadlineNs`, or before signals want a look: 1 or more. */
  budget(deadlineNs: number): number;
  /** A vCPU accesses a device: true if that has taken time by this clock, apart from the host's. */
  access(): boolean;
  /** Somebody has typed: the guest has something to do. */
  input(): void;
  /** The guest waits: comes back at `deadlineNs`, when a signal is raised, or after a while. */
  idle(deadlineNs: number, signals: Int32Array): void;
}

/** What counts the instructions of all vCPUs. */
export interface InstructionCounter {
  readonly retired: number;
}

/** The longest sleep of a machine whose guest waits, in milliseconds. */
const MAX_SLEEP_MS = 1000;
/** Instructions of a slice: a few milliseconds, so that nobody waits long for a look at signals. */
const SLICE = 100_000;
/** Those of a slice before a near deadline, at least. */
const NEAR_SLICE = 5_000;
/** What an instruction takes that is interpreted, in nanoseconds; translated ones take a tenth of it. */
const INSTRUCTION_NS = 20;

/** The host's time: guest time runs on while the host does something else. */
export class RealClock implements MachineClock {
  /** `performance.now()` at the guest's start, in milliseconds. */
  readonly #startMs = performance.now();

  nowNs(): number {
    return Math.floor((performance.now() - this.#startMs) * 1e6);
  }

  wallMs(): number {
    return Date.now();
  }

  attach(): void {}

  budget(deadlineNs: number): number {
    const fitting = Math.floor((deadlineNs - this.nowNs()) / INSTRUCTION_NS);
    return Math.max(NEAR_SLICE, Math.min(fitting, SLICE));
  }

  access(): boolean {
    return false;
  }

  input(): void {}

  idle(deadlineNs: number, signals: Int32Array): void {
    const leftMs = (deadlineNs - this.nowNs()) / 1e6;
    if (leftMs > 0) waitForSignal(signals, Math.min(leftMs, MAX_SLEEP_MS));
  }
}

/** What the wall clock of a guest with a virtual clock says at its start. */
export const VIRTUAL_EPOCH_MS = Date.UTC(2026, 0, 1);

/**
 * What an access to a device takes: a cycle of the ISA bus. Guests count on it, in delays made of
 * accesses to port 0x80 and in loops that ask a timer until some milliseconds have passed.
 */
const ACCESS_NS = 1000;

/**
 * What a guest may wait without input before its waits take the host's time, in nanoseconds: longer
 * than programs sleep, and soon over for a guest that is left at its prompt. It must not use a core
 * for ever for nothing but its own clock's ticks.
 */
const FREE_WAIT_NS = 600e9;
/** What a wait counts for at least: timers that wake nobody may follow one another closely. */
const SHORTEST_WAIT_NS = 1_000_000;

/**
 * Time that the guest itself makes: an instruction takes a nanosecond, an access to a device a
 * microsecond, and a guest that waits is at its next deadline at once, or after some minutes of that
 * at the host's pace. What a guest does by this clock is a function of its inputs alone.
 */
export class VirtualClock implements MachineClock {
  #counter: InstructionCounter = { retired: 0 };
  /** Nanoseconds that the guest has waited, for deadlines and for devices. */
  #skippedNs = 0;
  /** What is left of FREE_WAIT_NS. */
  #freeNs = FREE_WAIT_NS;

  nowNs(): number {
    return this.#skippedNs + this.#counter.retired;
  }

  wallMs(): number {
    return VIRTUAL_EPOCH_MS + this.nowNs() / 1e6;
  }

  attach(counter: InstructionCounter): void {
    this.#counter = counter;
  }

  budget(deadlineNs: number): number {
    return Math.max(1, Math.min(Math.ceil(deadlineNs - this.nowNs()), SLICE));
  }

  access(): boolean {
    this.#skippedNs += ACCESS_NS;
    return true;
  }

  input(): void {
    this.#freeNs = FREE_WAIT_NS;
  }

  idle(deadlineNs: number, signals: Int32Array): void {
    if (deadlineNs === Infinity) return waitForSignal(signals, MAX_SLEEP_MS);
    const waitNs = Math.max(0, Math.ceil(deadlineNs - this.nowNs()));
    const countedNs = Math.max(waitNs, SHORTEST_WAIT_NS);
    if (this.#freeNs >= countedNs) {
      this.#freeNs -= countedNs;
      this.#skippedNs += waitNs;
      return;
    }
    // A guest that waits does not see in how many parts.
    const startMs = performance.now();
    waitForSignal(signals, Math.min(countedNs / 1e6, MAX_SLEEP_MS));
    const sleptNs = Math.ceil((performance.now() - startMs) * 1e6);
    this.#skippedNs += Math.min(waitNs, sleptNs);
  }
}
