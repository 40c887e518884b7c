/**
 * The software TLB's layout: what translated code will read, too. Direct-mapped sets of 16-byte
 * entries by kind of access: low half of the page's linear address, high half, what added to the low
 * half of a linear address gives the offset in guest RAM (modulo 2^32), and flags.
 *
 * A set holds an entry only when nothing is to be done at such an access but to make it: pages of
 * devices, of read-only memory, with a write still to be logged, with decoded code in them (for
 * writes) or with a breakpoint are absent, so that they cost nothing elsewhere.
 */

import { STATE_BYTES } from "../../cpu/state.ts";

/** log2 of the entries of one set. */
export const TLB_BITS = 10;
/** Words of one set. */
export const SET_WORDS = 4 << TLB_BITS;
/** Where the TLB begins in the vCPU's memory, in bytes: behind the state and the scratch space. */
const TLB_BYTES_AT = 16384;

/** First word of each set, by who accesses. Reads stand before writes. */
export const TlbSet = {
  FIRST: TLB_BYTES_AT / 4,
  USER_READ: TLB_BYTES_AT / 4,
  USER_WRITE: TLB_BYTES_AT / 4 + SET_WORDS,
  SUPERVISOR_READ: TLB_BYTES_AT / 4 + 2 * SET_WORDS,
  SUPERVISOR_WRITE: TLB_BYTES_AT / 4 + 3 * SET_WORDS,
  /** Supervisor with SMAP suspended by RFLAGS.AC (SDM 3A §4.6.1). */
  SUSPENDED_READ: TLB_BYTES_AT / 4 + 4 * SET_WORDS,
  SUSPENDED_WRITE: TLB_BYTES_AT / 4 + 5 * SET_WORDS,
  /** Never filled: accesses that have to be looked at one by one (alignment checks of user code). */
  CHECKED_READ: TLB_BYTES_AT / 4 + 6 * SET_WORDS,
  CHECKED_WRITE: TLB_BYTES_AT / 4 + 7 * SET_WORDS,
} as const;
/** Words of all sets. */
export const TLB_WORDS = 8 * SET_WORDS;

/** Words of an entry. */
export const Entry = { TAG_LO: 0, TAG_HI: 1, ADDEND: 2, FLAGS: 3 } as const;
/** Entry flag: global, kept when CR3 is loaded (SDM 3A §4.10.2.4). */
export const GLOBAL = 1;
/** A tag that no page has. */
export const NO_TAG = 1;

/** Bytes where accesses that cross pages or go to devices are put together: behind the state. */
export const SCRATCH_AT = STATE_BYTES;
/** End of the TLB, in bytes; the translator's part follows. */
export const TLB_BYTES_END = TLB_BYTES_AT + TLB_WORDS * 4;
/** Bytes of a vCPU's memory: whole pages of WebAssembly. */
export const PRIVATE_BYTES = TLB_BYTES_END + 10 * 65536 - TLB_BYTES_AT;
export const PRIVATE_PAGES = PRIVATE_BYTES / 65536;

/** First word of the entry for the page of linear address `lo` in the set at `set`. */
export function entryAt(set: number, lo: number): number {
  return set + (lo >>> 10 & ((1 << TLB_BITS) - 1) << 2);
}
