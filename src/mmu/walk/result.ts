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
  /** The second translation refused `nestedGpa`; there is no error code, the fault is the hypervisor's. */
  NESTED: 5,
  /**
   * The entries changed under the walk too many times in a row. No fault of the guest's: enter the
   * guest again.
   */
  CONTENDED: 6,
} as const;
export type WalkFault = typeof WalkFault[keyof typeof WalkFault];

/** Levels are 1 to 5; index 0 of the per-level arrays is unused. */
const LEVELS = 6;

/** What a walk found. Valid until the next walk of the same walker. */
export class WalkResult {
  fault: WalkFault = WalkFault.NONE;
  /** Error code of the page fault (`Pferr`); for guest EPT, P, W, U, RSVD, F of the violation. */
  errorCode = 0;

  /** The level the walk began at: 2, 3 (2 with cached PDPTEs), 4 or 5; 0 when paging is off. */
  topLevel = 0;
  /** Level of the leaf: 1, 2 or 3. After a fault, that of the entry at fault. 1 when paging is off. */
  level = 0;
  /** 4 KiB frame of the address, after the second translation if there is one. */
  gfn = 0 as Gfn;
  /** The same before the second translation. */
  guestGfn = 0 as Gfn;
  /** The AND of the rights (`Acc`) over all levels. After a permission fault too. */
  access = 0;
  /**
   * What may be cached: `access`, without WRITE after a read through a leaf that is not dirty, so
   * that the first write walks again and sets the flag.
   */
  cacheAccess = 0;
  /** Protection key of the leaf, 0 to 15; 0 where there are none. */
  pkey = 0;
  /** True when the leaf is global (its G flag with CR4.PGE). */
  global = false;
  /** With `WalkFault.NESTED`: the address that the second translation refused. */
  nestedGpa = 0 as Gpa;
  /** With `WalkFault.NESTED`: true when it is of a table, false when of the page itself. */
  nestedTable = false;

  /** By level: frame of the table, after the second translation. */
  readonly tableGfn: Float64Array = new Float64Array(LEVELS);
  /** By level: index of the entry in its table. */
  readonly index: Uint32Array = new Uint32Array(LEVELS);
  /** By level: the entry's halves, with the flags that the walk has set. */
  readonly pteLo: Uint32Array = new Uint32Array(LEVELS);
  readonly pteHi: Uint32Array = new Uint32Array(LEVELS);
}
