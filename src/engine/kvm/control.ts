/**
 * The words that the threads of one KVM guest share: the thread of vCPU 0, which owns the engine
 * and the devices, the threads of the other vCPUs, and whoever wants to stop them.
 */

import { Shim, type ShimSymbols } from "./shim.ts";
import { KvmRun } from "./kvm_abi.ts";
import { offsetOf } from "../../base/struct.ts";

/** Offset of kvm_run.immediate_exit in bytes: when it is not 0, KVM_RUN returns EINTR at once. */
export const IMMEDIATE_EXIT = offsetOf(KvmRun, "immediate_exit");

/** What a vCPU's thread is doing. Written by that thread, except PENDING to RUNNING. */
export const ApState = {
  /** Not started, or still waiting for its first command. */
  ABSENT: 0,
  /** In KVM_RUN, or on its way there. */
  RUNNING: 1,
  /** Stopped at an exit that the engine's thread must complete; its result is in RESULT. */
  PENDING: 2,
  /** Stopped between instructions, because the command is PARK. */
  PARKED: 3,
  /** Left for good. */
  DONE: 4,
} as const;

/** What a vCPU's thread shall do. Written by the engine's thread (STOP by others too). */
export const ApCommand = { WAIT: 0, RUN: 1, PARK: 2, STOP: 3 } as const;

/** Indices of 32-bit words at the start of the control block. */
const Word = {
  CPUS: 0,
  /** 1: someone called kick. */
  KICK: 1,
  /** Thread that runs vCPU 0, and the shim region of its kvm_run; 0 while there is none. */
  THREAD: 2,
  REGION: 3,
  /** 1: the guest must not run on. */
  FAILED: 4,
} as const;
const HEADER_WORDS = 16;

/** Indices of 32-bit words in a vCPU's slot. */
const SlotWord = { STATE: 0, COMMAND: 1, THREAD: 2, FD: 3, REGION: 4, RESULT: 5 } as const;
/** A cache line of 64 bytes, so that vCPUs do not slow each other down. */
const SLOT_WORDS = 16;

/** The shared block, in any thread: `new KvmControl(cpus)` once, `KvmControl.attach` elsewhere. */
export class KvmControl {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(cpus: number, buffer?: SharedArrayBuffer) {
    const bytes = (HEADER_WORDS + cpus * SLOT_WORDS) * 4;
    this.buffer = buffer ?? new SharedArrayBuffer(bytes);
    this.#words = new Int32Array(this.buffer);
    this.#words[Word.CPUS] = cpus;
  }

  /** The same block in another thread. */
  static attach(buffer: SharedArrayBuffer): KvmControl {
    return new KvmControl(new Int32Array(buffer)[Word.CPUS], buffer);
  }

  get cpus(): number {
    return this.#words[Word.CPUS];
  }

