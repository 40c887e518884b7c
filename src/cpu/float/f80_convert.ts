/** x87 loads and stores of the other formats. */

import { unready } from "./unready.ts";

/** An f32 memory operand of an arithmetic instruction as f80: exact, signalling NaNs stay so. `result.flags` is DE for a denormal: hand it on as `operandFlags`. */
export function widenF32(bits: number): void {
  return unready(bits);
}

/** See `widenF32`. */
export function widenF64(lo: number, hi: number): void {
  return unready(lo, hi);
}

/** FLD m32fp. */
export function loadF32(bits: number, cw: number): void {
  return unready(bits, cw);
}

/** FLD m64fp. */
export function loadF64(lo: number, hi: number, cw: number): void {
  return unready(lo, hi, cw);
}

/** FILD m16int and m32int, and integer operands of arithmetic: exact. */
export function int32ToF80(value: number): void {
  return unready(value);
}

/** FILD m64int: exact. */
export function int64ToF80(lo: number, hi: number): void {
  return unready(lo, hi);
}

/** FST m32fp: the bits in `result.lo`. */
export function storeF32(lo: number, hi: number, se: number, cw: number): void {
  return unready(lo, hi, se, cw);
}

/** FST m64fp: the halves in `result.lo`, `result.hi`. */
export function storeF64(lo: number, hi: number, se: number, cw: number): void {
  return unready(lo, hi, se, cw);
}

/** FIST m16int: sign-extended in `result.lo`. FISTTP passes `cw | CW_TO_ZERO`. */
export function f80ToInt16(lo: number, hi: number, se: number, cw: number): void {
  return unready(lo, hi, se, cw);
}

/** FIST m32int: in `result.lo`. */
export function f80ToInt32(lo: number, hi: number, se: number, cw: number): void {
  return unready(lo, hi, se, cw);
}

/** FISTP m64int: in `result.lo`, `result.hi`. */
export function f80ToInt64(lo: number, hi: number, se: number, cw: number): void {
  return unready(lo, hi, se, cw);
}
