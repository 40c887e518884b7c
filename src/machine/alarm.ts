/**
 * An alarm clock for a machine whose thread is inside the engine: the machine sets the time, another
 * thread waits for it and then raises `Signal.DEADLINE`.
 */

import { MAX_TIMER_MS } from "../base/timer.ts";
import { waitAsync } from "../base/wait_async.ts";
import { epochMs as now } from "./stats.ts";

/** Indices: the time as a 64-bit float, and the 32-bit word that changes with it. */
const TIME = 0;
const BELL = 2;

/** The memory of an alarm that is not set. */
export function createAlarm(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(16);
  new Float64Array(memory, 0, 1)[TIME] = Infinity;
  return memory;
}

/** The machine's end. */
export class AlarmSetter {
  readonly #time: Float64Array;
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#time = new Float64Array(memory, 0, 1);
    this.#words = new Int32Array(memory);
  }

  /** Sets the alarm to `epochMs` milliseconds since the Unix epoch; Infinity turns it off. */
  set(epochMs: number): void {
    this.#time[TIME] = epochMs;
    Atomics.add(this.#words, BELL, 1);
    Atomics.notify(this.#words, BELL);
  }
}

/** The other thread's end: calls `ring` whenever the time has come, until it is disposed. */
export class AlarmClock implements Disposable {
  readonly #time: Float64Array;
  readonly #words: Int32Array;
  readonly #ring: () => void;
  #timer: number | undefined;
  #disposed = false;

  constructor(memory: SharedArrayBuffer, ring: () => void) {
    this.#time = new Float64Array(memory, 0, 1);
    this.#words = new Int32Array(memory);
    this.#ring = ring;
    this.#watch();
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
    Atomics.add(this.#words, BELL, 1);
    Atomics.notify(this.#words, BELL);
  }

  async #watch(): Promise<void> {
    while (!this.#disposed) {
      const bell = Atomics.load(this.#words, BELL);
      this.#arm(this.#time[TIME]);
      await waitAsync(this.#words, BELL, bell);
    }
  }

  #arm(epochMs: number): void {
    clearTimeout(this.#timer);
    if (epochMs === Infinity) return;
    const waitMs = epochMs - now();
    // Longer waits than a timer can do are done in parts.
    this.#timer = setTimeout(() => {
      if (waitMs > MAX_TIMER_MS) this.#arm(epochMs);
      else this.#ring();
    }, Math.min(Math.max(waitMs, 0), MAX_TIMER_MS));
  }
}