  /** Publishes where vCPU 0 runs; zeros when it no longer does. */
  setEngineThread(thread: number, region: number): void {
    Atomics.store(this.#words, Word.REGION, region);
    Atomics.store(this.#words, Word.THREAD, thread);
  }

  /** Takes the kick that was asked for, if any. */
  takeKick(): boolean {
    return Atomics.load(this.#words, Word.KICK) !== 0 &&
      Atomics.exchange(this.#words, Word.KICK, 0) !== 0;
  }

  /** Asks vCPU 0's thread to return KICKED from `run`. */
  kick(symbols: ShimSymbols): void {
    Atomics.store(this.#words, Word.KICK, 1);
    this.interruptEngine(symbols);
  }

  /** True when something that the guest needs has failed: it must not run on. */
  get failed(): boolean {
    return Atomics.load(this.#words, Word.FAILED) !== 0;
  }

  /**
   * Stops all vCPUs for good: once they have returned from KVM_RUN, they do not enter it again, and
   * the engine's `run` returns FAILED. May be called from any thread.
   */
  fail(symbols: ShimSymbols): void {
    Atomics.store(this.#words, Word.FAILED, 1);
    this.stopThreads(symbols);
    this.interruptEngine(symbols);
  }

  /** Makes vCPU 0's thread look at the block, when there is such a thread. */
  interruptEngine(symbols: ShimSymbols): void {
    const thread = Atomics.load(this.#words, Word.THREAD);
    const region = Atomics.load(this.#words, Word.REGION);
    // A thread or region that has just gone is no error: then there is nothing to interrupt.
    if (thread !== 0) symbols.kvm_shim_kick(thread, region, IMMEDIATE_EXIT);
  }

  /** The slot of vCPU `index`, 1 to cpus - 1. */
  slot(index: number): ApSlot {
    return new ApSlot(this.#words, HEADER_WORDS + index * SLOT_WORDS);
  }

  /** Tells every vCPU's thread to leave, and interrupts it. */
  stopThreads(symbols: ShimSymbols): void {
    for (let index = 1; index < this.cpus; index++) this.slot(index).stop(symbols);
  }
}

/** One vCPU's words. */
export class ApSlot {
  readonly #words: Int32Array;
  readonly #base: number;

  constructor(words: Int32Array, base: number) {
    this.#words = words;
    this.#base = base;
  }

  get state(): number {
    return Atomics.load(this.#words, this.#base + SlotWord.STATE);
  }
  set state(value: number) {
    Atomics.store(this.#words, this.#base + SlotWord.STATE, value);
    Atomics.notify(this.#words, this.#base + SlotWord.STATE);
  }

  get command(): number {
    return Atomics.load(this.#words, this.#base + SlotWord.COMMAND);
  }
  set command(value: number) {
    Atomics.store(this.#words, this.#base + SlotWord.COMMAND, value);
    Atomics.notify(this.#words, this.#base + SlotWord.COMMAND);
  }

  /** PENDING to RUNNING: its exit has been served. Nothing happens in other states. */
  resume(): void {
    const at = this.#base + SlotWord.STATE;
    Atomics.compareExchange(this.#words, at, ApState.PENDING, ApState.RUNNING);
    Atomics.notify(this.#words, at);
  }

  /**
   * Tells the thread to leave; soon after it is DONE, or it was ABSENT and stays out. It may come
   * to PENDING after this has looked, so call again until it is gone.
   */
  stop(symbols: ShimSymbols): void {
    this.command = ApCommand.STOP;
    this.resume();
    this.interrupt(symbols);
  }

  /** Makes the thread look at its command. It may have gone meanwhile: that is no error. */
  interrupt(symbols: ShimSymbols): void {
    const thread = this.thread;
    if (thread !== 0) symbols.kvm_shim_kick(thread, this.region, IMMEDIATE_EXIT);
  }

  /** Waits while the state is `state`, for at most `timeoutMs`. */
  waitWhileState(state: number, timeoutMs = Infinity): void {
    Atomics.wait(this.#words, this.#base + SlotWord.STATE, state, timeoutMs);
  }

  /** Waits while the command is `command`. */
  waitWhileCommand(command: number): void {
    Atomics.wait(this.#words, this.#base + SlotWord.COMMAND, command);
  }

  /** The kernel's number of the thread. */
  get thread(): number {
    return Atomics.load(this.#words, this.#base + SlotWord.THREAD);
  }
  set thread(value: number) {
    Atomics.store(this.#words, this.#base + SlotWord.THREAD, value);
  }

  /** The vCPU's descriptor. */
  get fd(): number {
    return Atomics.load(this.#words, this.#base + SlotWord.FD);
  }
  set fd(value: number) {
    Atomics.store(this.#words, this.#base + SlotWord.FD, value);
  }

  /** Shim region of its kvm_run. */
  get region(): number {
    return Atomics.load(this.#words, this.#base + SlotWord.REGION);
  }
  set region(value: number) {
    Atomics.store(this.#words, this.#base + SlotWord.REGION, value);
  }

  /** What KVM_RUN returned at a PENDING exit: 0 or -errno. */
  get result(): number {
    return Atomics.load(this.#words, this.#base + SlotWord.RESULT);
  }
  set result(value: number) {
    Atomics.store(this.#words, this.#base + SlotWord.RESULT, value);
  }
}

/** Stops a running guest from any thread: before it starts and after it ended nothing happens. */
export class KvmKicker implements Disposable {
  readonly #control: KvmControl;
  readonly #shim: Shim;

  /** @throws DenovisorError `kvm-unavailable` */
  constructor(control: KvmControl) {
    this.#control = control;
    this.#shim = Shim.open();
  }

  /** Makes the engine's `run` return KICKED, now or at its next call. */
  kick(): void {
    this.#control.kick(this.#shim.symbols);
  }

  [Symbol.dispose](): void {
    this.#shim[Symbol.dispose]();
  }
}
