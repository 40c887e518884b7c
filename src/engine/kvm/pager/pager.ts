/**
 * Answers faults on guest memory: from the host's address to the guest's, through the MMU's fault
 * path, to the pages that it decided on. Its SPTEs mirror what the kernel has mapped.
 */

import { DenovisorError } from "../../../base/errors.ts";
import { gfnOf, type Gpa, hex, hi32, lo32, PAGE_SIZE } from "../../../base/u64.ts";
import { FileBacking, type FileBackingConfig } from "../../../memory/backing.ts";
import type { MemoryRegion } from "../../../memory/guest_memory.ts";
import { FaultResult } from "../../../mmu/fault.ts";
import { FRAMES_AT, Level } from "../../../mmu/level.ts";
import { LoadResult } from "../../../mmu/load_result.ts";
import { Mmu } from "../../../mmu/mmu.ts";
import { Pferr, PferrHigh } from "../../../mmu/pferr.ts";
import { isWritable } from "../../../mmu/spte.ts";
import { TableWalk } from "../../../mmu/table_walk.ts";
import type { MmuVcpu } from "../../../mmu/vcpu.ts";
import type { Shim } from "../shim.ts";
import {
  UFFD_PAGEFAULT_FLAG_MINOR,
  UFFD_PAGEFAULT_FLAG_WP,
  UFFD_PAGEFAULT_FLAG_WRITE,
} from "../uffd_abi.ts";
import { type PagerControl, PagerCounter } from "./control.ts";
import { GuestMap } from "./guest_map.ts";
import { Installer } from "./installer.ts";
import { KERNEL_TLB, PagerHost } from "./pager_host.ts";
import { PagerTrace } from "./pager_trace.ts";
import type { Userfaultfd } from "./userfaultfd.ts";

/** What a pager is made of. Survives structured cloning. */
export interface PagerConfig {
  /** Host virtual address of the WebAssembly.Memory's first byte. */
  readonly base: number;
  readonly regions: readonly MemoryRegion[];
  readonly files: readonly FileBackingConfig[];
  /** Writes are logged, page by page. */
  readonly logDirty: boolean;
  /** The largest page: 1 for 4 KiB, 2 for 2 MiB. */
  readonly maxPageLevel: Level;
  /** Path of the file that the MMU's events go to, or `TRACE_TO_STDERR`. */
  readonly trace: string | undefined;
}

/** Times that the fault path may have a fault try again before the progress guard is asked. */
const PROGRESS_LIMIT = 100;

/** Serves the faults of one guest's memory, on one thread. */
export class Pager implements Disposable {
  readonly #counters: Float64Array;
  readonly #mmuCounters: Float64Array;
  readonly #map: GuestMap;
  readonly #mmu: Mmu;
  readonly #vcpu: MmuVcpu;
  readonly #walk: TableWalk;
  readonly #installer: Installer;
  /** By the number of the file; undefined for shared memory. */
  readonly #files: readonly (FileBacking | undefined)[];
  readonly #trace: PagerTrace | undefined;
  readonly #resources: DisposableStack;
  /** Shared memory has the page of the fault that is served. */
  #isMinor = false;

