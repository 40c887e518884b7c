/** The workers of vCPUs 1 to cpus - 1, as the main thread starts and ends them. */

import { DenovisorError, type ErrorMessage } from "../../base/errors.ts";
import type { KvmControl } from "./control.ts";
import { Shim } from "./shim.ts";

/** To a worker: its vCPU. */
export interface ApStart {
  readonly control: SharedArrayBuffer;
  readonly index: number;
}

/** From a worker, its last message. */
export type ApFinished =
  | { readonly type: "finished" }
  | { readonly type: "error"; readonly error: ErrorMessage };

/** A worker that ignores STOP is interrupted again after so many milliseconds. */
const STOP_AGAIN_MS = 20;

/**
 * Starts a worker for each vCPU but the first. They wait until an engine with the same control block
 * runs, and leave when it is disposed; disposing these threads also ends workers that no engine ever
 * used. One control block serves one engine and one set of threads.
 */
export class ApThreads implements AsyncDisposable {
  readonly #control: KvmControl;
  readonly #shim: Shim;
  readonly #workers: readonly Worker[];
  readonly #finished: ReadonlyArray<Promise<void>>;
  /** Resolves with the first error of a worker; never, when there is none. */
  readonly failure: Promise<DenovisorError>;

  /** @throws DenovisorError `kvm-unavailable` */
  constructor(control: KvmControl) {
    this.#control = control;
    this.#shim = Shim.open();
    const failure = Promise.withResolvers<DenovisorError>();
    this.failure = failure.promise;
    const starts = Array.from({ length: control.cpus - 1 }, (_, i) => startWorker(control, i + 1));
    this.#workers = starts.map(({ worker }) => worker);
    this.#finished = starts.map(({ finished }) =>
      finished.catch((error) => failure.resolve(error))
    );
  }

  /** Resolves when every worker has left its loop; call it after the engine is disposed. */
  async [Symbol.asyncDispose](): Promise<void> {
    const stop = () => this.#control.stopThreads(this.#shim.symbols);
    stop();
    const again = setInterval(stop, STOP_AGAIN_MS);
    await Promise.all(this.#finished);
    clearInterval(again);
    for (const worker of this.#workers) worker.terminate();
    this.#shim[Symbol.dispose]();
  }
}

function startWorker(control: KvmControl, index: number) {
  const worker = new Worker(new URL("./ap_worker.ts", import.meta.url), {
    type: "module",
    name: `denovisor vCPU ${index}`,
  });
  const finished = new Promise<void>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<ApFinished>) => {
      if (data.type === "finished") resolve();
      else reject(DenovisorError.fromMessage(data.error));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      const text = `The thread of vCPU ${index} failed: ${event.message}`;
      reject(new DenovisorError("internal", text));
    };
  });
  const start: ApStart = { control: control.buffer, index };
  worker.postMessage(start);
  return { worker, finished };
}
