/** Rounding to integers, for FIST, FRNDINT and their SSE kin. */

import { IE, PE } from "./control.ts";
import { copy, raise } from "./operate.ts";
import { result } from "./result.ts";
import { mode, roundAt } from "./round.ts";
import { A, FINITE, INTEGER_BIT, Z, ZERO } from "./unpacked.ts";
import { normalize, shiftRightSticky } from "./wide.ts";

/** Z = A, which is no NaN, rounded to an integer with rounding mode `rc`. */
export function roundToInteger(rc: number): void {
  copy(A, A.sign);
  if (Z.kind !== FINITE || Z.exp >= 63) return;
  mode.rc = rc;
  shiftToInteger();
  if ((Z.hi | Z.lo) === 0) Z.kind = ZERO;
  else Z.exp = 63 - normalize(Z);
}

/** Moves the binary point of Z below `lo` and rounds there; Z.exp is below 63. */
function shiftToInteger(): void {
  shiftRightSticky(Z, 63 - Z.exp);
  roundAt(Z, 64);
}

/**
 * A as a two's complement integer of `bits` (16, 32 or 64), sign-extended, in `result.lo` and
 * `result.hi`; what does not fit is invalid and gives the integer indefinite (SDM 1 table 4-1).
 */
export function toInteger(bits: number): void {
  if (A.kind === ZERO) {
    result.lo = result.hi = 0;
    return;
  }
  if (A.kind !== FINITE || A.exp > 63) return indefinite(bits);
  copy(A, A.sign);
  if (Z.exp < 63) shiftToInteger();
  if (!fits(bits)) return indefinite(bits);
  const isNegative = Z.sign === 1;
  result.lo = isNegative ? -Z.lo | 0 : Z.lo;
  result.hi = isNegative ? ~Z.hi + (Z.lo === 0 ? 1 : 0) | 0 : Z.hi;
}

/** Whether the magnitude in Z is one of an integer of `bits`; the lowest is one more. */
function fits(bits: number): boolean {
  if (bits === 64) return Z.hi >= 0 || Z.hi === INTEGER_BIT && Z.lo === 0 && Z.sign === 1;
  return Z.hi === 0 && Z.lo >>> 0 < 2 ** (bits - 1) + Z.sign;
}

function indefinite(bits: number): void {
  result.flags &= ~PE;
  result.roundedUp = 0;
  raise(IE);
  result.lo = bits === 64 ? 0 : -1 << (bits - 1);
  result.hi = bits === 64 ? INTEGER_BIT : -1;
}
