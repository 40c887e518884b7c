/** Packed BCD (SDM 1 §4.7). */

import { unready } from "./unready.ts";

/** FBLD: `top` is bytes 8 and 9. */
export function bcdToF80(lo: number, hi: number, top: number): void {
  return unready(lo, hi, top);
}

/** FBSTP: bytes 0 to 7 in `result.lo` and `result.hi`, bytes 8 and 9 in `result.signExp`. */
export function f80ToBcd(lo: number, hi: number, se: number, cw: number): void {
  return unready(lo, hi, se, cw);
}
