/**
 * Deterministic windows of the fault path, for tests: what another thread could do there, a test
 * does. Unset hooks cost one comparison with undefined.
 */

/** Called at the windows of the path, in the order in which a fault passes them. */
export interface MmuHooks {
  /** After the root was checked at the entry, before anything is looked up. */
  afterEntry?(): void;
  /** Between the read of an SPTE and its compare-and-exchange in the fast path. */
  betweenCasReadAndWrite?(sptep: number): void;
  /** True makes the reserve of tables fail. */
  failTopup?(): boolean;
  /** The notifier's sequence number has been read, the frame not yet looked up. */
  afterSequence?(): void;
  /** The frame has been looked up, the lock not yet taken. */
  beforeLock?(): void;
  /** The lock is held, checks have passed, the tables are about to change. */
  beforeMap?(): void;
  /** The shadow engine is about to link a table for guest level `level`. */
  midFetch?(level: number): void;
  /** Memslots are being swapped: their generation counts as "update under way". */
  duringSlotUpdate?(): void;
  /** A long operation lets others take the lock. */
  lockBreak?(): void;
  /** Something that should not happen has happened. */
  onWarning?(text: string): void;
}
