/** The constants of FLD1 to FLDZ, to 96 bits (SDM 1 §8.3.4). */

import { PE } from "./control.ts";
import { result } from "./result.ts";
import { FINITE, Z, ZERO } from "./unpacked.ts";
import { beginX87, finish } from "./x87.ts";

/** Exponent and 96 bits of significand, in the order of opcodes D9 E8 to D9 ED. */
const CONSTANTS: readonly (readonly [exp: number, hi: number, lo: number, ext: number])[] = [
  [0, 0x8000_0000, 0, 0],
  [1, 0xd49a_784b, 0xcd1b_8afe, 0x492b_f6ff],
  [0, 0xb8aa_3b29, 0x5c17_f0bb, 0xbe87_fed0],
  [1, 0xc90f_daa2, 0x2168_c234, 0xc4c6_628b],
  [-2, 0x9a20_9a84, 0xfbcf_f798, 0x8f89_59ac],
  [-1, 0xb172_17f7, 0xd1cf_79ab, 0xc9e3_b398],
];

/**
 * The constant of opcode D9 E8+`index`: 1, log2(10), log2(e), pi, log10(2), ln(2), 0; rounded as RC
 * says.
 */
export function constantF80(index: number, cw: number): void {
  beginX87(cw);
  Z.sign = 0;
  Z.kind = index < CONSTANTS.length ? FINITE : ZERO;
  if (Z.kind === FINITE) {
    const [exp, hi, lo, ext] = CONSTANTS[index];
    Z.exp = exp;
    Z.hi = hi | 0;
    Z.lo = lo | 0;
    Z.ext = ext | 0;
  }
  finish();
  // Loading a constant is never inexact (SDM 2 FLD1).
  result.flags &= ~PE;
  result.roundedUp = 0;
}
