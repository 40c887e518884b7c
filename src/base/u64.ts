/**
 * 64-bit arithmetic and address types. JavaScript's bitwise operators cut their operands to 32 bits,
 * so this is the one module that takes addresses apart; everything else calls it.
 *
 * Guest physical addresses and frame numbers are plain numbers: a double holds every integer below
 * 2^53 exactly and x86 physical addresses end at 2^52 (SDM 3A §4.1.4). Guest virtual addresses and
 * page-table entries use all 64 bits and travel as two unsigned 32-bit halves on hot paths, as
 * bigint elsewhere.
 */

/** What tells two kinds of numbers apart for the type checker; it does not exist at run time. */
export type Brand<Name extends string> = { readonly __brand: Name };

/** Guest physical address in bytes: a safe integer, 0 <= gpa < 2^52. */
export type Gpa = number & Brand<"Gpa">;
/** Guest frame number: gpa / 4096, a safe integer below 2^40. */
export type Gfn = number & Brand<"Gfn">;
/** Host frame number: the frame that backs a gfn, a safe integer below 2^40. */
export type Pfn = number & Brand<"Pfn">;
/** Guest virtual address: 64 bits, two's complement of a canonical address, as an unsigned bigint. */
export type Gva = bigint & Brand<"Gva">;

/** log2 of the size of a 4 KiB page (SDM 3A §4.3). */
export const PAGE_SHIFT = 12;
/** Bytes in a 4 KiB page. */
export const PAGE_SIZE = 4096;
/** 2^32: the weight of the upper half. */
export const TWO_32 = 0x1_0000_0000;
/** 2^52: the architectural end of physical addresses (SDM 3A §4.1.4). */
export const TWO_52 = 2 ** 52;

/**
 * Brands a number as a guest physical address.
 * @throws RangeError when it is not an integer from 0 to 2^52 - 1.
 */
export function gpa(value: number): Gpa {
  if (!Number.isInteger(value) || value < 0 || value >= TWO_52) {
    throw new RangeError(`Cannot use ${value} as a guest physical address: expected 0 to 2^52 - 1`);
  }
  return value as Gpa;
}

/** The frame that holds `address`. */
export function gfnOf(address: Gpa): Gfn {
  return Math.floor(address / PAGE_SIZE) as Gfn;
}

/** The first byte of frame `gfn`. */
export function gpaOf(gfn: Gfn): Gpa {
  return gfn * PAGE_SIZE as Gpa;
}

/**
 * The same number, as a small integer where it fits in 32 bits: V8 keeps what comes of a division or
 * a power as a double, and a field that has once held one is read as a double from then on.
 */
export function compact<T extends number>(value: T): T {
  const small = value | 0;
  return small === value ? small as T : value;
}

/** Offset of `address` in its 4 KiB page, 0 to 4095 bytes. */
export function pageOffset(address: number): number {
  return address % PAGE_SIZE;
}

/** The largest multiple of `alignment` (a positive integer) that is not above `value`. */
export function alignDown(value: number, alignment: number): number {
  return value - value % alignment;
}

/** The smallest multiple of `alignment` (a positive integer) that is not below `value`. */
export function alignUp(value: number, alignment: number): number {
  return alignDown(value + alignment - 1, alignment);
}

/** Bits 31:0 of a non-negative safe integer, unsigned. */
export function lo32(value: number): number {
  return value >>> 0;
}

/** Bits 52:32 of a non-negative safe integer, unsigned. */
export function hi32(value: number): number {
  return Math.floor(value / TWO_32);
}

/** The number with halves `lo` and `hi`; exact while the result is below 2^53. */
export function join32(lo: number, hi: number): number {
  return (hi >>> 0) * TWO_32 + (lo >>> 0);
}

/** Low half of a page-table entry's address field: bits 19:0 of the frame, at bits 31:12. Signed. */
export function frameLo(frame: Gfn | Pfn): number {
  return (frame >>> 0) << 12;
}

/** High half of a page-table entry's address field: bits 39:20 of the frame, at bits 19:0. */
export function frameHi(frame: Gfn | Pfn): number {
  // Frames below 8 TiB stay in integer registers.
  return frame <= 0x7fff_ffff ? frame >>> 20 : Math.floor(frame / 0x10_0000);
}

/** The frame in bits 51:12 of the entry with halves `lo` and `hi`. */
export function frameFrom(lo: number, hi: number): number {
  const high = hi & 0xf_ffff;
  // Frames below 8 TiB stay in integer registers.
  return high < 0x800 ? high << 20 | lo >>> 12 : high * 0x10_0000 + (lo >>> 12);
}

/** Bits 31:0 of a frame number, signed: for the offset of a frame in a block of a power of two. */
export function frameBits(frame: Gfn | Pfn): number {
  return frame | 0;
}

/** The unsigned 64-bit bigint with halves `lo` and `hi`. */
export function bigFrom32(lo: number, hi: number): bigint {
  return BigInt(hi >>> 0) << 32n | BigInt(lo >>> 0);
}

/** `value` as 0x-prefixed lower-case hexadecimal; negative numbers and bigints as their low 64 bits. */
export function hex(value: number | bigint): string {
  const wide = BigInt(value);
  return "0x" + (wide < 0n ? BigInt.asUintN(64, wide) : wide).toString(16);
}

/** Carry out of bit 31 of the addition `a` + `b` whose low 32 bits are `sum`: 0 or 1. */
export function carryOf(a: number, b: number, sum: number): number {
  return ((a & b) | ((a | b) & ~sum)) >>> 31;
}

/** Borrow out of bit 31 of the subtraction `a` - `b` whose low 32 bits are `difference`: 0 or 1. */
export function borrowOf(a: number, b: number, difference: number): number {
  return ((~a & b) | ((~a | b) & difference)) >>> 31;
}
