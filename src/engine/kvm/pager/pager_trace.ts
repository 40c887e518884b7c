/** Where the events of the pager's MMU go: a file, or stderr. */

import { DenovisorError } from "../../../base/errors.ts";
import type { Mmu } from "../../../mmu/mmu.ts";
import { TraceJson } from "../../../mmu/trace_json.ts";

/** Instead of a path: stderr. */
export const TRACE_TO_STDERR = "-";

/** Writes an MMU's trace, as lines of JSON, until it is disposed. */
export class PagerTrace implements Disposable {
  readonly #path: string;
  readonly #json: TraceJson;
  readonly #resources: DisposableStack;
  #ended = false;

  /**
   * @param path Of the file, which is made or replaced, or `TRACE_TO_STDERR`.
   * @throws DenovisorError `file` when it cannot be opened.
   */
  constructor(mmu: Mmu, path: string) {
    using undo = new DisposableStack();
    this.#path = path;
    if (path === TRACE_TO_STDERR) this.#json = new TraceJson(mmu, writeToStderr);
    else {
      const file = this.#attempt(() =>
        Deno.openSync(path, { write: true, create: true, truncate: true })
      );
      undo.defer(() => file.close());
      this.#json = new TraceJson(mmu, (bytes) => writeAll(file, bytes));
    }
    this.#resources = undo.move();
  }

  /** Has the file catch up with the events. @throws DenovisorError `file` */
  flush(): void {
    this.#attempt(() => this.#json.flush());
  }

  /** Ends the trace with the counters. @throws DenovisorError `file` */
  end(): void {
    this.#ended = true;
    this.#attempt(() => this.#json.end());
  }

  /** What can still be written is; whoever wants to know whether it was calls `end` before. */
  [Symbol.dispose](): void {
    try {
      if (!this.#ended) this.end();
    } catch {
      // The trace ends early: it does so because something else has gone wrong already.
    }
    this.#resources.dispose();
  }

  #attempt<T>(action: () => T): T {
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
}

function writeToStderr(bytes: Uint8Array): void {
  try {
    writeAll(Deno.stderr, bytes);
  } catch {
    // Nobody reads it any more: no reason for the guest to stop.
  }
}

function writeAll(to: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}
