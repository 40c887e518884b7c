/** Reading a pipe that has a name (a FIFO, /dev/stdin), for which a writer may never come. */

import { closeSync, constants, openSync, readSync } from "node:fs";

/** How long a pipe may be without a writer, in milliseconds: who starts one starts it with us. */
const WRITER_MS = 500;
/** Between two looks at a pipe that is empty, in milliseconds. */
const POLL_MS = 2;

/**
 * A pipe that is looked at, never waited for: `Deno.open` would hold this whole thread, its timers
 * and signals, until somebody opens the other end.
 */
export class NamedPipe implements Disposable {
  readonly #fd: number;
  readonly #timeoutMs: number;
  readonly #startMs = performance.now();
  /** Somebody writes, or has written. */
  #hadWriter = false;

  /** Reading it to its end may take `timeoutMs`. */
  constructor(path: string, timeoutMs = Infinity) {
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    this.#timeoutMs = timeoutMs;
  }

  /** Reads some bytes; null at the end, which comes when the last writer has closed the pipe. */
  async read(into: Uint8Array): Promise<number | null> {
    for (;;) {
      const length = this.#tryRead(into);
      if (length === undefined || length > 0) this.#hadWriter = true;
      if (length !== undefined && length > 0) return length;
      if (length === 0 && this.#hadWriter) return null;
      const waitedMs = performance.now() - this.#startMs;
      if (!this.#hadWriter && waitedMs > WRITER_MS) {
        throw new Error("it is a pipe that nobody writes to");
      }
      if (waitedMs > this.#timeoutMs) {
        throw new Error(`it is a pipe that has not ended after ${this.#timeoutMs} ms`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  /** 0 when nobody has the other end open, undefined when somebody has and nothing is there yet. */
  #tryRead(into: Uint8Array): number | undefined {
    try {
      return readSync(this.#fd, into);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EAGAIN") return undefined;
      throw error;
    }
  }
}
