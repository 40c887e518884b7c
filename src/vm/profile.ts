/**
 * Where a run's time goes: what the machine's thread is at, seen from this one every millisecond or
 * so. Each look counts for the time since the last.
 */

import { Activity } from "../engine/activity.ts";

/** Seconds of a run by what the machine's thread was at. */
export interface VmProfile {
  /** Guest code was decoded and interpreted, exceptions and interrupts were delivered. */
  readonly interpreter: number;
  /** WebAssembly was made of guest code. */
  readonly translation: number;
  /** V8 compiled that; what its other threads make faster meanwhile is not in it. */
  readonly compilation: number;
  /** Translated code ran. */
  readonly translated: number;
  /** Addresses were translated that the TLB did not have. */
  readonly mmu: number;
  /** Devices, interrupt controllers, timers, and the machine around them. */
  readonly devices: number;
  /** All vCPUs waited. */
  readonly idle: number;
}

/** How long between two looks, in milliseconds: timers have none that are shorter. */
const INTERVAL_MS = 1;

/** Looks until it is disposed. */
export class Profiler implements Disposable {
  readonly #seconds = new Float64Array(Object.keys(Activity).length);
  readonly #timer: number;

  constructor(activity: Int32Array) {
    let beforeMs = performance.now();
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      this.#seconds[Atomics.load(activity, 0)] += (nowMs - beforeMs) / 1000;
      beforeMs = nowMs;
    }, INTERVAL_MS);
  }

  /** What has been seen so far. */
  get profile(): VmProfile {
    const seconds = this.#seconds;
    return {
      interpreter: seconds[Activity.INTERPRETER],
      translation: seconds[Activity.TRANSLATION],
      compilation: seconds[Activity.COMPILATION],
      translated: seconds[Activity.TRANSLATED],
      mmu: seconds[Activity.MMU],
      devices: seconds[Activity.DEVICES],
      idle: seconds[Activity.IDLE],
    };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
