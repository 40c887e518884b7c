/**
 * Pages that other threads have written, for an engine that keeps things that such writes make
 * stale. A bit for each page in shared memory, and a count that says whether to look.
 */

import { PAGE_SIZE } from "../base/u64.ts";

/** Words: whether somebody wants the log, and how many marks there have been; then the bits. */
const WANTED = 0, MARKS = 1, BITS = 2;

/** One thread's end of the log. */
export class WriteLog {
  /** The shared memory. */
  readonly words: Int32Array<SharedArrayBuffer>;
  /** MARKS when `take` last looked. */
  #seen = 0;

  constructor(words: Int32Array<SharedArrayBuffer>) {
    this.words = words;
  }

  /** The log of a memory of so many bytes. */
  static create(bytes: number): WriteLog {
    const words = BITS + Math.ceil(bytes / PAGE_SIZE / 32);
    return new WriteLog(new Int32Array(new SharedArrayBuffer(words * 4)));
  }

  /** From now on somebody takes what is marked. */
  want(): void {
    Atomics.store(this.words, WANTED, 1);
  }

  /** `length` bytes from `offset` on have been written. */
  mark(offset: number, length: number): void {
    const { words } = this;
    if (length === 0 || Atomics.load(words, WANTED) === 0) return;
    const last = Math.floor((offset + length - 1) / PAGE_SIZE);
    for (let page = Math.floor(offset / PAGE_SIZE); page <= last; page++) {
      Atomics.or(words, BITS + (page >>> 5), 1 << (page & 31));
    }
    Atomics.add(words, MARKS, 1);
  }

  /** Reports the pages that have been marked since the last call, by number. Cheap when none have. */
  take(report: (page: number) => void): void {
    const { words } = this;
    const marks = Atomics.load(words, MARKS);
    if (marks === this.#seen) return;
    this.#seen = marks;
    for (let at = BITS; at < words.length; at++) {
      if (Atomics.load(words, at) === 0) continue;
      const bits = Atomics.exchange(words, at, 0);
      for (let bit = 0; bit < 32; bit++) {
        if ((bits >>> bit & 1) !== 0) report((at - BITS) * 32 + bit);
      }
    }
  }
}
