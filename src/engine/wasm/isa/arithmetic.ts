/** ADD, ADC, SUB, SBB, CMP, NEG, INC, DEC (SDM 2A, 2B). */

import { borrowOf as importedBorrowOf, carryOf as importedCarryOf } from "../../../base/u64.ts";
import type { Cpu } from "../cpu.ts";
import type { Insn } from "../insn.ts";
import * as operands from "../operands.ts";
import { bySize, type Row, row } from "./row.ts";

// V8 folds a module's own constants, not those of others.
const carryOf = importedCarryOf;
const borrowOf = importedBorrowOf;
const { fetchDst8, fetchDst16, fetchDst32, fetchDst64 } = operands;
const { readDst8, readDst16, readDst32, readDst64 } = operands;
const { readSrc8, readSrc16, readSrc32, readSrc64 } = operands;
const { updateDst8, updateDst16, updateDst32, updateDst64 } = operands;

/**
 * The sum of two operands of fewer than 32 bits and a carry, and its flags. `width` is 8 or 16; the
 * result has bits beyond the operand's.
 */
export function sumNarrow(cpu: Cpu, a: number, b: number, carry: number, width: number): number {
  const sum = a + b + carry;
  const top = 32 - width;
  cpu.cf = sum >>> width;
  cpu.zero = cpu.sign = sum << top;
  cpu.parity = sum;
  cpu.aux = a ^ b ^ sum;
  cpu.over = ((a ^ sum) & (b ^ sum)) << top;
  return sum;
}

export function sum32(cpu: Cpu, a: number, b: number, carry: number): number {
  const sum = (a + b + carry) | 0;
  cpu.cf = carryOf(a, b, sum);
  cpu.zero = cpu.sign = cpu.parity = sum;
  cpu.aux = a ^ b ^ sum;
  cpu.over = (a ^ sum) & (b ^ sum);
  return sum;
}

/** Low half of the sum; the high half is in `cpu.hi`. */
export function sum64(
  cpu: Cpu,
  aLo: number,
  aHi: number,
  bLo: number,
  bHi: number,
  carry: number,
): number {
  const lo = (aLo + bLo + carry) | 0;
  const hi = (aHi + bHi + carryOf(aLo, bLo, lo)) | 0;
  cpu.cf = carryOf(aHi, bHi, hi);
  cpu.zero = lo | hi;
  cpu.sign = hi;
  cpu.parity = lo;
  cpu.aux = aLo ^ bLo ^ lo;
  cpu.over = (aHi ^ hi) & (bHi ^ hi);
  cpu.hi = hi;
  return lo;
}

/** The difference a - b - borrow, and its flags; see `sumNarrow`. */
export function differenceNarrow(
  cpu: Cpu,
  a: number,
  b: number,
  borrow: number,
  width: number,
): number {
  const difference = a - b - borrow;
  const top = 32 - width;
  cpu.cf = difference >>> 31;
  cpu.zero = cpu.sign = difference << top;
  cpu.parity = difference;
  cpu.aux = a ^ b ^ difference;
  cpu.over = ((a ^ b) & (a ^ difference)) << top;
  return difference;
}

export function difference32(cpu: Cpu, a: number, b: number, borrow: number): number {
  const difference = (a - b - borrow) | 0;
  cpu.cf = borrowOf(a, b, difference);
  cpu.zero = cpu.sign = cpu.parity = difference;
  cpu.aux = a ^ b ^ difference;
  cpu.over = (a ^ b) & (a ^ difference);
  return difference;
}

export function difference64(
  cpu: Cpu,
  aLo: number,
  aHi: number,
  bLo: number,
  bHi: number,
  borrow: number,
): number {
  const lo = (aLo - bLo - borrow) | 0;
  const hi = (aHi - bHi - borrowOf(aLo, bLo, lo)) | 0;
  cpu.cf = borrowOf(aHi, bHi, hi);
  cpu.zero = lo | hi;
  cpu.sign = hi;
  cpu.parity = lo;
  cpu.aux = aLo ^ bLo ^ lo;
  cpu.over = (aHi ^ bHi) & (aHi ^ hi);
  cpu.hi = hi;
  return lo;
}

