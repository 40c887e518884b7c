/**
 * What SSE2 does to a double. Plain operands under the default MXCSR take JavaScript's arithmetic,
 * which is the same; everything else, and NaNs above all, goes to the software's.
 */

import { result } from "../../../../cpu/float/result.ts";
import * as soft from "../../../../cpu/float/sse64.ts";
import { type Cpu, Word } from "../../cpu.ts";
import * as floating from "./floating.ts";

// V8 folds a module's own constants, not those of others.
const { addF64, subF64, mulF64, divF64, sqrtF64, minF64, maxF64, roundF64 } = soft;
const { isDefault, isExactSum, isPlain64 } = floating;
const PE = floating.PE;
const MXCSR = Word.MXCSR;

/** The largest finite double, and the smallest normal one. */
const MAX = Number.MAX_VALUE;
const MIN_NORMAL = 2 ** -1022;
/** Factors between these have a product whose rounding error is a double, too. */
const SAFE_MAX = 2 ** 480;
const SAFE_MIN = 2 ** -480;
/** 2^27 + 1: splits a double into two halves of 26 bits (Dekker 1971). */
const SPLITTER = 134217729;

/** Numbers below this have a fraction that adding and subtracting 1.5 * 2^52 rounds away. */
const ROUNDABLE = 2 ** 51;
const ROUNDER = 1.5 * 2 ** 52;

export function add64(cpu: Cpu, a: number, b: number, to: number): number {
  const { s, f64 } = cpu;
  const mxcsr = s[MXCSR];
  if (isDefault(mxcsr) && isPlain64(s[a], s[a + 1]) && isPlain64(s[b], s[b + 1])) {
    const x = f64[a >> 1], y = f64[b >> 1];
    const sum = x + y;
    // A denormal sum is always exact: no underflow.
    if (Math.abs(sum) <= MAX) {
      f64[to >> 1] = sum;
      return (mxcsr & PE) !== 0 || isExactSum(x, y, sum) ? 0 : PE;
    }
  }
  addF64(s[a], s[a + 1], s[b], s[b + 1], mxcsr);
  return take(s, to);
}

export function sub64(cpu: Cpu, a: number, b: number, to: number): number {
  const { s, f64 } = cpu;
  const mxcsr = s[MXCSR];
  if (isDefault(mxcsr) && isPlain64(s[a], s[a + 1]) && isPlain64(s[b], s[b + 1])) {
    const x = f64[a >> 1], y = f64[b >> 1];
    const difference = x - y;
    if (Math.abs(difference) <= MAX) {
      f64[to >> 1] = difference;
      return (mxcsr & PE) !== 0 || isExactSum(x, -y, difference) ? 0 : PE;
    }
  }
  subF64(s[a], s[a + 1], s[b], s[b + 1], mxcsr);
  return take(s, to);
}

export function mul64(cpu: Cpu, a: number, b: number, to: number): number {
  const { s, f64 } = cpu;
  const mxcsr = s[MXCSR];
  if (isDefault(mxcsr) && isPlain64(s[a], s[a + 1]) && isPlain64(s[b], s[b + 1])) {
    const x = f64[a >> 1], y = f64[b >> 1];
    const product = x * y;
    if (x === 0 || y === 0) {
      f64[to >> 1] = product;
      return 0;
    }
    const magnitude = Math.abs(product);
    if (magnitude > MIN_NORMAL && magnitude <= MAX && ((mxcsr & PE) !== 0 || areSafe(x, y))) {
      f64[to >> 1] = product;
      return (mxcsr & PE) !== 0 || isExactProduct(x, y, product) ? 0 : PE;
    }
  }
  mulF64(s[a], s[a + 1], s[b], s[b + 1], mxcsr);
  return take(s, to);
}

export function div64(cpu: Cpu, a: number, b: number, to: number): number {
  const { s, f64 } = cpu;
  const mxcsr = s[MXCSR];
  if (isDefault(mxcsr) && isPlain64(s[a], s[a + 1]) && isPlain64(s[b], s[b + 1])) {
    const x = f64[a >> 1], y = f64[b >> 1];
    const quotient = x / y;
    if (x === 0 && y !== 0) {
      f64[to >> 1] = quotient;
      return 0;
    }
    const magnitude = Math.abs(quotient);
    if (
      magnitude > MIN_NORMAL && magnitude <= MAX && ((mxcsr & PE) !== 0 || areSafe(quotient, y))
    ) {
      f64[to >> 1] = quotient;
      return (mxcsr & PE) !== 0 || isExactProduct(quotient, y, x) ? 0 : PE;
    }
  }
  divF64(s[a], s[a + 1], s[b], s[b + 1], mxcsr);
  return take(s, to);
}

