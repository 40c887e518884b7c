/**
 * What translated code and TypeScript share in a vCPU's private memory, behind the TLB, and the
 * meaning of the numbers in it. All offsets in bytes.
 */

import { TLB_BYTES_END } from "../tlb.ts";

/** Words of the translator, at fixed offsets. */
export const Jit = {
  /** Instructions that may still run (i32). */
  BUDGET: TLB_BYTES_END,
  /** Byte offset of the TLB set that data reads use now (i32); that of writes follows it. */
  TLB: TLB_BYTES_END + 4,
  /** Not 0: SSE instructions are not to be executed here (i32). */
  SSE_TRAP: TLB_BYTES_END + 8,
  /** `FlagKind` of the flags, with what is added to it (i32). */
  FLAG_KIND: TLB_BYTES_END + 12,
  /** What the flags are made of (i64 each). */
  FLAG_A: TLB_BYTES_END + 16,
  FLAG_B: TLB_BYTES_END + 24,
  FLAG_RESULT: TLB_BYTES_END + 32,
  /** What tells modes and privileges apart in the jump cache's tags (i64). */
  MODE: TLB_BYTES_END + 40,
  /** Index of the instruction that `Status.STEP` is about (i32). */
  SITE: TLB_BYTES_END + 48,
  /** Not 0: there are other vCPUs, to whom PAUSE gives their turn (i32). */
  SHARES: TLB_BYTES_END + 52,
  /** `Cpu.wholeSegments` (i32). */
  WHOLE: TLB_BYTES_END + 56,
  /** Offset of the last call's entry from `RETURNS_AT` (i32). */
  RETURNS_TOP: TLB_BYTES_END + 60,
  /** The time-stamp counter as the last RDTSC of translated code has read it (i64). */
  TSC: TLB_BYTES_END + 64,
  /** `MODE` for tags of links and returns, which changes whenever they are void (i64). */
  LINK_MODE: TLB_BYTES_END + 72,
  /** Offset of the link that did not lead where translated code goes on now, or 0 (i32). */
  LINK: TLB_BYTES_END + 80,
  /** Not 0: NMIs are masked until IRET (i32). */
  NMI_MASKED: TLB_BYTES_END + 84,
} as const;

/**
 * Page slots (`page_slots.ts`) of the function that runs: a page (i64), and what is added to an address
 * in it to get to RAM (i32).
 */
export const SLOTS_AT = TLB_BYTES_END + 512;
export const SLOT_BYTES = 16;
export const SLOTS = 16;

/** Added to the width of an access that is a range of several ones. */
export const RANGE = 1024;

/** `Jit.SITE` of an instruction that crosses into the next page and is fetched each time. */
export const FETCHED_SITE = -1;
/** The same, less its number, of one that is translated, but has to be fetched this time. */
export const TAIL_SITE = -2;

/** Place of the CPL in bits 63:32 of `Jit.MODE`. */
export const MODE_CPL = 27;
/** Place of the number of times that links were void, modulo `LINK_TIMES`, in those of `LINK_MODE`. */
export const LINK_TIME = 16;
export const LINK_TIMES = 1 << 10;

/** log2 of the jump cache's entries. */
export const JUMP_BITS = 14;
/** Bytes of an entry. */
export const JUMP_BYTES = 16;
/** log2 of the places for entries, and entries at one place. */
export const JUMP_PLACE_BITS = 12;
export const JUMP_WAYS = 1 << JUMP_BITS - JUMP_PLACE_BITS;
/**
 * Where the last calls of translated code return to: a ring of entries like links, with the return
 * address for the instruction pointer.
 */
export const RETURNS_AT = TLB_BYTES_END + 1024;
export const RETURNS_BYTES = JUMP_BYTES * 32;
/** Offsets of entries in the ring. */
export const RETURNS_MASK = RETURNS_BYTES - JUMP_BYTES;
/**
 * The jump cache, by instruction pointer: entries of tag (RIP against `Jit.MODE`, i64), index in the
 * table of functions (i32) and the entry's number in the function (i32). Entries whose place is the
 * same (`jumpAt`) stand behind each other, the one that came last first, in one line of a CPU's cache.
 */
