/**
 * A stream of bytes from the guest as the main thread sees it.
 */

import type { RingReader } from "../base/ring.ts";
import { Transcript } from "./transcript.ts";

/** The most bytes moved out of the ring at once. */
const CHUNK_BYTES = 64 * 1024;

/**
 * After a piece smaller than this the next one is awaited for a moment: a guest that writes byte by
 * byte would else wake this thread for each of them, which costs the guest more than the byte does.
 */
const SMALL_BYTES = 1024;
const GATHER_MS = 1;

/** Output of the guest. What came before anyone read it is kept, up to 1 MiB. */
export class GuestOutput implements AsyncIterable<Uint8Array<ArrayBuffer>> {
  /** The output so far. */
  protected readonly bytes = new Transcript();
  readonly #ring: RingReader;
  readonly #scratch = new Uint8Array(CHUNK_BYTES);
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  #endGathering: (() => void) | undefined;

  /** Starts to read `ring`. The Vm does that. */
  constructor(ring: RingReader) {
    this.#ring = ring;
    this.#pump();
  }

  /**
   * The output as one stream, from the oldest byte kept to the last. Once asked for, it has to be
   * read or cancelled: a guest that is 1 MiB ahead of a reader waits for it.
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= ReadableStream.from(this);
  }

  /** Another reader of the output: every loop sees all of it, as `readable` does. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    const reader = this.bytes.reader();
    try {
      for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
        yield chunk;
      }
    } finally {
      reader.detach();
    }
  }

  /** The output so far as text: the last 1 MiB of it. */
  get transcript(): string {
    return new TextDecoder().decode(this.bytes.slice(0));
  }

  /** Takes what is left in the ring and ends the streams. The Vm calls it. */
  finish(): void {
    while (this.#ring.available > 0) this.#take(CHUNK_BYTES);
    this.#ring.close();
    this.bytes.finish();
    this.#endGathering?.();
  }

  /** From now on the guest does not wait for readers: what has no room is lost. The Vm calls it. */
  release(): void {
    this.#ring.close();
  }

  /** Called after bytes were added. */
  protected onBytes(): void {}

  async #pump(): Promise<void> {
    while (await this.#ring.readable()) {
      await this.bytes.hasRoom();
      const taken = this.#take(this.bytes.room);
      if (taken < SMALL_BYTES && !this.#ring.closed) await this.#gather();
    }
  }

  async #gather(): Promise<void> {
    let timer: number | undefined;
    await new Promise<void>((resolve) => {
      this.#endGathering = resolve;
      timer = setTimeout(resolve, GATHER_MS);
    });
    clearTimeout(timer);
  }

  #take(length: number): number {
    const taken = this.#ring.read(this.#scratch.subarray(0, length));
    if (taken > 0) {
      this.bytes.append(this.#scratch.subarray(0, taken));
      this.onBytes();
    }
    return taken;
  }
}
