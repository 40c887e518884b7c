/** The threads around a machine whose engine is KVM: other vCPUs, the pager, and who may kick. */

import type { DenovisorError } from "../base/errors.ts";
import { ApThreads } from "../engine/kvm/ap_threads.ts";
import { KvmControl, KvmKicker } from "../engine/kvm/control.ts";
import { PagerThread, type PagingOptions } from "../engine/kvm/pager/pager_thread.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";

/** What one guest on KVM has beside the thread of its machine. */
export class KvmThreads implements AsyncDisposable {
  readonly control: KvmControl;
  readonly #onFailure: () => void;
  #kicker: KvmKicker | undefined;
  #aps: ApThreads | undefined;
  #apError: DenovisorError | undefined;
  #pager: PagerThread | undefined;

  /** @param onFailure called when the guest cannot go on: `error` says why. */
  constructor(cpus: number, onFailure: () => void) {
    this.control = new KvmControl(cpus);
    this.#onFailure = onFailure;
  }

  /** What has failed, if anything. */
  get error(): DenovisorError | undefined {
    return this.#apError ?? this.#pager?.error;
  }

  /** The same of the pager alone: it may have failed before the engine was there. */
  get pager(): PagerThread | undefined {
    return this.#pager;
  }

  /**
   * Has a thread bring `memory` in when it is touched: before anyone touches it.
   * @throws DenovisorError `pager` where the host cannot do that
   */
  page(memory: GuestMemory, options: PagingOptions): PagerThread {
    const pager = new PagerThread(memory, options, this.control);
    this.#pager = pager;
    pager.failure.then(this.#onFailure);
    return pager;
  }

  /**
   * Starts what the engine will need.
   * @throws DenovisorError `kvm-unavailable` when the engine could not be stopped.
   */
  start(): void {
    this.#kicker = new KvmKicker(this.control);
    if (this.control.cpus === 1) return;
    this.#aps = new ApThreads(this.control);
    this.#aps.failure.then((error) => {
      this.#apError ??= error;
      this.#onFailure();
    });
  }

  /** Takes vCPU 0 out of the guest. */
  kick(): void {
    this.#kicker?.kick();
  }

  /** Nobody can kick any more: the machine's thread has gone, or will not go. */
  endKicks(): void {
    this.#kicker?.[Symbol.dispose]();
    this.#kicker = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#aps?.[Symbol.asyncDispose]();
    await this.#pager?.[Symbol.asyncDispose]();
  }
}
