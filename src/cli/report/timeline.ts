/** Counts over time, in a fixed number of buckets that widen as time goes on. */

import { SIZES } from "./sizes.ts";

/** Even, so that pairs can be joined. */
const BUCKETS = 240;
/** Width of a bucket at first, in nanoseconds. */
const FIRST_WIDTH_NS = 1000;

/** Faults by time and by what they mapped. */
export class Timeline {
  /** Nanoseconds that one bucket covers. */
  widthNs = FIRST_WIDTH_NS;
  #lastNs = 0;
  #counts = new Float64Array(BUCKETS * SIZES.length);

  /** @param size Index in `SIZES`. */
  add(timeNs: number, size: number): void {
    this.reach(timeNs);
    this.#counts[Math.floor(timeNs / this.widthNs) * SIZES.length + size]++;
  }

  /** The time goes on until `timeNs` at least. */
  reach(timeNs: number): void {
    while (timeNs >= this.widthNs * BUCKETS) this.#widen();
    this.#lastNs = Math.max(this.#lastNs, timeNs);
  }

  /** Buckets up to the last that the time has reached. */
  get buckets(): number {
    return Math.floor(this.#lastNs / this.widthNs) + 1;
  }

  /** Faults in `bucket` that mapped `size`. */
  count(bucket: number, size: number): number {
    return this.#counts[bucket * SIZES.length + size];
  }

  #widen(): void {
    const joined = new Float64Array(this.#counts.length);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      for (let size = 0; size < SIZES.length; size++) {
        joined[Math.floor(bucket / 2) * SIZES.length + size] += this.count(bucket, size);
      }
    }
    this.#counts = joined;
    this.widthNs *= 2;
  }
}
