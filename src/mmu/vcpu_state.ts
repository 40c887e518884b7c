/** What the fault path keeps for each vCPU. */

import { AsyncFaults } from "./async_pf.ts";
import type { MmuCore } from "./core.ts";
import { Fault } from "./fault.ts";
import type { Tlb } from "./host.ts";
import type { Memslots } from "./memslots.ts";
import { MmioCache } from "./mmio_cache.ts";
import { ProgressGuard } from "./progress.ts";
import type { SpteMaker } from "./make_spte.ts";

/** Things a vCPU must do before it runs guest code again; bits of `VcpuState.requests`. */
export const VcpuRequest = {
  /** Its root is obsolete: load another. */
  RELOAD: 1 << 0,
} as const;

// V8 folds a module's own constants, not what it exports.
const { RELOAD } = VcpuRequest;

/** Of no address: the upper bits of a physical address are not all set. */
const NO_KEY = -1;

/** One vCPU as the fault path sees it. */
export class VcpuState {
  declare readonly index: number;
  declare readonly core: MmuCore;
  declare readonly maker: SpteMaker;
  declare readonly tlb: Tlb;
  readonly fault: Fault = new Fault();
  readonly mmioCache: MmioCache = new MmioCache();
  readonly asyncFaults: AsyncFaults = new AsyncFaults();
  declare readonly guard: ProgressGuard;
  /** Memslots of the current address space. */
  declare slots: Memslots;
  /** Faults carry guest physical addresses: stage 2, or paging off. */
  isDirect = true;
  /** Table of the direct root, or 0. */
  root = 0;
  /** Level of the direct root. */
  rootLevel = 0;
  /** Bits of an address's high half that the direct root does not take. */
  illegalHi = 0;
  /**
   * The tables of levels 1 and 2 that walks of the direct root last came to, as a CPU's
   * paging-structure caches keep them (SDM 3A §4.10.3), and the addresses they are for, in units of
   * 2 MiB and of 1 GiB. Whatever takes one of them away empties both.
   */
  lastTable = 0;
  lastTableKey = NO_KEY;
  lastDirectory = 0;
  lastDirectoryKey = NO_KEY;
  /** Halves of the address of the instruction that runs, as far as the engine knows it. */
  ripLo = 0;
  ripHi = 0;
  /** The access that faults is an explicit one of the supervisor with EFLAGS.AC set: SMAP lets it pass. */
  smapSuspended = false;
  requests = 0;
  /** Changes when an address may mean something else: a deferred fault is then not taken up again. */
  context = 0;

  constructor(index: number, core: MmuCore, maker: SpteMaker, tlb: Tlb) {
    this.index = index;
    this.core = core;
    this.maker = maker;
    this.tlb = tlb;
    this.guard = new ProgressGuard(core.progressLimit);
    this.slots = core.spaces[0];
  }

  /** Remembers the table of level 1 that `sptep`, the entry for `hi:lo`, lies in. */
  keepTable(sptep: number, lo: number, hi: number): void {
    this.lastTable = sptep >>> 10;
    this.lastTableKey = lo >>> 21 | hi << 11;
  }

  /** Remembers the table of level 2 on the way to the address `hi:lo`. */
  keepDirectory(table: number, lo: number, hi: number): void {
    this.lastDirectory = table;
    this.lastDirectoryKey = lo >>> 30 | hi << 2;
  }

  /** True when `lastTable` is the table of level 1 for `hi:lo`. */
  isInTable(lo: number, hi: number): boolean {
    return (lo >>> 21 | hi << 11) === this.lastTableKey;
  }

  /** True when `lastDirectory` is the table of level 2 for `hi:lo`. */
  isInDirectory(lo: number, hi: number): boolean {
    return (lo >>> 30 | hi << 2) === this.lastDirectoryKey;
  }

  /** Forgets the tables of the last walks. */
  forgetTables(): void {
    this.lastTableKey = NO_KEY;
    this.lastDirectoryKey = NO_KEY;
  }

  /** True when the direct root is there and not zapped. */
  get hasRoot(): boolean {
    return this.root !== 0;
  }

  /**
   * True when the roots may still be walked but no longer be changed: whatever makes a root obsolete
   * asks for its reload first.
   */
  get rootIsObsolete(): boolean {
    return (this.requests & RELOAD) !== 0;
  }
}
