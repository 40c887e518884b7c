/**
 * Sum, product, quotient and square root of finite numbers that are not zero, to 96 bits with a
 * sticky last bit: enough for every format and rounding mode to be exact about.
 */

import { TWO_32 } from "../../base/u64.ts";
import { FINITE, INTEGER_BIT, type Unpacked, ZERO } from "./unpacked.ts";
import { multiply, normalize, shiftRightSticky } from "./wide.ts";

/** z = x + y, where y has the sign `ySign`. An exact zero is of kind ZERO, its sign is not set. */
export function addFinite(x: Unpacked, y: Unpacked, ySign: number, z: Unpacked): void {
  const xIsLarge = x.exp >= y.exp;
  const large = xIsLarge ? x : y;
  const small = xIsLarge ? y : x;
  z.kind = FINITE;
  z.sign = xIsLarge ? x.sign : ySign;
  z.exp = large.exp;
  z.hi = small.hi;
  z.lo = small.lo;
  z.ext = 0;
  shiftRightSticky(z, large.exp - small.exp);
  if (x.sign === ySign) addTo(z, large);
  else subtractFrom(z, large);
}

/** z += large, with room for the carry. */
function addTo(z: Unpacked, large: Unpacked): void {
  const lo = (large.lo >>> 0) + (z.lo >>> 0);
  const hi = (large.hi >>> 0) + (z.hi >>> 0) + (lo >= TWO_32 ? 1 : 0);
  z.lo = lo | 0;
  z.hi = hi | 0;
  if (hi >= TWO_32) {
    shiftRightSticky(z, 1);
    z.hi |= INTEGER_BIT;
    z.exp++;
  }
}

/** z = large - z; the sign turns when z was larger, which takes equal exponents. */
function subtractFrom(z: Unpacked, large: Unpacked): void {
  const ext = -(z.ext >>> 0);
  const lo = (large.lo >>> 0) - (z.lo >>> 0) - (ext < 0 ? 1 : 0);
  const hi = (large.hi >>> 0) - (z.hi >>> 0) - (lo < 0 ? 1 : 0);
  z.ext = ext | 0;
  z.lo = lo | 0;
  z.hi = hi | 0;
  if (hi < 0) {
    z.sign ^= 1;
    z.hi = ~z.hi + (z.lo === 0 ? 1 : 0) | 0;
    z.lo = -z.lo | 0;
  }
  if ((z.hi | z.lo | z.ext) === 0) z.kind = ZERO;
  else z.exp -= normalize(z);
}

/** z = x * y. */
export function mulFinite(x: Unpacked, y: Unpacked, z: Unpacked): void {
  z.kind = FINITE;
  z.sign = x.sign ^ y.sign;
  z.exp = x.exp + y.exp + 1;
  multiply(x.lo, x.hi, y.lo, y.hi, z);
  // The product of two significands in [1, 2) is in [1, 4).
  z.exp -= normalize(z);
}

/** The remainder of the division in progress, as unsigned halves, and its divisor. */
const division = { hi: 0, lo: 0, divisorHi: 0, divisorLo: 0 };

/** z = x / y. */
export function divFinite(x: Unpacked, y: Unpacked, z: Unpacked): void {
  z.kind = FINITE;
  z.sign = x.sign ^ y.sign;
  z.exp = x.exp - y.exp - 1;
  const d = division;
  d.hi = x.hi >>> 0;
  d.lo = x.lo >>> 0;
  d.divisorHi = y.hi >>> 0;
  d.divisorLo = y.lo >>> 0;
  const hasIntegerBit = d.hi > d.divisorHi || d.hi === d.divisorHi && d.lo >= d.divisorLo;
  if (hasIntegerBit) {
    d.hi -= d.divisorHi;
    d.lo -= d.divisorLo;
    if (d.lo < 0) {
      d.lo += TWO_32;
      d.hi--;
    }
  }
  z.hi = nextDigit() << 16 | nextDigit();
  z.lo = nextDigit() << 16 | nextDigit();
  z.ext = nextDigit() << 16 | (d.hi !== 0 || d.lo !== 0 ? 1 : 0);
  if (hasIntegerBit) {
    shiftRightSticky(z, 1);
    z.hi |= INTEGER_BIT;
    z.exp++;
  }
}

/**
 * The next 16 bits of the quotient (Knuth, The Art of Computer Programming 2, §4.3.1 algorithm D).
 * The remainder is below the divisor before and after. All products stay below 2^53.
 */
function nextDigit(): number {
  const d = division;
  const estimate = Math.floor((d.hi * 0x1_0000 + Math.floor(d.lo / 0x1_0000)) / d.divisorHi);
  let digit = estimate > 0xffff ? 0xffff : estimate;
  let lo = d.lo * 0x1_0000 - digit * d.divisorLo;
  let hi = d.hi * 0x1_0000 - digit * d.divisorHi;
  const carry = Math.floor(lo / TWO_32);
  lo -= carry * TWO_32;
  hi += carry;
  // The divisor's top bit is set, so the estimate is at most 2 too large.
  while (hi < 0) {
    digit--;
    lo += d.divisorLo;
    hi += d.divisorHi;
    if (lo >= TWO_32) {
      lo -= TWO_32;
      hi++;
    }
  }
  d.lo = lo;
  d.hi = hi;
  return digit;
}

/**
 * z = sqrt(x), x positive. Bit by bit: with q the root so far and r = 2^i * (x - q^2), the next bit
 * b = 2^-i belongs to the root when 2r >= 2q + b. Numbers are in units of 2^-65, two bits below the
 * significand, in halves that are doubles and so have room above 32 bits.
 */
export function sqrtFinite(x: Unpacked, z: Unpacked): void {
  const odd = x.exp & 1;
  const unit = odd === 0 ? 4 : 8;
  const carry = (x.lo >>> 0) * unit;
  let rHi = (x.hi >>> 0) * unit + Math.floor(carry / TWO_32) - 2 ** 33;
  let rLo = x.lo * unit >>> 0;
  let qHi = 2 ** 33;
  let qLo = 0;
  let bitHi = 2 ** 33;
  let bitLo = 0;
  for (let i = 1; i <= 65; i++) {
    if (bitHi === 1) bitLo = TWO_32;
    bitHi = bitHi > 1 ? bitHi / 2 : 0;
    bitLo /= 2;
    rHi *= 2;
    rLo *= 2;
    if (rLo >= TWO_32) {
      rLo -= TWO_32;
      rHi++;
    }
    let tHi = 2 * qHi + bitHi;
    let tLo = 2 * qLo + bitLo;
    if (tLo >= TWO_32) {
      tLo -= TWO_32;
      tHi++;
    }
    if (rHi < tHi || rHi === tHi && rLo < tLo) continue;
    rHi -= tHi;
    rLo -= tLo;
    if (rLo < 0) {
      rLo += TWO_32;
      rHi--;
    }
    qHi += bitHi;
    qLo += bitLo;
  }
  z.kind = FINITE;
  z.sign = 0;
  z.exp = (x.exp - odd) / 2;
  z.hi = qHi / 4 | 0;
  z.lo = (qHi & 3) << 30 | qLo / 4;
  z.ext = (qLo & 3) << 30 | (rHi !== 0 || rLo !== 0 ? 1 : 0);
}
