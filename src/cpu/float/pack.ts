/** Writing Z, which is rounded, in the formats of memory and registers. */

import { type F80, result } from "./result.ts";
import { FINITE, INFINITE, INTEGER_BIT, QUIET_NAN, Z } from "./unpacked.ts";

/** Writes Z to `out` as an f80. */
export function packF80(out: F80): void {
  const sign = Z.sign << 15;
  if (Z.kind === FINITE) {
    out.hi = Z.hi;
    out.lo = Z.lo;
    out.signExp = sign | (Z.hi < 0 ? Z.exp + 16383 : 0);
  } else if (Z.kind === QUIET_NAN) {
    out.hi = Z.hi;
    out.lo = Z.lo;
    out.signExp = sign | 0x7fff;
  } else {
    const isInfinite = Z.kind === INFINITE;
    out.hi = isInfinite ? INTEGER_BIT : 0;
    out.lo = 0;
    out.signExp = sign | (isInfinite ? 0x7fff : 0);
  }
}

/** Leaves Z in `result` as an f64; gives its low half. */
export function packF64(): number {
  const sign = Z.sign << 31;
  const hi = Z.hi >>> 11 & 0xf_ffff;
  const lo = Z.hi << 21 | Z.lo >>> 11;
  if (Z.kind === FINITE) {
    result.hi = sign | (Z.hi < 0 ? Z.exp + 1023 : 0) << 20 | hi;
    result.lo = lo;
  } else if (Z.kind === QUIET_NAN) {
    result.hi = sign | 0x7ff0_0000 | hi;
    result.lo = lo;
  } else {
    result.hi = sign | (Z.kind === INFINITE ? 0x7ff0_0000 : 0);
    result.lo = 0;
  }
  return result.lo;
}

/** Leaves Z in `result.lo` as an f32; gives its bits. */
export function packF32(): number {
  const sign = Z.sign << 31;
  const fraction = Z.hi >>> 8 & 0x7f_ffff;
  if (Z.kind === FINITE) {
    result.lo = sign | (Z.hi < 0 ? Z.exp + 127 : 0) << 23 | fraction;
  } else if (Z.kind === QUIET_NAN) {
    result.lo = sign | 0x7f80_0000 | fraction;
  } else {
    result.lo = sign | (Z.kind === INFINITE ? 0x7f80_0000 : 0);
  }
  return result.lo;
}
