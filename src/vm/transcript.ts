/**
 * The console's output as readers see it: the latest bytes, in bounded memory, read through any
 * number of cursors. A reader loses nothing: while one is behind, `room` tells the producer to wait.
 * Bytes that no reader still has to read are kept up to the limit, for whoever comes later.
 */

/** Bytes kept when nobody is behind, and the most that a reader may be behind. */
export const TRANSCRIPT_BYTES = 1024 ** 2;
/** Bytes of the buffer at the start; it doubles as needed. */
const FIRST_BYTES = 16 * 1024;
/** The most bytes that one `next` returns. */
const CHUNK_BYTES = 64 * 1024;

/** A bounded store of bytes; positions count from the first byte ever appended. */
export class Transcript {
  readonly #limit: number;
  readonly #readers = new Set<TranscriptReader>();
  /** Byte `n` is at n modulo the length; the length is a power of two. */
  #buffer = new Uint8Array(FIRST_BYTES);
  #start = 0;
  #end = 0;
  #ended = false;
  #onRoom: (() => void) | undefined;

  /** @param limit bytes kept, a power of two of at least 16 KiB. */
  constructor(limit = TRANSCRIPT_BYTES) {
    this.#limit = limit;
  }

  /** Position of the oldest byte that is still there. */
  get start(): number {
    return this.#start;
  }

  /** Position after the newest byte. */
  get end(): number {
    return this.#end;
  }

  /** True once no more bytes can come. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Bytes that may be appended before the slowest reader is a whole limit behind. */
  get room(): number {
    return Math.max(0, Math.min(this.#slowest(), this.#end) + this.#limit - this.#end);
  }

  /** Resolves when `room` is above 0 or the transcript has ended. One caller at a time. */
  async hasRoom(): Promise<void> {
    while (this.room === 0 && !this.#ended) {
      await new Promise<void>((resolve) => this.#onRoom = resolve);
    }
  }

  /** Adds `bytes`. Keeps all that readers still have to read, even beyond the limit. */
  append(bytes: Uint8Array): void {
    const end = this.#end + bytes.length;
    const oldest = Math.min(this.#slowest(), Math.max(this.#start, end - this.#limit));
    this.#reserve(end - oldest, oldest);
    this.#start = oldest;
    const kept = bytes.subarray(Math.max(0, oldest - this.#end)); // more than the limit at once
    const at = (end - kept.length) % this.#buffer.length;
    const first = Math.min(kept.length, this.#buffer.length - at);
    this.#buffer.set(kept.subarray(0, first), at);
    this.#buffer.set(kept.subarray(first), 0);
    this.#end = end;
    for (const reader of this.#readers) reader.wake();
  }

  /** No more bytes will come: readers end after the last one. */
  finish(): void {
    this.#ended = true;
    this.#onRoom?.();
    for (const reader of this.#readers) reader.wake();
  }

  /** A copy of at most `length` bytes from `position` on, which is clamped to what is there. */
  slice(position: number, length = Infinity): Uint8Array<ArrayBuffer> {
    const from = Math.min(Math.max(position, this.#start), this.#end);
    const out = new Uint8Array(Math.min(length, this.#end - from));
    const at = from % this.#buffer.length;
    const first = Math.min(out.length, this.#buffer.length - at);
    out.set(this.#buffer.subarray(at, at + first));
    out.set(this.#buffer.subarray(0, out.length - first), first);
    return out;
  }

  /** A reader that starts at the oldest byte and holds the producer up when it is behind. */
  reader(): TranscriptReader {
    const reader = new TranscriptReader(this, () => {
      this.#readers.delete(reader);
      this.readerMoved();
    });
    this.#readers.add(reader);
    return reader;
  }

  /** Called by readers after they have read. */
  readerMoved(): void {
    if (this.room > 0) this.#onRoom?.();
  }

  /** Position of the reader that is furthest behind. */
  #slowest(): number {
    let slowest = Infinity;
    for (const reader of this.#readers) slowest = Math.min(slowest, reader.position);
    return slowest;
  }

  /** Makes the buffer hold `length` bytes from position `oldest` on. */
  #reserve(length: number, oldest: number): void {
    if (length <= this.#buffer.length) return;
    const kept = this.slice(oldest);
    let size = this.#buffer.length;
    while (size < length) size *= 2;
    this.#buffer = new Uint8Array(size);
    for (let i = 0; i < kept.length; i++) this.#buffer[(oldest + i) % size] = kept[i];
  }
}

/** One reader's place in a transcript. */
export class TranscriptReader {
  readonly #transcript: Transcript;
  readonly #onDetach: () => void;
  #position: number;
  #wake: (() => void) | undefined;

  constructor(transcript: Transcript, onDetach: () => void) {
    this.#transcript = transcript;
    this.#onDetach = onDetach;
    this.#position = transcript.start;
  }

  /** Position of the next byte to read. */
  get position(): number {
    return this.#position;
  }

  /** The next bytes, at least one; undefined after the last. One caller at a time. */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    while (this.#position === this.#transcript.end) {
      if (this.#transcript.ended) return undefined;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const chunk = this.#transcript.slice(this.#position, CHUNK_BYTES);
    this.#position += chunk.length;
    this.#transcript.readerMoved();
    return chunk;
  }

  /** Called by the transcript when there are bytes or the end. */
  wake(): void {
    this.#wake?.();
  }

  /** Lets go of the transcript: the reader no longer holds the producer up. */
  detach(): void {
    this.#onDetach();
  }
}
