/**
 * Rounding, underflow and overflow (SDM 1 §4.8.4, §4.9.1, §8.5.4, §8.5.5), for every format: a
 * destination is a number of significand bits and a range of exponents.
 */

import { EXCEPTIONS, OE, PE, TO_ZERO, UE, UP } from "./control.ts";
import { result } from "./result.ts";
import { FINITE, INFINITE, INTEGER_BIT, type Unpacked, ZERO } from "./unpacked.ts";
import { shiftRightSticky } from "./wide.ts";

/** What a result is rounded to. */
export interface Format {
  /** Bits of the significand, the integer bit included: 24, 53 or 64. */
  readonly precision: number;
  /** Exponent of the smallest normal number. */
  readonly minExp: number;
  /** Exponent of the largest number. */
  readonly maxExp: number;
  /**
   * What an unmasked overflow takes from the exponent and an unmasked underflow adds to it; 0 for
   * destinations that such an exception leaves unwritten (SDM 1 §8.5.4).
   */
  readonly biasAdjust: number;
}

/** An x87 register by bits 9:8 of the control word (SDM 1 §8.1.5.2); 1 is reserved. */
export const F80_FORMATS: readonly Format[] = [24, 64, 53, 64].map((precision) => ({
  precision,
  minExp: -16382,
  maxExp: 16383,
  biasAdjust: 24576,
}));
/** An x87 register whatever the precision control says. */
export const F80_FORMAT: Format = F80_FORMATS[3];
/** An f64. */
export const F64_FORMAT: Format = { precision: 53, minExp: -1022, maxExp: 1023, biasAdjust: 0 };
/** An f32. */
export const F32_FORMAT: Format = { precision: 24, minExp: -126, maxExp: 127, biasAdjust: 0 };

/** How the operation in progress rounds and which exceptions it masks. */
export const mode = {
  format: F80_FORMAT,
  /** Rounding mode, NEAREST to TO_ZERO. */
  rc: 0,
  /** The exceptions that are not masked. */
  unmasked: 0,
  /** Whether tiny results become zero. */
  flushes: false,
};

/** Sets `mode`; `masks` are the exception masks in bits 5:0. */
export function setMode(format: Format, rc: number, masks: number): void {
  mode.format = format;
  mode.rc = rc;
  mode.unmasked = ~masks & EXCEPTIONS;
  mode.flushes = false;
}

/**
 * Rounds a finite number to `mode.format`, denormal results not normalized; adds to `result.flags`,
 * sets `result.roundedUp` and, where an unmasked exception says so, `result.stored`.
 */
export function round(z: Unpacked): void {
  const { precision, minExp, maxExp } = mode.format;
  if (z.exp < minExp && underflows(z)) return;
  roundAt(z, precision);
  if (z.exp > maxExp) overflow(z);
}

/** Treats a tiny number; false for one that is not tiny after all. */
function underflows(z: Unpacked): boolean {
  const { precision, minExp, biasAdjust } = mode.format;
  // Tininess is detected after rounding (SDM 1 §4.9.1.5): the last number below the range may round
  // to its smallest.
  if (z.exp === minExp - 1 && roundsToPowerOf2(z, precision)) return false;
  if ((mode.unmasked & UE) === 0) {
    denormalize(z);
    return true;
  }
  result.flags |= UE;
  if (biasAdjust === 0) result.stored = 0;
  z.exp += biasAdjust;
  roundAt(z, precision);
  // FSCALE can be further out than the adjustment reaches (SDM 1 §8.5.5).
  if (biasAdjust !== 0 && z.exp < minExp) {
    z.kind = ZERO;
    result.flags |= PE;
    result.roundedUp = 0;
  }
  return true;
}

