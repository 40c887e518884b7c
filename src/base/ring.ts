/**
 * A ring of bytes on shared memory, from one producer thread to one consumer thread. Nothing is
 * lost: a full ring holds the producer up, an empty one the consumer, blocking on worker threads and
 * through promises on the main thread. Either end may close the ring; what was written before the
 * producer closed is still read.
 *
 * A promise of `waitAsync` does not keep the event loop running: who waits keeps something
 * else alive, such as the worker at the other end.
 */

import { waitAsync } from "./wait_async.ts";

/** Indices of the 32-bit control words. */
const Word = {
  /** Bytes written so far, modulo 2^32. Only the producer stores it. */
  HEAD: 0,
  /** Bytes read so far, modulo 2^32. Only the consumer stores it. */
  TAIL: 1,
  /** 1 once an end has closed the ring. */
  CLOSED: 2,
  /** 1 while the consumer waits for bytes; the producer then rings the bell. */
  READER_WAITS: 3,
  /** What a waiting consumer sleeps on: changes when bytes have come. */
  READER_BELL: 4,
  /** 1 while the producer waits for space; the consumer then rings the bell. */
  WRITER_WAITS: 5,
  /** What a waiting producer sleeps on: changes when there is space. */
  WRITER_BELL: 6,
} as const;

/** Bytes of the control words: a cache line, so that the data starts on one. */
const CONTROL_BYTES = 64;

/** The memory of a new ring that holds `capacity` bytes (a power of two, at least 16). */
export function createRing(capacity: number): SharedArrayBuffer {
  if (!Number.isInteger(Math.log2(capacity)) || capacity < 16 || capacity > 2 ** 30) {
    throw new RangeError(
      `Cannot create a ring of ${capacity} bytes: expected a power of two, 16 to 2^30`,
    );
  }
  return new SharedArrayBuffer(CONTROL_BYTES + capacity);
}

/** What both ends share. */
class RingEnd {
  protected readonly words: Int32Array<SharedArrayBuffer>;
  protected readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** capacity - 1: the index of a byte is its number modulo the capacity. */
  protected readonly mask: number;

  constructor(ring: SharedArrayBuffer) {
    this.words = new Int32Array(ring, 0, CONTROL_BYTES / 4);
    this.bytes = new Uint8Array(ring, CONTROL_BYTES);
    this.mask = this.bytes.length - 1;
  }

  /** Bytes that the ring holds when it is full. */
  get capacity(): number {
    return this.bytes.length;
  }

  /** True once either end has closed the ring. */
  get closed(): boolean {
    return Atomics.load(this.words, Word.CLOSED) === 1;
  }

  /** Ends the ring and wakes whoever waits. Idempotent. */
  close(): void {
    Atomics.store(this.words, Word.CLOSED, 1);
    this.ring(Word.READER_BELL);
    this.ring(Word.WRITER_BELL);
  }

  /** Bytes written and not yet read, 0 to capacity. */
  protected used(): number {
    return (Atomics.load(this.words, Word.HEAD) - Atomics.load(this.words, Word.TAIL)) >>> 0;
  }

  protected ring(bell: number): void {
    Atomics.add(this.words, bell, 1);
    Atomics.notify(this.words, bell);
  }
}

/** The producer's end. All calls come from one thread. */
export class RingWriter extends RingEnd {
  /** Writes as much of `bytes` as there is space for; the number of bytes written, 0 when closed. */
  writeSome(bytes: Uint8Array): number {
    if (this.closed) return 0;
    const length = Math.min(bytes.length, this.capacity - this.used());
    if (length === 0) return 0;
    const head = Atomics.load(this.words, Word.HEAD);
    const at = head & this.mask;
    const first = Math.min(length, this.capacity - at);
    this.bytes.set(bytes.subarray(0, first), at);
    this.bytes.set(bytes.subarray(first, length), 0);
    this.#publish(head + length);
    return length;
  }

  /** Writes one byte, waiting for space (worker threads only); false when the ring is closed. */
  writeByte(byte: number): boolean {
    while (this.used() === this.capacity) {
      if (this.closed) return false;
      this.#waitForSpace();
    }
    if (this.closed) return false;
    const head = Atomics.load(this.words, Word.HEAD);
    this.bytes[head & this.mask] = byte;
    this.#publish(head + 1);
    return true;
  }

  /** Resolves when there is space (true) or when the ring is closed (false). */
  async writable(): Promise<boolean> {
    while (this.used() === this.capacity && !this.closed) {
      Atomics.store(this.words, Word.WRITER_WAITS, 1);
      const bell = Atomics.load(this.words, Word.WRITER_BELL);
      if (this.used() === this.capacity && !this.closed) {
        await waitAsync(this.words, Word.WRITER_BELL, bell);
      }
      Atomics.store(this.words, Word.WRITER_WAITS, 0);
    }
    return !this.closed;
  }

  #waitForSpace(): void {
    Atomics.store(this.words, Word.WRITER_WAITS, 1);
    const bell = Atomics.load(this.words, Word.WRITER_BELL);
    if (this.used() === this.capacity && !this.closed) {
      Atomics.wait(this.words, Word.WRITER_BELL, bell);
    }
    Atomics.store(this.words, Word.WRITER_WAITS, 0);
  }

  #publish(head: number): void {
    Atomics.store(this.words, Word.HEAD, head | 0);
    if (Atomics.load(this.words, Word.READER_WAITS) === 1) this.ring(Word.READER_BELL);
  }
}

/** The consumer's end. All calls come from one thread. */
export class RingReader extends RingEnd {
  /** The next byte, or -1 when there is none now. */
  readByte(): number {
    if (this.used() === 0) return -1;
    const tail = Atomics.load(this.words, Word.TAIL);
    const byte = this.bytes[tail & this.mask];
    this.#release(tail + 1);
    return byte;
  }

  /** Moves what is there into `into`, up to its length; the number of bytes. */
  read(into: Uint8Array): number {
    const length = Math.min(into.length, this.used());
    if (length === 0) return 0;
    const tail = Atomics.load(this.words, Word.TAIL);
    const at = tail & this.mask;
    const first = Math.min(length, this.capacity - at);
    into.set(this.bytes.subarray(at, at + first));
    into.set(this.bytes.subarray(0, length - first), first);
    this.#release(tail + length);
    return length;
  }

  /** Bytes that can be read now. */
  get available(): number {
    return this.used();
  }

  /** Resolves when there are bytes (true), or when the ring is closed and empty (false). */
  async readable(): Promise<boolean> {
    while (this.used() === 0) {
      if (this.closed) return this.used() > 0; // the last bytes may have come just before
      Atomics.store(this.words, Word.READER_WAITS, 1);
      const bell = Atomics.load(this.words, Word.READER_BELL);
      if (this.used() === 0 && !this.closed) {
        await waitAsync(this.words, Word.READER_BELL, bell);
      }
      Atomics.store(this.words, Word.READER_WAITS, 0);
    }
    return true;
  }

  #release(tail: number): void {
    Atomics.store(this.words, Word.TAIL, tail | 0);
    // The producer sleeps only on a full ring, so it can wait until half is free: one wake-up for
    // many bytes, however few the consumer takes at a time.
    if (
      Atomics.load(this.words, Word.WRITER_WAITS) === 1 && this.used() <= this.capacity / 2
    ) this.ring(Word.WRITER_BELL);
  }
}
