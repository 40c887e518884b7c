/** Where a trace goes: a file, or stderr. */

import { DenovisorError } from "./errors.ts";

/** Instead of a path: stderr. */
export const TRACE_TO_STDERR = "-";

/** Takes the bytes of a trace until it is disposed. */
export class TraceFile implements Disposable {
  readonly #path: string;
  readonly #file: Deno.FsFile | undefined;

  /**
   * @param path Of the file, which is made or replaced, or `TRACE_TO_STDERR`.
   * @throws DenovisorError `file` when it cannot be opened.
   */
  constructor(path: string) {
    this.#path = path;
    if (path === TRACE_TO_STDERR) return;
    this.#file = this.attempt(() =>
      Deno.openSync(path, { write: true, create: true, truncate: true })
    );
  }

  /** Writes all of them. Throws what the system says: see `attempt`. */
  write(bytes: Uint8Array): void {
    if (this.#file !== undefined) return writeAll(this.#file, bytes);
    try {
      writeAll(Deno.stderr, bytes);
    } catch {
      // Nobody reads it any more: no reason for the guest to stop.
    }
  }

  /** Does what writes to the trace. @throws DenovisorError `file`, which names it. */
  attempt<T>(action: () => T): T {
    try {
      return action();
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
      throw new DenovisorError(
        "file",
        `Cannot write the trace ${this.#path}: ${reason}`,
        { path: this.#path },
        cause,
      );
    }
  }

  [Symbol.dispose](): void {
    this.#file?.close();
  }
}

function writeAll(to: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}
