/** x87 comparisons and FXAM. */

import { EQUAL, GREATER, IE, LESS, UNORDERED } from "./control.ts";
import { begin, denormal, raise } from "./operate.ts";
import { F80_FORMAT, setMode } from "./round.ts";
import {
  A,
  B,
  FINITE,
  INFINITE,
  QUIET_NAN,
  type Unpacked,
  unpackF80,
  UNSUPPORTED,
  ZERO,
} from "./unpacked.ts";

/**
 * FCOM, FICOM, FTST, FCOMI and, when `quiet`, FUCOM and FUCOMI: LESS, EQUAL, GREATER or UNORDERED.
 * When `result.stored` is 0 an unmasked exception keeps the instruction from popping.
 */
export function compareF80(
  aLo: number,
  aHi: number,
  aSe: number,
  bLo: number,
  bHi: number,
  bSe: number,
  quiet: boolean,
  cw: number,
  operandFlags = 0,
): number {
  begin();
  setMode(F80_FORMAT, 0, cw);
  unpackF80(A, aLo, aHi, aSe);
  unpackF80(B, bLo, bHi, bSe);
  return compare(quiet, A.denormal | B.denormal | operandFlags);
}

/** Compares A and B; quiet comparisons are invalid for signalling NaNs and no encodings only. */
export function compare(quiet: boolean, denormals: number): number {
  if (A.kind >= QUIET_NAN || B.kind >= QUIET_NAN) {
    if (!quiet || A.kind > QUIET_NAN || B.kind > QUIET_NAN) raise(IE);
    return UNORDERED;
  }
  denormal(denormals);
  if (A.kind === ZERO && B.kind === ZERO) return EQUAL;
  if (A.kind === ZERO) return B.sign === 1 ? GREATER : LESS;
  if (A.sign !== B.sign && B.kind !== ZERO) return A.sign === 1 ? LESS : GREATER;
  const magnitudes = compareMagnitudes();
  return A.sign === 1 ? 0 - magnitudes : magnitudes;
}

/** Compares |A| and |B|, A no zero. */
function compareMagnitudes(): number {
  if (A.kind !== B.kind) return A.kind === INFINITE || B.kind === ZERO ? GREATER : LESS;
  if (A.kind === INFINITE) return EQUAL;
  if (A.exp !== B.exp) return A.exp > B.exp ? GREATER : LESS;
  if (A.hi !== B.hi) return A.hi >>> 0 > B.hi >>> 0 ? GREATER : LESS;
  if (A.lo === B.lo) return EQUAL;
  return A.lo >>> 0 > B.lo >>> 0 ? GREATER : LESS;
}

/** Condition codes in the status word. */
const C0 = 0x100;
const C2 = 0x400;
const C3 = 0x4000;

/**
 * FXAM of a register that is not empty: bits C3, C2 and C0 in their places of the status word; C1
 * is the sign (SDM 2 FXAM).
 */
export function classifyF80(lo: number, hi: number, se: number): number {
  unpackF80(A, lo, hi, se);
  return classOf(A);
}

function classOf(n: Unpacked): number {
  if (n.kind === UNSUPPORTED) return 0;
  if (n.kind >= QUIET_NAN) return C0;
  if (n.kind === INFINITE) return C2 | C0;
  if (n.kind === FINITE) return n.denormal !== 0 ? C3 | C2 : C2;
  return C3;
}

/** The result of `classifyF80` for an empty register. */
export const EMPTY_CLASS = C3 | C0;
