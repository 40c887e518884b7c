/** Values of the x87 and SSE formats for tests, written as in the manuals. */

import { type F80, result } from "../../src/cpu/float/mod.ts";

/** Halves of an f80 as the library takes them. */
export type F80Parts = readonly [lo: number, hi: number, signExp: number];

/** The f80 with this sign and exponent field and significand. */
export function f80(signExp: number, significand: bigint): F80Parts {
  return [
    Number(BigInt.asIntN(32, significand)),
    Number(BigInt.asIntN(32, significand >> 32n)),
    signExp,
  ];
}

/** The f80 that equals a finite number. */
export function f80Of(value: number): F80Parts {
  if (value === 0) return f80(Object.is(value, -0) ? 0x8000 : 0, 0n);
  let exp = Math.floor(Math.log2(Math.abs(value)));
  if (2 ** exp > Math.abs(value)) exp--;
  const significand = BigInt(Math.abs(value) / 2 ** exp * 2 ** 52) << 11n;
  return f80((value < 0 ? 0x8000 : 0) | exp + 16383, significand);
}

/** An f80 as text: sign and exponent field, significand. */
export function textOf({ lo, hi, signExp }: F80): string {
  const digits = (value: number, count: number) => (value >>> 0).toString(16).padStart(count, "0");
  return `${digits(signExp, 4)}:${digits(hi, 8)}${digits(lo, 8)}`;
}

/** `result` as an f80. */
export function resultText(): string {
  return textOf(result);
}

/** Parts as text. */
export function partsText([lo, hi, signExp]: F80Parts): string {
  return textOf({ lo, hi, signExp });
}

/** Integer bit of a significand. */
const INTEGER = 1n << 63n;
/** Values that tables of the manuals name. */
export const ZERO: F80Parts = f80(0, 0n);
export const MINUS_ZERO: F80Parts = f80(0x8000, 0n);
export const ONE: F80Parts = f80(0x3fff, INTEGER);
export const INFINITY: F80Parts = f80(0x7fff, INTEGER);
export const MINUS_INFINITY: F80Parts = f80(0xffff, INTEGER);
export const DENORMAL: F80Parts = f80(0, 123n);
export const LARGEST: F80Parts = f80(0x7ffe, (1n << 64n) - 1n);
export const SMALLEST_NORMAL: F80Parts = f80(1, INTEGER);
/** The real indefinite: what an invalid operation gives (SDM 1 table 4-3). */
export const INDEFINITE: F80Parts = f80(0xffff, 3n << 62n);

/** A quiet NaN with a payload. */
export function quiet(payload: bigint, sign = 0): F80Parts {
  return f80(0x7fff | sign << 15, 3n << 62n | payload);
}

/** A signalling NaN with a payload. */
export function signalling(payload: bigint, sign = 0): F80Parts {
  return f80(0x7fff | sign << 15, INTEGER | payload);
}
