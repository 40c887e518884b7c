/** SSE conversions. `rc` arguments are not needed: `truncate` picks the CVTT forms. */

import { unready } from "./unready.ts";

/** CVTSS2SD: low half returned, high half in `result.hi`. */
export function f32ToF64(bits: number, mxcsr: number): number {
  return unready(bits, mxcsr);
}

/** CVTSD2SS. */
export function f64ToF32(lo: number, hi: number, mxcsr: number): number {
  return unready(lo, hi, mxcsr);
}

/** CVTSD2SI, CVTTSD2SI r32. */
export function f64ToInt32(lo: number, hi: number, truncate: boolean, mxcsr: number): number {
  return unready(lo, hi, +truncate, mxcsr);
}

/** CVTSD2SI, CVTTSD2SI r64: low half returned. */
export function f64ToInt64(lo: number, hi: number, truncate: boolean, mxcsr: number): number {
  return unready(lo, hi, +truncate, mxcsr);
}

/** CVTSS2SI, CVTTSS2SI r32. */
export function f32ToInt32(bits: number, truncate: boolean, mxcsr: number): number {
  return unready(bits, +truncate, mxcsr);
}

/** CVTSS2SI, CVTTSS2SI r64: low half returned. */
export function f32ToInt64(bits: number, truncate: boolean, mxcsr: number): number {
  return unready(bits, +truncate, mxcsr);
}

/** CVTSI2SD r32: exact. */
export function int32ToF64(value: number): number {
  return unready(value);
}

/** CVTSI2SS r32. */
export function int32ToF32(value: number, mxcsr: number): number {
  return unready(value, mxcsr);
}

/** CVTSI2SD r64: low half returned. */
export function int64ToF64(lo: number, hi: number, mxcsr: number): number {
  return unready(lo, hi, mxcsr);
}

/** CVTSI2SS r64. */
export function int64ToF32(lo: number, hi: number, mxcsr: number): number {
  return unready(lo, hi, mxcsr);
}
