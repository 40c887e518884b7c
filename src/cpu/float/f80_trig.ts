/**
 * x87 trigonometry (SDM 1 §8.3.7). Arguments are reduced by a pi of 66 bits, as CPUs do
 * (SDM 1 §8.3.8): results near multiples of it are those of the CPU, not of mathematics.
 */

import { denormal, invalid, special } from "./operate.ts";
import {
  atan,
  cos,
  FRACTION,
  ONE,
  PI,
  setReal,
  shift,
  significand,
  sin,
  TINY_EXP,
} from "./real.ts";
import { pushed, result } from "./result.ts";
import { A, B, FINITE, INFINITE, Z, ZERO } from "./unpacked.ts";
import { beginX87, finish, takeOne, takeTwo } from "./x87.ts";

/** pi / 2 in units of 2^-65: the CPU's pi has 66 bits. */
const HALF_PI = 0x3_243f_6a88_85a3_08d3n;
/** Arguments from 2^63 on are not reduced: C2 is set (SDM 1 §8.3.8). */
const LIMIT_EXP = 63;

/** A reduced: |A| = quadrant * pi / 2 + rest, the rest in fixed point. */
const reduced = { quadrant: 0, rest: 0n };

/** FSIN; `result.incomplete` when |x| >= 2^63. */
export function sinF80(lo: number, hi: number, se: number, cw: number): void {
  if (takeAngle(lo, hi, se, cw)) setSine(0);
  if (result.incomplete === 0) finish();
}

/** FCOS; `result.incomplete` when |x| >= 2^63. */
export function cosF80(lo: number, hi: number, se: number, cw: number): void {
  if (takeAngle(lo, hi, se, cw)) setCosine();
  if (result.incomplete === 0) finish();
}

/** FSINCOS: the sine in `result`, the cosine in `pushed`. */
export function sinCosF80(lo: number, hi: number, se: number, cw: number): void {
  const isAngle = takeAngle(lo, hi, se, cw);
  if (result.incomplete !== 0) return;
  if (isAngle) setCosine();
  finish();
  pushed.lo = result.lo;
  pushed.hi = result.hi;
  pushed.signExp = result.signExp;
  if (!isAngle) return;
  setSine(0);
  finish();
}

/** FPTAN: the tangent; the instruction pushes 1.0 above it unless `result.incomplete`. */
export function tanF80(lo: number, hi: number, se: number, cw: number): void {
  if (takeAngle(lo, hi, se, cw)) setTangent();
  if (result.incomplete === 0) finish();
}

/** Begins with an angle in A; true when it is one that a function is to be computed of. */
function takeAngle(lo: number, hi: number, se: number, cw: number): boolean {
  beginX87(cw);
  if (takeOne(lo, hi, se)) return false;
  if (A.kind === INFINITE) {
    invalid();
    return false;
  }
  if (denormal(A.denormal)) return false;
  if (A.kind === FINITE && A.exp >= LIMIT_EXP) {
    result.incomplete = 1;
    result.lo = lo;
    result.hi = hi;
    result.signExp = se;
    return false;
  }
  reduce();
  return true;
}

function reduce(): void {
  if (A.kind === ZERO || A.exp < -2) {
    reduced.quadrant = 0;
    reduced.rest = A.kind === ZERO || A.exp < TINY_EXP
      ? 0n
      : shift(significand(A), A.exp - 63 + Number(FRACTION));
    return;
  }
  // Exact in units of 2^-65.
  const angle = significand(A) << BigInt(A.exp + 2);
  const quadrant = (2n * angle + HALF_PI) / (2n * HALF_PI);
  reduced.quadrant = Number(quadrant & 3n);
  reduced.rest = angle - quadrant * HALF_PI << FRACTION - 65n;
}

