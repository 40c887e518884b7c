/**
 * Entries of our own page tables (SPTEs): bits that every format shares, and the formats. An entry
 * travels as two signed 32-bit halves, `lo` and `hi`; V8 keeps such numbers unboxed.
 *
 * An SPTE is present when it is neither zero nor an MMIO entry. That is our notion, not the
 * hardware's: an access-tracked entry is present here though the hardware finds no right in it.
 */

import { frameFrom, type Pfn } from "../base/u64.ts";

/** Bits 31:0 that all formats share. */
export const SpteLo = {
  WRITE: 1 << 1,
  /** The entry is a leaf of level 2 or 3. */
  LARGE: 1 << 7,
  /** The host lets us write the frame. */
  HOST_WRITEABLE: 1 << 10,
  /** Nothing but dirty logging keeps the entry read-only: no guest table, no write tracking. */
  MMU_WRITEABLE: 1 << 11,
} as const;

/** Bits 63:32 that all formats share. */
export const SpteHi = {
  /** Bits 53:52: `SpteKind`. */
  KIND: 3 << 20,
  /** Bits 54 and 56: what access tracking saved of R and X (bits 2:0 moved up by 54). */
  SAVED_R: 1 << 22,
  SAVED_X: 1 << 24,
} as const;

/** Values of bits 53:52, in place in the high half. */
export const SpteKind = {
  ACCESSED_DIRTY: 0,
  /** The hardware sets no flags in this entry; it may be access-tracked. */
  NO_ACCESSED_DIRTY: 1 << 20,
  /** Flags are set, but writes are logged by write protection, not by PML. */
  WRITE_PROTECT_ONLY: 2 << 20,
  MMIO: 3 << 20,
} as const;

// V8 folds a module's own constants, not what it exports: these are for the hot paths below.
const { HOST_WRITEABLE, LARGE, MMU_WRITEABLE, WRITE } = SpteLo;
const { KIND, SAVED_R, SAVED_X } = SpteHi;
const { MMIO, NO_ACCESSED_DIRTY } = SpteKind;
/** Both of the bits that let the fast path restore WRITE. */
const WRITEABLE = HOST_WRITEABLE | MMU_WRITEABLE;
const SAVED_MASK = SAVED_R | SAVED_X;
const SAVED_SHIFT = 54 - 32;
/** R, W and X of an EPT entry. */
const EPT_RWX = 7;

/** What a format puts where. Masks of the low half unless they say otherwise. */
export interface SpteFormat {
  readonly ept: boolean;
  /** Set in every present entry; 0 where execute-only entries exist. */
  readonly present: number;
  /** User access; for EPT, the right to read. */
  readonly user: number;
  /** The right to execute; 0 where `noExecHi` takes it away instead. */
  readonly exec: number;
  /** High half: forbids execution. */
  readonly noExecHi: number;
  readonly accessed: number;
  readonly dirty: number;
  /** SpteKind that new entries get, in the high half. */
  readonly kindHi: number;
  /** Without accessed flags, entries whose rights are taken away tell who is used. */
  readonly accessTracking: boolean;
}

/** Long-mode format: shadow paging and nested paging (SDM 3A §4.5.4, APM 2 §15.25.5). */
export const LONG_FORMAT: SpteFormat = {
  ept: false,
  present: 1,
  user: 1 << 2,
  exec: 0,
  noExecHi: 1 << 31,
  accessed: 1 << 5,
  dirty: 1 << 6,
  kindHi: SpteKind.ACCESSED_DIRTY,
  accessTracking: false,
};

/**
 * Extended page tables (SDM 3C §28.3.2).
 * @param flags The hardware sets accessed and dirty flags (EPTP bit 6).
 * @param execOnly The hardware allows entries that can be executed but not read.
 */
export function eptFormat(flags: boolean, execOnly: boolean): SpteFormat {
  return {
    ept: true,
    present: execOnly ? 0 : 1,
    user: 1,
    exec: 1 << 2,
    noExecHi: 0,
    accessed: flags ? 1 << 8 : 0,
    dirty: flags ? 1 << 9 : 0,
    kindHi: flags ? SpteKind.ACCESSED_DIRTY : SpteKind.NO_ACCESSED_DIRTY,
    accessTracking: !flags,
  };
}

/** Not zero and not MMIO. */
export function isPresent(lo: number, hi: number): boolean {
  return (lo | hi) !== 0 && (hi & KIND) !== MMIO;
}

export function isMmio(hi: number): boolean {
  return (hi & KIND) === MMIO;
}

/** True when a present entry of `level` maps a page, not a table. */
export function isLeaf(lo: number, level: number): boolean {
  return level === 1 || (lo & LARGE) !== 0;
}

export function isWritable(lo: number): boolean {
  return (lo & WRITE) !== 0;
}

/** The frame of a present entry: guest RAM for a leaf, a table's number otherwise. */
export function pfnOf(lo: number, hi: number): Pfn {
  return frameFrom(lo, hi) as Pfn;
}

/** True when the entry is of a kind without flags and has had its rights taken away. */
export function isAccessTracked(format: SpteFormat, lo: number, hi: number): boolean {
  return format.accessTracking && (hi & KIND) === NO_ACCESSED_DIRTY &&
    (lo & EPT_RWX) === 0;
}

/** True when the entry counts as used: flag set, or not access-tracked. */
export function isAccessed(format: SpteFormat, lo: number, hi: number): boolean {
  return format.accessed !== 0 ? (lo & format.accessed) !== 0 : !isAccessTracked(format, lo, hi);
}

/** True when the entry says that its frame was written. */
export function isDirty(format: SpteFormat, lo: number): boolean {
  return format.dirty !== 0 ? (lo & format.dirty) !== 0 : (lo & WRITE) !== 0;
}

/** High half of a tracked entry: R and X of `lo` saved at bits 54 and 56. */
export function saveRights(lo: number, hi: number): number {
  return hi | (lo & 5) << SAVED_SHIFT;
}

/** Low half of a tracked entry: no rights left. */
export function withoutRights(lo: number): number {
  return lo & ~EPT_RWX;
}

/** Low half of an entry whose saved R and X are given back; W returns only through a write fault. */
export function restoredLo(lo: number, hi: number): number {
  return lo & ~EPT_RWX | (hi >>> SAVED_SHIFT) & 5;
}

/** High half of an entry whose saved rights are given back. */
export function restoredHi(hi: number): number {
  return hi & ~SAVED_MASK;
}

/** True when only dirty logging keeps the entry read-only. */
export function canBecomeWritable(lo: number): boolean {
  return (lo & WRITEABLE) === WRITEABLE;
}

/** True when the hardware would let an access with error code bits F, W or neither through. */
export function isAllowed(
  format: SpteFormat,
  lo: number,
  hi: number,
  fetch: boolean,
  write: boolean,
): boolean {
  if (fetch) {
    return format.exec !== 0
      ? (lo & format.exec) !== 0
      : (lo & 1) !== 0 && (hi & format.noExecHi) === 0;
  }
  if (write) return (lo & WRITE) !== 0;
  return (lo & 1) !== 0;
}
