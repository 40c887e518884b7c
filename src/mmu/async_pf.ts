/**
 * Asynchronous page faults of one vCPU: while the host brings a page in, the guest runs something
 * else. A second fault on a page under way halts the vCPU instead of queueing it twice.
 */

import type { Gfn } from "../base/u64.ts";

/** Most pages under way for one vCPU. */
export const MAX_ASYNC_FAULTS = 64;

/** A fault that waits for its page. */
interface AsyncFault {
  readonly gfn: Gfn;
  readonly addressLo: number;
  readonly addressHi: number;
  /** Tells whether the address still means the same when the page is there. */
  readonly context: number;
  ready: boolean;
}

/** Who decides whether a vCPU may be told of asynchronous faults, and who brings pages in. */
export interface AsyncPort {
  /** Interrupts are allowed, no exception is pending and the guest asked for the service. */
  mayDefer(): boolean;
  /** Begins to bring the page in; `AsyncFaults.complete` is called when it is there. */
  start(hostPage: number, gfn: Gfn): void;
}

/** The asynchronous faults of one vCPU. */
export class AsyncFaults {
  /** Undefined: every fault waits. */
  port: AsyncPort | undefined = undefined;
  /** A fault hit a page that was already under way: the vCPU is to halt until one is ready. */
  haltRequested = false;
  readonly #queue: AsyncFault[] = [];

  get pending(): number {
    return this.#queue.length;
  }

  has(gfn: Gfn): boolean {
    return this.#queue.some((fault) => fault.gfn === gfn);
  }

  /** Queues a fault; false when the queue is full or the guest cannot be told. */
  queue(
    gfn: Gfn,
    hostPage: number,
    addressLo: number,
    addressHi: number,
    context: number,
  ): boolean {
    const { port } = this;
    if (port === undefined || this.#queue.length >= MAX_ASYNC_FAULTS) return false;
    this.#queue.push({ gfn, addressLo, addressHi, context, ready: false });
    port.start(hostPage, gfn);
    return true;
  }

  /** The host has brought the page of `gfn` in. */
  complete(gfn: Gfn): void {
    for (const fault of this.#queue) {
      if (fault.gfn === gfn) fault.ready = true;
    }
    this.haltRequested = false;
  }

  /** Takes a fault whose page is there from the queue. */
  takeReady(): Readonly<AsyncFault> | undefined {
    const at = this.#queue.findIndex((fault) => fault.ready);
    return at < 0 ? undefined : this.#queue.splice(at, 1)[0];
  }

  /** Forgets all of them, as a reset does. */
  clear(): void {
    this.#queue.length = 0;
    this.haltRequested = false;
  }
}
