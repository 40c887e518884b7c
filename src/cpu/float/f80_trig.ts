/** x87 trigonometry. */

import { unready } from "./unready.ts";

/** FSIN; `result.incomplete` when |x| >= 2^63. */
export function sinF80(lo: number, hi: number, se: number, cw: number): void {
  return unready(lo, hi, se, cw);
}

/** FCOS; `result.incomplete` when |x| >= 2^63. */
export function cosF80(lo: number, hi: number, se: number, cw: number): void {
  return unready(lo, hi, se, cw);
}

/** FSINCOS: the sine in `result`, the cosine in `pushed`. */
export function sinCosF80(lo: number, hi: number, se: number, cw: number): void {
  return unready(lo, hi, se, cw);
}

/** FPTAN: the tangent; the instruction pushes 1.0 above it unless `result.incomplete`. */
export function tanF80(lo: number, hi: number, se: number, cw: number): void {
  return unready(lo, hi, se, cw);
}

/** FPATAN: the angle of (x = ST(0), y = ST(1)). */
export function atanF80(
  yLo: number,
  yHi: number,
  ySe: number,
  xLo: number,
  xHi: number,
  xSe: number,
  cw: number,
): void {
  return unready(yLo, yHi, ySe, xLo, xHi, xSe, cw);
}
