/**
 * Scalar f32 operations of SSE and SSE4.1. Operands and results are bits, returned and in
 * `result.lo`. `result.flags` may leave out PE when MXCSR has PE set and masked.
 */

import { compare } from "./compare.ts";
import { GREATER, LESS, MXCSR_DAZ, PE } from "./control.ts";
import { compareOrdinary, deliverF32, isOrdinaryF32, isPlain, numberFromF32 } from "./fast.ts";
import { roundToInteger } from "./integer.ts";
import { add, divide, multiply, squareRoot } from "./operate.ts";
import { result } from "./result.ts";
import { finishF32, loadTwoF32, takeF32, takeTwoF32 } from "./sse.ts";
import { isQuietPredicate, predicateMask, roundingOf, SUPPRESS_INEXACT } from "./sse_relation.ts";
import { A, B } from "./unpacked.ts";

/** The sign bit. */
const SIGN = 0x8000_0000 | 0;

/** ADDSS: a + b. */
export function addF32(a: number, b: number, mxcsr: number): number {
  if (
    isPlain(mxcsr) && isOrdinaryF32(a) && isOrdinaryF32(b) &&
    deliverF32(numberFromF32(a) + numberFromF32(b))
  ) return result.lo;
  if (!takeTwoF32(a, b, mxcsr)) add(B.sign, A.denormal | B.denormal);
  return finishF32();
}

/** SUBSS: a - b. */
export function subF32(a: number, b: number, mxcsr: number): number {
  if (
    isPlain(mxcsr) && isOrdinaryF32(a) && isOrdinaryF32(b) &&
    deliverF32(numberFromF32(a) - numberFromF32(b))
  ) return result.lo;
  if (!takeTwoF32(a, b, mxcsr)) add(B.sign ^ 1, A.denormal | B.denormal);
  return finishF32();
}

/** MULSS: a * b. */
export function mulF32(a: number, b: number, mxcsr: number): number {
  if (
    isPlain(mxcsr) && isOrdinaryF32(a) && isOrdinaryF32(b) &&
    deliverF32(numberFromF32(a) * numberFromF32(b))
  ) return result.lo;
  if (!takeTwoF32(a, b, mxcsr)) multiply(A.denormal | B.denormal);
  return finishF32();
}

/** DIVSS: a / b. */
export function divF32(a: number, b: number, mxcsr: number): number {
  if (
    isPlain(mxcsr) && isOrdinaryF32(a) && isOrdinaryF32(b) &&
    deliverF32(numberFromF32(a) / numberFromF32(b))
  ) return result.lo;
  if (!takeTwoF32(a, b, mxcsr)) divide(A.denormal | B.denormal);
  return finishF32();
}

/** SQRTSS. */
export function sqrtF32(bits: number, mxcsr: number): number {
  if (
    isPlain(mxcsr) && bits >= 0 && isOrdinaryF32(bits) &&
    deliverF32(Math.sqrt(numberFromF32(bits)))
  ) return result.lo;
  if (!takeF32(bits, mxcsr)) squareRoot();
  return finishF32();
}

/** MINSS: a is the destination; b comes through when there is a NaN or both are zeros. */
export function minF32(a: number, b: number, mxcsr: number): number {
  return choose(a, b, LESS, mxcsr);
}

/** MAXSS: see `minF32`. */
export function maxF32(a: number, b: number, mxcsr: number): number {
  return choose(a, b, GREATER, mxcsr);
}

/** a when it compares to b as `wanted`, else b. */
function choose(
  a: number,
  b: number,
  wanted: number,
  mxcsr: number,
): number {
  const isA = compareF32(a, b, false, mxcsr) === wanted;
  const bits = isA ? a : b;
  // Denormals that are zeros come through as zeros.
  const isFlushed = (mxcsr & MXCSR_DAZ) !== 0 && (bits & 0x7f80_0000) === 0;
  result.lo = isFlushed ? bits & SIGN : bits;
  return result.lo;
}

/** COMISS and, when `quiet`, UCOMISS: LESS, GREATER or UNORDERED. */
export function compareF32(
  a: number,
  b: number,
  quiet: boolean,
  mxcsr: number,
): number {
  if (isOrdinaryF32(a) && isOrdinaryF32(b)) {
    return compareOrdinary(numberFromF32(a), numberFromF32(b));
  }
  loadTwoF32(a, b, mxcsr);
  return compare(quiet, A.denormal | B.denormal);
}

/** CMPSS: -1 when the predicate (0 to 7) holds, else 0. */
export function predicateF32(
  a: number,
  b: number,
  predicate: number,
  mxcsr: number,
): number {
  const quiet = isQuietPredicate(predicate);
  return predicateMask(predicate, compareF32(a, b, quiet, mxcsr));
}

/** ROUNDSS (SSE4.1): the immediate picks the rounding mode and may suppress PE. */
export function roundF32(bits: number, imm: number, mxcsr: number): number {
  if (!takeF32(bits, mxcsr)) roundToInteger(roundingOf(imm, mxcsr));
  if ((imm & SUPPRESS_INEXACT) !== 0) result.flags &= ~PE;
  return finishF32();
}
