/** Scalar f32 operations of SSE. Results are bits, returned and in `result.lo`. `result.flags` may leave out PE when MXCSR has PE set and masked already. */

import { unready } from "./unready.ts";

/** ADDSS. */
export function addF32(a: number, b: number, mxcsr: number): number {
  return unready(a, b, mxcsr);
}

/** SUBSS. */
export function subF32(a: number, b: number, mxcsr: number): number {
  return unready(a, b, mxcsr);
}

/** MULSS. */
export function mulF32(a: number, b: number, mxcsr: number): number {
  return unready(a, b, mxcsr);
}

/** DIVSS. */
export function divF32(a: number, b: number, mxcsr: number): number {
  return unready(a, b, mxcsr);
}

/** SQRTSS. */
export function sqrtF32(a: number, mxcsr: number): number {
  return unready(a, mxcsr);
}

/** MINSS: a is the first operand, the destination. */
export function minF32(a: number, b: number, mxcsr: number): number {
  return unready(a, b, mxcsr);
}

/** MAXSS. */
export function maxF32(a: number, b: number, mxcsr: number): number {
  return unready(a, b, mxcsr);
}

/** COMISS and, when `quiet`, UCOMISS: LESS, EQUAL, GREATER or UNORDERED. */
export function compareF32(a: number, b: number, quiet: boolean, mxcsr: number): number {
  return unready(a, b, +quiet, mxcsr);
}

/** CMPSS: -1 when the predicate (0 to 7) holds, else 0. */
export function predicateF32(a: number, b: number, predicate: number, mxcsr: number): number {
  return unready(a, b, predicate, mxcsr);
}

/** ROUNDSS (SSE4.1). */
export function roundF32(a: number, imm: number, mxcsr: number): number {
  return unready(a, imm, mxcsr);
}
