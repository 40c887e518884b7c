/** x87 loads and stores of the other formats (SDM 1 §4.8, §8.3.3). */

import { PE } from "./control.ts";
import { toInteger } from "./integer.ts";
import { begin, copy, propagate } from "./operate.ts";
import { packF32, packF64, packF80 } from "./pack.ts";
import { result } from "./result.ts";
import { F32_FORMAT, F64_FORMAT, type Format, isRoundable, round } from "./round.ts";
import {
  A,
  QUIET_NAN,
  SIGNALLING_NAN,
  unpackF32,
  unpackF64,
  unpackF80,
  unpackInteger,
  Z,
} from "./unpacked.ts";
import { beginX87, finish, takeOne } from "./x87.ts";

/**
 * An f32 memory operand of an arithmetic instruction as f80: exact, signalling NaNs stay so.
 * `result.flags` is DE for a denormal: hand it on as `operandFlags`.
 */
export function widenF32(bits: number): void {
  unpackF32(A, bits);
  widen();
}

/** See `widenF32`. */
export function widenF64(lo: number, hi: number): void {
  unpackF64(A, lo, hi);
  widen();
}

function widen(): void {
  begin();
  result.flags = A.denormal;
  copy(A, A.sign);
  if (Z.kind === SIGNALLING_NAN) Z.kind = QUIET_NAN;
  packF80(result);
}

/** FLD m32fp. */
export function loadF32(bits: number, cw: number): void {
  beginX87(cw);
  unpackF32(A, bits);
  load();
}

/** FLD m64fp. */
export function loadF64(lo: number, hi: number, cw: number): void {
  beginX87(cw);
  unpackF64(A, lo, hi);
  load();
}

/** A denormal is loaded even when that exception is not masked. */
function load(): void {
  if (A.kind >= QUIET_NAN) propagate(A, A.kind === SIGNALLING_NAN);
  else {
    copy(A, A.sign);
    result.flags = A.denormal;
  }
  finish();
}

/** FILD m16int and m32int, and integer operands of arithmetic: exact. */
export function int32ToF80(value: number): void {
  int64ToF80(value, value >> 31);
}

/** FILD m64int: exact. */
export function int64ToF80(lo: number, hi: number): void {
  begin();
  unpackInteger(A, lo, hi);
  copy(A, A.sign);
  packF80(result);
}

/** FST m32fp: the bits in `result.lo`. */
export function storeF32(lo: number, hi: number, se: number, cw: number): void {
  store(lo, hi, se, cw, F32_FORMAT);
  packF32();
}

/** FST m64fp: the halves in `result.lo`, `result.hi`. */
export function storeF64(lo: number, hi: number, se: number, cw: number): void {
  store(lo, hi, se, cw, F64_FORMAT);
  packF64();
}

/** Z = the operand rounded to `format`. A denormal operand raises nothing here (SDM 2 FST). */
function store(lo: number, hi: number, se: number, cw: number, format: Format): void {
  beginX87(cw, format);
  if (!takeOne(lo, hi, se)) copy(A, A.sign);
  if (isRoundable(Z)) round(Z);
  if (result.stored === 0) {
    // What an unmasked exception leaves unstored is not reported as inexact (SDM 1 §8.5.6).
    result.flags &= ~PE;
    result.roundedUp = 0;
  }
}

/** FIST m16int: sign-extended in `result.lo`. FISTTP passes `cw | CW_TO_ZERO`. */
export function f80ToInt16(lo: number, hi: number, se: number, cw: number): void {
  f80ToInteger(lo, hi, se, cw, 16);
}

/** FIST m32int: in `result.lo`. */
export function f80ToInt32(lo: number, hi: number, se: number, cw: number): void {
  f80ToInteger(lo, hi, se, cw, 32);
}

/** FISTP m64int: in `result.lo`, `result.hi`. */
export function f80ToInt64(lo: number, hi: number, se: number, cw: number): void {
  f80ToInteger(lo, hi, se, cw, 64);
}

function f80ToInteger(lo: number, hi: number, se: number, cw: number, bits: number): void {
  beginX87(cw);
  unpackF80(A, lo, hi, se);
  toInteger(bits);
}
