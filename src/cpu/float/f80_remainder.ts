/**
 * FPREM and FPREM1: partial remainders (SDM 2 FPREM). One step takes at most 63 from the difference
 * of the exponents; software repeats it while C2 is set.
 */

import { TWO_32 } from "../../base/u64.ts";
import { DE } from "./control.ts";
import { copy, denormal, invalid } from "./operate.ts";
import { result } from "./result.ts";
import { A, B, INFINITE, Z, ZERO } from "./unpacked.ts";
import { beginX87, finish, takeTwo } from "./x87.ts";
import { normalize } from "./wide.ts";

/**
 * FPREM: one step of the remainder of a / b with the quotient truncated; see `result.incomplete`
 * and `result.quotient`.
 */
export function remainderF80(
  aLo: number,
  aHi: number,
  aSe: number,
  bLo: number,
  bHi: number,
  bSe: number,
  cw: number,
): void {
  remainder(aLo, aHi, aSe, bLo, bHi, bSe, cw, false);
}

/** FPREM1: one step of the remainder with the quotient rounded to nearest (IEEE 754). */
export function remainderNearestF80(
  aLo: number,
  aHi: number,
  aSe: number,
  bLo: number,
  bHi: number,
  bSe: number,
  cw: number,
): void {
  remainder(aLo, aHi, aSe, bLo, bHi, bSe, cw, true);
}

function remainder(
  aLo: number,
  aHi: number,
  aSe: number,
  bLo: number,
  bHi: number,
  bSe: number,
  cw: number,
  isNearest: boolean,
): void {
  beginX87(cw);
  result.quotient = 0;
  if (!takeTwo(aLo, aHi, aSe, bLo, bHi, bSe)) {
    if (A.kind === INFINITE || B.kind === ZERO) invalid();
    else if (!denormal((A.denormal | B.denormal) & DE)) {
      copy(A, A.sign);
      if (A.kind !== ZERO && B.kind !== INFINITE) step(isNearest);
    }
  }
  finish();
}

/** One step on Z = A and B, both finite. */
function step(isNearest: boolean): void {
  const distance = A.exp - B.exp;
  if (distance >= 64) {
    // The same reduction as the CPU's, 32 to 63 places, so that partial results are its too.
    result.incomplete = 1;
    divideSteps(distance & 31 | 32);
    Z.exp = A.exp - (distance & 31 | 32);
    result.quotient = 0;
  } else if (distance >= 0) {
    divideSteps(distance);
    Z.exp = B.exp;
  }
  if (isNearest && result.incomplete === 0 && distance >= -1) toNearest(distance);
  if ((Z.hi | Z.lo) === 0) Z.kind = ZERO;
  else Z.exp -= normalize(Z);
}

/**
 * Z's significand = its remainder by B's, after shifting it left by `count` places one at a time;
 * the low bits of the quotient go to `result.quotient`.
 */
function divideSteps(count: number): void {
  const bHi = B.hi >>> 0;
  const bLo = B.lo >>> 0;
  let hi = Z.hi >>> 0;
  let lo = Z.lo >>> 0;
  let quotient = 0;
  for (let i = count;; i--) {
    quotient <<= 1;
    if (hi > bHi || hi === bHi && lo >= bLo) {
      quotient |= 1;
      hi -= bHi;
      lo -= bLo;
      if (lo < 0) {
        lo += TWO_32;
        hi--;
      }
    }
    if (i === 0) break;
    lo *= 2;
    hi *= 2;
    if (lo >= TWO_32) {
      lo -= TWO_32;
      hi++;
    }
  }
  result.quotient = quotient & 7;
  Z.hi = hi | 0;
  Z.lo = lo | 0;
}

/** Takes b once more from a remainder above b / 2, or equal to it with an odd quotient. */
function toNearest(distance: number): void {
  const isHalved = distance < 0;
  const hi = Z.hi >>> 0;
  const lo = Z.lo >>> 0;
  const bHi = B.hi >>> 0;
  const bLo = B.lo >>> 0;
  // The remainder is in units of B, or of B / 2 where nothing was divided yet.
  const twiceLo = isHalved ? lo : 2 * lo % TWO_32;
  const twiceHi = isHalved ? hi : 2 * hi + (lo >= TWO_32 / 2 ? 1 : 0);
  const isAbove = twiceHi > bHi || twiceHi === bHi && twiceLo > bLo;
  const isTie = twiceHi === bHi && twiceLo === bLo;
  if (!isAbove && !(isTie && (result.quotient & 1) !== 0)) return;
  result.quotient = result.quotient + 1 & 7;
  // b - remainder, in units of B / 2 where nothing was divided: 2b - remainder.
  let newLo = (isHalved ? 2 * bLo % TWO_32 : bLo) - lo;
  let newHi = (isHalved ? 2 * bHi + (bLo >= TWO_32 / 2 ? 1 : 0) : bHi) - hi;
  if (newLo < 0) {
    newLo += TWO_32;
    newHi--;
  }
  Z.sign ^= 1;
  Z.lo = newLo | 0;
  Z.hi = newHi | 0;
}
