/** What every x87 operation does before and after its arithmetic. */

import { CW_RC_SHIFT } from "./control.ts";
import { begin, invalid, propagate } from "./operate.ts";
import { packF80 } from "./pack.ts";
import { result } from "./result.ts";
import { F80_FORMAT, F80_FORMATS, type Format, isRoundable, round, setMode } from "./round.ts";
import {
  A,
  B,
  QUIET_NAN,
  SIGNALLING_NAN,
  type Unpacked,
  unpackF80,
  UNSUPPORTED,
  Z,
} from "./unpacked.ts";

/** Begins an operation whose result the precision control of `cw` rounds. */
export function beginControlled(cw: number): void {
  beginX87(cw, F80_FORMATS[cw >> 8 & 3]);
}

/** Begins an operation with a destination of `format`. */
export function beginX87(cw: number, format: Format = F80_FORMAT): void {
  begin();
  setMode(format, cw >> CW_RC_SHIFT & 3, cw);
}

/** A = the operand; true when that decides the result: a NaN or no supported encoding. */
export function takeOne(lo: number, hi: number, signExp: number): boolean {
  unpackF80(A, lo, hi, signExp);
  if (A.kind < QUIET_NAN) return false;
  if (A.kind === UNSUPPORTED) invalid();
  else propagate(A, A.kind === SIGNALLING_NAN);
  return true;
}

/** A and B = the operands; true when a NaN or an unsupported encoding decides the result. */
export function takeTwo(
  aLo: number,
  aHi: number,
  aSe: number,
  bLo: number,
  bHi: number,
  bSe: number,
): boolean {
  unpackF80(A, aLo, aHi, aSe);
  unpackF80(B, bLo, bHi, bSe);
  if (A.kind < QUIET_NAN && B.kind < QUIET_NAN) return false;
  if (A.kind === UNSUPPORTED || B.kind === UNSUPPORTED) invalid();
  else propagate(nanOfTwo(), A.kind === SIGNALLING_NAN || B.kind === SIGNALLING_NAN);
  return true;
}

/**
 * Which NaN comes through: the one with the larger significand, of equals the positive one. A quiet
 * NaN always has the larger one (SDM 1 table 4-7).
 */
function nanOfTwo(): Unpacked {
  if (A.kind < QUIET_NAN) return B;
  if (B.kind < QUIET_NAN) return A;
  if (A.hi !== B.hi) return A.hi >>> 0 > B.hi >>> 0 ? A : B;
  if (A.lo !== B.lo) return A.lo >>> 0 > B.lo >>> 0 ? A : B;
  return A.sign <= B.sign ? A : B;
}

/** Rounds Z and leaves it in `result`. */
export function finish(): void {
  if (isRoundable(Z)) round(Z);
  packF80(result);
}
