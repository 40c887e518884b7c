/** What the parts of one VM's MMU share: tables, memslots, formats, counters, TLBs. */

import { compact, type Gfn } from "../base/u64.ts";
import type { MmuHooks } from "./hooks.ts";
import type { MmuHost, Tlb } from "./host.ts";
import { Level } from "./level.ts";
import type { MappingEngine } from "./mapping_engine.ts";
import { Memslots } from "./memslots.ts";
import type { Memslot } from "./memslot.ts";
import { EPT_MMIO, longMmioFormat, type MmioFormat } from "./mmio_spte.ts";
import type { MtrrMap } from "./mtrr.ts";
import { Notifier } from "./notifier.ts";
import { NxSplits } from "./nx_splits.ts";
import { checkOptions, type MmuOptions } from "./options.ts";
import { eptFormat, LONG_FORMAT, type SpteFormat } from "./spte.ts";
import { MmuStats, STAT_NAMES } from "./stats.ts";
import { TablePool } from "./table_pool.ts";
import type { MmuTrace } from "./trace.ts";

/** Quota of tables in relation to the frames of all memslots, and its minimum. */
const TABLES_PER_FRAME = 0.02;
const MIN_TABLES = 64;

/** Who must know before a guest page becomes writable: the shadow engine. */
export interface WriteGuard {
  /** True when `gfn` must stay read-only. When false, its shadow pages may have become unsync. */
  mustProtect(slot: Memslot, gfn: Gfn, canUnsync: boolean): boolean;
}

/** Who remembers tables: the vCPUs. */
export interface TableCache {
  forgetTables(): void;
}

/**
 * State of one VM's MMU. Fields that the constructor sets are declared, here and wherever the fault
 * path reads: a field that is undefined first keeps no type in V8, and costs a check at each read.
 */
export class MmuCore {
  declare readonly host: MmuHost;
  declare readonly tdp: boolean;
  declare readonly rootLevel: number;
  declare readonly maxPhyAddrBits: number;
  /** Bits of an address's high half that are at or above MAXPHYADDR. */
  declare readonly illegalHi: number;
  declare readonly maxPageLevel: number;
  /** The same for the direct engine: the PAE tables of a guest with paging off have no 1 GiB pages. */
  declare readonly largestDirect: number;
  declare readonly prefetch: boolean;
  /** Writes are logged by dirty flags. */
  declare readonly pml: boolean;
  declare readonly linearBits: number;
  declare readonly progressLimit: number;
  declare readonly mtrr: MtrrMap | undefined;
  declare readonly format: SpteFormat;
  declare readonly mmio: MmioFormat;
  readonly pool: TablePool = new TablePool();
  readonly stats: MmuStats = new MmuStats();
  declare readonly nxSplits: NxSplits;
  readonly notifier: Notifier = new Notifier();
  /** By address space: the guest's, and that of its system management mode. */
  readonly spaces: readonly Memslots[] = [new Memslots(0), new Memslots(1)];
  readonly engines: MappingEngine[] = [];
  readonly tlbs: Tlb[] = [];
  readonly tableCaches: TableCache[] = [];
  /** Set by the shadow engine. */
  writeGuard: WriteGuard | undefined = undefined;
  trace: MmuTrace | undefined = undefined;
  hooks: MmuHooks | undefined = undefined;
  declare nxHugePages: boolean;
  /** Generation of fast zapping, 0 or 1. */
  generation = 0;
  /** Counts changes of SPTEs, for the progress guard. */
  changes = 0;
  /** Things that should not happen and did. */
  warnings = 0;
  readonly #fixedQuota: number | undefined;
  #quota = MIN_TABLES;

  constructor(given: MmuOptions) {
    const options = checkOptions(given);
    this.host = options.host;
    this.tdp = options.tables !== "shadow";
    this.rootLevel = options.rootLevel;
    this.maxPhyAddrBits = options.maxPhyAddrBits;
    this.illegalHi = ~0 << options.maxPhyAddrBits - 32;
    this.maxPageLevel = options.maxPageLevel;
    this.largestDirect = this.tdp ? this.maxPageLevel : Math.min(Level.SIZE_2M, this.maxPageLevel);
    this.prefetch = options.prefetch;
    this.linearBits = options.linearBits;
    this.progressLimit = options.progressLimit;
    this.mtrr = options.mtrr;
    const ept = options.tables === "ept";
    this.format = ept ? eptFormat(options.accessedDirty, options.execOnly) : LONG_FORMAT;
    this.pml = options.pml && this.format.dirty !== 0;
    this.mmio = ept ? EPT_MMIO : longMmioFormat(options.maxPhyAddrBits, options.l1tf);
    this.nxHugePages = options.nxHugePages;
    this.nxSplits = new NxSplits(this.pool, this.stats);
    this.#fixedQuota = options.maxTables;
    this.updateQuota();
  }

  /** The counters as they are now, in the order of `STAT_NAMES`. */
  get counters(): Float64Array {
    return Float64Array.from(STAT_NAMES, (name) => this.stats[name]);
  }

  /** Most tables that may be in use. */
  get quota(): number {
    return this.#quota;
  }

  /** Works the quota out again after memslots have changed. */
  updateQuota(): void {
    let frames = 0;
    for (const space of this.spaces) for (const slot of space.all) frames += slot.frames;
    const share = Math.max(MIN_TABLES, Math.floor(frames * TABLES_PER_FRAME));
    this.#quota = this.#fixedQuota ?? compact(share);
  }

  /** Something should not have happened. */
  warn(text: string): void {
    this.warnings++;
    this.hooks?.onWarning?.(text);
  }

  /** A table goes away, or no longer stands where it did. */
  forgetTables(): void {
    for (let i = 0; i < this.tableCaches.length; i++) this.tableCaches[i].forgetTables();
  }

  /** Makes every vCPU forget its translations. */
  flushAll(): void {
    this.stats.remote_tlb_flush++;
    for (let i = 0; i < this.tlbs.length; i++) this.tlbs[i].flush();
  }

  /** Makes every vCPU forget what leads to one frame. */
  flushFrame(gfn: Gfn): void {
    this.stats.remote_tlb_flush++;
    for (let i = 0; i < this.tlbs.length; i++) this.tlbs[i].flushFrame(gfn);
  }
}
