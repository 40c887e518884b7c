/** FPREM and FPREM1. */

import { unready } from "./unready.ts";

/** FPREM: one step of the remainder of a / b with the quotient truncated; see `result.incomplete` and `result.quotient`. */
export function remainderF80(
  aLo: number,
  aHi: number,
  aSe: number,
  bLo: number,
  bHi: number,
  bSe: number,
  cw: number,
): void {
  return unready(aLo, aHi, aSe, bLo, bHi, bSe, cw);
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
  return unready(aLo, aHi, aSe, bLo, bHi, bSe, cw);
}
