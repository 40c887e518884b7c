/**
 * The one record that a walker fills again and again.
 */

import type { Gfn, Gpa } from "../../base/u64.ts";

/** Why a walk ended. */
export const WalkFault = {
  /** It did not: the address is translated. */
  NONE: 0,
  NOT_PRESENT: 1,
  /** A reserved bit is set, or a guest EPT entry is misconfigured. */
  RESERVED: 2,
  /** Access rights or protection keys. */
  PERMISSION: 3,
  /** A table lies outside RAM; for the guest a page that is not present. */
  OUTSIDE_RAM: 4,
  /** The second translation refused `nestedGpa`. There is no error code: the fault is not this guest's. */
  NESTED: 5,
  /**
   * The entries changed under the walk too many times in a row. Not a fault of the guest's: let the
   * guest run, and access again.
   */
  CONTENDED: 6,
} as const;
export type WalkFault = typeof WalkFault[keyof typeof WalkFault];

/** What a walk found. Valid until the next walk of the same walker. */
export class WalkResult {
  fault: WalkFault = WalkFault.NONE;
  /**
   * After a fault: the error code of the page fault (`Pferr`); for guest EPT the same bits of the
   * violation, or with RSVD of the misconfiguration.
   */
  errorCode = 0;
  /**
   * Level of the leaf: 1, 2 or 3; 0 when paging is off. After a fault, level of the entry at fault,
   * up to 5; for `WalkFault.NESTED` too if it was of a table.
   */
  level = 0;
  /** The 4 KiB frame that the address is in, after the second translation if there is one. */
  gfn = 0 as Gfn;
  /** The AND of the rights (`Acc`) over all levels; after a permission fault too. */
  access = 0;
  /**
   * What may be cached: `access`, without WRITE after a read through a leaf that is not dirty, so
   * that the first write walks again and sets the flag.
   */
  cacheAccess = 0;

  /**
   * The entries by level, low half at `level * 2`, high half after it, with the flags that the walk
   * has set. For PAE, the PDPTE is at level 3.
   */
  readonly entries: Uint32Array = new Uint32Array(12);
  /** Where the entries stand, by level: indices in `GuestTables.words`. None for a PDPTE. */
  readonly positions: Int32Array = new Int32Array(6);

  /** With `WalkFault.NESTED`: the L2 address that the second translation refused. */
  nestedGpa = 0 as Gpa;
  /** With `WalkFault.NESTED`: true when that is an entry of a table, false when the page itself. */
  nestedTable = false;
}
