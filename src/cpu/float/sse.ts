/** What the scalar SSE operations do before and after their arithmetic. */

import { MXCSR_DAZ, MXCSR_FTZ, MXCSR_MASK_SHIFT, MXCSR_RC_SHIFT, UE } from "./control.ts";
import { begin, propagate } from "./operate.ts";
import { result } from "./result.ts";
import { packF32, packF64 } from "./pack.ts";
import { F32_FORMAT, F64_FORMAT, type Format, isRoundable, mode, round, setMode } from "./round.ts";
import {
  A,
  B,
  QUIET_NAN,
  SIGNALLING_NAN,
  type Unpacked,
  unpackF32,
  unpackF64,
  Z,
  ZERO,
} from "./unpacked.ts";

/** Begins an operation with a destination of `format`. */
export function beginSse(mxcsr: number, format: Format): void {
  begin();
  setMode(format, mxcsr >> MXCSR_RC_SHIFT & 3, mxcsr >> MXCSR_MASK_SHIFT);
  // An unmasked underflow takes precedence over flushing (SDM 1 §10.2.3.3).
  mode.flushes = (mxcsr & MXCSR_FTZ) !== 0 && (mode.unmasked & UE) === 0;
}

/** Makes a denormal operand a zero when MXCSR says so (SDM 1 §10.2.3.4). */
export function applyDaz(n: Unpacked, mxcsr: number): void {
  if (n.denormal !== 0 && (mxcsr & MXCSR_DAZ) !== 0) {
    n.kind = ZERO;
    n.denormal = 0;
  }
}

/** True when A is a NaN, which Z then is. */
export function isNanA(): boolean {
  if (A.kind < QUIET_NAN) return false;
  propagate(A, A.kind === SIGNALLING_NAN);
  return true;
}

/** True when A or B is a NaN; Z is the first one (SDM 1 table 4-7). */
export function isNanAB(): boolean {
  if (A.kind < QUIET_NAN && B.kind < QUIET_NAN) return false;
  const isSignalling = A.kind === SIGNALLING_NAN || B.kind === SIGNALLING_NAN;
  propagate(A.kind >= QUIET_NAN ? A : B, isSignalling);
  return true;
}

/** Begins an f64 operation on A; true when Z is decided: a NaN. */
export function takeF64(lo: number, hi: number, mxcsr: number): boolean {
  beginSse(mxcsr, F64_FORMAT);
  unpackF64(A, lo, hi);
  applyDaz(A, mxcsr);
  return isNanA();
}

/** Begins an f64 operation on A and B; true when Z is decided: a NaN. */
export function takeTwoF64(
  aLo: number,
  aHi: number,
  bLo: number,
  bHi: number,
  mxcsr: number,
): boolean {
  loadTwoF64(aLo, aHi, bLo, bHi, mxcsr);
  return isNanAB();
}

/** Begins an f64 operation on A and B that treats NaNs itself. */
export function loadTwoF64(
  aLo: number,
  aHi: number,
  bLo: number,
  bHi: number,
  mxcsr: number,
): void {
  beginSse(mxcsr, F64_FORMAT);
  unpackF64(A, aLo, aHi);
  unpackF64(B, bLo, bHi);
  applyDaz(A, mxcsr);
  applyDaz(B, mxcsr);
}

/** Begins an f32 operation on A; true when Z is decided: a NaN. */
export function takeF32(bits: number, mxcsr: number): boolean {
  beginSse(mxcsr, F32_FORMAT);
  unpackF32(A, bits);
  applyDaz(A, mxcsr);
  return isNanA();
}

/** Begins an f32 operation on A and B; true when Z is decided: a NaN. */
export function takeTwoF32(a: number, b: number, mxcsr: number): boolean {
  loadTwoF32(a, b, mxcsr);
  return isNanAB();
}

/** Begins an f32 operation on A and B that treats NaNs itself. */
export function loadTwoF32(a: number, b: number, mxcsr: number): void {
  beginSse(mxcsr, F32_FORMAT);
  unpackF32(A, a);
  unpackF32(B, b);
  applyDaz(A, mxcsr);
  applyDaz(B, mxcsr);
}

/** Rounds Z and leaves it in `result` as an f64; gives its low half. */
export function finishF64(): number {
  if (isRoundable(Z)) round(Z);
  keepIfUnmasked();
  return packF64();
}

/** Rounds Z and leaves it in `result` as an f32; gives its bits. */
export function finishF32(): number {
  if (isRoundable(Z)) round(Z);
  keepIfUnmasked();
  return packF32();
}

/** Every unmasked exception keeps the destination from being written (SDM 1 §11.5.3.2). */
export function keepIfUnmasked(): void {
  if ((result.flags & mode.unmasked) !== 0) result.stored = 0;
}
