/** x87 comparisons and FXAM. */

import { unready } from "./unready.ts";

/** FCOM, FICOM, FTST, FCOMI and, when `quiet`, FUCOM and FUCOMI: LESS, EQUAL, GREATER or UNORDERED. When `result.stored` is 0 an unmasked exception leaves EFLAGS as they were; the condition codes are written all the same. */
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
  return unready(aLo, aHi, aSe, bLo, bHi, bSe, +quiet, cw, operandFlags);
}

/** FXAM of a register that is not empty: bits C3, C2 and C0 in their places of the status word; C1 is the sign. */
export function classifyF80(lo: number, hi: number, se: number): number {
  return unready(lo, hi, se);
}
