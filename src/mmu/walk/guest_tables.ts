/**
 * What the walker asks of the memory that guest page tables lie in.
 */

import type { Gfn } from "../../base/u64.ts";

/**
 * The memory of guest page tables, as 32-bit words that the walker reads and changes itself. Nothing
 * here throws, whatever frame a guest's entry names.
 *
 * The accessed and dirty flags of every entry format lie in its low half, so exchanging one word
 * changes all that a walk ever changes.
 */
export interface GuestTables {
  /** The words. Always the same array. */
  readonly words: Uint32Array;

  /**
   * Index in `words` of the first word of frame `gfn`, a multiple of 1024, or -1 when no RAM is there.
   * All 1024 words of the frame lie inside `words`.
   */
  wordOf(gfn: Gfn): number;

  /** False for read-only memory: its entries keep the accessed and dirty flags they have. */
  isWritable(gfn: Gfn): boolean;

  /** The walker has changed an entry in frame `gfn`: its dirty log must hear of it. */
  markDirty(gfn: Gfn): void;
}

/**
 * The second translation of a nested guest: from the frames that its page tables name (L2 guest
 * physical) to those of `GuestTables` (L1 guest physical).
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
