/** DIV, IDIV (SDM 2A). All status flags are undefined: kept. #DE when the quotient does not fit. */

import type { Cpu } from "../cpu.ts";
import { Vector } from "../exception.ts";
import type { Insn } from "../insn.ts";
import { readDst16, readDst32, readDst64, readDst8 } from "../operands.ts";
import { bySize, type Row, row } from "./row.ts";

/** Quotient, then remainder, halves: of the last long division. */
const result = new Int32Array(4);

function div8(cpu: Cpu, insn: Insn): void {
  const divisor = readDst8(cpu, insn);
  const dividend = cpu.u16[0];
  if (divisor === 0 || dividend >= divisor << 8) cpu.raise(Vector.DE);
  const quotient = dividend / divisor | 0;
  cpu.u8[0] = quotient;
  cpu.u8[1] = dividend - quotient * divisor;
}
function div16(cpu: Cpu, insn: Insn): void {
  const divisor = readDst16(cpu, insn);
  const dividend = cpu.u16[8] * 65536 + cpu.u16[0];
  if (divisor === 0 || cpu.u16[8] >= divisor) cpu.raise(Vector.DE);
  const quotient = Math.floor(dividend / divisor);
  cpu.u16[0] = quotient;
  cpu.u16[8] = dividend - quotient * divisor;
}
function div32(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const divisor = readDst32(cpu, insn) >>> 0;
  if (s[4] >>> 0 >= divisor) cpu.raise(Vector.DE);
  divideLong32(s[4] >>> 0, s[0] >>> 0, divisor);
  s[0] = result[0];
  s[1] = 0;
  s[4] = result[2];
  s[5] = 0;
}
function div64(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const lo = readDst64(cpu, insn);
  const { hi } = cpu;
  if (!isBelow(s[4], s[5], lo, hi)) cpu.raise(Vector.DE);
  divideLong64(s[4], s[5], s[0], s[1], lo, hi);
  storeResult(cpu);
}

function idiv8(cpu: Cpu, insn: Insn): void {
  const divisor = readDst8(cpu, insn) << 24 >> 24;
  const dividend = cpu.u16[0] << 16 >> 16;
  const quotient = divisor === 0 ? 128 : dividend / divisor | 0;
  if (quotient > 127 || quotient < -128) cpu.raise(Vector.DE);
  cpu.u8[0] = quotient;
  cpu.u8[1] = dividend - quotient * divisor;
}
function idiv16(cpu: Cpu, insn: Insn): void {
  const divisor = readDst16(cpu, insn) << 16 >> 16;
  const dividend = cpu.u16[8] << 16 | cpu.u16[0];
  const quotient = divisor === 0 ? 32768 : Math.trunc(dividend / divisor);
  if (quotient > 32767 || quotient < -32768) cpu.raise(Vector.DE);
  cpu.u16[0] = quotient;
  cpu.u16[8] = dividend - quotient * divisor;
}
function idiv32(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const divisor = readDst32(cpu, insn);
  let lo = s[0];
  let hi = s[4];
  const negative = hi < 0;
  if (negative) {
    hi = lo === 0 ? -hi | 0 : ~hi;
    lo = -lo | 0;
  }
  const size = Math.abs(divisor);
  if (hi >>> 0 >= size) cpu.raise(Vector.DE);
  divideLong32(hi >>> 0, lo >>> 0, size);
  const quotient = result[0] >>> 0;
  const flipped = negative !== divisor < 0;
  if (quotient > (flipped ? 0x8000_0000 : 0x7fff_ffff)) cpu.raise(Vector.DE);
  s[0] = flipped ? -quotient : quotient;
  s[1] = 0;
  s[4] = negative ? -result[2] : result[2];
  s[5] = 0;
}
function idiv64(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  let dLo = readDst64(cpu, insn);
  let dHi = cpu.hi;
  let [a0, a1, a2, a3] = [s[0], s[1], s[4], s[5]];
  const negative = a3 < 0;
  if (negative) {
    a0 = -a0 | 0;
    a1 = a0 === 0 ? -a1 | 0 : ~a1;
    a2 = (a0 | a1) === 0 ? -a2 | 0 : ~a2;
    a3 = (a0 | a1 | a2) === 0 ? -a3 | 0 : ~a3;
  }
  const flipped = negative !== dHi < 0;
  if (dHi < 0) {
    dHi = dLo === 0 ? -dHi | 0 : ~dHi;
    dLo = -dLo | 0;
  }
  if (!isBelow(a2, a3, dLo, dHi)) cpu.raise(Vector.DE);
  divideLong64(a2, a3, a0, a1, dLo, dHi);
  const smallest = result[0] === 0 && result[1] === -0x8000_0000;
  if (result[1] < 0 && !(flipped && smallest)) cpu.raise(Vector.DE);
  if (flipped) negate(0);
  if (negative) negate(2);
  storeResult(cpu);
}

