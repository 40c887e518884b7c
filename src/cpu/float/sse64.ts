/**
 * Scalar f64 operations of SSE2 and SSE4.1. Operands and results are halves: the low half is
 * returned, both are in `result`. `result.flags` may leave out PE when MXCSR has PE set and masked.
 */

import { compare } from "./compare.ts";
import { GREATER, LESS, MXCSR_DAZ, PE } from "./control.ts";
import { compareOrdinary, deliverF64, isOrdinaryF64, isPlain, numberFromF64 } from "./fast.ts";
import { roundToInteger } from "./integer.ts";
import { add, divide, multiply, squareRoot } from "./operate.ts";
import { result } from "./result.ts";
import { finishF64, loadTwoF64, takeF64, takeTwoF64 } from "./sse.ts";
import { isQuietPredicate, predicateMask, roundingOf, SUPPRESS_INEXACT } from "./sse_relation.ts";
import { A, B } from "./unpacked.ts";

/** The sign bit in the high half. */
const SIGN = 0x8000_0000 | 0;

/** ADDSD: a + b. */
export function addF64(aLo: number, aHi: number, bLo: number, bHi: number, mxcsr: number): number {
  if (
    isPlain(mxcsr) && isOrdinaryF64(aLo, aHi) && isOrdinaryF64(bLo, bHi) &&
    deliverF64(numberFromF64(aLo, aHi) + numberFromF64(bLo, bHi))
  ) return result.lo;
  if (!takeTwoF64(aLo, aHi, bLo, bHi, mxcsr)) add(B.sign, A.denormal | B.denormal);
  return finishF64();
}

/** SUBSD: a - b. */
export function subF64(aLo: number, aHi: number, bLo: number, bHi: number, mxcsr: number): number {
  if (
    isPlain(mxcsr) && isOrdinaryF64(aLo, aHi) && isOrdinaryF64(bLo, bHi) &&
    deliverF64(numberFromF64(aLo, aHi) - numberFromF64(bLo, bHi))
  ) return result.lo;
  if (!takeTwoF64(aLo, aHi, bLo, bHi, mxcsr)) add(B.sign ^ 1, A.denormal | B.denormal);
  return finishF64();
}

/** MULSD: a * b. */
export function mulF64(aLo: number, aHi: number, bLo: number, bHi: number, mxcsr: number): number {
  if (
    isPlain(mxcsr) && isOrdinaryF64(aLo, aHi) && isOrdinaryF64(bLo, bHi) &&
    deliverF64(numberFromF64(aLo, aHi) * numberFromF64(bLo, bHi))
  ) return result.lo;
  if (!takeTwoF64(aLo, aHi, bLo, bHi, mxcsr)) multiply(A.denormal | B.denormal);
  return finishF64();
}

/** DIVSD: a / b. */
export function divF64(aLo: number, aHi: number, bLo: number, bHi: number, mxcsr: number): number {
  if (
    isPlain(mxcsr) && isOrdinaryF64(aLo, aHi) && isOrdinaryF64(bLo, bHi) &&
    deliverF64(numberFromF64(aLo, aHi) / numberFromF64(bLo, bHi))
  ) return result.lo;
  if (!takeTwoF64(aLo, aHi, bLo, bHi, mxcsr)) divide(A.denormal | B.denormal);
  return finishF64();
}

/** SQRTSD. */
export function sqrtF64(lo: number, hi: number, mxcsr: number): number {
  if (
    isPlain(mxcsr) && hi >= 0 && isOrdinaryF64(lo, hi) &&
    deliverF64(Math.sqrt(numberFromF64(lo, hi)))
  ) return result.lo;
  if (!takeF64(lo, hi, mxcsr)) squareRoot();
  return finishF64();
}

/** MINSD: a is the destination; b comes through when there is a NaN or both are zeros. */
export function minF64(aLo: number, aHi: number, bLo: number, bHi: number, mxcsr: number): number {
  return choose(aLo, aHi, bLo, bHi, LESS, mxcsr);
}

/** MAXSD: see `minF64`. */
export function maxF64(aLo: number, aHi: number, bLo: number, bHi: number, mxcsr: number): number {
  return choose(aLo, aHi, bLo, bHi, GREATER, mxcsr);
}

/** a when it compares to b as `wanted`, else b. */
function choose(
  aLo: number,
  aHi: number,
  bLo: number,
  bHi: number,
  wanted: number,
  mxcsr: number,
): number {
  const isA = compareF64(aLo, aHi, bLo, bHi, false, mxcsr) === wanted;
  const lo = isA ? aLo : bLo;
  const hi = isA ? aHi : bHi;
  // Denormals that are zeros come through as zeros.
  const isFlushed = (mxcsr & MXCSR_DAZ) !== 0 && (hi & 0x7ff0_0000) === 0;
  result.hi = isFlushed ? hi & SIGN : hi;
  result.lo = isFlushed ? 0 : lo;
  return result.lo;
}

/** COMISD and, when `quiet`, UCOMISD: LESS, GREATER or UNORDERED. */
export function compareF64(
  aLo: number,
  aHi: number,
  bLo: number,
  bHi: number,
  quiet: boolean,
  mxcsr: number,
): number {
  if (isOrdinaryF64(aLo, aHi) && isOrdinaryF64(bLo, bHi)) {
    return compareOrdinary(numberFromF64(aLo, aHi), numberFromF64(bLo, bHi));
  }
  loadTwoF64(aLo, aHi, bLo, bHi, mxcsr);
  return compare(quiet, A.denormal | B.denormal);
}

/** CMPSD: -1 when the predicate (0 to 7) holds, else 0. */
export function predicateF64(
  aLo: number,
  aHi: number,
  bLo: number,
  bHi: number,
  predicate: number,
  mxcsr: number,
): number {
  const quiet = isQuietPredicate(predicate);
  return predicateMask(predicate, compareF64(aLo, aHi, bLo, bHi, quiet, mxcsr));
}

/** ROUNDSD (SSE4.1): the immediate picks the rounding mode and may suppress PE. */
export function roundF64(lo: number, hi: number, imm: number, mxcsr: number): number {
  if (!takeF64(lo, hi, mxcsr)) roundToInteger(roundingOf(imm, mxcsr));
  if ((imm & SUPPRESS_INEXACT) !== 0) result.flags &= ~PE;
  return finishF64();
}
