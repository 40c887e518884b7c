/** The pager's thread, as the thread that owns the Vm starts, asks and ends it. */

import { DenovisorError, type ErrorMessage } from "../../../base/errors.ts";
import type { FileBackingConfig } from "../../../memory/backing.ts";
import { DirtyLog } from "../../../memory/dirty_log.ts";
import type { GuestMemory } from "../../../memory/guest_memory.ts";
import { Level } from "../../../mmu/level.ts";
import { STAT_NAMES } from "../../../mmu/stats.ts";
import type { KvmControl } from "../control.ts";
import { Errno } from "../errno.ts";
import { Scratch } from "../scratch.ts";
import { check, Shim, type ShimRegion, type ShimSymbols } from "../shim.ts";
import { PAGER_COUNTERS, PagerControl, PagerState } from "./control.ts";
import { MADV_HUGEPAGE } from "./installer.ts";
import { dirtyWords, type PagerConfig } from "./pager.ts";
import { mapSharedFiles } from "./shared_memory.ts";
import { openUserfaultfd, Userfaultfd, type UserfaultfdHandle } from "./userfaultfd.ts";

/** What shall be paged, and how. */
export interface PagingOptions {
  /** Files behind parts of the memory; the rest starts as zeros. */
  readonly files: readonly FileBackingConfig[];
  /** Log writes: `dirtyLog` then works, and all pages are of 4 KiB. */
  readonly logDirty: boolean;
  /** The largest page. Default 2: 2 MiB. */
  readonly maxPageLevel?: Level;
  /** Path of the file that the MMU's events go to, or `TRACE_TO_STDERR`. Default: nowhere. */
  readonly trace?: string | undefined;
}

/** To the worker, its only message. */
export interface PagerStart {
  readonly control: SharedArrayBuffer;
  /** Of the KvmControl, whose vCPUs stop when the pager fails. */
  readonly kvm: SharedArrayBuffer;
  readonly uffd: UserfaultfdHandle;
  /** An eventfd that wakes the pager up. */
  readonly bell: number;
  readonly pager: PagerConfig;
  readonly ranges: readonly HostRange[];
  /** Where it puts dirty logs: the regions' bitmaps, one after the other. */
  readonly dirty: SharedArrayBuffer;
}

/** Host virtual addresses that are registered. */
export interface HostRange {
  readonly address: number;
  readonly sizeBytes: number;
  /** Shared memory is mapped there. */
  readonly shared: boolean;
}

/** From the worker, its last message. */
export type PagerFinished =
  | { readonly type: "finished" }
  | { readonly type: "error"; readonly error: ErrorMessage };

/** eventfd(2): a read does not wait. */
const EFD_NONBLOCK = 0o4000;
/** How often the thread is looked at, in milliseconds: one that was killed says nothing. */
const WATCH_MS = 250;
/** How long it may take to leave, in milliseconds: a file system may hang. */
const LEAVE_MS = 5000;

/**
 * Has a worker serve the faults on `memory`. From the constructor on, whoever touches that memory
 * for the first time waits until the worker has brought it in, so this thread must not touch it
 * before it has returned to the event loop.
 */
export class PagerThread implements AsyncDisposable {
  /** Resolves with what went wrong; never, when nothing does. The guest has been stopped then. */
  readonly failure: Promise<DenovisorError>;
  readonly #memory: GuestMemory;
  readonly #kvm: KvmControl;
  readonly #control = new PagerControl();
  readonly #shim: Shim;
  readonly #scratch: Scratch;
  readonly #uffd: Userfaultfd;
  readonly #bell: number;
  readonly #ranges: readonly HostRange[];
  readonly #dirty: Uint32Array | undefined;
  readonly #resources: DisposableStack;
  readonly #failed = Promise.withResolvers<DenovisorError>();
  readonly #finished = Promise.withResolvers<void>();
  /** Answers of the worker, one after the other. */
  #asking: Promise<unknown> = Promise.resolve();
  /** The log of the last stretch, after the thread has ended, has been taken. */
  #lastTaken = false;
  #disposed: Promise<void> | undefined;
  #error: DenovisorError | undefined;

