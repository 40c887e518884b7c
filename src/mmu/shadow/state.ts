/**
 * What the shadow engine keeps of its pages beside the pool of tables: which guest frame each entry
 * maps, which SPTEs point to which page, which pages may differ from the guest's tables.
 */

import {
  frameBits as importedFrameBits,
  frameFrom,
  frameHi as importedFrameHi,
  frameLo as importedFrameLo,
  type Gfn,
} from "../../base/u64.ts";
import type { MmuCore } from "../core.ts";
import { ENTRIES, FRAMES_AT } from "../level.ts";
import type { SpteMaker } from "../make_spte.ts";
import type { Memslot } from "../memslot.ts";
import { roleIsDirect, roleLevel, RoleMask, type RootRole } from "../root_role.ts";
import { grown, TABLE_WORDS, TableFlag, tableOf } from "../table_pool.ts";
import type { WriteTracking } from "../write_track.ts";
import { EMPTY, PteLists } from "./pte_lists.ts";

// Imported functions are looked up at every call, a module's own are not: this is a hot path.
const frameBits = importedFrameBits;
const frameHi = importedFrameHi;
const frameLo = importedFrameLo;

/** Buckets of the hash of shadow pages; a power of two. */
const BUCKETS = 4096;
/** Words of a page's bitmap of children. */
const BITMAP_WORDS = ENTRIES / 32;

/** State of one VM's shadow engine. */
export class ShadowState {
  declare readonly core: MmuCore;
  declare readonly maker: SpteMaker;
  declare readonly tracking: WriteTracking;
  /** Has every vCPU give its roots up before it next runs. */
  readonly reloadRoots: () => void;
  readonly lists: PteLists = new PteLists();
  /** Pages that shadow a guest table. */
  indirectPages = 0;
  /** By table: children that are unsync or lead to one. */
  unsyncChildren: Int32Array = new Int32Array(0);
  /** By table: writes to the guest's table since it was last walked. */
  flood: Int32Array = new Int32Array(0);
  /** By table: one bit an entry, set when its child is unsync or leads to one. */
  #unsyncMap: Int32Array = new Int32Array(0);
  /** Frame that an entry of an indirect page maps: bits 31:12 and 39:32 of its address by parts. */
  #entryLo: Int32Array = new Int32Array(0);
  #entryHi: Uint8Array = new Uint8Array(0);
  readonly #buckets: Int32Array = new Int32Array(BUCKETS);
  #hashNext: Int32Array = new Int32Array(0);

  constructor(
    core: MmuCore,
    maker: SpteMaker,
    tracking: WriteTracking,
    reloadRoots: () => void,
  ) {
    this.core = core;
    this.maker = maker;
    this.tracking = tracking;
    this.reloadRoots = reloadRoots;
    core.pool.whenGrown((capacity) => {
      this.unsyncChildren = grown(this.unsyncChildren, new Int32Array(capacity));
      this.flood = grown(this.flood, new Int32Array(capacity));
      this.#unsyncMap = grown(this.#unsyncMap, new Int32Array(capacity * BITMAP_WORDS));
      this.#entryLo = grown(this.#entryLo, new Int32Array(capacity * ENTRIES));
      this.#entryHi = grown(this.#entryHi, new Uint8Array(capacity * ENTRIES));
      this.#hashNext = grown(this.#hashNext, new Int32Array(capacity));
    });
  }

  /** Bytes of all arrays, reverse maps not counted. */
  get bytes(): number {
    return this.unsyncChildren.byteLength + this.flood.byteLength + this.#unsyncMap.byteLength +
      this.#entryLo.byteLength + this.#entryHi.byteLength + this.#hashNext.byteLength +
      this.lists.bytes;
  }

  role(table: number): RootRole {
    return this.core.pool.role[table] as RootRole;
  }

  level(table: number): number {
    return roleLevel(this.role(table));
  }

  isDirect(table: number): boolean {
    return roleIsDirect(this.role(table));
  }

  isUnsync(table: number): boolean {
    return (this.core.pool.flags[table] & TableFlag.UNSYNC) !== 0;
  }

