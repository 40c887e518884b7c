/**
 * The guest's console as the main thread sees it: output to read and to wait for, input to send.
 */

import { DenovisorError } from "../base/errors.ts";
import type { RingReader, RingWriter } from "../base/ring.ts";
import { type ConsoleMatch, Expecter, type ExpectOptions } from "./expect.ts";
import { Transcript } from "./transcript.ts";

/** The most bytes moved out of the ring at once. */
const CHUNK_BYTES = 64 * 1024;

/** The guest's serial console. Output that came before anyone read it is kept, up to 1 MiB. */
export class Console implements AsyncIterable<Uint8Array<ArrayBuffer>> {
  readonly #output: RingReader;
  readonly #input: RingWriter;
  readonly #onInput: () => void;
  readonly #transcript = new Transcript();
  readonly #expecter = new Expecter(this.#transcript);
  readonly #scratch = new Uint8Array(CHUNK_BYTES);
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  /** The sends so far, one after the other. */
  #sending: Promise<void> = Promise.resolve();

  /**
   * @param output bytes from the guest.
   * @param input bytes to the guest.
   * @param onInput tells the machine that there are new bytes in `input`.
   */
  constructor(output: RingReader, input: RingWriter, onInput: () => void) {
    this.#output = output;
    this.#input = input;
    this.#onInput = onInput;
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
    const reader = this.#transcript.reader();
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
    return new TextDecoder().decode(this.#transcript.slice(0));
  }

  /**
   * Sends text (as UTF-8) or bytes to the guest. Resolves when the console has taken all of it,
   * which it does as fast as the guest reads.
   * @throws DenovisorError `guest-ended` when the guest ended before.
   */
  send(input: string | Uint8Array): Promise<void> {
    const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input.slice();
    const sent = this.#sending.then(() => this.#write(bytes));
    this.#sending = sent.catch(() => {}); // the caller has the error; the next one gets its own
    return sent;
  }

  /** Sends `line` and a carriage return, as the Enter key does. Errors as of `send`. */
  sendLine(line: string): Promise<void> {
    return this.send(line + "\r");
  }

  /**
   * Waits for `pattern` in the output. The first call looks from the start of the run, later ones
   * from the end of the last match, so that nothing in between is missed.
   * @throws DenovisorError `expect-timeout` after `timeoutMs`, `guest-ended` when the guest has
   * ended without it (both with the last output), `usage` for an empty pattern or a bad timeout.
   */
  expect(pattern: string | RegExp, options?: ExpectOptions): Promise<ConsoleMatch> {
    return this.#expecter.expect(pattern, options);
  }

  /** Takes what is left in the ring and ends the streams and waits; `how` says how the guest ended. */
  finish(how: string): void {
    while (this.#output.available > 0) this.#take(CHUNK_BYTES);
    this.#output.close();
    this.#input.close();
    this.#transcript.finish();
    this.#expecter.end(how);
  }

  async #pump(): Promise<void> {
    while (await this.#output.readable()) {
      await this.#transcript.hasRoom();
      this.#take(this.#transcript.room);
    }
  }

  #take(length: number): void {
    const taken = this.#output.read(this.#scratch.subarray(0, length));
    if (taken === 0) return;
    this.#transcript.append(this.#scratch.subarray(0, taken));
    this.#expecter.advance();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      if (!await this.#input.writable()) {
        throw new DenovisorError(
          "guest-ended",
          `Cannot send to the console: the guest ended with ${bytes.length - done} bytes not sent`,
        );
      }
      done += this.#input.writeSome(bytes.subarray(done));
      this.#onInput();
    }
  }
}