/** The masked response to a tiny number: a denormal or zero, UE only when it is inexact. */
function denormalize(z: Unpacked): void {
  const { precision, minExp } = mode.format;
  shiftRightSticky(z, minExp - z.exp);
  z.exp = minExp;
  const isInexact = roundAt(z, precision);
  if (mode.flushes) z.hi = z.lo = 0;
  if (isInexact || mode.flushes) result.flags |= UE | PE;
  if ((z.hi | z.lo) === 0) z.kind = ZERO;
}

function overflow(z: Unpacked): void {
  const { precision, maxExp, biasAdjust } = mode.format;
  const isUnmasked = (mode.unmasked & OE) !== 0;
  result.flags |= OE;
  if (isUnmasked) {
    if (biasAdjust === 0) {
      result.stored = 0;
      return;
    }
    if (z.exp - biasAdjust <= maxExp) {
      z.exp -= biasAdjust;
      return;
    }
  }
  result.flags |= PE;
  if (isUnmasked || isAwayFromZero(z.sign)) {
    z.kind = INFINITE;
    result.roundedUp = 1;
  } else {
    z.exp = maxExp;
    z.hi = precision === 24 ? ~0xff : ~0;
    z.lo = precision === 24 ? 0 : precision === 53 ? ~0x7ff : ~0;
    result.roundedUp = 0;
  }
}

/** Whether what does not fit is rounded away from zero: to nearest it is, too far out. */
function isAwayFromZero(sign: number): boolean {
  return mode.rc === 0 || mode.rc !== TO_ZERO && (mode.rc === UP) === (sign === 0);
}

/** Whether rounding carries out of the significand. */
function roundsToPowerOf2(z: Unpacked, precision: number): boolean {
  const ones = precision === 24
    ? z.hi >>> 8 === 0xff_ffff
    : z.hi === -1 && (precision === 53 ? z.lo >>> 11 === 0x1f_ffff : z.lo === -1);
  return ones && increments(z, precision);
}

/**
 * Rounds at `precision` bits and clears what is below; sets PE and `result.roundedUp`. Gives whether
 * the result is inexact.
 */
export function roundAt(z: Unpacked, precision: number): boolean {
  const isUp = increments(z, precision);
  const isInexact = restOf(z, precision) !== 0;
  result.roundedUp = isUp ? 1 : 0;
  if (isInexact) result.flags |= PE;
  z.ext = 0;
  if (precision === 24) {
    z.lo = 0;
    z.hi &= ~0xff;
    if (isUp) z.hi = z.hi + 0x100 | 0;
  } else {
    if (precision === 53) z.lo &= ~0x7ff;
    if (isUp) {
      const lo = (z.lo >>> 0) + (precision === 53 ? 0x800 : 1);
      z.lo = lo | 0;
      if (z.lo === 0) z.hi = z.hi + 1 | 0;
    }
  }
  if (isUp && z.hi === 0 && z.lo === 0) {
    z.hi = INTEGER_BIT;
    z.exp++;
  }
  return isInexact;
}

/** Not 0 when there is something below `precision` bits. */
function restOf(z: Unpacked, precision: number): number {
  if (precision === 64) return z.ext;
  return precision === 53 ? z.lo & 0x7ff | z.ext : z.hi & 0xff | z.lo | z.ext;
}

/** Whether rounding at `precision` bits adds to the magnitude. */
function increments(z: Unpacked, precision: number): boolean {
  const rest = restOf(z, precision);
  if (rest === 0) return false;
  if (mode.rc !== 0) return isAwayFromZero(z.sign);
  if (precision === 64) return z.ext < 0 && (z.ext << 1 !== 0 || (z.lo & 1) !== 0);
  return precision === 53
    ? (z.lo & 0x400) !== 0 && (z.lo & 0xbff | z.ext) !== 0
    : (z.hi & 0x80) !== 0 && (z.hi & 0x17f | z.lo | z.ext) !== 0;
}

/** Whether a number is left that has to be rounded. */
export function isRoundable(z: Unpacked): boolean {
  return z.kind === FINITE && result.stored !== 0;
}
