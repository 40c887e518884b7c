/**
 * The arithmetic that x87 and SSE have in common: Z = A op B for operands that are no NaNs, with
 * infinities, zeros and the exceptions that are found before computing (SDM 1 §4.9.1, §8.5.1.2).
 * Z is left unrounded.
 */

import { DE, DOWN, IE, ZE } from "./control.ts";
import { addFinite, divFinite, mulFinite, sqrtFinite } from "./finite.ts";
import { result } from "./result.ts";
import { mode } from "./round.ts";
import {
  A,
  B,
  INFINITE,
  INTEGER_BIT,
  QUIET_BIT,
  QUIET_NAN,
  type Unpacked,
  Z,
  ZERO,
} from "./unpacked.ts";

/** Clears what operations add to. */
export function begin(): void {
  result.flags = 0;
  result.roundedUp = 0;
  result.stored = 1;
  result.incomplete = 0;
}

/** Raises an exception that is found before computing; true when it is unmasked: nothing is stored. */
export function raise(flag: number): boolean {
  result.flags |= flag;
  if ((mode.unmasked & flag) === 0) return false;
  result.stored = 0;
  return true;
}

/** Invalid operation: Z is the indefinite NaN (SDM 1 §4.8.3.7). */
export function invalid(): void {
  raise(IE);
  Z.kind = QUIET_NAN;
  Z.sign = 1;
  Z.hi = INTEGER_BIT | QUIET_BIT;
  Z.lo = 0;
}

/** Z = a NaN, quieted; it was an invalid operation if a signalling NaN took part. */
export function propagate(nan: Unpacked, isSignalling: boolean): void {
  if (isSignalling) raise(IE);
  copy(nan, nan.sign);
  Z.kind = QUIET_NAN;
  Z.hi |= QUIET_BIT;
}

/** Raises DE when there is a denormal among the operands; true when nothing is stored. */
export function denormal(flag: number): boolean {
  return flag !== 0 && raise(DE);
}

/** Z = an infinity or a zero. */
export function special(kind: number, sign: number): void {
  Z.kind = kind;
  Z.sign = sign;
}

/** Z = n, a number or an infinity. */
export function copy(n: Unpacked, sign: number): void {
  Z.kind = n.kind;
  Z.sign = sign;
  Z.exp = n.exp;
  Z.hi = n.hi;
  Z.lo = n.lo;
  Z.ext = 0;
}

/** Z = A + B, where B has the sign `bSign`. `denormals` is DE when an operand is a denormal. */
export function add(bSign: number, denormals: number): void {
  if (A.kind === INFINITE && B.kind === INFINITE && A.sign !== bSign) return invalid();
  if (denormal(denormals)) return;
  if (A.kind === INFINITE) return special(INFINITE, A.sign);
  if (B.kind === INFINITE) return special(INFINITE, bSign);
  if (B.kind === ZERO) {
    copy(A, A.kind === ZERO && A.sign !== bSign ? signOfZero() : A.sign);
  } else if (A.kind === ZERO) {
    copy(B, bSign);
  } else {
    addFinite(A, B, bSign, Z);
    if (Z.kind === ZERO) Z.sign = signOfZero();
  }
}

/** Sign of a sum that is exactly zero: minus when rounding down. */
function signOfZero(): number {
  return mode.rc === DOWN ? 1 : 0;
}

/** Z = A * B. */
export function multiply(denormals: number): void {
  const isZero = A.kind === ZERO || B.kind === ZERO;
  const isInfinite = A.kind === INFINITE || B.kind === INFINITE;
  if (isZero && isInfinite) return invalid();
  if (denormal(denormals)) return;
  if (isInfinite) special(INFINITE, A.sign ^ B.sign);
  else if (isZero) special(ZERO, A.sign ^ B.sign);
  else mulFinite(A, B, Z);
}

/** Z = A / B. */
export function divide(denormals: number): void {
  const sign = A.sign ^ B.sign;
  if (A.kind === B.kind && (A.kind === ZERO || A.kind === INFINITE)) return invalid();
  if (B.kind === ZERO && A.kind !== INFINITE) {
    raise(ZE);
    return special(INFINITE, sign);
  }
  if (denormal(denormals)) return;
  if (A.kind === INFINITE) special(INFINITE, sign);
  else if (B.kind === INFINITE || A.kind === ZERO) special(ZERO, sign);
  else divFinite(A, B, Z);
}

/** Z = sqrt(A). */
export function squareRoot(): void {
  if (A.sign === 1 && A.kind !== ZERO) return invalid();
  if (denormal(A.denormal)) return;
  if (A.kind === ZERO || A.kind === INFINITE) special(A.kind, A.sign);
  else sqrtFinite(A, Z);
}