function add8(cpu: Cpu, insn: Insn): void {
  const b = readSrc8(cpu, insn);
  updateDst8(cpu, insn, sumNarrow(cpu, fetchDst8(cpu, insn), b, 0, 8));
}
function add16(cpu: Cpu, insn: Insn): void {
  const b = readSrc16(cpu, insn);
  updateDst16(cpu, insn, sumNarrow(cpu, fetchDst16(cpu, insn), b, 0, 16));
}
function add32(cpu: Cpu, insn: Insn): void {
  const b = readSrc32(cpu, insn);
  updateDst32(cpu, insn, sum32(cpu, fetchDst32(cpu, insn), b, 0));
}
function add64(cpu: Cpu, insn: Insn): void {
  const bLo = readSrc64(cpu, insn);
  const bHi = cpu.hi;
  const aLo = fetchDst64(cpu, insn);
  const lo = sum64(cpu, aLo, cpu.hi, bLo, bHi, 0);
  updateDst64(cpu, insn, lo, cpu.hi);
}

function adc8(cpu: Cpu, insn: Insn): void {
  const b = readSrc8(cpu, insn);
  updateDst8(cpu, insn, sumNarrow(cpu, fetchDst8(cpu, insn), b, cpu.cf, 8));
}
function adc16(cpu: Cpu, insn: Insn): void {
  const b = readSrc16(cpu, insn);
  updateDst16(cpu, insn, sumNarrow(cpu, fetchDst16(cpu, insn), b, cpu.cf, 16));
}
function adc32(cpu: Cpu, insn: Insn): void {
  const b = readSrc32(cpu, insn);
  updateDst32(cpu, insn, sum32(cpu, fetchDst32(cpu, insn), b, cpu.cf));
}
function adc64(cpu: Cpu, insn: Insn): void {
  const bLo = readSrc64(cpu, insn);
  const bHi = cpu.hi;
  const aLo = fetchDst64(cpu, insn);
  const lo = sum64(cpu, aLo, cpu.hi, bLo, bHi, cpu.cf);
  updateDst64(cpu, insn, lo, cpu.hi);
}

function sub8(cpu: Cpu, insn: Insn): void {
  const b = readSrc8(cpu, insn);
  updateDst8(cpu, insn, differenceNarrow(cpu, fetchDst8(cpu, insn), b, 0, 8));
}
function sub16(cpu: Cpu, insn: Insn): void {
  const b = readSrc16(cpu, insn);
  updateDst16(cpu, insn, differenceNarrow(cpu, fetchDst16(cpu, insn), b, 0, 16));
}
function sub32(cpu: Cpu, insn: Insn): void {
  const b = readSrc32(cpu, insn);
  updateDst32(cpu, insn, difference32(cpu, fetchDst32(cpu, insn), b, 0));
}
function sub64(cpu: Cpu, insn: Insn): void {
  const bLo = readSrc64(cpu, insn);
  const bHi = cpu.hi;
  const aLo = fetchDst64(cpu, insn);
  const lo = difference64(cpu, aLo, cpu.hi, bLo, bHi, 0);
  updateDst64(cpu, insn, lo, cpu.hi);
}

function sbb8(cpu: Cpu, insn: Insn): void {
  const b = readSrc8(cpu, insn);
  updateDst8(cpu, insn, differenceNarrow(cpu, fetchDst8(cpu, insn), b, cpu.cf, 8));
}
function sbb16(cpu: Cpu, insn: Insn): void {
  const b = readSrc16(cpu, insn);
  updateDst16(cpu, insn, differenceNarrow(cpu, fetchDst16(cpu, insn), b, cpu.cf, 16));
}
function sbb32(cpu: Cpu, insn: Insn): void {
  const b = readSrc32(cpu, insn);
  updateDst32(cpu, insn, difference32(cpu, fetchDst32(cpu, insn), b, cpu.cf));
}
function sbb64(cpu: Cpu, insn: Insn): void {
  const bLo = readSrc64(cpu, insn);
  const bHi = cpu.hi;
  const aLo = fetchDst64(cpu, insn);
  const lo = difference64(cpu, aLo, cpu.hi, bLo, bHi, cpu.cf);
  updateDst64(cpu, insn, lo, cpu.hi);
}

