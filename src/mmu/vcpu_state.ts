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

/** Of no address: bits 52:21 of a physical address are not all set. */
const NO_KEY = -1;

/** One vCPU as the fault path sees it. */
export class VcpuState {
  readonly index: number;
  readonly core: MmuCore;
  readonly maker: SpteMaker;
  readonly tlb: Tlb;
  readonly fault: Fault = new Fault();
  readonly mmioCache: MmioCache = new MmioCache();
  readonly asyncFaults: AsyncFaults = new AsyncFaults();
  readonly guard: ProgressGuard;
  /** Memslots of the current address space. */
  slots: Memslots;
  /** Table of the direct root, or 0. */
  root = 0;
  /** Level of the direct root. */
  rootLevel = 0;
  /** Bits of an address's high half that the direct root does not take. */
  illegalHi = 0;
  /**
   * The table of level 1 that the last walk of the direct root ended in, as a CPU's paging-structure
   * caches keep it (SDM 3A §4.10.3), and the 2 MiB of addresses it is for, in units of 2 MiB. Whatever
   * takes a table away empties it.
   */
  lastTable = 0;
  lastTableKey = NO_KEY;
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

  /** Forgets the table of the last walk. */
  forgetTable(): void {
    this.lastTableKey = NO_KEY;
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
