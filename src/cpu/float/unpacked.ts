/**
 * Numbers taken apart: one form for all formats, in which the arithmetic is done. The operands A and
 * B and the result Z are preallocated; operations read and write these three.
 */

import { DE } from "./control.ts";
import { normalize, type Wide } from "./wide.ts";

/** Zero. */
export const ZERO = 0;
/** A number with significand hi:lo, bit 63 set, and the value hi:lo / 2^63 * 2^exp. */
export const FINITE = 1;
/** Infinity. */
export const INFINITE = 2;
/** A quiet NaN; hi:lo is its significand, left-aligned as in the 80-bit format. */
export const QUIET_NAN = 3;
/** A signalling NaN. */
export const SIGNALLING_NAN = 4;
/** An encoding that the 80-bit format no longer supports (SDM 1 §8.2.2). */
export const UNSUPPORTED = 5;

/** A number taken apart. */
export interface Unpacked extends Wide {
  kind: number;
  /** 1 when negative. */
  sign: number;
  /** Exponent without bias. */
  exp: number;
  /** DE when the encoding was a denormal, else 0. */
  denormal: number;
}

/** First operand. */
export const A: Unpacked = unpacked();
/** Second operand. */
export const B: Unpacked = unpacked();
/** Result. */
export const Z: Unpacked = unpacked();

/** The quiet bit of a NaN's significand, in its high half. */
export const QUIET_BIT = 0x4000_0000;
/** The integer bit of a significand, in its high half. */
export const INTEGER_BIT = 0x8000_0000 | 0;

function unpacked(): Unpacked {
  return { kind: ZERO, sign: 0, exp: 0, hi: 0, lo: 0, ext: 0, denormal: 0 };
}

/** Takes apart an 80-bit number. */
export function unpackF80(n: Unpacked, lo: number, hi: number, signExp: number): void {
  const biased = signExp & 0x7fff;
  n.sign = signExp >>> 15 & 1;
  n.hi = hi | 0;
  n.lo = lo | 0;
  if (biased === 0) return unpackTiny(n, -16382);
  n.denormal = 0;
  n.exp = biased - 16383;
  if (n.hi >= 0) n.kind = UNSUPPORTED;
  else if (biased === 0x7fff) n.kind = kindOfSpecial(n);
  else n.kind = FINITE;
}

/** Takes apart an f64. */
export function unpackF64(n: Unpacked, lo: number, hi: number): void {
  const biased = hi >>> 20 & 0x7ff;
  n.sign = hi >>> 31;
  n.hi = (hi & 0xf_ffff) << 11 | lo >>> 21;
  n.lo = lo << 11;
  if (biased === 0) return unpackTiny(n, -1022);
  n.denormal = 0;
  n.exp = biased - 1023;
  n.hi |= INTEGER_BIT;
  n.kind = biased === 0x7ff ? kindOfSpecial(n) : FINITE;
}

/** Takes apart an f32. */
export function unpackF32(n: Unpacked, bits: number): void {
  const biased = bits >>> 23 & 0xff;
  n.sign = bits >>> 31;
  n.hi = (bits & 0x7f_ffff) << 8;
  n.lo = 0;
  if (biased === 0) return unpackTiny(n, -126);
  n.denormal = 0;
  n.exp = biased - 127;
  n.hi |= INTEGER_BIT;
  n.kind = biased === 0xff ? kindOfSpecial(n) : FINITE;
}

/** Takes a 64-bit integer in two's complement. */
export function unpackInteger(n: Unpacked, lo: number, hi: number): void {
  const isNegative = hi < 0;
  n.sign = isNegative ? 1 : 0;
  n.hi = isNegative ? ~hi + (lo === 0 ? 1 : 0) | 0 : hi | 0;
  n.lo = isNegative ? -lo | 0 : lo | 0;
  unpackTiny(n, 63);
  n.denormal = 0;
}

/** A significand without its integer bit set; zero when nothing is set. */
function unpackTiny(n: Unpacked, exp: number): void {
  if ((n.hi | n.lo) === 0) {
    n.kind = ZERO;
    n.denormal = 0;
    return;
  }
  n.kind = FINITE;
  n.denormal = DE;
  n.ext = 0;
  n.exp = exp - normalize(n);
}

function kindOfSpecial(n: Unpacked): number {
  if (n.hi === INTEGER_BIT && n.lo === 0) return INFINITE;
  return (n.hi & QUIET_BIT) !== 0 ? QUIET_NAN : SIGNALLING_NAN;
}