  /** The frame that an SPTE maps (for a leaf) or was made for. */
  gfnOfEntry(sptep: number): Gfn {
    const table = tableOf(sptep);
    const index = (sptep - table * TABLE_WORDS) >>> 1;
    if (this.isDirect(table)) {
      return this.core.pool.gfn[table] + index * FRAMES_AT[this.level(table)] as Gfn;
    }
    const at = sptep >>> 1;
    return frameFrom(this.#entryLo[at], this.#entryLo[at] & 0xfff | this.#entryHi[at] << 12) as Gfn;
  }

  /** Remembers the frame that an entry maps; for one of a direct page nobody asks. */
  setGfnOfEntry(sptep: number, gfn: Gfn): void {
    const at = sptep >>> 1;
    const high = frameHi(gfn);
    this.#entryLo[at] = frameLo(gfn) | high & 0xfff;
    this.#entryHi[at] = high >>> 12;
  }

  /** The memslot of a frame in the address space that a table belongs to; it may be invalid. */
  slotOf(table: number, gfn: Gfn): Memslot | undefined {
    const smm = (this.core.pool.role[table] & RoleMask.SMM) !== 0;
    return this.core.spaces[smm ? 1 : 0].find(gfn);
  }

  /** First page in the bucket of `gfn`; follow with `nextInBucket` and compare frames. */
  firstInBucket(gfn: Gfn): number {
    return this.#buckets[frameBits(gfn) & BUCKETS - 1];
  }

  nextInBucket(table: number): number {
    return this.#hashNext[table];
  }

  /** Enters a new page; all that is known of a former page in its place is forgotten. */
  enter(table: number): void {
    const bucket = frameBits(this.core.pool.gfn[table] as Gfn) & BUCKETS - 1;
    this.#hashNext[table] = this.#buckets[bucket];
    this.#buckets[bucket] = table;
    this.unsyncChildren[table] = 0;
    this.flood[table] = 0;
    this.#unsyncMap.fill(0, table * BITMAP_WORDS, (table + 1) * BITMAP_WORDS);
    this.core.pool.parent[table] = EMPTY;
  }

  /** Takes a page out of the hash. */
  leave(table: number): void {
    const bucket = frameBits(this.core.pool.gfn[table] as Gfn) & BUCKETS - 1;
    let at = this.#buckets[bucket];
    if (at === table) this.#buckets[bucket] = this.#hashNext[table];
    else {
      while (this.#hashNext[at] !== table) at = this.#hashNext[at];
      this.#hashNext[at] = this.#hashNext[table];
    }
    this.#hashNext[table] = 0;
  }

  /** Counts a search that had to pass `collisions` pages of other frames. */
  countCollisions(collisions: number): void {
    const { stats } = this.core;
    if (collisions > stats.max_mmu_page_hash_collisions) {
      stats.max_mmu_page_hash_collisions = collisions;
    }
  }

  /** Marks an entry's child unsync; false when it was marked already. */
  markChild(sptep: number): boolean {
    const table = tableOf(sptep);
    const index = (sptep - table * TABLE_WORDS) >>> 1;
    const at = table * BITMAP_WORDS + (index >>> 5);
    const bit = 1 << (index & 31);
    if ((this.#unsyncMap[at] & bit) !== 0) return false;
    this.#unsyncMap[at] |= bit;
    this.unsyncChildren[table]++;
    return true;
  }

  unmarkChild(table: number, index: number): void {
    const at = table * BITMAP_WORDS + (index >>> 5);
    const bit = 1 << (index & 31);
    if ((this.#unsyncMap[at] & bit) === 0) return;
    this.#unsyncMap[at] &= ~bit;
    this.unsyncChildren[table]--;
  }

  /** Index of the first marked entry at or behind `from`, or -1. */
  nextMarked(table: number, from: number): number {
    for (let word = from >>> 5; word < BITMAP_WORDS; word++) {
      let bits = this.#unsyncMap[table * BITMAP_WORDS + word];
      if (word === from >>> 5) bits &= ~0 << (from & 31);
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
    }
    return -1;
  }
}
