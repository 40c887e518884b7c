/**
 * SSE conversions between f32, f64 and integers. Values of 64 bits are halves: the low half is
 * returned, both are in `result`; others are returned and in `result.lo`.
 */

import { TO_ZERO } from "./control.ts";
import {
  deliverExactF64,
  deliverF32,
  deliverTruncated,
  isOrdinaryF32,
  isOrdinaryF64,
  isPlain,
  numberFromF32,
  numberFromF64,
} from "./fast.ts";
import { toInteger } from "./integer.ts";
import { copy, denormal } from "./operate.ts";
import { result } from "./result.ts";
import { F32_FORMAT, F64_FORMAT, mode } from "./round.ts";
import { applyDaz, beginSse, finishF32, finishF64, isNanA, keepIfUnmasked } from "./sse.ts";
import { A, unpackF32, unpackF64, unpackInteger } from "./unpacked.ts";

/** CVTSS2SD. */
export function f32ToF64(bits: number, mxcsr: number): number {
  if (isOrdinaryF32(bits)) return deliverExactF64(numberFromF32(bits));
  beginSse(mxcsr, F64_FORMAT);
  unpackF32(A, bits);
  applyDaz(A, mxcsr);
  if (!isNanA() && !denormal(A.denormal)) copy(A, A.sign);
  return finishF64();
}

/** CVTSD2SS. */
export function f64ToF32(lo: number, hi: number, mxcsr: number): number {
  if (isPlain(mxcsr) && isOrdinaryF64(lo, hi) && deliverF32(numberFromF64(lo, hi))) {
    return result.lo;
  }
  beginSse(mxcsr, F32_FORMAT);
  unpackF64(A, lo, hi);
  applyDaz(A, mxcsr);
  if (!isNanA() && !denormal(A.denormal)) copy(A, A.sign);
  return finishF32();
}

/** CVTSD2SI r32, m64 and, when `truncate`, CVTTSD2SI. */
export function f64ToInt32(lo: number, hi: number, truncate: boolean, mxcsr: number): number {
  if (
    truncate && isOrdinaryF64(lo, hi) && deliverTruncated(numberFromF64(lo, hi), mxcsr)
  ) return result.lo;
  return f64ToInt(lo, hi, truncate, mxcsr, 32);
}

/** CVTSD2SI r64, m64 and, when `truncate`, CVTTSD2SI. */
export function f64ToInt64(lo: number, hi: number, truncate: boolean, mxcsr: number): number {
  return f64ToInt(lo, hi, truncate, mxcsr, 64);
}

function f64ToInt(
  lo: number,
  hi: number,
  truncate: boolean,
  mxcsr: number,
  bits: number,
): number {
  beginSse(mxcsr, F64_FORMAT);
  unpackF64(A, lo, hi);
  return toInt(truncate, mxcsr, bits);
}

/** CVTSS2SI r32, m32 and, when `truncate`, CVTTSS2SI. */
export function f32ToInt32(bits: number, truncate: boolean, mxcsr: number): number {
  if (truncate && isOrdinaryF32(bits) && deliverTruncated(numberFromF32(bits), mxcsr)) {
    return result.lo;
  }
  beginSse(mxcsr, F32_FORMAT);
  unpackF32(A, bits);
  return toInt(truncate, mxcsr, 32);
}

/** CVTSS2SI r64, m32 and, when `truncate`, CVTTSS2SI. */
export function f32ToInt64(bits: number, truncate: boolean, mxcsr: number): number {
  beginSse(mxcsr, F32_FORMAT);
  unpackF32(A, bits);
  return toInt(truncate, mxcsr, 64);
}

function toInt(truncate: boolean, mxcsr: number, bits: number): number {
  applyDaz(A, mxcsr);
  if (truncate) mode.rc = TO_ZERO;
  toInteger(bits);
  keepIfUnmasked();
  return result.lo;
}

/** CVTSI2SD from 32 bits: exact. */
export function int32ToF64(value: number): number {
  return deliverExactF64(value);
}

/** CVTSI2SS from 32 bits. */
export function int32ToF32(value: number, mxcsr: number): number {
  return int64ToF32(value, value >> 31, mxcsr);
}

/** CVTSI2SD from 64 bits. */
export function int64ToF64(lo: number, hi: number, mxcsr: number): number {
  beginSse(mxcsr, F64_FORMAT);
  unpackInteger(A, lo, hi);
  copy(A, A.sign);
  return finishF64();
}

/** CVTSI2SS from 64 bits. */
export function int64ToF32(lo: number, hi: number, mxcsr: number): number {
  beginSse(mxcsr, F32_FORMAT);
  unpackInteger(A, lo, hi);
  copy(A, A.sign);
  return finishF32();
}