export const JUMPS_AT = TLB_BYTES_END + 4096;
export const JUMPS_END = JUMPS_AT + (JUMP_BYTES << JUMP_BITS);
/**
 * Links: where each way out of a region led the last time, entries like the jump cache's, with
 * `Jit.LINK_MODE` in their tags. Ways share them: a tag says all of where it leads.
 */
export const LINKS_AT = JUMPS_END;
export const LINKS = 1 << 14;
export const LINKS_END = LINKS_AT + LINKS * JUMP_BYTES;
/**
 * By number of a translated instruction that crosses into the next page (`tails.ts`): the linear
 * address of its first page, plus 1 (i64), as long as fetching it there would give what has been
 * translated and do nothing else.
 */
export const TAILS_AT = LINKS_END;
export const TAIL_BYTES = 8;
export const MAX_TAILS = 4096;

/**
 * How the six status flags are found. Operands and result are sign-extended to 64 bits, so that the
 * rules are the same for all operand sizes; or, with `LOW_32`, their lower halves count. ZF, SF and PF
 * are those of the result.
 */
export const FlagKind = {
  /** In a region's local variable: as they were when it was entered, in the private memory. */
  UNCHANGED: 0,
  /** CF, AF and OF are 0. */
  RESULT: 1 << 3,
  /** Of A - B, which the result is. Of 32 or 64 bits, as the next two: there is no other variable. */
  COMPARISON: 2 << 3,
  /** Of the sum of something and B, which the result is. */
  SUM: 3 << 3,
  /** Of something less B, which the result is. */
  DIFFERENCE: 4 << 3,
  /** Of A - B, and perhaps a borrow, with the result. */
  SUB: 5 << 3,
  /** CF is bit B of A; OF: A and the result differ in sign. AF is 0. */
  RIGHT: 6 << 3,
  /** CF is bit B of A; OF: that and the result's sign differ. AF is 0. */
  LEFT: 7 << 3,
  /** Of the sum of A and B, and perhaps a carry, with the result. */
  ADD: 8 << 3,
  /** In their places in the low word of B. */
  EXPLICIT: 9 << 3,
  /** Of the signed product of A and B, cut to the result: CF and OF where that lost anything. */
  PRODUCT: 10 << 3,
  /** CF and OF: B is not 0. AF is 0. */
  HIGH: 11 << 3,
} as const;
/** Where the kind begins in a word of flags, and how many there can be. */
export const KIND_SHIFT = 3;
export const KINDS = 16;
/** Added to a kind: A, B and the result have 32 bits and whatever above them. */
export const LOW_32 = 4;
/** Added to a kind: CF is bit 0 of the word itself, whatever the kind says of it. */
export const CARRY_APART = 2;
/** Added to a kind: OF is in its place, bit 11, of the word itself. */
export const OVERFLOW_APART = 0x400;
export type FlagKind = typeof FlagKind[keyof typeof FlagKind];

/** What a region's function returns. */
export const Status = {
  /** RIP is set: go on there. */
  JUMP: 0,
  /** The instruction at RIP, `Jit.SITE`, is to be interpreted. */
  STEP: 1,
  /** The instruction at RIP could not be finished here: it is to be interpreted. */
  BAIL: 2,
  /** The budget does not suffice for the block at RIP. */
  BUDGET: 3,
} as const;
export type Status = typeof Status[keyof typeof Status];

/** Where in the jump cache the instruction pointer with the low half `lo` has its place, in bytes. */
export function jumpAt(lo: number): number {
  const place = (lo ^ lo >>> JUMP_PLACE_BITS) & (1 << JUMP_PLACE_BITS) - 1;
  return JUMPS_AT + place * JUMP_BYTES * JUMP_WAYS;
}
