/** The words that a pager's thread shares with the thread that owns the Vm. */

import { STAT_NAMES } from "../../../mmu/stats.ts";

/** What the pager's thread is doing. */
export const PagerState = {
  /** Not there yet. */
  STARTING: 0,
  /** Waits for faults, or serves them. */
  RUNNING: 1,
  /** Left its loop because it was told to. */
  DONE: 2,
  /** Left it because of an error, of which a message tells. */
  FAILED: 3,
} as const;

/** Indices of 32-bit words. */
const Word = {
  STATE: 0,
  /** The kernel's number of the thread. */
  THREAD: 1,
  /** 1: leave. */
  STOP: 2,
  /** Dirty logs asked for, and answered. */
  REQUESTED: 3,
  ANSWERED: 4,
} as const;
/** Bytes of the words; the counters follow. */
const WORD_BYTES = 64;

/** What the pager counts beside the MMU, by name. */
export const PAGER_COUNTERS = [
  /** Faults on pages that were not there. */
  "pager_missing_faults",
  /** Faults on pages that were protected from writes. */
  "pager_write_protect_faults",
  /** Pages put in place, by size. */
  "pager_4k_pages",
  "pager_2m_pages",
  /** Bytes that came out of files. */
  "pager_file_bytes",
  /** Faults on pages that shared memory had, and this guest had not mapped. */
  "pager_minor_faults",
] as const;
/** Indices of these counters. */
export const PagerCounter = {
  MISSING: 0,
  WRITE_PROTECT: 1,
  PAGES_4K: 2,
  PAGES_2M: 3,
  FILE_BYTES: 4,
  MINOR: 5,
} as const;

/** The shared block, in any thread. */
export class PagerControl {
  readonly buffer: SharedArrayBuffer;
  /** By index of `PAGER_COUNTERS`. */
  readonly counters: Float64Array;
  /** By index of `STAT_NAMES`. */
  readonly mmuCounters: Float64Array;
  readonly #words: Int32Array;

  /** A new block, or the same in another thread. */
  constructor(buffer?: SharedArrayBuffer) {
    const counters = PAGER_COUNTERS.length + STAT_NAMES.length;
    this.buffer = buffer ?? new SharedArrayBuffer(WORD_BYTES + counters * 8);
    this.#words = new Int32Array(this.buffer);
    this.counters = new Float64Array(this.buffer, WORD_BYTES, PAGER_COUNTERS.length);
    const mmuAt = WORD_BYTES + PAGER_COUNTERS.length * 8;
    this.mmuCounters = new Float64Array(this.buffer, mmuAt, STAT_NAMES.length);
  }

  get state(): number {
    return Atomics.load(this.#words, Word.STATE);
  }
  set state(value: number) {
    Atomics.store(this.#words, Word.STATE, value);
    // Whoever waits for a dirty log must not wait for a thread that has left.
    Atomics.notify(this.#words, Word.ANSWERED);
  }

  /** True when the thread has left its loop. */
  get hasLeft(): boolean {
    return this.state >= PagerState.DONE;
  }

  get thread(): number {
    return Atomics.load(this.#words, Word.THREAD);
  }
  set thread(value: number) {
    Atomics.store(this.#words, Word.THREAD, value);
  }

  get stopped(): boolean {
    return Atomics.load(this.#words, Word.STOP) !== 0;
  }

  /** Tells the thread to leave; the caller rings its bell. */
  stop(): void {
    Atomics.store(this.#words, Word.STOP, 1);
  }

  /** Asks for the dirty log; the caller rings the bell. Returns the number of the request. */
  request(): number {
    return Atomics.add(this.#words, Word.REQUESTED, 1) + 1;
  }

  /** The request that waits for an answer, or 0. */
  get pending(): number {
    const requested = Atomics.load(this.#words, Word.REQUESTED);
    return requested === Atomics.load(this.#words, Word.ANSWERED) ? 0 : requested;
  }

  /** Request `request` has been answered. */
  answer(request: number): void {
    Atomics.store(this.#words, Word.ANSWERED, request);
    Atomics.notify(this.#words, Word.ANSWERED);
  }

  /** Resolves when request `request` is answered (true) or the thread has left (false). */
  async answered(request: number): Promise<boolean> {
    for (;;) {
      const answered = Atomics.load(this.#words, Word.ANSWERED);
      if (answered === request) return true;
      if (this.hasLeft) return false;
      await Atomics.waitAsync(this.#words, Word.ANSWERED, answered, POLL_MS).value;
    }
  }

  /** Resolves when the thread has left its loop (true), or after `timeoutMs` (false). */
  async left(timeoutMs: number): Promise<boolean> {
    const giveUp = performance.now() + timeoutMs;
    while (!this.hasLeft) {
      if (performance.now() > giveUp) return false;
      await new Promise((resolve) => setTimeout(resolve, LEFT_POLL_MS));
    }
    return true;
  }
}

/** How often `left` looks, in milliseconds. */
const LEFT_POLL_MS = 5;
/** A thread that died cannot notify: who waits for it looks again after so many milliseconds. */
const POLL_MS = 250;
