/** PCLMULQDQ: the carry-less product (SDM 2B). */

import type { Cpu } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { type Row, row } from "../row.ts";
import { PCLMULQDQ } from "./units.ts";
import { put128, source128 } from "./vector.ts";

/** Bit 0 of the immediate picks the first operand's half, bit 4 the second's. */
function pclmulqdq(cpu: Cpu, insn: Insn): void {
  const second = source128(cpu, insn);
  const { s } = cpu;
  const a = insn.dst + (insn.immLo & 1) * 2;
  const b = second + (insn.immLo >>> 4 & 1) * 2;
  let lo = s[a], hi = s[a + 1], carry = 0, carryHi = 0;
  let w0 = 0, w1 = 0, w2 = 0, w3 = 0;
  for (let bit = 0; bit < 64; bit++) {
    if ((s[b + (bit >>> 5)] >>> (bit & 31) & 1) !== 0) {
      w0 ^= lo;
      w1 ^= hi;
      w2 ^= carry;
      w3 ^= carryHi;
    }
    carryHi = carryHi << 1 | carry >>> 31;
    carry = carry << 1 | hi >>> 31;
    hi = hi << 1 | lo >>> 31;
    lo <<= 1;
  }
  put128(s, insn.dst, w0, w1, w2, w3);
}

export const CLMUL: readonly Row[] = [
  row("66 0f 3a 44 /r ib", "pclmulqdq Vx,Wx,Ib", pclmulqdq, PCLMULQDQ),
];
