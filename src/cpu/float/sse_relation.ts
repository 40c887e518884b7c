/** Meanings of the outcome of a comparison that both SSE formats share (SDM 2 CMPPD, ROUNDPD). */

import { EQUAL, LESS, MXCSR_RC_SHIFT, UNORDERED } from "./control.ts";

/** Whether a predicate is quiet: equality and order take quiet NaNs without an exception. */
export function isQuietPredicate(predicate: number): boolean {
  return (predicate & 3) === 0 || (predicate & 3) === 3;
}

/** -1 when `predicate` holds for the outcome, else 0. */
export function predicateMask(predicate: number, outcome: number): number {
  return holds(predicate & 3, outcome) !== ((predicate & 4) !== 0) ? -1 : 0;
}

function holds(predicate: number, outcome: number): boolean {
  switch (predicate) {
    case 0:
      return outcome === EQUAL;
    case 1:
      return outcome === LESS;
    case 2:
      return outcome === LESS || outcome === EQUAL;
    default:
      return outcome === UNORDERED;
  }
}

/** The rounding mode that an immediate of ROUNDSS and its kind picks. */
export function roundingOf(imm: number, mxcsr: number): number {
  return (imm & 4) !== 0 ? mxcsr >> MXCSR_RC_SHIFT & 3 : imm & 3;
}

/** Bit of the immediate that suppresses the precision exception. */
export const SUPPRESS_INEXACT = 8;
