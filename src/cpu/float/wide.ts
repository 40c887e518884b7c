/** Multiplication and shifts wider than the 32 bits of JavaScript's operators. */

import { TWO_32 } from "../../base/u64.ts";

/** A fraction of 96 bits: a significand of 64 bits and 32 bits below it, all signed halves. */
export interface Wide {
  /** Bits 95:64. */
  hi: number;
  /** Bits 63:32. */
  lo: number;
  /** Bits 31:0. Bit 0 also stands for everything below: it is sticky. */
  ext: number;
}

/** Bits 63:32 of the unsigned product of two 32-bit numbers. */
export function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = (Math.imul(aHigh, bLow) >>> 0) + (Math.imul(aLow, bLow) >>> 16);
  const cross = (Math.imul(aLow, bHigh) >>> 0) + (middle & 0xffff);
  return Math.imul(aHigh, bHigh) + (middle >>> 16) + (cross >>> 16) | 0;
}

/** The product of two 64-bit significands, its lowest 32 bits merged into the sticky bit. */
export function multiply(aLo: number, aHi: number, bLo: number, bHi: number, out: Wide): void {
  const word1 = (mulHigh(aLo, bLo) >>> 0) + (Math.imul(aLo, bHi) >>> 0) +
    (Math.imul(aHi, bLo) >>> 0);
  const word2 = (mulHigh(aLo, bHi) >>> 0) + (mulHigh(aHi, bLo) >>> 0) +
    (Math.imul(aHi, bHi) >>> 0) + Math.floor(word1 / TWO_32);
  out.hi = mulHigh(aHi, bHi) + Math.floor(word2 / TWO_32) | 0;
  out.lo = word2 | 0;
  out.ext = (word1 | 0) | (Math.imul(aLo, bLo) !== 0 ? 1 : 0);
}

/** Shifts right by `count` >= 0; what falls out stays in the sticky bit. */
export function shiftRightSticky(w: Wide, count: number): void {
  if (count >= 96) {
    w.ext = (w.hi | w.lo | w.ext) !== 0 ? 1 : 0;
    w.hi = w.lo = 0;
    return;
  }
  let lost = 0;
  for (; count >= 32; count -= 32) {
    lost |= w.ext;
    w.ext = w.lo;
    w.lo = w.hi;
    w.hi = 0;
  }
  if (count !== 0) {
    const left = 32 - count;
    lost |= w.ext << left;
    w.ext = w.ext >>> count | w.lo << left;
    w.lo = w.lo >>> count | w.hi << left;
    w.hi = w.hi >>> count;
    w.hi |= 0;
  }
  if (lost !== 0) w.ext |= 1;
}

/** Shifts left until the top bit is set; gives the number of places, 0 for zero. */
export function normalize(w: Wide): number {
  if ((w.hi | w.lo | w.ext) === 0) return 0;
  let count = 0;
  for (; w.hi === 0; count += 32) {
    w.hi = w.lo;
    w.lo = w.ext;
    w.ext = 0;
  }
  const places = Math.clz32(w.hi);
  if (places !== 0) {
    const left = 32 - places;
    w.hi = w.hi << places | w.lo >>> left;
    w.lo = w.lo << places | w.ext >>> left;
    w.ext <<= places;
  }
  return count + places;
}
