/** Translated code, as the rest of the engine sees it. */

import { TWO_32 } from "../../../base/u64.ts";

/** One region: a function of the table. */
export class Region {
  /** Its index in every vCPU's table. */
  readonly index: number;
  readonly batch: Batch;
  /** Numbers of the instructions that it leaves to the interpreter. */
  readonly sites: readonly number[];
  /** `modeOf` of the vCPUs that it is for. */
  readonly mode: number;
  /** How far from the page's beginning a direct branch leads at most, in bytes. */
  readonly reach: number;
  /** Numbers of its instructions that go on in the next page. */
  readonly tails: readonly number[];
  /** V8 has compiled it. */
  isCompiled = false;

  constructor(
    index: number,
    batch: Batch,
    sites: readonly number[],
    mode: number,
    reach: number,
    tails: readonly number[] = [],
  ) {
    this.index = index;
    this.batch = batch;
    this.sites = sites;
    this.mode = mode;
    this.reach = reach;
    this.tails = tails;
  }

  /** Whether all direct branches lead to canonical addresses when the region is at `hi:lo`. */
  isCanonicalAt(lo: number, hi: number): boolean {
    if (hi === TOP_USER) return (lo >>> 0) + this.reach < TWO_32;
    return hi !== LOWEST_SUPERVISOR || (lo >>> 0) - PAGE - this.reach >= 0;
  }
}

/** Bytes of a page. */
const PAGE = 4096;
/** High halves of the addresses at the edges of what 48 bits can say (SDM 1 §3.3.7.1). */
const TOP_USER = 0x7fff;
const LOWEST_SUPERVISOR = ~TOP_USER;

/** Regions that were compiled together: a module, which every vCPU instantiates when it gets there. */
export class Batch {
  readonly module: WebAssembly.Module;
  /** Behind the index of its last function. */
  readonly end: number;
  /** By vCPU: its table has the functions. */
  readonly present: boolean[] = [];

  constructor(module: WebAssembly.Module, end: number) {
    this.module = module;
    this.end = end;
  }
}
