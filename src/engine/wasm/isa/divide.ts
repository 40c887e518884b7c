/** DIV, IDIV (SDM 2A). All status flags are undefined: kept. #DE when the quotient does not fit. */

import { borrowOf as importedBorrowOf, carryOf as importedCarryOf } from "../../../base/u64.ts";
import type { Cpu } from "../cpu.ts";
import { Vector } from "../exception.ts";
import type { Insn } from "../insn.ts";
import { readDst16, readDst32, readDst64, readDst8 } from "../operands.ts";
import { highProduct } from "./multiply.ts";
import { bySize, type Row, row } from "./row.ts";

// V8 folds a module's own constants, not those of others.
const carryOf = importedCarryOf;
const borrowOf = importedBorrowOf;
const { imul } = Math;
const TWO_32 = 2 ** 32;

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
  let a0 = s[0];
  let a1 = s[1];
  let a2 = s[4];
  let a3 = s[5];
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
 * A 128-bit number, whose upper half is below the divisor, by a 64-bit one: two quotient digits of
 * 32 bits.
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
  result[2] = uLo;
  result[3] = uHi;
  result[1] = nextDigit(hi, dLo, dHi);
  result[0] = nextDigit(lo, dLo, dHi);
}

/**
 * (remainder * 2^32 + word) / divisor, for the remainder in `result`, which is below the divisor; the
 * new remainder takes its place.
 */
function nextDigit(word: number, dLo: number, dHi: number): number {
  const rLo = result[2] >>> 0;
  const rHi = result[3] >>> 0;
  // Doubles round four times here: too little to be wrong by more than one.
  const divisor = (dHi >>> 0) * TWO_32 + (dLo >>> 0);
  const estimate = ((rHi * TWO_32 + rLo) * TWO_32 + (word >>> 0)) / divisor;
  let digit = Math.min(Math.floor(estimate), TWO_32 - 1);
  // Sums of a few 32-bit numbers, which doubles hold exactly.
  const low = (word >>> 0) - (imul(digit, dLo) >>> 0);
  const middle = rLo - (highProduct(digit, dLo) >>> 0) - (imul(digit, dHi) >>> 0) -
    (low < 0 ? 1 : 0);
  const top = rHi - (highProduct(digit, dHi) >>> 0) + Math.floor(middle / TWO_32);
  let lo = low | 0;
  let hi = middle | 0;
  if (top < 0) {
    digit--;
    const sum = (lo + dLo) | 0;
    hi = (hi + dHi + carryOf(lo, dLo, sum)) | 0;
    lo = sum;
  } else if (top > 0 || !isBelow(lo, hi, dLo, dHi)) {
    digit++;
    const difference = (lo - dLo) | 0;
    hi = (hi - dHi - borrowOf(lo, dLo, difference)) | 0;
    lo = difference;
  }
  result[2] = lo;
  result[3] = hi;
  return digit | 0;
}

const READS = { reads: true, undef: "oszapc" } as const;

export const DIVIDE: readonly Row[] = [
  row("f6 /6", "div Eb", div8, READS),
  row("f7 /6", "div Ev", bySize(div16, div32, div64), READS),
  row("f6 /7", "idiv Eb", idiv8, READS),
  row("f7 /7", "idiv Ev", bySize(idiv16, idiv32, idiv64), READS),
];
