/** FRNDINT, FSCALE and FXTRACT. */

import { unready } from "./unready.ts";

/** FRNDINT. */
export function roundToIntF80(lo: number, hi: number, se: number, cw: number): void {
  return unready(lo, hi, se, cw);
}

/** FSCALE: a * 2^trunc(b). */
export function scaleF80(
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

/** FXTRACT: the exponent in `result`, the significand in `pushed`. */
export function extractF80(lo: number, hi: number, se: number, cw: number): void {
  return unready(lo, hi, se, cw);
}
