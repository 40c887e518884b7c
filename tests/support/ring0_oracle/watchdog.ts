/** Takes the native side out of guests without an end: KVM_RUN alone would never return. */

import { KvmControl } from "../../../src/engine/kvm/control.ts";

/** What the watchdog and its worker share. */
export interface WatchdogJob {
  readonly control: SharedArrayBuffer;
  /** Word by `WatchdogWord`. */
  readonly words: Int32Array<SharedArrayBuffer>;
}

export const WatchdogWord = {
  /** Number of the case that runs. */
  RUNNING: 0,
  /** Number of the case that was kicked last. */
  KICKED: 1,
  /** 1: there are no more cases. */
  END: 2,
} as const;

/** Kicks a case that runs for too long. */
export class Watchdog implements Disposable {
  readonly control: KvmControl = new KvmControl(1);
  readonly #words = new Int32Array(new SharedArrayBuffer(12));
  readonly #worker: Worker;
  #number = 0;

  constructor() {
    this.#worker = new Worker(new URL("./watchdog_worker.ts", import.meta.url), { type: "module" });
    const job: WatchdogJob = { control: this.control.buffer, words: this.#words };
    this.#worker.postMessage(job);
  }

  /** Another case begins. */
  begin(): void {
    this.#number = this.#number % 0x7fff_fffe + 1;
    Atomics.store(this.#words, WatchdogWord.RUNNING, this.#number);
  }

  /** Whether a kick was meant for this case, not for one that ended by itself meanwhile. */
  get expired(): boolean {
    return Atomics.load(this.#words, WatchdogWord.KICKED) === this.#number;
  }

  [Symbol.dispose](): void {
    Atomics.store(this.#words, WatchdogWord.END, 1);
    Atomics.notify(this.#words, WatchdogWord.END);
    this.#worker.terminate();
  }
}
