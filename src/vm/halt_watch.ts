/**
 * Notices a guest that has halted for good. With interrupt controllers in the kernel a halted vCPU
 * never leaves KVM_RUN, so a machine that has been silent for a while is asked to look.
 */

import { Signal } from "../machine/signals.ts";
import { Counter } from "../machine/stats.ts";
import type { MachineThread } from "./machine_thread.ts";

/** How long a guest runs without an exit before its machine looks whether it still can. */
const SILENCE_MS = 250;

/** Watches until it is disposed. */
export class HaltWatch implements Disposable {
  readonly #timer: number;

  constructor(thread: MachineThread) {
    const { counters } = thread.shared;
    let before = NaN;
    this.#timer = setInterval(() => {
      const exits = counters[Counter.PORT_IN] + counters[Counter.PORT_OUT] +
        counters[Counter.MMIO_READ] + counters[Counter.MMIO_WRITE];
      if (exits === before) thread.raise(Signal.CHECK_HALT);
      before = exits;
    }, SILENCE_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
