/**
 * Time as the guest sees it.
 */

import type { Clock } from "../devices/device.ts";

/** The host's time: guest time runs on while the host does something else. */
export class RealClock implements Clock {
  /** `performance.now()` at the guest's start, in milliseconds. */
  readonly #startMs = performance.now();

  nowNs(): number {
    return Math.floor((performance.now() - this.#startMs) * 1e6);
  }

  wallMs(): number {
    return Date.now();
  }
}
