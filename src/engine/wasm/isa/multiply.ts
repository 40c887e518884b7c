/** MUL, IMUL (SDM 2A, 2B). SF, ZF, AF and PF are undefined: as of the lower half. */

import { carryOf as importedCarryOf } from "../../../base/u64.ts";
import type { Cpu } from "../cpu.ts";
import type { Insn } from "../insn.ts";
import { readDst16, readDst32, readDst64, readDst8 } from "../operands.ts";
import { readSrc16, readSrc32, readSrc64 } from "../operands.ts";
import { bySize, type Row, row } from "./row.ts";

// V8 folds a module's own constants, not those of others.
const carryOf = importedCarryOf;
const { imul } = Math;

/** The last 128-bit product, from the lowest word up. One for all: products are used at once. */
const product = new Int32Array(4);

/** Bits 63:32 of the product of two unsigned 32-bit numbers, signed. */
export function highProduct(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const lh = imul(aLow, bHigh);
  const hl = imul(aHigh, bLow);
  const middle = (imul(aLow, bLow) >>> 16) + (lh & 0xffff) + (hl & 0xffff);
  return (imul(aHigh, bHigh) + (lh >>> 16) + (hl >>> 16) + (middle >>> 16)) | 0;
}

/** The unsigned 128-bit product of two 64-bit numbers, in `product`. */
export function multiply64(aLo: number, aHi: number, bLo: number, bHi: number): Int32Array {
  product[0] = imul(aLo, bLo);
  // Word 1: one high half and two low ones; its carries go to word 2.
  const p = highProduct(aLo, bLo);
  const q = imul(aLo, bHi);
  const r = imul(aHi, bLo);
  const pq = (p + q) | 0;
  const w1 = (pq + r) | 0;
  product[1] = w1;
  let carry = carryOf(p, q, pq) + carryOf(pq, r, w1);
  const t = highProduct(aLo, bHi);
  const u = highProduct(aHi, bLo);
  const v = imul(aHi, bHi);
  const tc = (t + carry) | 0;
  const tu = (tc + u) | 0;
  const w2 = (tu + v) | 0;
  product[2] = w2;
  carry = carryOf(t, carry, tc) + carryOf(tc, u, tu) + carryOf(tu, v, w2);
  product[3] = (highProduct(aHi, bHi) + carry) | 0;
  return product;
}

/** The signed product of two 64-bit numbers, in `product`. */
function multiplySigned64(aLo: number, aHi: number, bLo: number, bHi: number): void {
  multiply64(aLo, aHi, bLo, bHi);
  // An operand below zero has counted as itself + 2^64.
  if (aHi < 0) subtractHigh(bLo, bHi);
  if (bHi < 0) subtractHigh(aLo, aHi);
}
function subtractHigh(lo: number, hi: number): void {
  const before = product[2];
  product[2] = before - lo;
  product[3] = product[3] - hi - Number(before >>> 0 < lo >>> 0);
}

/** `low` is the lower half with its top bit in bit 31; `parity` has its bits 7:0. */
function setFlags(cpu: Cpu, overflow: boolean, low: number, parity: number): void {
  cpu.cf = overflow ? 1 : 0;
  cpu.over = overflow ? -1 : 0;
  cpu.zero = cpu.sign = low;
  cpu.parity = parity;
  cpu.aux = 0;
}
/** The same of a 64-bit lower half. */
function setFlags64(cpu: Cpu, overflow: boolean): void {
  setFlags(cpu, overflow, product[1], product[0]);
  cpu.zero = product[0] | product[1];
}

function mul8(cpu: Cpu, insn: Insn): void {
  const value = imul(cpu.u8[0], readDst8(cpu, insn));
  cpu.u16[0] = value;
  setFlags(cpu, value > 0xff, value << 24, value);
}
function mul16(cpu: Cpu, insn: Insn): void {
  const value = imul(cpu.u16[0], readDst16(cpu, insn));
  cpu.u16[0] = value;
  cpu.u16[8] = value >>> 16;
  setFlags(cpu, value >>> 16 !== 0, value << 16, value);
}
function mul32(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const b = readDst32(cpu, insn);
  const high = highProduct(s[0], b);
  const low = imul(s[0], b);
  s[0] = low;
  s[1] = 0;
  s[4] = high;
  s[5] = 0;
  setFlags(cpu, high !== 0, low, low);
}
function mul64(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const lo = readDst64(cpu, insn);
  multiply64(s[0], s[1], lo, cpu.hi);
  s[0] = product[0];
  s[1] = product[1];
  s[4] = product[2];
  s[5] = product[3];
  setFlags64(cpu, (product[2] | product[3]) !== 0);
}

