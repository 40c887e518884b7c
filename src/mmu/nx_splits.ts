/**
 * Tables that exist only because the NX rule forbade a large page (a large page is never executable,
 * so that no instruction fetch can meet two sizes at once: the iTLB multihit erratum). They are kept
 * in order of age, so that recovery can give the large pages back.
 */

import type { MmuStats } from "./stats.ts";
import { grown, TableFlag, type TablePool } from "./table_pool.ts";

/** Recovery zaps this fraction of the list each time. */
export const RECOVERY_RATIO = 60;
/** Time between two recoveries, in milliseconds. */
export const RECOVERY_PERIOD_MS = 60_000;

/** The list of NX splits, oldest first; table 0 is its head. */
export class NxSplits {
  readonly #pool: TablePool;
  readonly #stats: MmuStats;
  #next: Int32Array = new Int32Array(0);
  #prev: Int32Array = new Int32Array(0);

  constructor(pool: TablePool, stats: MmuStats) {
    this.#pool = pool;
    this.#stats = stats;
    pool.whenGrown((capacity) => {
      this.#next = grown(this.#next, new Int32Array(capacity));
      this.#prev = grown(this.#prev, new Int32Array(capacity));
    });
  }

  /** Tables in the list. */
  get count(): number {
    return this.#stats.nx_lpage_splits;
  }

  /** The table that has been here longest, or 0. */
  get oldest(): number {
    return this.#next[0];
  }

  /** How many tables one recovery zaps. */
  get recoverable(): number {
    return Math.ceil(this.count / RECOVERY_RATIO);
  }

  /** The NX rule made this table; `account` puts it into the list. */
  add(table: number, account: boolean): void {
    const { flags } = this.#pool;
    flags[table] |= TableFlag.NX_SPLIT;
    if (!account || (flags[table] & TableFlag.NX_ACCOUNTED) !== 0) return;
    flags[table] |= TableFlag.NX_ACCOUNTED;
    this.#stats.nx_lpage_splits++;
    const last = this.#prev[0];
    this.#next[last] = table;
    this.#prev[table] = last;
    this.#next[table] = 0;
    this.#prev[0] = table;
  }

  /** The table goes away. */
  remove(table: number): void {
    const { flags } = this.#pool;
    if ((flags[table] & TableFlag.NX_ACCOUNTED) !== 0) {
      this.#stats.nx_lpage_splits--;
      this.#next[this.#prev[table]] = this.#next[table];
      this.#prev[this.#next[table]] = this.#prev[table];
    }
    flags[table] &= ~(TableFlag.NX_SPLIT | TableFlag.NX_ACCOUNTED);
  }
}
