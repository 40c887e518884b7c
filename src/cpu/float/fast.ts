/**
 * Where JavaScript's own arithmetic is the answer. It rounds to nearest and raises nothing, so it
 * serves when MXCSR rounds to nearest, PE is set already and masked, and operands and result are far
 * from everything that raises another flag: normal numbers, or zeros that are exact.
 *
 * An f32 result is an f64 result rounded once more. That is the f32 rounding of the exact result
 * for all five operations: 53 >= 2 * 24 + 2 (Figueroa, When is double rounding innocuous?, 1995).
 */

import { EQUAL, GREATER, LESS, MXCSR_MASK_SHIFT, MXCSR_RC_SHIFT, PE, TO_ZERO } from "./control.ts";
import { result } from "./result.ts";

const PE_MASKED = PE << MXCSR_MASK_SHIFT;
const PLAIN_BITS = TO_ZERO << MXCSR_RC_SHIFT | PE_MASKED | PE;

const f64 = new Float64Array(1);
const f64Halves = new Int32Array(f64.buffer);
const f32 = new Float32Array(1);
const f32Bits = new Int32Array(f32.buffer);

/** Whether `mxcsr` rounds to nearest and an inexact result changes nothing. */
export function isPlain(mxcsr: number): boolean {
  return (mxcsr & PLAIN_BITS) === (PE_MASKED | PE);
}

/** Whether the f64 is a normal number or a zero. */
export function isOrdinaryF64(lo: number, hi: number): boolean {
  return (hi & 0x7ff0_0000) - 0x10_0000 >>> 0 < 0x7fe0_0000 || (hi << 1 | lo) === 0;
}

/** Whether the f32 is a normal number or a zero. */
export function isOrdinaryF32(bits: number): boolean {
  return (bits & 0x7f80_0000) - 0x80_0000 >>> 0 < 0x7f00_0000 || bits << 1 === 0;
}

/** The number with these halves. */
export function numberFromF64(lo: number, hi: number): number {
  f64Halves[0] = lo;
  f64Halves[1] = hi;
  return f64[0];
}

/** The number with these bits. */
export function numberFromF32(bits: number): number {
  f32Bits[0] = bits;
  return f32[0];
}

/**
 * Leaves `value` in `result` when it is clear of overflow and underflow, the smallest normal
 * exponent included: what rounds up to it was tiny. Zeros are left to the caller's slow path.
 */
export function deliverF64(value: number): boolean {
  f64[0] = value;
  const hi = f64Halves[1];
  if ((hi & 0x7ff0_0000) - 0x20_0000 >>> 0 >= 0x7fd0_0000) return false;
  deliverBits(f64Halves[0], hi);
  return true;
}

/** See `deliverF64`. */
export function deliverF32(value: number): boolean {
  f32[0] = value;
  const bits = f32Bits[0];
  if ((bits & 0x7f80_0000) - 0x100_0000 >>> 0 >= 0x7e80_0000) return false;
  deliverBits(bits, 0);
  return true;
}

/** Leaves an exact f64 in `result`; gives its low half. */
export function deliverExactF64(value: number): number {
  f64[0] = value;
  deliverBits(f64Halves[0], f64Halves[1]);
  return result.lo;
}

/**
 * Leaves the integer part of `value` in `result.lo`; false when it is none of 32 bits, or when
 * cutting it off raises an exception that is not masked.
 */
export function deliverTruncated(value: number, mxcsr: number): boolean {
  const integer = value | 0;
  const isExact = integer === value;
  if (!isExact) {
    if (!(value > -2147483649 && value < 2147483648) || (mxcsr & PE_MASKED) === 0) return false;
  }
  deliverBits(integer, integer >> 31);
  if (!isExact) result.flags = PE;
  return true;
}

/** The outcome of comparing two ordinary numbers: no exception, whatever MXCSR says. */
export function compareOrdinary(a: number, b: number): number {
  result.flags = 0;
  result.stored = 1;
  return a < b ? LESS : a > b ? GREATER : EQUAL;
}

function deliverBits(lo: number, hi: number): void {
  result.lo = lo;
  result.hi = hi;
  result.flags = 0;
  result.stored = 1;
}
