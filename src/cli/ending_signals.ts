/** Signals that end a run: the first one asks for a clean end, a second one ends at once. */

import { type EndingSignal, SIGNAL_NUMBER, Status } from "./exit_status.ts";

/** SIGPIPE never comes: Deno ignores it, and a write fails instead. */
const SIGNALS = ["SIGHUP", "SIGINT", "SIGTERM"] as const satisfies readonly EndingSignal[];

/** Watches for as long as it lives. */
export class EndingSignals implements Disposable {
  /** Resolves with the first signal. */
  readonly first: Promise<EndingSignal>;
  readonly #handlers: readonly (readonly [Deno.Signal, () => void])[];

  constructor() {
    const { promise, resolve } = Promise.withResolvers<EndingSignal>();
    this.first = promise;
    let seen = false;
    this.#handlers = SIGNALS.map((signal) => [signal, () => {
      if (seen) Deno.exit(Status.SIGNAL_BASE + SIGNAL_NUMBER[signal]);
      seen = true;
      resolve(signal);
    }]);
    for (const [signal, handler] of this.#handlers) Deno.addSignalListener(signal, handler);
  }

  [Symbol.dispose](): void {
    for (const [signal, handler] of this.#handlers) Deno.removeSignalListener(signal, handler);
  }
}