function imul8(cpu: Cpu, insn: Insn): void {
  const value = imul(cpu.u8[0] << 24 >> 24, readDst8(cpu, insn) << 24 >> 24);
  cpu.u16[0] = value;
  setFlags(cpu, value !== value << 24 >> 24, value << 24, value);
}
function imul16(cpu: Cpu, insn: Insn): void {
  const value = imul(cpu.u16[0] << 16 >> 16, readDst16(cpu, insn) << 16 >> 16);
  cpu.u16[0] = value;
  cpu.u16[8] = value >>> 16;
  setFlags(cpu, value !== value << 16 >> 16, value << 16, value);
}
/** High half of a signed product of 32-bit numbers. */
function highSigned(a: number, b: number): number {
  return (highProduct(a, b) - (a < 0 ? b : 0) - (b < 0 ? a : 0)) | 0;
}
function imul32(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const b = readDst32(cpu, insn);
  const high = highSigned(s[0], b);
  const low = imul(s[0], b);
  s[0] = low;
  s[1] = 0;
  s[4] = high;
  s[5] = 0;
  setFlags(cpu, high !== low >> 31, low, low);
}
function imul64(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const lo = readDst64(cpu, insn);
  multiplySigned64(s[0], s[1], lo, cpu.hi);
  s[0] = product[0];
  s[1] = product[1];
  s[4] = product[2];
  s[5] = product[3];
  setFlags64(cpu, overflowed());
}
/** The upper half is not the sign of the lower. */
function overflowed(): boolean {
  const sign = product[1] >> 31;
  return product[2] !== sign || product[3] !== sign;
}

// Two operands: the product is cut to the operand size.
function multiplyInto16(cpu: Cpu, insn: Insn, a: number, b: number): void {
  const value = imul(a << 16 >> 16, b << 16 >> 16);
  cpu.u16[insn.dst] = value;
  setFlags(cpu, value !== value << 16 >> 16, value << 16, value);
}
function multiplyInto32(cpu: Cpu, insn: Insn, a: number, b: number): void {
  const low = imul(a, b);
  setFlags(cpu, highSigned(a, b) !== low >> 31, low, low);
  cpu.s[insn.dst] = low;
  cpu.s[insn.dst + 1] = 0;
}
function multiplyInto64(
  cpu: Cpu,
  insn: Insn,
  aLo: number,
  aHi: number,
  bLo: number,
  bHi: number,
): void {
  multiplySigned64(aLo, aHi, bLo, bHi);
  cpu.s[insn.dst] = product[0];
  cpu.s[insn.dst + 1] = product[1];
  setFlags64(cpu, overflowed());
}
function imulTwo16(cpu: Cpu, insn: Insn): void {
  multiplyInto16(cpu, insn, readSrc16(cpu, insn), cpu.u16[insn.dst]);
}
function imulTwo32(cpu: Cpu, insn: Insn): void {
  multiplyInto32(cpu, insn, readSrc32(cpu, insn), cpu.s[insn.dst]);
}
function imulTwo64(cpu: Cpu, insn: Insn): void {
  const lo = readSrc64(cpu, insn);
  multiplyInto64(cpu, insn, lo, cpu.hi, cpu.s[insn.dst], cpu.s[insn.dst + 1]);
}
function imulThree16(cpu: Cpu, insn: Insn): void {
  multiplyInto16(cpu, insn, readSrc16(cpu, insn), insn.immLo);
}
function imulThree32(cpu: Cpu, insn: Insn): void {
  multiplyInto32(cpu, insn, readSrc32(cpu, insn), insn.immLo);
}
function imulThree64(cpu: Cpu, insn: Insn): void {
  const lo = readSrc64(cpu, insn);
  multiplyInto64(cpu, insn, lo, cpu.hi, insn.immLo, insn.immHi);
}

const READS = { reads: true, undef: "szap" } as const;
const UNDEF = { undef: "szap" } as const;
const imulThree = bySize(imulThree16, imulThree32, imulThree64);

export const MULTIPLY: readonly Row[] = [
  row("f6 /4", "mul Eb", mul8, READS),
  row("f7 /4", "mul Ev", bySize(mul16, mul32, mul64), READS),
  row("f6 /5", "imul Eb", imul8, READS),
  row("f7 /5", "imul Ev", bySize(imul16, imul32, imul64), READS),
  row("0f af /r", "imul Gv,Ev", bySize(imulTwo16, imulTwo32, imulTwo64), UNDEF),
  row("69 /r iz", "imul Gv,Ev,Iz", imulThree, UNDEF),
  row("6b /r ib", "imul Gv,Ev,Ib", imulThree, UNDEF),
];
