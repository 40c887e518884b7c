/**
 * Conversions of one element between single, double and integers. As with arithmetic, plain operands
 * under the default MXCSR are JavaScript's; the rest is the software's.
 */

import { result } from "../../../../cpu/float/result.ts";
import * as soft from "../../../../cpu/float/sse_convert.ts";
import { type Cpu, Word } from "../../cpu.ts";
import * as floating from "./floating.ts";

// V8 folds a module's own constants, not those of others.
const { f32ToF64, f64ToF32, f64ToInt32, f64ToInt64, f32ToInt32, f32ToInt64 } = soft;
const { int32ToF32, int64ToF64, int64ToF32 } = soft;
const { isDefault, isPlain32, isPlain64 } = floating;
const PE = floating.PE;
const MXCSR = Word.MXCSR;

/** The largest finite single, and the smallest normal one. */
const MAX_SINGLE = (2 - 2 ** -23) * 2 ** 127;
const MIN_NORMAL_SINGLE = 2 ** -126;
const TWO_32 = 2 ** 32;
/** 1.5 * 2^52: adding and subtracting it rounds a number below 2^51 to an integer. */
const ROUNDER = 6755399441055744;

/** CVTSS2SD. */
export function widen(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s } = cpu;
  if (isPlain32(s[b])) {
    cpu.f64[to >> 1] = cpu.f32[b];
    return 0;
  }
  s[to] = f32ToF64(s[b], s[MXCSR]);
  s[to + 1] = result.hi;
  return result.flags;
}

/** CVTSD2SS. */
export function narrow(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s } = cpu;
  const mxcsr = s[MXCSR];
  if (isDefault(mxcsr) && isPlain64(s[b], s[b + 1])) {
    const x = cpu.f64[b >> 1];
    const rounded = Math.fround(x);
    const magnitude = Math.abs(rounded);
    if (magnitude > MIN_NORMAL_SINGLE && magnitude <= MAX_SINGLE || x === 0) {
      cpu.f32[to] = rounded;
      return rounded === x ? 0 : PE;
    }
  }
  s[to] = f64ToF32(s[b], s[b + 1], mxcsr);
  return result.flags;
}

/** CVTDQ2PD: exact. */
export function int32To64(cpu: Cpu, _a: number, b: number, to: number): number {
  cpu.f64[to >> 1] = cpu.s[b];
  return 0;
}

/** CVTDQ2PS. */
export function int32To32(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s } = cpu;
  const mxcsr = s[MXCSR];
  const x = s[b];
  if (isDefault(mxcsr)) {
    const rounded = Math.fround(x);
    cpu.f32[to] = rounded;
    return rounded === x ? 0 : PE;
  }
  s[to] = int32ToF32(x, mxcsr);
  return result.flags;
}

/** CVTSI2SD from 64 bits. */
export function int64To64(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s } = cpu;
  const lo = s[b], hi = s[b + 1];
  if (hi >> 20 === hi >> 31) { // 53 bits and the sign: exact
    cpu.f64[to >> 1] = hi * TWO_32 + (lo >>> 0);
    return 0;
  }
  s[to] = int64ToF64(lo, hi, s[MXCSR]);
  s[to + 1] = result.hi;
  return result.flags;
}

/** CVTSI2SS from 64 bits. */
export function int64To32(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s } = cpu;
  s[to] = int64ToF32(s[b], s[b + 1], s[MXCSR]);
  return result.flags;
}

/** CVTTSD2SI, 32 bits. */
export function truncate64To32(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s } = cpu;
  if (isPlain64(s[b], s[b + 1])) {
    const x = cpu.f64[b >> 1];
    if (Math.abs(x) < 2 ** 31) return setInt32(s, to, x | 0, x);
  }
  s[to] = f64ToInt32(s[b], s[b + 1], true, s[MXCSR]);
  return result.flags;
}

/** CVTTSS2SI, 32 bits. */
export function truncate32To32(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s } = cpu;
  if (isPlain32(s[b])) {
    const x = cpu.f32[b];
    if (Math.abs(x) < 2 ** 31) return setInt32(s, to, x | 0, x);
  }
  s[to] = f32ToInt32(s[b], true, s[MXCSR]);
  return result.flags;
}

/** CVTSD2SI, 32 bits. */
export function round64To32(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s } = cpu;
  const mxcsr = s[MXCSR];
  if (isDefault(mxcsr) && isPlain64(s[b], s[b + 1])) {
    const x = cpu.f64[b >> 1];
    if (Math.abs(x) < 2 ** 31 - 1) return setInt32(s, to, x + ROUNDER - ROUNDER | 0, x);
  }
  s[to] = f64ToInt32(s[b], s[b + 1], false, mxcsr);
  return result.flags;
}

/** CVTSS2SI, 32 bits. */
export function round32To32(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s } = cpu;
  const mxcsr = s[MXCSR];
  if (isDefault(mxcsr) && isPlain32(s[b])) {
    const x = cpu.f32[b];
    if (Math.abs(x) < 2 ** 31 - 1) return setInt32(s, to, x + ROUNDER - ROUNDER | 0, x);
  }
  s[to] = f32ToInt32(s[b], false, mxcsr);
  return result.flags;
}

/** The integer that came of `x`: inexact when they differ. */
function setInt32(s: Int32Array, to: number, integer: number, x: number): number {
  s[to] = integer;
  return integer === x ? 0 : PE;
}

/** CVTTSD2SI, 64 bits. */
export function truncate64To64(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s } = cpu;
  if (isPlain64(s[b], s[b + 1])) {
    const x = cpu.f64[b >> 1];
    if (Math.abs(x) < 2 ** 53) {
      const integer = Math.trunc(x);
      s[to] = integer;
      s[to + 1] = Math.floor(integer / TWO_32);
      return integer === x ? 0 : PE;
    }
  }
  return takeInt64(s, to, f64ToInt64(s[b], s[b + 1], true, s[MXCSR]));
}

/** CVTSD2SI, 64 bits. */
export function round64To64(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s } = cpu;
  return takeInt64(s, to, f64ToInt64(s[b], s[b + 1], false, s[MXCSR]));
}

/** CVTTSS2SI, 64 bits. */
export function truncate32To64(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s } = cpu;
  return takeInt64(s, to, f32ToInt64(s[b], true, s[MXCSR]));
}

/** CVTSS2SI, 64 bits. */
export function round32To64(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s } = cpu;
  return takeInt64(s, to, f32ToInt64(s[b], false, s[MXCSR]));
}

function takeInt64(s: Int32Array, to: number, lo: number): number {
  s[to] = lo;
  s[to + 1] = result.hi;
  return result.flags;
}
