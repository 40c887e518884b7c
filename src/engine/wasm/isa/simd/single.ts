/**
 * What SSE does to a single. Plain operands under the default MXCSR take JavaScript's doubles: a sum,
 * product, quotient or root rounded to 53 bits and then to 24 is that rounded to 24 (Figueroa 1995).
 */

import { result } from "../../../../cpu/float/result.ts";
import * as soft from "../../../../cpu/float/sse32.ts";
import { type Cpu, Word } from "../../cpu.ts";
import * as floating from "./floating.ts";

// V8 folds a module's own constants, not those of others.
const { addF32, subF32, mulF32, divF32, sqrtF32, minF32, maxF32, roundF32 } = soft;
const { isDefault, isExactSum, isPlain32 } = floating;
const PE = floating.PE;
const MXCSR = Word.MXCSR;

/** The largest finite single, and the smallest normal one. */
const MAX = (2 - 2 ** -23) * 2 ** 127;
const MIN_NORMAL = 2 ** -126;

export function add32(cpu: Cpu, a: number, b: number, to: number): number {
  const { s, f32 } = cpu;
  const mxcsr = s[MXCSR];
  if (isDefault(mxcsr) && isPlain32(s[a]) && isPlain32(s[b])) {
    const x = f32[a], y = f32[b];
    const sum = x + y;
    const rounded = Math.fround(sum);
    // A denormal sum is always exact: no underflow.
    if (Math.abs(rounded) <= MAX) {
      f32[to] = rounded;
      return (mxcsr & PE) !== 0 || rounded === sum && isExactSum(x, y, sum) ? 0 : PE;
    }
  }
  addF32(s[a], s[b], mxcsr);
  return take(s, to);
}

export function sub32(cpu: Cpu, a: number, b: number, to: number): number {
  const { s, f32 } = cpu;
  const mxcsr = s[MXCSR];
  if (isDefault(mxcsr) && isPlain32(s[a]) && isPlain32(s[b])) {
    const x = f32[a], y = f32[b];
    const difference = x - y;
    const rounded = Math.fround(difference);
    if (Math.abs(rounded) <= MAX) {
      f32[to] = rounded;
      const isExact = rounded === difference && isExactSum(x, -y, difference);
      return (mxcsr & PE) !== 0 || isExact ? 0 : PE;
    }
  }
  subF32(s[a], s[b], mxcsr);
  return take(s, to);
}

export function mul32(cpu: Cpu, a: number, b: number, to: number): number {
  const { s, f32 } = cpu;
  const mxcsr = s[MXCSR];
  if (isDefault(mxcsr) && isPlain32(s[a]) && isPlain32(s[b])) {
    const product = f32[a] * f32[b]; // exact
    const rounded = Math.fround(product);
    const magnitude = Math.abs(rounded);
    if (magnitude > MIN_NORMAL && magnitude <= MAX || product === 0) {
      f32[to] = rounded;
      return rounded === product ? 0 : PE;
    }
  }
  mulF32(s[a], s[b], mxcsr);
  return take(s, to);
}

export function div32(cpu: Cpu, a: number, b: number, to: number): number {
  const { s, f32 } = cpu;
  const mxcsr = s[MXCSR];
  if (isDefault(mxcsr) && isPlain32(s[a]) && isPlain32(s[b])) {
    const x = f32[a], y = f32[b];
    const quotient = x / y;
    const rounded = Math.fround(quotient);
    const magnitude = Math.abs(rounded);
    if (magnitude > MIN_NORMAL && magnitude <= MAX || quotient === 0) {
      f32[to] = rounded;
      return rounded * y === x ? 0 : PE;
    }
  }
  divF32(s[a], s[b], mxcsr);
  return take(s, to);
}

export function sqrt32(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s, f32 } = cpu;
  const mxcsr = s[MXCSR];
  if (isDefault(mxcsr) && isPlain32(s[b])) {
    const x = f32[b];
    if (x >= 0) { // -0 is one of these
      const root = Math.fround(Math.sqrt(x));
      f32[to] = root;
      return root * root === x ? 0 : PE;
    }
  }
  sqrtF32(s[b], mxcsr);
  return take(s, to);
}

// The second operand wins unless the first is the one that is asked for.
export function min32(cpu: Cpu, a: number, b: number, to: number): number {
  const { s, f32 } = cpu;
  if (isPlain32(s[a]) && isPlain32(s[b])) {
    s[to] = f32[a] < f32[b] ? s[a] : s[b];
    return 0;
  }
  minF32(s[a], s[b], s[MXCSR]);
  return take(s, to);
}

export function max32(cpu: Cpu, a: number, b: number, to: number): number {
  const { s, f32 } = cpu;
  if (isPlain32(s[a]) && isPlain32(s[b])) {
    s[to] = f32[a] > f32[b] ? s[a] : s[b];
    return 0;
  }
  maxF32(s[a], s[b], s[MXCSR]);
  return take(s, to);
}

/** ROUNDSS: bits 1:0 of the immediate are the rounding mode. */
export function round32(cpu: Cpu, _a: number, b: number, to: number, immediate: number): number {
  const { s } = cpu;
  roundF32(s[b], immediate & 15, s[MXCSR]);
  return take(s, to);
}

/** Takes over the software's result and flags. */
function take(s: Int32Array, to: number): number {
  s[to] = result.lo;
  return result.flags;
}
