/** x87 addition, subtraction, multiplication, division and square root (SDM 1 §8.3.5). */

import { add, divide, multiply, squareRoot } from "./operate.ts";
import { A, B } from "./unpacked.ts";
import { beginControlled, finish, takeOne, takeTwo } from "./x87.ts";

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
  beginControlled(cw);
  if (!takeTwo(aLo, aHi, aSe, bLo, bHi, bSe)) add(B.sign, A.denormal | B.denormal | operandFlags);
  finish();
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
  beginControlled(cw);
  if (!takeTwo(aLo, aHi, aSe, bLo, bHi, bSe)) {
    add(B.sign ^ 1, A.denormal | B.denormal | operandFlags);
  }
  finish();
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
  beginControlled(cw);
  if (!takeTwo(aLo, aHi, aSe, bLo, bHi, bSe)) multiply(A.denormal | B.denormal | operandFlags);
  finish();
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
  beginControlled(cw);
  if (!takeTwo(aLo, aHi, aSe, bLo, bHi, bSe)) divide(A.denormal | B.denormal | operandFlags);
  finish();
}

/** FSQRT. */
export function sqrtF80(lo: number, hi: number, se: number, cw: number): void {
  beginControlled(cw);
  if (!takeOne(lo, hi, se)) squareRoot();
  finish();
}