function cmp8(cpu: Cpu, insn: Insn): void {
  const b = readSrc8(cpu, insn);
  differenceNarrow(cpu, readDst8(cpu, insn), b, 0, 8);
}
function cmp16(cpu: Cpu, insn: Insn): void {
  const b = readSrc16(cpu, insn);
  differenceNarrow(cpu, readDst16(cpu, insn), b, 0, 16);
}
function cmp32(cpu: Cpu, insn: Insn): void {
  const b = readSrc32(cpu, insn);
  difference32(cpu, readDst32(cpu, insn), b, 0);
}
function cmp64(cpu: Cpu, insn: Insn): void {
  const bLo = readSrc64(cpu, insn);
  const bHi = cpu.hi;
  const aLo = readDst64(cpu, insn);
  difference64(cpu, aLo, cpu.hi, bLo, bHi, 0);
}

function neg8(cpu: Cpu, insn: Insn): void {
  updateDst8(cpu, insn, differenceNarrow(cpu, 0, fetchDst8(cpu, insn), 0, 8));
}
function neg16(cpu: Cpu, insn: Insn): void {
  updateDst16(cpu, insn, differenceNarrow(cpu, 0, fetchDst16(cpu, insn), 0, 16));
}
function neg32(cpu: Cpu, insn: Insn): void {
  updateDst32(cpu, insn, difference32(cpu, 0, fetchDst32(cpu, insn), 0));
}
function neg64(cpu: Cpu, insn: Insn): void {
  const aLo = fetchDst64(cpu, insn);
  const lo = difference64(cpu, 0, 0, aLo, cpu.hi, 0);
  updateDst64(cpu, insn, lo, cpu.hi);
}

// INC and DEC leave CF alone.
function inc8(cpu: Cpu, insn: Insn): void {
  const { cf } = cpu;
  updateDst8(cpu, insn, sumNarrow(cpu, fetchDst8(cpu, insn), 1, 0, 8));
  cpu.cf = cf;
}
function inc16(cpu: Cpu, insn: Insn): void {
  const { cf } = cpu;
  updateDst16(cpu, insn, sumNarrow(cpu, fetchDst16(cpu, insn), 1, 0, 16));
  cpu.cf = cf;
}
function inc32(cpu: Cpu, insn: Insn): void {
  const { cf } = cpu;
  updateDst32(cpu, insn, sum32(cpu, fetchDst32(cpu, insn), 1, 0));
  cpu.cf = cf;
}
function inc64(cpu: Cpu, insn: Insn): void {
  const { cf } = cpu;
  const aLo = fetchDst64(cpu, insn);
  const lo = sum64(cpu, aLo, cpu.hi, 1, 0, 0);
  updateDst64(cpu, insn, lo, cpu.hi);
  cpu.cf = cf;
}
function dec8(cpu: Cpu, insn: Insn): void {
  const { cf } = cpu;
  updateDst8(cpu, insn, differenceNarrow(cpu, fetchDst8(cpu, insn), 1, 0, 8));
  cpu.cf = cf;
}
function dec16(cpu: Cpu, insn: Insn): void {
  const { cf } = cpu;
  updateDst16(cpu, insn, differenceNarrow(cpu, fetchDst16(cpu, insn), 1, 0, 16));
  cpu.cf = cf;
}
function dec32(cpu: Cpu, insn: Insn): void {
  const { cf } = cpu;
  updateDst32(cpu, insn, difference32(cpu, fetchDst32(cpu, insn), 1, 0));
  cpu.cf = cf;
}
function dec64(cpu: Cpu, insn: Insn): void {
  const { cf } = cpu;
  const aLo = fetchDst64(cpu, insn);
  const lo = difference64(cpu, aLo, cpu.hi, 1, 0, 0);
  updateDst64(cpu, insn, lo, cpu.hi);
  cpu.cf = cf;
}

const add = bySize(add16, add32, add64);
const adc = bySize(adc16, adc32, adc64);
const sub = bySize(sub16, sub32, sub64);
const sbb = bySize(sbb16, sbb32, sbb64);
const cmp = bySize(cmp16, cmp32, cmp64);
const inc = bySize(inc16, inc32, inc64);
const dec = bySize(dec16, dec32, dec64);

const LOCK = { lock: true };
const READS = { reads: true };

