/**
 * A stream of bytes from the guest as the main thread sees it.
 */

import type { RingReader } from "../base/ring.ts";
import { Transcript } from "./transcript.ts";

/** The most bytes moved out of the ring at once. */
const CHUNK_BYTES = 64 * 1024;

/** Output of the guest. What came before anyone read it is kept, up to 1 MiB. */
export class GuestOutput implements AsyncIterable<Uint8Array<ArrayBuffer>> {
  /** The output so far. */
  protected readonly bytes = new Transcript();
  readonly #ring: RingReader;
  readonly #scratch = new Uint8Array(CHUNK_BYTES);
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;

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
      this.#take(this.bytes.room);
    }
  }

  #take(length: number): void {
    const taken = this.#ring.read(this.#scratch.subarray(0, length));
    if (taken === 0) return;
    this.bytes.append(this.#scratch.subarray(0, taken));
    this.onBytes();
  }
}
