/** x87 exponential and logarithms (SDM 1 §8.3.9). */

import { PE, UE, ZE } from "./control.ts";
import { copy, denormal, invalid, raise, special } from "./operate.ts";
import {
  expm1,
  FRACTION,
  LN2,
  log2,
  ONE,
  setExact,
  setReal,
  significand,
  TINY_EXP,
  toFixed,
} from "./real.ts";
import { result } from "./result.ts";
import { A, B, FINITE, INFINITE, INTEGER_BIT, Z, ZERO } from "./unpacked.ts";
import { beginX87, finish, takeOne, takeTwo } from "./x87.ts";

/** F2XM1: 2^x - 1. Arguments outside -1 to 1 come back as they are, as from the CPU. */
export function exp2m1F80(lo: number, hi: number, se: number, cw: number): void {
  beginX87(cw);
  if (takeOne(lo, hi, se) || denormal(A.denormal) || A.kind === ZERO) {
    if (A.kind === ZERO) special(ZERO, A.sign);
    return finish();
  }
  if (A.kind === INFINITE) {
    if (A.sign === 0) special(INFINITE, 0);
    else setExact(1, 1n, 0);
    return finish();
  }
  setExponential();
  finishInexact();
}

/** Z = 2^A - 1, A finite and not zero. */
function setExponential(): void {
  const isOne = A.exp === 0 && isPowerOf2();
  if (A.exp >= 0 && !isOne) return copy(A, A.sign);
  if (isOne) return setExact(A.sign, A.sign === 1 ? 1n : 2n, -1);
  if (A.exp < TINY_EXP) return setReal(A.sign, significand(A) * LN2, A.exp - 63 - Number(FRACTION));
  const exponent = toFixed(A) * LN2 >> FRACTION;
  const value = expm1(A.sign === 1 ? -exponent : exponent);
  setReal(A.sign, A.sign === 1 ? -value : value, -Number(FRACTION));
}

/** FYL2X: y * log2(x), x = ST(0), y = ST(1). */
export function yLog2xF80(
  yLo: number,
  yHi: number,
  ySe: number,
  xLo: number,
  xHi: number,
  xSe: number,
  cw: number,
): void {
  beginX87(cw);
  if (takeTwo(xLo, xHi, xSe, yLo, yHi, ySe) || isLogarithmSpecial()) return finish();
  const logarithm = isPowerOf2()
    ? BigInt(A.exp) * ONE
    : log2(significand(A) << FRACTION - 63n) + BigInt(A.exp) * ONE;
  setProduct(logarithm, isPowerOf2());
  finishInexact();
}

/** The cases of FYL2X with x = A and y = B that take no logarithm (SDM 2 FYL2X). */
function isLogarithmSpecial(): boolean {
  if (A.kind === ZERO && B.kind !== ZERO) {
    if (B.kind === FINITE) raise(ZE);
    special(INFINITE, B.sign ^ 1);
    return true;
  }
  const isUnit = A.kind === FINITE && A.exp === 0 && isPowerOf2();
  if (
    A.sign === 1 || A.kind === ZERO || isUnit && B.kind === INFINITE ||
    A.kind === INFINITE && B.kind === ZERO
  ) {
    invalid();
    return true;
  }
  if (denormal(A.denormal | B.denormal)) return true;
  if (isUnit) {
    special(ZERO, B.sign);
    return true;
  }
  const isBelowOne = A.kind === FINITE && A.exp < 0;
  return isProductSpecial(B.sign ^ (isBelowOne ? 1 : 0));
}

/** FYL2XP1: y * log2(x + 1). Arguments from -1 down come back as they are, as from the CPU. */
export function yLog2xp1F80(
  yLo: number,
  yHi: number,
  ySe: number,
  xLo: number,
  xHi: number,
  xSe: number,
  cw: number,
): void {
  beginX87(cw);
  if (takeTwo(xLo, xHi, xSe, yLo, yHi, ySe) || isLogarithmP1Special()) return finish();
  if (A.sign === 1 && A.exp >= 0) {
    copy(A, 1);
  } else if (A.exp < TINY_EXP) {
    const value = (significand(A) * significand(B) << FRACTION) / LN2;
    setReal(A.sign ^ B.sign, value, A.exp + B.exp - 126);
  } else if (A.exp >= -TINY_EXP) {
    setProduct(log2(significand(A) << FRACTION - 63n) + BigInt(A.exp) * ONE, false);
  } else {
    const sum = ONE + (A.sign === 1 ? -toFixed(A) : toFixed(A));
    setProduct(log2(sum), (sum & sum - 1n) === 0n);
  }
  finishInexact();
}

/** The cases of FYL2XP1 with x = A and y = B that take no logarithm (SDM 2 FYL2XP1). */
function isLogarithmP1Special(): boolean {
  if (
    A.kind === INFINITE && (A.sign === 1 || B.kind === ZERO) ||
    A.kind === ZERO && B.kind === INFINITE
  ) {
    invalid();
    return true;
  }
  if (denormal(A.denormal | B.denormal)) return true;
  if (A.kind === ZERO) {
    special(ZERO, A.sign ^ B.sign);
    return true;
  }
  return isProductSpecial(A.sign ^ B.sign);
}

/** The product of a logarithm that is not zero, A's, and B where one of them is not finite or zero. */
function isProductSpecial(sign: number): boolean {
  if (A.kind === FINITE && B.kind === FINITE) return false;
  special(B.kind === ZERO ? ZERO : INFINITE, sign);
  return true;
}

/** Z = B * logarithm, which is not zero. */
function setProduct(logarithm: bigint, isExact: boolean): void {
  const isNegative = logarithm < 0n;
  const value = significand(B) * (isNegative ? -logarithm : logarithm);
  const sign = B.sign ^ (isNegative ? 1 : 0);
  const exp = B.exp - 63 - Number(FRACTION);
  if (isExact) setExact(sign, value, exp);
  else setReal(sign, value, exp);
}

/** The CPU calls every result inexact that it computes. */
function finishInexact(): void {
  finish();
  if (result.stored === 0) return;
  result.flags |= PE;
  if (Z.kind === FINITE && Z.hi >= 0) result.flags |= UE;
}

/** Whether A's significand is 1. */
function isPowerOf2(): boolean {
  return A.hi === INTEGER_BIT && A.lo === 0;
}
