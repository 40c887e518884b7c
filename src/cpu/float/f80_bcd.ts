/** Packed BCD: 18 digits and a sign (SDM 1 §4.7). */

import { bigFrom32 } from "../../base/u64.ts";
import { IE } from "./control.ts";
import { toInteger } from "./integer.ts";
import { begin, copy, raise } from "./operate.ts";
import { packF80 } from "./pack.ts";
import { result } from "./result.ts";
import { A, unpackF80, unpackInteger } from "./unpacked.ts";
import { beginX87 } from "./x87.ts";

/** The first integer that does not fit. */
const LIMIT = 10n ** 18n;

/** FBLD: `top` is bytes 8 and 9, bit 15 the sign. */
export function bcdToF80(lo: number, hi: number, top: number): void {
  let value = BigInt(top >>> 4 & 15) * 10n + BigInt(top & 15);
  const low = bigFrom32(lo, hi);
  // Digits above 9 are undefined; the CPU weighs them as any other.
  for (let shift = 60n; shift >= 0n; shift -= 4n) value = value * 10n + (low >> shift & 15n);
  begin();
  unpackInteger(A, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  copy(A, top >>> 15 & 1);
  packF80(result);
}

/**
 * FBSTP: bytes 0 to 7 in `result.lo` and `result.hi`, bytes 8 and 9 in `result.signExp`. What does
 * not fit is invalid and gives the BCD indefinite (SDM 1 table 4-4).
 */
export function f80ToBcd(lo: number, hi: number, se: number, cw: number): void {
  beginX87(cw);
  unpackF80(A, lo, hi, se);
  toInteger(64);
  const value = BigInt.asIntN(64, bigFrom32(result.lo, result.hi));
  const magnitude = value < 0n ? -value : value;
  if (magnitude >= LIMIT) return indefinite();
  let digits = 0n;
  let rest = magnitude;
  for (let shift = 0n; rest !== 0n; shift += 4n) {
    digits |= rest % 10n << shift;
    rest /= 10n;
  }
  result.lo = Number(BigInt.asIntN(32, digits));
  result.hi = Number(BigInt.asIntN(32, digits >> 32n));
  result.signExp = Number(digits >> 64n) | A.sign << 15;
}

function indefinite(): void {
  result.flags = 0;
  result.roundedUp = 0;
  raise(IE);
  result.lo = 0;
  result.hi = 0xc000_0000 | 0;
  result.signExp = 0xffff;
}