/** Z = sin(A + quadrants * pi / 2). */
function setSine(quadrants: number): void {
  const quadrant = reduced.quadrant + quadrants & 3;
  // The sine turns its sign with A's, the cosine does not.
  const sign = (quadrants === 0 ? A.sign : 0) ^ quadrant >> 1;
  if (quadrant % 2 === 1) return setFixed(sign, lessIfOne(cos(reduced.rest)));
  if (A.kind === ZERO) return special(ZERO, sign);
  if (A.exp < TINY_EXP) return setLinear(sign, -1n);
  setFixed(sign, sin(reduced.rest));
}

/** Z = cos(A). */
function setCosine(): void {
  setSine(1);
  if (A.kind === ZERO) Z.ext = 0;
}

/** A cosine that the fixed point cannot tell from 1 is below it, unless it is of zero. */
function lessIfOne(value: bigint): bigint {
  return value === ONE && A.kind !== ZERO ? ONE - 1n : value;
}

function setTangent(): void {
  if (A.kind === ZERO) return special(ZERO, A.sign);
  if (A.exp < TINY_EXP) return setLinear(A.sign, 1n);
  const sine = sin(reduced.rest);
  const cosine = cos(reduced.rest);
  const isOdd = reduced.quadrant % 2 === 1;
  const value = isOdd ? -(cosine << FRACTION) / sine : (sine << FRACTION) / cosine;
  setFixed(A.sign, value);
}

/** Z = a fixed-point number that may be negative; `sign` turns it. */
function setFixed(sign: number, value: bigint): void {
  const isNegative = value < 0n;
  setReal(sign ^ (isNegative ? 1 : 0), isNegative ? -value : value, -Number(FRACTION));
}

/** Z = A and a trifle, upwards or downwards in magnitude. */
function setLinear(sign: number, direction: bigint): void {
  setReal(sign, (significand(A) << 64n) + direction, A.exp - 127);
}

/** FPATAN: the angle of (x = ST(0), y = ST(1)). */
export function atanF80(
  yLo: number,
  yHi: number,
  ySe: number,
  xLo: number,
  xHi: number,
  xSe: number,
  cw: number,
): void {
  beginX87(cw);
  if (!takeTwo(yLo, yHi, ySe, xLo, xHi, xSe) && !denormal(A.denormal | B.denormal)) setAngle();
  finish();
}

/** Z = the angle of y = A and x = B (SDM 2 FPATAN). */
function setAngle(): void {
  const isFlat = A.kind === ZERO || B.kind === INFINITE && A.kind !== INFINITE;
  const isSteep = A.kind === INFINITE || B.kind === ZERO;
  let angle;
  if (isFlat) {
    if (B.sign === 0) return special(ZERO, A.sign);
    angle = 0n;
  } else if (isSteep) {
    angle = B.kind === INFINITE ? PI / 4n : PI / 2n;
  } else {
    const exp = A.exp - B.exp;
    if (exp < TINY_EXP && B.sign === 0) return setRatio(exp);
    angle = steepness(exp);
  }
  setReal(A.sign, B.sign === 1 ? PI - angle : angle, -Number(FRACTION));
}

/** atan(|A / B|), both finite; `exp` is the difference of their exponents. */
function steepness(exp: number): bigint {
  const y = significand(A);
  const x = significand(B);
  const isSteep = exp > 0 || exp === 0 && y > x;
  if (Math.abs(exp) > Number(FRACTION)) return isSteep ? PI / 2n : 0n;
  const ratio = isSteep
    ? shift(x, Number(FRACTION) - exp) / y
    : shift(y, Number(FRACTION) + exp) / x;
  return isSteep ? PI / 2n - atan(ratio) : atan(ratio);
}

/** Z = A / B, less a trifle: the arc tangent of a small ratio; `exp` as in `steepness`. */
function setRatio(exp: number): void {
  const ratio = (significand(A) << 128n) / significand(B);
  const isExact = ratio * significand(B) === significand(A) << 128n;
  setReal(A.sign, isExact ? (ratio << 1n) - 1n : ratio << 1n, exp - 129);
}
