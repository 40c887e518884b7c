/** FRNDINT, FSCALE and FXTRACT (SDM 1 §8.3.5). */

import { CW_RC_SHIFT, ZE } from "./control.ts";
import { roundToInteger } from "./integer.ts";
import { copy, denormal, invalid, raise, special } from "./operate.ts";
import { packF80 } from "./pack.ts";
import { pushed, result } from "./result.ts";
import { A, B, FINITE, INFINITE, type Unpacked, unpackInteger, Z, ZERO } from "./unpacked.ts";
import { beginX87, finish, takeOne, takeTwo } from "./x87.ts";

/** FRNDINT. */
export function roundToIntF80(lo: number, hi: number, se: number, cw: number): void {
  beginX87(cw);
  if (!takeOne(lo, hi, se) && !denormal(A.denormal)) roundToInteger(cw >> CW_RC_SHIFT & 3);
  packF80(result);
}

/** FSCALE: a * 2^trunc(b). */
export function scaleF80(
  aLo: number,
  aHi: number,
  aSe: number,
  bLo: number,
  bHi: number,
  bSe: number,
  cw: number,
): void {
  beginX87(cw);
  if (!takeTwo(aLo, aHi, aSe, bLo, bHi, bSe)) scale();
  finish();
}

function scale(): void {
  if (B.kind === INFINITE) {
    const wins = B.sign === 1 ? ZERO : INFINITE;
    if (A.kind === (wins === ZERO ? INFINITE : ZERO)) return invalid();
    if (!denormal(A.denormal)) special(wins, A.sign);
  } else if (!denormal(A.denormal | B.denormal)) {
    copy(A, A.sign);
    if (A.kind === FINITE) Z.exp += truncated(B);
  }
}

/** n cut to an integer, and to what is beyond every exponent. */
function truncated(n: Unpacked): number {
  if (n.kind === ZERO || n.exp < 0) return 0;
  const magnitude = n.exp > 17 ? 0x4_0000 : n.hi >>> 31 - n.exp;
  return n.sign === 1 ? -magnitude : magnitude;
}

/** FXTRACT: the exponent in `result`, the significand in `pushed`. */
export function extractF80(lo: number, hi: number, se: number, cw: number): void {
  beginX87(cw);
  if (takeOne(lo, hi, se)) {
    packF80(pushed);
  } else if (A.kind === ZERO) {
    raise(ZE);
    special(ZERO, A.sign);
    packF80(pushed);
    special(INFINITE, 1);
  } else if (A.kind === INFINITE) {
    special(INFINITE, A.sign);
    packF80(pushed);
    special(INFINITE, 0);
  } else if (!denormal(A.denormal)) {
    copy(A, A.sign);
    Z.exp = 0;
    packF80(pushed);
    unpackInteger(A, A.exp, A.exp >> 31);
    copy(A, A.sign);
  }
  packF80(result);
}
