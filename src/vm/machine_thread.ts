/**
 * The worker that hosts a machine, and what the main thread shares with it.
 */

import { DenovisorError } from "../base/errors.ts";
import { createRing } from "../base/ring.ts";
import { ApThreads } from "../engine/kvm/ap_threads.ts";
import { KvmControl, KvmKicker } from "../engine/kvm/control.ts";
import { PagerThread, type PagingOptions } from "../engine/kvm/pager/pager_thread.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { AlarmClock, createAlarm } from "../machine/alarm.ts";
import type { MachineOutcome } from "../machine/outcome.ts";
import { createSignals, raise, raised, Signal } from "../machine/signals.ts";
import { COUNTER_BYTES } from "../machine/stats.ts";
import type { MachineMessage, MachineSetup, SharedState } from "./messages.ts";

/** Bytes that the guest may write while the main thread is busy, before it has to wait. */
const OUTPUT_BYTES = 64 * 1024;
const DEBUG_BYTES = 16 * 1024;
/** Bytes sent that the guest has not read yet; `send` waits for more. */
const INPUT_BYTES = 4096;
/** A stopped guest is kicked again after so many milliseconds until its thread has seen it. */
const KICK_AGAIN_MS = 20;
/** A stopped guest that waits for its memory waits no longer after so many milliseconds. */
const RELEASE_MS = 1000;

/** A thread that has not stopped after so many milliseconds never will: that is a defect. */
const GIVE_UP_MS = 10_000;

/** How a machine's thread ended. */
export interface ThreadEnd {
  readonly outcome: MachineOutcome;
  readonly engineStats: Readonly<Record<string, number>>;
}

/** A worker with one machine. Starting it takes a while: it is made before its setup is known. */
export class MachineThread implements AsyncDisposable {
  readonly shared: SharedState;
  readonly #worker: Worker;
  readonly #control: KvmControl;
  readonly #ready = Promise.withResolvers<string>();
  readonly #ended = Promise.withResolvers<ThreadEnd>();
  /** Alarm, kicker and timers of a run. */
  readonly #resources = new DisposableStack();
  #kicker: KvmKicker | undefined;
  #aps: ApThreads | undefined;
  #apError: DenovisorError | undefined;
  #pager: PagerThread | undefined;
  #state: "starting" | "running" | "gone" = "starting";

  constructor(cpus: number) {
    this.#control = new KvmControl(cpus);
    this.shared = {
      signals: createSignals(),
      counters: new Float64Array(new SharedArrayBuffer(COUNTER_BYTES)),
      alarm: createAlarm(),
      input: createRing(INPUT_BYTES),
      output: createRing(OUTPUT_BYTES),
      debug: createRing(DEBUG_BYTES),
      kvm: this.#control.buffer,
    };
    // Who asks later still gets the error; nobody has to ask.
    this.#ready.promise.catch(() => {});
    this.#ended.promise.catch(() => {});
    const name = "denovisor machine";
    this.#worker = new Worker(new URL("./machine_worker.ts", import.meta.url), {
      type: "module",
      name,
    });
    this.#worker.onmessage = (event: MessageEvent<MachineMessage>) => this.#take(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(new DenovisorError("internal", `The machine's thread failed: ${event.message}`));
    };
  }

  /**
   * Has a thread bring `memory` in when it is touched: before anyone touches it.
   * @throws DenovisorError `pager` where the host cannot do that
   */
  page(memory: GuestMemory, options: PagingOptions): PagerThread {
    const pager = new PagerThread(memory, options, this.#control);
    this.#pager = pager;
    pager.failure.then(() => this.stop());
    return pager;
  }

  /**
   * Builds the machine and starts the guest; resolves with the description of what was loaded.
   * The thread takes over the buffers of `transfer`.
   * @throws DenovisorError of the machine, `kvm-unavailable` when it cannot be stopped from here.
   */
  start(setup: Omit<MachineSetup, "shared">, transfer: readonly ArrayBuffer[]): Promise<string> {
    if (this.#state === "gone") return this.#ready.promise; // its thread failed
    this.#kicker = this.#resources.use(new KvmKicker(this.#control));
    this.#resources.use(new AlarmClock(this.shared.alarm, () => this.raise(Signal.DEADLINE)));
    if (setup.cpus > 1) {
      this.#aps = new ApThreads(this.#control);
      this.#aps.failure.then((error) => {
        this.#apError ??= error;
        this.stop();
      });
    }
    this.#worker.postMessage({ ...setup, shared: this.shared }, [...transfer]);
    this.#state = "running";
    return this.#ready.promise;
  }

  /** Counters of the pager and its MMU; none when the kernel does the paging. */
  get mmuCounters(): Readonly<Record<string, number>> {
    return this.#pager?.stats() ?? {};
  }

  /** Resolves when the run has ended and nothing of the engine is left. */
  get ended(): Promise<ThreadEnd> {
    return this.#ended.promise;
  }

  /** Tells the machine something; nothing happens once the run has ended. */
  raise(signal: Signal): void {
    if (raise(this.shared.signals, signal) && this.#state === "running") this.#kicker?.kick();
  }

  /** Ends the run: `ended` resolves soon after. Idempotent. */
  stop(): void {
    if (this.#state !== "running" || raised(this.shared.signals, Signal.STOP)) return;
    this.raise(Signal.STOP);
    const again = setInterval(() => this.#kicker?.kick(), KICK_AGAIN_MS);
    const release = setTimeout(() => this.#pager?.release(), RELEASE_MS);
    const giveUp = setTimeout(() => this.#giveUp(), GIVE_UP_MS);
    this.#resources.defer(() => {
      clearInterval(again);
      clearTimeout(release);
      clearTimeout(giveUp);
    });
  }

  /** Ends the run, if there is one, and waits until nothing of it is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "starting") {
      this.#fail(new DenovisorError("stopped", "The machine was disposed before it was started"));
    }
    this.stop();
    await this.#ended.promise.catch(() => {});
  }

  #take(message: MachineMessage): void {
    if (message.type === "ready") return this.#ready.resolve(message.description);
    if (message.type === "error") {
      this.#fail(DenovisorError.fromMessage(message.error));
    } else {
      this.#finish(message);
    }
  }

  async #finish({ outcome, engineStats }: ThreadEnd): Promise<void> {
    await this.#close();
    const error = this.#apError ?? this.#pager?.error;
    if (error === undefined) this.#ended.resolve({ outcome, engineStats });
    else this.#ended.reject(error);
  }

  async #fail(error: DenovisorError): Promise<void> {
    await this.#close();
    const first = this.#pager?.error ?? error;
    this.#ready.reject(first);
    this.#ended.reject(first);
  }

  /** Whoever waits shall not wait for a thread that hangs. */
  #giveUp(): void {
    const error = new DenovisorError(
      "internal",
      `Cannot stop the machine's thread: it still runs after ${GIVE_UP_MS} ms`,
    );
    this.#ready.reject(error);
    this.#ended.reject(error);
    this.#close();
  }

  /** Lets go of everything; the engine is gone already, or there never was one. */
  async #close(): Promise<void> {
    if (this.#state === "gone") return;
    this.#state = "gone";
    this.#resources.dispose();
    this.#worker.terminate();
    await this.#aps?.[Symbol.asyncDispose]();
    await this.#pager?.[Symbol.asyncDispose]();
  }
}