export const ARITHMETIC: readonly Row[] = [
  row("00 /r", "add Eb,Gb", add8, LOCK),
  row("01 /r", "add Ev,Gv", add, LOCK),
  row("02 /r", "add Gb,Eb", add8),
  row("03 /r", "add Gv,Ev", add),
  row("04 ib", "add AL,Ib", add8),
  row("05 iz", "add rAX,Iz", add),
  row("80 /0 ib", "add Eb,Ib", add8, LOCK),
  row("81 /0 iz", "add Ev,Iz", add, LOCK),
  row("82 /0 ib", "add Eb,Ib", add8, { ...LOCK, mode: "legacy" }),
  row("83 /0 ib", "add Ev,Ib", add, LOCK),

  row("10 /r", "adc Eb,Gb", adc8, LOCK),
  row("11 /r", "adc Ev,Gv", adc, LOCK),
  row("12 /r", "adc Gb,Eb", adc8),
  row("13 /r", "adc Gv,Ev", adc),
  row("14 ib", "adc AL,Ib", adc8),
  row("15 iz", "adc rAX,Iz", adc),
  row("80 /2 ib", "adc Eb,Ib", adc8, LOCK),
  row("81 /2 iz", "adc Ev,Iz", adc, LOCK),
  row("82 /2 ib", "adc Eb,Ib", adc8, { ...LOCK, mode: "legacy" }),
  row("83 /2 ib", "adc Ev,Ib", adc, LOCK),

  row("18 /r", "sbb Eb,Gb", sbb8, LOCK),
  row("19 /r", "sbb Ev,Gv", sbb, LOCK),
  row("1a /r", "sbb Gb,Eb", sbb8),
  row("1b /r", "sbb Gv,Ev", sbb),
  row("1c ib", "sbb AL,Ib", sbb8),
  row("1d iz", "sbb rAX,Iz", sbb),
  row("80 /3 ib", "sbb Eb,Ib", sbb8, LOCK),
  row("81 /3 iz", "sbb Ev,Iz", sbb, LOCK),
  row("82 /3 ib", "sbb Eb,Ib", sbb8, { ...LOCK, mode: "legacy" }),
  row("83 /3 ib", "sbb Ev,Ib", sbb, LOCK),

  row("28 /r", "sub Eb,Gb", sub8, LOCK),
  row("29 /r", "sub Ev,Gv", sub, LOCK),
  row("2a /r", "sub Gb,Eb", sub8),
  row("2b /r", "sub Gv,Ev", sub),
  row("2c ib", "sub AL,Ib", sub8),
  row("2d iz", "sub rAX,Iz", sub),
  row("80 /5 ib", "sub Eb,Ib", sub8, LOCK),
  row("81 /5 iz", "sub Ev,Iz", sub, LOCK),
  row("82 /5 ib", "sub Eb,Ib", sub8, { ...LOCK, mode: "legacy" }),
  row("83 /5 ib", "sub Ev,Ib", sub, LOCK),

  row("38 /r", "cmp Eb,Gb", cmp8, READS),
  row("39 /r", "cmp Ev,Gv", cmp, READS),
  row("3a /r", "cmp Gb,Eb", cmp8, READS),
  row("3b /r", "cmp Gv,Ev", cmp, READS),
  row("3c ib", "cmp AL,Ib", cmp8, READS),
  row("3d iz", "cmp rAX,Iz", cmp, READS),
  row("80 /7 ib", "cmp Eb,Ib", cmp8, READS),
  row("81 /7 iz", "cmp Ev,Iz", cmp, READS),
  row("82 /7 ib", "cmp Eb,Ib", cmp8, { ...READS, mode: "legacy" }),
  row("83 /7 ib", "cmp Ev,Ib", cmp, READS),

  row("f6 /3", "neg Eb", neg8, LOCK),
  row("f7 /3", "neg Ev", bySize(neg16, neg32, neg64), LOCK),

  row("fe /0", "inc Eb", inc8, LOCK),
  row("fe /1", "dec Eb", dec8, LOCK),
  row("ff /0", "inc Ev", inc, LOCK),
  row("ff /1", "dec Ev", dec, LOCK),
  row("40+r", "inc Zv", inc, { mode: "legacy" }),
  row("48+r", "dec Zv", dec, { mode: "legacy" }),
];