function negate(at: number): void {
  const lo = result[at];
  result[at] = -lo;
  result[at + 1] = lo === 0 ? -result[at + 1] : ~result[at + 1];
}
function storeResult(cpu: Cpu): void {
  const { s } = cpu;
  s[0] = result[0];
  s[1] = result[1];
  s[4] = result[2];
  s[5] = result[3];
}

/** Unsigned comparison of 64-bit numbers. */
function isBelow(aLo: number, aHi: number, bLo: number, bHi: number): boolean {
  return aHi === bHi ? aLo >>> 0 < bLo >>> 0 : aHi >>> 0 < bHi >>> 0;
}

/** (high * 2^32 + low) / divisor, all unsigned, high < divisor. */
function divideLong32(high: number, low: number, divisor: number): void {
  // Two steps of 16 bits: each quotient digit is exact in a double.
  const upper = high * 65536 + (low >>> 16);
  const first = Math.floor(upper / divisor);
  const rest = (upper - first * divisor) * 65536 + (low & 0xffff);
  const second = Math.floor(rest / divisor);
  result[0] = first * 65536 + second | 0;
  result[2] = rest - second * divisor | 0;
  result[1] = 0;
  result[3] = 0;
}

/**
 * A 128-bit number, whose upper half is below the divisor, by a 64-bit one: bit by bit when the
 * upper half is used, else by doubles.
 */
function divideLong64(
  uLo: number,
  uHi: number,
  lo: number,
  hi: number,
  dLo: number,
  dHi: number,
): void {
  if ((uLo | uHi) === 0 && dHi === 0) {
    // 64 by 32 bits: two steps.
    const divisor = dLo >>> 0;
    const high = Math.floor((hi >>> 0) / divisor);
    divideLong32((hi >>> 0) - high * divisor, lo >>> 0, divisor);
    result[1] = high | 0;
    return;
  }
  let rLo = uLo;
  let rHi = uHi;
  let qLo = lo;
  let qHi = hi;
  for (let i = 0; i < 64; i++) {
    const out = rHi >>> 31;
    rHi = rHi << 1 | rLo >>> 31;
    rLo = rLo << 1 | qHi >>> 31;
    qHi = qHi << 1 | qLo >>> 31;
    qLo <<= 1;
    if (out === 0 && isBelow(rLo, rHi, dLo, dHi)) continue;
    const before = rLo;
    rLo = (rLo - dLo) | 0;
    rHi = (rHi - dHi - Number(before >>> 0 < dLo >>> 0)) | 0;
    qLo |= 1;
  }
  result[0] = qLo;
  result[1] = qHi;
  result[2] = rLo;
  result[3] = rHi;
}

const READS = { reads: true, undef: "oszapc" } as const;

export const DIVIDE: readonly Row[] = [
  row("f6 /6", "div Eb", div8, READS),
  row("f7 /6", "div Ev", bySize(div16, div32, div64), READS),
  row("f6 /7", "idiv Eb", idiv8, READS),
  row("f7 /7", "idiv Ev", bySize(idiv16, idiv32, idiv64), READS),
];
