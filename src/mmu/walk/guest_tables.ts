/**
 * What the walker asks of the memory that guest page tables lie in.
 */

import type { Gfn } from "../../base/u64.ts";

/** Guest page tables, one aligned entry at a time. Nothing here throws on a guest's address. */
export interface GuestTables {
  /**
   * Where reads leave the entry: [0] its low half, [1] its high half. A 4-byte entry fills [0] only.
   * The array stays the same one for ever.
   */
  readonly entry: Uint32Array;

  /** Reads entry `index` (0 to 1023) of 4 bytes in the table at `gfn`; false when no RAM is there. */
  read32(gfn: Gfn, index: number): boolean;

  /** Reads entry `index` (0 to 511) of 8 bytes in the table at `gfn`; false when no RAM is there. */
  read64(gfn: Gfn, index: number): boolean;

  /** Like `read32` and `read64`, but replaces the entry `lo` by `newLo`; false when it is another by now. */
  compareExchange32(gfn: Gfn, index: number, lo: number, newLo: number): boolean;

  /**
   * Replaces the low half `lo` of the entry `hi:lo` by `newLo`; false when the entry is another by
   * now. The accessed and dirty flags of every format lie in the low half, so a 32-bit exchange
   * changes all that a walk ever changes; the high half is compared after it. Should it alone have
   * changed, the new entry has got flags it did not ask for, which a CPU may do at any time (SDM 3A
   * §4.8), and the walk starts again.
   */
  compareExchange64(gfn: Gfn, index: number, lo: number, hi: number, newLo: number): boolean;

  /** False for read-only memory: its entries keep the accessed and dirty flags they have. */
  isWritable(gfn: Gfn): boolean;

  /** The walker has changed the frame `gfn`: its dirty log must hear of it. */
  markDirty(gfn: Gfn): void;
}

/**
 * The second translation of a nested guest: from the addresses in its page tables (L2 guest physical)
 * to those of `GuestTables` (L1 guest physical).
 */
export interface NestedTranslation {
  /**
   * True when a read of an entry is checked as a write: EPT with accessed and dirty flags (SDM 3C
   * §28.3.3.2) and AMD nested paging (APM 2 §15.25.5). When false, only setting flags is a write.
   */
  readonly tablesAreWritten: boolean;

  /**
   * The L1 frame of L2 frame `gfn` for an access of `Access` bits, or -1: the walk then ends with
   * `WalkFault.NESTED`, and the translation itself knows why.
   */
  translate(gfn: Gfn, access: number): number;
}