export function sqrt64(cpu: Cpu, _a: number, b: number, to: number): number {
  const { s, f64 } = cpu;
  const mxcsr = s[MXCSR];
  if (isDefault(mxcsr) && isPlain64(s[b], s[b + 1])) {
    const x = f64[b >> 1];
    const root = Math.sqrt(x);
    if (x === 0) {
      f64[to >> 1] = root;
      return 0;
    }
    if (x > 0 && ((mxcsr & PE) !== 0 || areSafe(root, root))) {
      f64[to >> 1] = root;
      return (mxcsr & PE) !== 0 || isExactProduct(root, root, x) ? 0 : PE;
    }
  }
  sqrtF64(s[b], s[b + 1], mxcsr);
  return take(s, to);
}

// The second operand wins unless the first is the one that is asked for.
export function min64(cpu: Cpu, a: number, b: number, to: number): number {
  const { s, f64 } = cpu;
  if (isPlain64(s[a], s[a + 1]) && isPlain64(s[b], s[b + 1])) {
    return copy64(s, f64[a >> 1] < f64[b >> 1] ? a : b, to);
  }
  minF64(s[a], s[a + 1], s[b], s[b + 1], s[MXCSR]);
  return take(s, to);
}

export function max64(cpu: Cpu, a: number, b: number, to: number): number {
  const { s, f64 } = cpu;
  if (isPlain64(s[a], s[a + 1]) && isPlain64(s[b], s[b + 1])) {
    return copy64(s, f64[a >> 1] > f64[b >> 1] ? a : b, to);
  }
  maxF64(s[a], s[a + 1], s[b], s[b + 1], s[MXCSR]);
  return take(s, to);
}

/** ROUNDSD: the immediate's bits 1:0 are the mode unless bit 2 asks for MXCSR's; bit 3: no PE. */
export function round64(cpu: Cpu, _a: number, b: number, to: number, immediate: number): number {
  const { s, f64 } = cpu;
  const mxcsr = s[MXCSR];
  if (isDefault(mxcsr) && isPlain64(s[b], s[b + 1])) {
    const x = f64[b >> 1];
    if (Math.abs(x) < ROUNDABLE) {
      const rounded = toInteger(x, (immediate & 4) !== 0 ? 0 : immediate & 3);
      f64[to >> 1] = rounded;
      return rounded === x || (immediate & 8) !== 0 ? 0 : PE;
    }
  }
  roundF64(s[b], s[b + 1], immediate & 15, mxcsr);
  return take(s, to);
}

/** `x` rounded to an integer by an SSE rounding mode; a zero keeps the sign. */
function toInteger(x: number, mode: number): number {
  switch (mode) {
    case 1:
      return Math.floor(x);
    case 2:
      return Math.ceil(x);
    case 3:
      return Math.trunc(x);
    default: {
      const nearest = x + ROUNDER - ROUNDER;
      return nearest === 0 ? x * 0 : nearest;
    }
  }
}

/** Takes over the software's result and flags. */
function take(s: Int32Array, to: number): number {
  s[to] = result.lo;
  s[to + 1] = result.hi;
  return result.flags;
}

function copy64(s: Int32Array, from: number, to: number): number {
  s[to] = s[from];
  s[to + 1] = s[from + 1];
  return 0;
}

function areSafe(x: number, y: number): boolean {
  const xSize = Math.abs(x), ySize = Math.abs(y);
  return xSize < SAFE_MAX && xSize > SAFE_MIN && ySize < SAFE_MAX && ySize > SAFE_MIN;
}

/** Whether x * y is exactly `product`, for factors that are safe. */
function isExactProduct(x: number, y: number, product: number): boolean {
  const rounded = x * y;
  if (rounded !== product) return false;
  const xLarge = SPLITTER * x, yLarge = SPLITTER * y;
  const xHigh = xLarge - (xLarge - x), yHigh = yLarge - (yLarge - y);
  const xLow = x - xHigh, yLow = y - yHigh;
  return xHigh * yHigh - rounded + xHigh * yLow + xLow * yHigh + xLow * yLow === 0;
}
