/**
 * All page tables of one VM, in one typed array: table `t` is words [t * 1024, t * 1024 + 1024), and
 * an SPTE is named by the index of its low half. Table 0 is never used; as an index it means "none",
 * and in the list of active tables it is the head.
 *
 * The pool belongs to one thread. Halves are nevertheless stored in the order of a 32-bit host that
 * shares its tables with the CPU's walker (high half first when an entry appears, low half first
 * when it goes), so that a reader who sees the present bit sees the whole entry.
 */

import { type Gfn } from "../base/u64.ts";
import { ENTRIES } from "./level.ts";
import type { RootRole } from "./root_role.ts";

/** 32-bit words of a table. */
export const TABLE_WORDS = ENTRIES * 2;
/** An SPTE's index is below 2^31. */
const MAX_TABLES = 2 ** 20;
/** Tables that the pool grows by at least. */
const MIN_GROWTH = 32;

/** Bits of `flags`. */
export const TableFlag = {
  /** Zapped while a root pins it; freed when the last pin goes. */
  INVALID: 1 << 0,
  /** Belongs to the shadow engine. */
  SHADOW: 1 << 1,
  /** Exists because the NX rule forbade a large page: it must not be replaced by one on a read. */
  NX_SPLIT: 1 << 2,
  /** Counted in nx_lpage_splits and in the list for recovery. */
  NX_ACCOUNTED: 1 << 3,
  /** Shadow engine: may differ from the guest's table until the guest flushes. */
  UNSYNC: 1 << 4,
} as const;

/** The page tables of one VM. */
export class TablePool {
  words: Int32Array = new Int32Array(0);
  /** First frame that a direct table maps; frame of the guest's table for one that shadows it. */
  gfn: Float64Array = new Float64Array(0);
  role: Int32Array = new Int32Array(0);
  flags: Uint8Array = new Uint8Array(0);
  /** Generation of fast zapping, 0 or 1, at which the table was made. */
  generation: Uint8Array = new Uint8Array(0);
  /** vCPUs that have it as a root. */
  rootCount: Int32Array = new Int32Array(0);
  /** Direct engine: the SPTE that points to the table, or -1. Shadow engine: head of such SPTEs. */
  parent: Int32Array = new Int32Array(0);
  /** Tables that this table points to. */
  children: Int32Array = new Int32Array(0);
  /** List of active tables, newest first; free tables are chained by `next`. */
  next: Int32Array = new Int32Array(0);
  prev: Int32Array = new Int32Array(0);

  readonly #limit: number;
  #capacity = 0;
  #free = 0;
  #freeCount = 0;
  #used = 0;
  readonly #onGrow: ((capacity: number) => void)[] = [];

  /** @param limit Most tables that may ever exist at once. */
  constructor(limit: number = MAX_TABLES - 1) {
    this.#limit = Math.min(limit, MAX_TABLES - 1);
    this.#grow(MIN_GROWTH);
  }

  /** Tables not yet given back: the ones in use, and those that only a root pins. */
  get used(): number {
    return this.#used;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Bytes of all arrays. */
  get bytes(): number {
    return this.words.byteLength + this.gfn.byteLength + this.role.byteLength +
      this.flags.byteLength + this.generation.byteLength + this.rootCount.byteLength +
      this.parent.byteLength + this.children.byteLength + this.next.byteLength +
      this.prev.byteLength;
  }

  /** Has `callback` called with the capacity now and whenever it grows: for arrays beside the pool. */
  whenGrown(callback: (capacity: number) => void): void {
    this.#onGrow.push(callback);
    callback(this.#capacity);
  }

  /** True when `count` tables cannot be had without growing. */
  lacks(count: number): boolean {
    return this.#freeCount < count;
  }

  /** Makes sure that `count` tables can be had without growing; false when they cannot. */
  reserve(count: number): boolean {
    if (!this.lacks(count)) return true;
    return this.#grow(Math.max(count - this.#freeCount, MIN_GROWTH, this.#capacity >>> 3)) &&
      !this.lacks(count);
  }

  /**
   * Takes a zeroed table and puts it at the head of the active list. The caller has reserved it: the
   * arrays do not move.
   */
  allocate(gfn: Gfn, role: RootRole, flags: number, generation: number): number {
    const table = this.#free;
    if (table === 0) throw new RangeError("Cannot allocate a page table: none was reserved");
    this.#free = this.next[table];
    this.#freeCount--;
    this.#used++;
    this.gfn[table] = gfn;
    this.role[table] = role;
    this.flags[table] = flags;
    this.generation[table] = generation;
    this.rootCount[table] = 0;
    this.parent[table] = -1;
    this.children[table] = 0;
    this.#link(table);
    return table;
  }

  /** Gives a table back. It is no longer in the active list. */
  release(table: number): void {
    this.words.fill(0, table * TABLE_WORDS, (table + 1) * TABLE_WORDS);
    this.role[table] = 0;
    this.next[table] = this.#free;
    this.#free = table;
    this.#freeCount++;
    this.#used--;
  }

  /** Takes a table out of the active list. */
  unlink(table: number): void {
    const { next, prev } = this;
    next[prev[table]] = next[table];
    prev[next[table]] = prev[table];
  }

  /** The oldest active table, or 0. */
  get oldest(): number {
    return this.prev[0];
  }

  /** The newest active table, or 0. */
  get newest(): number {
    return this.next[0];
  }

  /** Makes an entry appear, or changes one that stays present. */
  store(sptep: number, lo: number, hi: number): void {
    this.words[sptep + 1] = hi;
    this.words[sptep] = lo;
  }

  /** Makes an entry go. */
  clear(sptep: number): void {
    this.words[sptep] = 0;
    this.words[sptep + 1] = 0;
  }

  #link(table: number): void {
    const { next, prev } = this;
    const first = next[0];
    next[table] = first;
    prev[table] = 0;
    prev[first] = table;
    next[0] = table;
  }

  #grow(by: number): boolean {
    const old = this.#capacity;
    // Table 0 takes room but is never handed out.
    const capacity = Math.min(Math.max(old, 1) + by, this.#limit + 1);
    if (capacity <= old) return false;
    try {
      const words = new Int32Array(capacity * TABLE_WORDS);
      words.set(this.words);
      this.words = words;
    } catch (error) {
      if (error instanceof RangeError) return false; // the host is out of memory
      throw error;
    }
    this.gfn = grown(this.gfn, new Float64Array(capacity));
    this.role = grown(this.role, new Int32Array(capacity));
    this.flags = grown(this.flags, new Uint8Array(capacity));
    this.generation = grown(this.generation, new Uint8Array(capacity));
    this.rootCount = grown(this.rootCount, new Int32Array(capacity));
    this.parent = grown(this.parent, new Int32Array(capacity));
    this.children = grown(this.children, new Int32Array(capacity));
    this.next = grown(this.next, new Int32Array(capacity));
    this.prev = grown(this.prev, new Int32Array(capacity));
    for (let table = capacity - 1; table >= Math.max(old, 1); table--) {
      this.next[table] = this.#free;
      this.#free = table;
      this.#freeCount++;
    }
    this.#capacity = capacity;
    for (const callback of this.#onGrow) callback(capacity);
    return true;
  }
}

/** The table that an SPTE lies in. */
export function tableOf(sptep: number): number {
  return sptep >>> 10;
}

/** `larger` with the contents of `array` at its start. */
export function grown<T extends Float64Array | Int32Array | Uint8Array>(array: T, larger: T): T {
  larger.set(array as ArrayLike<number>);
  return larger;
}