  /**
   * @param control Where the counters stand; they count a fault before it is served.
   * @throws DenovisorError `file` when a file or the trace cannot be opened, `memslot` for regions that overlap.
   */
  constructor(shim: Shim, uffd: Userfaultfd, control: PagerControl, config: PagerConfig) {
    using undo = new DisposableStack();
    this.#counters = control.counters;
    this.#mmuCounters = control.mmuCounters;
    this.#map = new GuestMap(config.base, config.regions, config.files);
    this.#mmu = new Mmu({
      host: new PagerHost(this.#map),
      tables: "npt",
      maxPhyAddrBits: 52,
      maxPageLevel: config.maxPageLevel,
      prefetch: false, // pages that nobody has asked for are not there to be mapped
      progressLimit: PROGRESS_LIMIT,
    });
    config.regions.forEach(({ gpa, sizeBytes, readOnly }, id) => {
      const hostPage = this.#map.firstPage(id);
      const baseGfn = gfnOf(gpa);
      const frames = sizeBytes / PAGE_SIZE;
      const { logDirty } = config;
      this.#mmu.setMemslot({ id, baseGfn, frames, hostPage, readOnly, logDirty });
    });
    this.#vcpu = this.#mmu.createVcpu(KERNEL_TLB);
    this.#walk = new TableWalk(this.#mmu.core);
    this.#installer = undo.use(new Installer(shim, uffd));
    this.#files = config.files.map((file) =>
      file.shared === true ? undefined : undo.use(new FileBacking(file))
    );
    this.#trace = config.trace === undefined
      ? undefined
      : undo.use(new PagerTrace(this.#mmu, config.trace));
    this.#resources = undo.move();
  }

  /**
   * Serves one fault: afterwards whoever made it runs on.
   * @param address Host virtual address.
   * @param flags `UFFD_PAGEFAULT_FLAG_*`.
   * @throws DenovisorError `file` when a file does not give its bytes, `pager` for the rest.
   */
  serve(address: number, flags: number): void {
    const write = (flags & UFFD_PAGEFAULT_FLAG_WRITE) !== 0;
    const isProtected = (flags & UFFD_PAGEFAULT_FLAG_WP) !== 0;
    this.#isMinor = (flags & UFFD_PAGEFAULT_FLAG_MINOR) !== 0;
    const kind = isProtected
      ? PagerCounter.WRITE_PROTECT
      : this.#isMinor
      ? PagerCounter.MINOR
      : PagerCounter.MISSING;
    this.#counters[kind]++;
    const region = this.#map.regionAt(address);
    if (region < 0) {
      throw new DenovisorError(
        "pager",
        `Cannot serve a fault at host address ${hex(address)}: it is not guest memory`,
        { address },
      );
    }
    const page = address - address % PAGE_SIZE;
    const gpa = this.#map.gpaAt(page, region);
    const present = isProtected ? Pferr.PRESENT : 0;
    const result = this.#resolve(gpa, (write ? Pferr.WRITE : 0) | present);
    this.#mmu.core.stats.copyTo(this.#mmuCounters);
    if (result === FaultResult.EMULATE) this.#writeByHost(page, gpa, region, isProtected);
    else if (isProtected) this.#installer.protect(page, PAGE_SIZE, false);
    // Another thread met the same fault; should the page have gone since, it comes back.
    else if (result === FaultResult.SPURIOUS) this.#fill(page, PAGE_SIZE, region, write, true);
    else this.#install(page, region, write);
  }

  /**
   * Takes the dirty log of every region, one after the other, each from a new word on. Pages that are
   * in it are protected again before this returns.
   */
  takeDirtyLog(into: Uint32Array): void {
    into.fill(0);
    let word = 0;
    this.#map.regions.forEach((region, index) => {
      const words = dirtyWords(region.sizeBytes);
      const bitmap = into.subarray(word, word + words);
      word += words;
      const slot = this.#mmu.findMemslot(gfnOf(region.gpa));
      if (slot === undefined || this.#mmu.takeDirtyLog(slot, bitmap) === 0) return;
      this.#protectWritten(bitmap, this.#map.hostAddress(index), region.sizeBytes / PAGE_SIZE);
    });
  }

  /** There is a trace: call `flushTrace` now and then. */
  get isTraced(): boolean {
    return this.#trace !== undefined;
  }

  /** Has the trace's file catch up. @throws DenovisorError `file` */
  flushTrace(): void {
    this.#trace?.flush();
  }

  /** Ends the trace. @throws DenovisorError `file` */
  endTrace(): void {
    this.#trace?.end();
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  /** Runs the fault path until it has decided. */
  #resolve(gpa: Gpa, code: number): FaultResult {
    const vcpu = this.#vcpu;
    for (;;) {
      if (vcpu.prepare() !== LoadResult.OK) {
        throw this.#unresolved(gpa, "no memory for page tables");
      }
      const result = vcpu.handleFault(lo32(gpa), hi32(gpa), code, PferrHigh.GUEST_FINAL);
      switch (result) {
        case FaultResult.EMULATE:
          return result;
        case FaultResult.FIXED:
        case FaultResult.SPURIOUS:
          if (vcpu.mayResume()) return result;
          break;
        case FaultResult.RETRY:
          if (vcpu.mayResume()) continue;
      }
      throw this.#unresolved(gpa, vcpu.describeFailure());
    }
  }

  #unresolved(gpa: Gpa, reason: string): DenovisorError {
    const slot = this.#mmu.findMemslot(gfnOf(gpa))?.id ?? -1;
    return new DenovisorError(
      "pager",
      `Cannot bring in guest memory at ${hex(gpa)} (memslot ${slot}): ${reason}`,
      { gpa, memslot: slot },
    );
  }

  /** Puts in place what the SPTE says now. */
  #install(page: number, region: number, write: boolean): void {
    const { addressLo, addressHi } = this.#vcpu.fault;
    const { root, rootLevel } = this.#vcpu.state;
    this.#walk.to(root, rootLevel, addressLo, addressHi);
    const bytes = FRAMES_AT[this.#walk.level] * PAGE_SIZE;
    const isLarge = this.#walk.level === Level.SIZE_2M;
    this.#counters[isLarge ? PagerCounter.PAGES_2M : PagerCounter.PAGES_4K]++;
    this.#fill(this.#map.blockStart(page, bytes), bytes, region, write, isWritable(this.#walk.lo));
  }

  /**
   * A write to a read-only region. KVM does not let the guest's through: this is one of our own
   * threads, which loads firmware.
   */
  #writeByHost(page: number, gpa: Gpa, region: number, isProtected: boolean): void {
    if (!isProtected && this.#resolve(gpa, 0) === FaultResult.FIXED) {
      this.#install(page, region, false);
    }
    this.#mmu.findMemslot(gfnOf(gpa))?.markDirty(gfnOf(gpa));
    this.#installer.protect(page, PAGE_SIZE, false);
  }

  #fill(start: number, bytes: number, region: number, write: boolean, writable: boolean): void {
    const index = this.#map.fileAt(start);
    if (this.#map.isShared(index)) return this.#installer.share(start, this.#isMinor, writable);
    if (index < 0) return this.#installer.zero(start, bytes, write, writable);
    const file = this.#files[index]!;
    const offset = this.#map.fileOffset(start, index);
    const reason = file.read(offset, this.#installer.staging(bytes));
    if (reason !== undefined) {
      const gpa = this.#map.gpaAt(start, region);
      const { path } = file.config;
      throw new DenovisorError(
        "file",
        `Cannot bring in guest memory at ${hex(gpa)} (memslot ${region}) from ${path}: ${reason}`,
        { path, gpa, memslot: region, offset },
      );
    }
    this.#counters[PagerCounter.FILE_BYTES] += bytes;
    this.#installer.fill(start, bytes, writable);
  }

  /** Protects the pages whose bits are set, in runs. */
  #protectWritten(bitmap: Uint32Array, start: number, pages: number): void {
    for (let page = 0; page < pages;) {
      if (bitmap[page >>> 5] === 0) {
        page += 32 - (page & 31);
        continue;
      }
      const from = page;
      while (page < pages && (bitmap[page >>> 5] >>> (page & 31) & 1) !== 0) page++;
      if (page > from) {
        this.#installer.protect(start + from * PAGE_SIZE, (page - from) * PAGE_SIZE, true);
      } else page++;
    }
  }
}

/** Words of the dirty bitmap of a region. */
export function dirtyWords(sizeBytes: number): number {
  return Math.ceil(sizeBytes / PAGE_SIZE / 32);
}
