/** x87 comparisons and FXAM. */

import { compare } from "./compare.ts";
import { begin } from "./operate.ts";
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
} from "./unpacked.ts";

/**
 * FCOM, FICOM, FTST, FCOMI and, when `quiet`, FUCOM and FUCOMI: LESS, EQUAL, GREATER or UNORDERED.
 * When `result.stored` is 0 an unmasked exception keeps the instruction from popping; the CPU writes
 * the condition codes and EFLAGS all the same. C1 is cleared.
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
