/** x87 addition, subtraction, multiplication, division and square root (SDM 1 §8.3.5). */

import { unready } from "./unready.ts";

/** FADD: a + b. `operandFlags` is what widening a memory operand raised. */
export function addF80(
  aLo: number,
  aHi: number,
  aSe: number,
  bLo: number,
  bHi: number,
  bSe: number,
  cw: number,
  operandFlags = 0,
): void {
  return unready(aLo, aHi, aSe, bLo, bHi, bSe, cw, operandFlags);
}

/** FSUB: a - b. */
export function subF80(
  aLo: number,
  aHi: number,
  aSe: number,
  bLo: number,
  bHi: number,
  bSe: number,
  cw: number,
  operandFlags = 0,
): void {
  return unready(aLo, aHi, aSe, bLo, bHi, bSe, cw, operandFlags);
}

/** FMUL: a * b. */
export function mulF80(
  aLo: number,
  aHi: number,
  aSe: number,
  bLo: number,
  bHi: number,
  bSe: number,
  cw: number,
  operandFlags = 0,
): void {
  return unready(aLo, aHi, aSe, bLo, bHi, bSe, cw, operandFlags);
}

/** FDIV: a / b. */
export function divF80(
  aLo: number,
  aHi: number,
  aSe: number,
  bLo: number,
  bHi: number,
  bSe: number,
  cw: number,
  operandFlags = 0,
): void {
  return unready(aLo, aHi, aSe, bLo, bHi, bSe, cw, operandFlags);
}

/** FSQRT. */
export function sqrtF80(lo: number, hi: number, se: number, cw: number): void {
  return unready(lo, hi, se, cw);
}
