/** Scalar f64 operations of SSE2. Results: low half returned, both in `result`. `result.flags` may leave out PE when MXCSR has PE set and masked already. */

import { unready } from "./unready.ts";

/** ADDSD. */
export function addF64(aLo: number, aHi: number, bLo: number, bHi: number, mxcsr: number): number {
  return unready(aLo, aHi, bLo, bHi, mxcsr);
}

/** SUBSD. */
export function subF64(aLo: number, aHi: number, bLo: number, bHi: number, mxcsr: number): number {
  return unready(aLo, aHi, bLo, bHi, mxcsr);
}

/** MULSD. */
export function mulF64(aLo: number, aHi: number, bLo: number, bHi: number, mxcsr: number): number {
  return unready(aLo, aHi, bLo, bHi, mxcsr);
}

/** DIVSD. */
export function divF64(aLo: number, aHi: number, bLo: number, bHi: number, mxcsr: number): number {
  return unready(aLo, aHi, bLo, bHi, mxcsr);
}

/** SQRTSD. */
export function sqrtF64(lo: number, hi: number, mxcsr: number): number {
  return unready(lo, hi, mxcsr);
}

/** MINSD: a is the first operand, the destination. */
export function minF64(aLo: number, aHi: number, bLo: number, bHi: number, mxcsr: number): number {
  return unready(aLo, aHi, bLo, bHi, mxcsr);
}

/** MAXSD. */
export function maxF64(aLo: number, aHi: number, bLo: number, bHi: number, mxcsr: number): number {
  return unready(aLo, aHi, bLo, bHi, mxcsr);
}

/** COMISD and, when `quiet`, UCOMISD: LESS, EQUAL, GREATER or UNORDERED. */
export function compareF64(
  aLo: number,
  aHi: number,
  bLo: number,
  bHi: number,
  quiet: boolean,
  mxcsr: number,
): number {
  return unready(aLo, aHi, bLo, bHi, +quiet, mxcsr);
}

/** CMPSD: -1 when the predicate (0 to 7) holds, else 0. */
export function predicateF64(
  aLo: number,
  aHi: number,
  bLo: number,
  bHi: number,
  predicate: number,
  mxcsr: number,
): number {
  return unready(aLo, aHi, bLo, bHi, predicate, mxcsr);
}

/** ROUNDSD (SSE4.1). */
export function roundF64(lo: number, hi: number, imm: number, mxcsr: number): number {
  return unready(lo, hi, imm, mxcsr);
}