  /** @throws DenovisorError `pager` when the host lacks userfaultfd, `kvm-unavailable`, `kvm` */
  constructor(memory: GuestMemory, options: PagingOptions, kvm: KvmControl) {
    using undo = new DisposableStack();
    this.#memory = memory;
    this.#kvm = kvm;
    this.failure = this.#failed.promise;
    this.#shim = undo.use(Shim.open());
    const { symbols } = this.#shim;
    this.#scratch = undo.use(new Scratch(this.#shim));
    const host = undo.use(this.#shim.addRegion(new Uint8Array(memory.wasm.buffer)));
    const handle = openUserfaultfd(this.#shim);
    undo.defer(() => symbols.kvm_shim_close(handle.fd));
    this.#bell = check(symbols.kvm_shim_eventfd(0, EFD_NONBLOCK), "make an eventfd");
    undo.defer(() => symbols.kvm_shim_close(this.#bell));
    this.#uffd = undo.use(new Userfaultfd(this.#shim, handle));
    const { files, logDirty, maxPageLevel = Level.SIZE_2M } = options;
    const shared = files.filter((file) => file.shared === true);
    mapSharedFiles(this.#shim, host, shared, handle.canShare);
    this.#ranges = hostRanges(memory, host, shared);
    if (!logDirty && maxPageLevel > 1) adviseHugePages(symbols, memory, host);
    undo.defer(() => this.release());
    for (const { address, sizeBytes, shared } of this.#ranges) {
      this.#uffd.register(address, sizeBytes, shared);
    }
    const words = logDirty
      ? memory.regions.reduce((sum, region) => sum + dirtyWords(region.sizeBytes), 0)
      : 0;
    const dirty = new SharedArrayBuffer(words * 4);
    this.#dirty = logDirty ? new Uint32Array(dirty) : undefined;
    const start: PagerStart = {
      control: this.#control.buffer,
      kvm: kvm.buffer,
      uffd: handle,
      bell: this.#bell,
      pager: {
        base: Number(host.address(0, 1)),
        regions: memory.regions,
        files,
        logDirty,
        maxPageLevel,
        trace: options.trace,
      },
      ranges: this.#ranges,
      dirty,
    };
    const worker = this.#startWorker(start);
    undo.defer(() => worker.terminate());
    const watch = setInterval(() => this.#watch(), WATCH_MS);
    undo.defer(() => clearInterval(watch));
    this.#resources = undo.move();
  }

  /** What went wrong, once it has. */
  get error(): DenovisorError | undefined {
    return this.#error;
  }

  /**
   * The pages written since the last call (the first time: since the start, the loader's included).
   * Whatever was written before this resolves is in this log or still in the memory for the next.
   * After the run has ended, one more call gives the pages since the last one.
   * @throws DenovisorError `usage` when writes are not logged, `stopped` when there is no log left,
   * and what made the pager fail.
   */
  dirtyLog(): Promise<DirtyLog> {
    const answer = this.#asking.then(() => this.#takeLog());
    this.#asking = answer.catch(() => {});
    return answer;
  }

  /** Counters of the pager, then those of its MMU under KVM's names. */
  stats(): Record<string, number> {
    const { counters, mmuCounters } = this.#control;
    const stats: Record<string, number> = {};
    PAGER_COUNTERS.forEach((name, i) => stats[name] = counters[i]);
    STAT_NAMES.forEach((name, i) => stats[name] = mmuCounters[i]);
    return stats;
  }

  /**
   * Lets go of everyone who waits for a page, and never holds anyone again: what has not been
   * brought in is zeros from now on. The guest must have been stopped.
   */
  release(): void {
    for (const { address, sizeBytes } of this.#ranges) this.#uffd.unregister(address, sizeBytes);
  }

  /** Ends the thread; the guest must have been stopped. What nobody has touched reads as zeros then. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#end();
    return this.#disposed;
  }

  async #end(): Promise<void> {
    this.#control.stop();
    this.#ring();
    if (!await this.#control.left(LEAVE_MS)) {
      const text = `Cannot end the pager's thread: it still runs after ${LEAVE_MS} ms`;
      this.#fail(new DenovisorError("pager", text));
    }
    if (this.#control.state === PagerState.FAILED) await this.#finished.promise;
    this.#resources.dispose();
  }

  async #takeLog(): Promise<DirtyLog> {
    if (this.#dirty === undefined) {
      throw new DenovisorError(
        "usage",
        "Cannot read the dirty log: writes are not logged, expected the option memory.dirtyLog",
      );
    }
    if (this.#disposed === undefined) {
      const request = this.#control.request();
      this.#ring();
      if (await this.#control.answered(request)) return this.#copyLog(this.#dirty);
    }
    await (this.#disposed ?? this.#finished.promise);
    if (this.#error !== undefined) throw this.#error;
    if (this.#lastTaken) {
      throw new DenovisorError("stopped", "Cannot read the dirty log: the guest has ended");
    }
    this.#lastTaken = true;
    return this.#copyLog(this.#dirty);
  }

  #copyLog(words: Uint32Array): DirtyLog {
    let at = 0;
    return new DirtyLog(this.#memory.regions.map(({ gpa, sizeBytes }) => {
      const bitmap = words.slice(at, at + dirtyWords(sizeBytes));
      at += bitmap.length;
      return { gpa, sizeBytes, bitmap: new Uint32Array(bitmap) };
    }));
  }

  /** Wakes the worker up. */
  #ring(): void {
    this.#scratch.view.setBigUint64(0, 1n, true);
    this.#shim.symbols.kvm_shim_write(this.#bell, this.#scratch.region.id, 0, 8);
  }

  /** A signal to a thread that is gone fails; to one that lives it does nothing. */
  #watch(): void {
    if (this.#control.state !== PagerState.RUNNING) return;
    const { thread } = this.#control;
    const sent = this.#shim.symbols.kvm_shim_kick(thread, this.#scratch.region.id, 0);
    if (sent !== -Errno.ESRCH || this.#control.state !== PagerState.RUNNING) return;
    this.#fail(
      new DenovisorError("pager", "The pager's thread has died"),
    );
  }

  #fail(error: DenovisorError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#control.state = PagerState.FAILED;
    this.#kvm.fail(this.#shim.symbols);
    this.release();
    this.#failed.resolve(error);
    this.#finished.resolve();
  }

  #startWorker(start: PagerStart): Worker {
    const worker = new Worker(new URL("./pager_worker.ts", import.meta.url), {
      type: "module",
      name: "denovisor pager",
    });
    worker.onmessage = ({ data }: MessageEvent<PagerFinished>) => {
      if (data.type === "finished") this.#finished.resolve();
      else this.#fail(DenovisorError.fromMessage(data.error));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(new DenovisorError("internal", `The pager's thread failed: ${event.message}`));
    };
    worker.postMessage(start);
    return worker;
  }
}

/**
 * Where a fault might end in a huge page, the kernel makes no table of small ones before it asks us:
 * a huge page can then be moved there whole. Refused by kernels without huge pages, at no harm.
 */
function adviseHugePages(symbols: ShimSymbols, memory: GuestMemory, host: ShimRegion): void {
  for (const { offset, sizeBytes } of memory.regions) {
    symbols.kvm_shim_madvise(host.id, BigInt(offset), BigInt(sizeBytes), MADV_HUGEPAGE);
  }
}

/** The regions, cut where shared memory begins and ends: the kernel registers the two apart. */
function hostRanges(
  memory: GuestMemory,
  host: ShimRegion,
  shared: readonly FileBackingConfig[],
): HostRange[] {
  const ordered = shared.toSorted((a, b) => a.offset - b.offset);
  const ranges: HostRange[] = [];
  const add = (from: number, to: number, shared: boolean) => {
    const sizeBytes = to - from;
    if (sizeBytes === 0) return;
    ranges.push({ address: Number(host.address(from, sizeBytes)), sizeBytes, shared });
  };
  for (const { offset, sizeBytes } of memory.regions) {
    let at = offset;
    for (const file of ordered) {
      if (file.offset < offset || file.offset >= offset + sizeBytes) continue;
      add(at, file.offset, false);
      at = file.offset + file.fileBytes;
      add(file.offset, at, true);
    }
    add(at, offset + sizeBytes, false);
  }
  return ranges;
}
