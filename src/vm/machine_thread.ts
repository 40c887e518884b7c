/**
 * The worker that hosts a machine, and what the main thread shares with it.
 */

import { DenovisorError } from "../base/errors.ts";
import { createRing } from "../base/ring.ts";
import { createActivity } from "../engine/activity.ts";
import type { PagerThread, PagingOptions } from "../engine/kvm/pager/pager_thread.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { AlarmClock, createAlarm } from "../machine/alarm.ts";
import type { MachineOutcome } from "../machine/outcome.ts";
import { createSignals, raise, raised, Signal } from "../machine/signals.ts";
import { COUNTER_BYTES } from "../machine/stats.ts";
import { KvmThreads } from "./kvm_threads.ts";
import type { EngineSetup, MachineMessage, MachineSetup, SharedState } from "./messages.ts";

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

/** Which engine, without what the thread has for it. */
export type EngineWish =
  | Omit<EngineSetup & { readonly name: "kvm" }, "control">
  | EngineSetup & { readonly name: "wasm" };

/** How a machine's thread ended. */
export interface ThreadEnd {
  readonly outcome: MachineOutcome;
  readonly engineStats: Readonly<Record<string, number>>;
}

/** A worker with one machine. Starting it takes a while: it is made before its setup is known. */
export class MachineThread implements AsyncDisposable {
  readonly shared: SharedState;
  readonly #worker: Worker;
  readonly #cpus: number;
  readonly #ready = Promise.withResolvers<string>();
  readonly #ended = Promise.withResolvers<ThreadEnd>();
  /** Alarm and timers of a run. */
  readonly #resources = new DisposableStack();
  /** Undefined with another engine. */
  #kvm: KvmThreads | undefined;
  #state: "starting" | "running" | "gone" = "starting";

  constructor(cpus: number) {
    this.#cpus = cpus;
    this.shared = {
      signals: createSignals(),
      counters: new Float64Array(new SharedArrayBuffer(COUNTER_BYTES)),
      activity: createActivity(),
      alarm: createAlarm(),
      input: createRing(INPUT_BYTES),
      output: createRing(OUTPUT_BYTES),
      debug: createRing(DEBUG_BYTES),
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
   * Has a thread bring `memory` in when it is touched: before anyone touches it. With KVM only.
   * @throws DenovisorError `pager` where the host cannot do that
   */
  page(memory: GuestMemory, options: PagingOptions): PagerThread {
    return this.#useKvm().page(memory, options);
  }

  /**
   * Builds the machine and starts the guest; resolves with the description of what was loaded. The
   * thread takes over the buffers of `transfer`.
   * @throws DenovisorError of the machine, `kvm-unavailable` when it cannot be stopped from here.
   */
  start(
    setup: Omit<MachineSetup, "shared" | "engine" | "cpus">,
    engine: EngineWish,
    transfer: readonly ArrayBuffer[],
  ): Promise<string> {
    if (this.#state === "gone") return this.#ready.promise; // its thread failed
    if (engine.name === "kvm") {
      this.#useKvm().start();
      this.#resources.use(new AlarmClock(this.shared.alarm, () => this.raise(Signal.DEADLINE)));
    }
    const message: MachineSetup = {
      ...setup,
      cpus: this.#cpus,
      engine: engine.name === "wasm"
        ? engine
        : { ...engine, control: this.#useKvm().control.buffer },
      shared: this.shared,
    };
    this.#worker.postMessage(message, [...transfer]);
    this.#state = "running";
    return this.#ready.promise;
  }

  /** Counters of the pager and its MMU; none when the kernel does the paging. */
  get mmuCounters(): Readonly<Record<string, number>> {
    return this.#kvm?.pager?.stats() ?? {};
  }

  /** Resolves when the run has ended and nothing of the engine is left. */
  get ended(): Promise<ThreadEnd> {
    return this.#ended.promise;
  }

  /** Tells the machine something; nothing happens once the run has ended. */
  raise(signal: Signal): void {
    if (raise(this.shared.signals, signal) && this.#state === "running") this.#kvm?.kick();
  }

  /** Ends the run: `ended` resolves soon after. Idempotent. */
  stop(): void {
    if (this.#state !== "running" || raised(this.shared.signals, Signal.STOP)) return;
    this.raise(Signal.STOP);
    const again = setInterval(() => this.#kvm?.kick(), KICK_AGAIN_MS);
    const release = setTimeout(() => this.#kvm?.pager?.release(), RELEASE_MS);
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
    const error = this.#kvm?.error;
    if (error === undefined) this.#ended.resolve({ outcome, engineStats });
    else this.#ended.reject(error);
  }

  async #fail(error: DenovisorError): Promise<void> {
    await this.#close();
    const first = this.#kvm?.pager?.error ?? error;
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
    this.#kvm?.endKicks();
    this.#worker.terminate();
    await this.#kvm?.[Symbol.asyncDispose]();
  }

  #useKvm(): KvmThreads {
    return this.#kvm ??= new KvmThreads(this.#cpus, () => this.stop());
  }
}
