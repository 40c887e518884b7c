/** x87 exponential and logarithms. */

import { unready } from "./unready.ts";

/** F2XM1: 2^x - 1. */
export function exp2m1F80(lo: number, hi: number, se: number, cw: number): void {
  return unready(lo, hi, se, cw);
}

/** FYL2X: y * log2(x), x = ST(0), y = ST(1). */
export function yLog2xF80(
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

/** FYL2XP1: y * log2(x + 1). */
export function yLog2xp1F80(
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
