/** Where the events of the pager's MMU go: a file, or stderr. */

import { TraceFile } from "../../../base/trace_file.ts";
import type { Mmu } from "../../../mmu/mmu.ts";
import { TraceJson } from "../../../mmu/trace_json.ts";

/** Writes an MMU's trace, as lines of JSON, until it is disposed. */
export class PagerTrace implements Disposable {
  readonly #file: TraceFile;
  readonly #json: TraceJson;
  #ended = false;

  /**
   * @param path Of `TraceFile`.
   * @throws DenovisorError `file` when it cannot be opened.
   */
  constructor(mmu: Mmu, path: string) {
    const file = this.#file = new TraceFile(path);
    this.#json = new TraceJson(mmu, (bytes) => file.write(bytes));
  }

  /** Has the file catch up with the events. @throws DenovisorError `file` */
  flush(): void {
    this.#file.attempt(() => this.#json.flush());
  }

  /** Ends the trace with the counters. @throws DenovisorError `file` */
  end(): void {
    this.#ended = true;
    this.#file.attempt(() => this.#json.end());
  }

  /** What can still be written is; whoever wants to know whether it was calls `end` before. */
  [Symbol.dispose](): void {
    try {
      if (!this.#ended) this.end();
    } catch {
      // The trace ends early: it does so because something else has gone wrong already.
    }
    this.#file[Symbol.dispose]();
  }
}
