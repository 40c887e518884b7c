/**
 * Real functions for the transcendental instructions, in fixed point with 256 fraction bits: far
 * more than a rounding to 64 bits can tell from the exact value. BigInt keeps them simple; no hot
 * path comes here.
 */

import { bigFrom32 } from "../../base/u64.ts";
import { FINITE, type Unpacked, Z } from "./unpacked.ts";

/** Fraction bits of a fixed-point number. */
export const FRACTION = 256n;
/** 1 in fixed point. */
export const ONE = 1n << FRACTION;
/** pi in fixed point. */
export const PI = 0x3_243f6a88_85a308d3_13198a2e_03707344_a4093822_299f31d0_082efa98_ec4e6c89n;
/** ln(2) in fixed point. */
export const LN2 = 0xb17217f7_d1cf79ab_c9e3b398_03f2f6af_40f34326_7298b62d_8a0d175b_8baafa2bn;

/** Exponents below this have no more than a linear term that shows. */
export const TINY_EXP = -100;

/** The significand of n as an integer below 2^64. */
export function significand(n: Unpacked): bigint {
  return bigFrom32(n.lo, n.hi);
}

/** |n| in fixed point; exact from 2^-193 on. */
export function toFixed(n: Unpacked): bigint {
  return shift(significand(n), n.exp - 63 + Number(FRACTION));
}

/** value * 2^places, rounded down. */
export function shift(value: bigint, places: number): bigint {
  return places >= 0 ? value << BigInt(places) : value >> BigInt(-places);
}

/** Bits of a positive number. */
export function bitLength(value: bigint): number {
  const digits = value.toString(16);
  return 4 * digits.length - Math.clz32(parseInt(digits[0], 16)) + 28;
}

/**
 * Z = value * 2^exp, value positive. All results are irrational, so there is always something below
 * what Z has room for.
 */
export function setReal(sign: number, value: bigint, exp: number): void {
  setExact(sign, value, exp);
  Z.ext |= 1;
}

/** Z = value * 2^exp; what Z has no room for goes to its sticky bit. */
export function setExact(sign: number, value: bigint, exp: number): void {
  const excess = bitLength(value) - 96;
  const top = shift(value, -excess);
  Z.kind = FINITE;
  Z.sign = sign;
  Z.exp = exp + excess + 95;
  Z.hi = Number(BigInt.asIntN(32, top >> 64n));
  Z.lo = Number(BigInt.asIntN(32, top >> 32n));
  Z.ext = Number(BigInt.asIntN(32, top));
  if (shift(top, excess) !== value) Z.ext |= 1;
}

/** The sum of an alternating or plain power series: term(k + 1) = term(k) * factor / divisor(k). */
function series(first: bigint, factor: bigint, divisor: (k: bigint) => bigint): bigint {
  let sum = first;
  let term = first;
  for (let k = 1n; term !== 0n && term !== -1n; k++) {
    term = (term * factor >> FRACTION) / divisor(k);
    sum += term;
  }
  return sum;
}

/** sin(x), |x| <= 1. */
export function sin(x: bigint): bigint {
  return series(x, -(x * x >> FRACTION), (k) => 2n * k * (2n * k + 1n));
}

/** cos(x), |x| <= 1. */
export function cos(x: bigint): bigint {
  return series(ONE, -(x * x >> FRACTION), (k) => 2n * k * (2n * k - 1n));
}

/** e^x - 1, |x| <= 1. */
export function expm1(x: bigint): bigint {
  return series(x, x, (k) => k + 1n);
}

/** atan(x), 0 <= x <= 1; the argument is halved first, so that the series is short. */
export function atan(x: bigint): bigint {
  let t = x;
  for (let i = 0; i < 3; i++) t = (t << FRACTION) / (ONE + squareRoot(ONE + (t * t >> FRACTION)));
  return oddSeries(t, -(t * t >> FRACTION)) << 3n;
}

/** log2(x), x positive: of the power of 2, then ln((1 + z) / (1 - z)) = 2 atanh(z). */
export function log2(x: bigint): bigint {
  let power = bitLength(x) - 1 - Number(FRACTION);
  // The rest is between sqrt(1/2) and sqrt(2), roughly.
  if (shift(x, 2 - Number(FRACTION) - power) > 5n) power++;
  const one = shift(ONE, power);
  const z = (x - one << FRACTION) / (x + one);
  return BigInt(power) * ONE + (2n * oddSeries(z, z * z >> FRACTION) << FRACTION) / LN2;
}

/** x + x * q / 3 + x * q^2 / 5 + … */
function oddSeries(x: bigint, q: bigint): bigint {
  let sum = x;
  let power = x;
  for (let k = 3n; power !== 0n && power !== -1n; k += 2n) {
    power = power * q >> FRACTION;
    sum += power / k;
  }
  return sum;
}

/** sqrt(x) by Newton's iteration from above. */
function squareRoot(x: bigint): bigint {
  const radicand = x << FRACTION;
  let root = 1n << BigInt(bitLength(radicand) + 1 >> 1);
  for (;;) {
    const next = root + radicand / root >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
