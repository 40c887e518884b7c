/**
 * The worker that hosts a machine, and what the main thread shares with it.
 */

import { DenovisorError } from "../base/errors.ts";
import { createRing } from "../base/ring.ts";
import { KvmControl, KvmKicker } from "../engine/kvm/control.ts";
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

/** How a machine's thread ended. */
export interface ThreadEnd {
  readonly outcome: MachineOutcome;
  readonly engineStats: Readonly<Record<string, number>>;
}

/** A worker with one machine. Starting it takes a while: it is made before its setup is known. */
export class MachineThread implements Disposable {
  readonly shared: SharedState;
  readonly #worker: Worker;
  readonly #control: KvmControl;
  readonly #ready = Promise.withResolvers<string>();
  readonly #ended = Promise.withResolvers<ThreadEnd>();
  #kicker: KvmKicker | undefined;
  #alarm: AlarmClock | undefined;
  #stopTimer: number | undefined;
  #running = false;

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
   * Builds the machine and starts the guest; resolves with the description of what was loaded.
   * The thread takes over the buffers of `transfer`.
   * @throws DenovisorError of the machine, `kvm-unavailable` when it cannot be stopped from here.
   */
  start(setup: Omit<MachineSetup, "shared">, transfer: readonly ArrayBuffer[]): Promise<string> {
    this.#kicker = new KvmKicker(this.#control);
    this.#running = true;
    this.#alarm = new AlarmClock(this.shared.alarm, () => this.raise(Signal.DEADLINE));
    this.#worker.postMessage({ ...setup, shared: this.shared }, [...transfer]);
    return this.#ready.promise;
  }

  /** Resolves when the run has ended and nothing of the engine is left. */
  get ended(): Promise<ThreadEnd> {
    return this.#ended.promise;
  }

  /** True between `start` and the end of the run. */
  get running(): boolean {
    return this.#running;
  }

  /** Tells the machine something; nothing happens once the run has ended. */
  raise(signal: Signal): void {
    if (raise(this.shared.signals, signal)) this.#kicker?.kick();
  }

  /** Ends the run: `ended` resolves soon after. Idempotent. */
  stop(): void {
    if (!this.#running || raised(this.shared.signals, Signal.STOP)) return;
    this.raise(Signal.STOP);
    this.#stopTimer = setInterval(() => this.#kicker?.kick(), KICK_AGAIN_MS);
  }

  /** Lets go of the worker, which must not be running a guest. */
  [Symbol.dispose](): void {
    this.#running = false;
    clearInterval(this.#stopTimer);
    this.#alarm?.[Symbol.dispose]();
    this.#kicker?.[Symbol.dispose]();
    this.#kicker = undefined;
    this.#worker.terminate();
  }

  #take(message: MachineMessage): void {
    if (message.type === "ready") return this.#ready.resolve(message.description);
    if (message.type === "error") return this.#fail(DenovisorError.fromMessage(message.error));
    this.#ended.resolve({ outcome: message.outcome, engineStats: message.engineStats });
    this[Symbol.dispose]();
  }

  #fail(error: DenovisorError): void {
    this.#ready.reject(error);
    this.#ended.reject(error);
    this[Symbol.dispose]();
  }
}
