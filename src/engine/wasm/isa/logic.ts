/** AND, OR, XOR, NOT, TEST (SDM 2A, 2B). AF is undefined: cleared here. */

import type { Cpu } from "../cpu.ts";
import type { Insn } from "../insn.ts";
import * as operands from "../operands.ts";
import { bySize, type Row, row, type RowOptions } from "./row.ts";

// V8 folds a module's own constants, not those of others.
const { fetchDst8, fetchDst16, fetchDst32, fetchDst64 } = operands;
const { readDst8, readDst16, readDst32, readDst64 } = operands;
const { readSrc8, readSrc16, readSrc32, readSrc64 } = operands;
const { updateDst8, updateDst16, updateDst32, updateDst64 } = operands;

/** Flags of a result of fewer than 32 bits, whose top bit is shifted to bit 31. */
function setNarrow(cpu: Cpu, value: number, shift: number): void {
  cpu.cf = 0;
  cpu.over = 0;
  cpu.aux = 0;
  cpu.zero = cpu.sign = value << shift;
  cpu.parity = value;
}
function set32(cpu: Cpu, value: number): void {
  cpu.cf = 0;
  cpu.over = 0;
  cpu.aux = 0;
  cpu.zero = cpu.sign = cpu.parity = value;
}
function set64(cpu: Cpu, lo: number, hi: number): void {
  cpu.cf = 0;
  cpu.over = 0;
  cpu.aux = 0;
  cpu.zero = lo | hi;
  cpu.sign = hi;
  cpu.parity = lo;
}

function and8(cpu: Cpu, insn: Insn): void {
  const b = readSrc8(cpu, insn);
  const value = fetchDst8(cpu, insn) & b;
  setNarrow(cpu, value, 24);
  updateDst8(cpu, insn, value);
}
function and16(cpu: Cpu, insn: Insn): void {
  const b = readSrc16(cpu, insn);
  const value = fetchDst16(cpu, insn) & b;
  setNarrow(cpu, value, 16);
  updateDst16(cpu, insn, value);
}
function and32(cpu: Cpu, insn: Insn): void {
  const b = readSrc32(cpu, insn);
  const value = fetchDst32(cpu, insn) & b;
  set32(cpu, value);
  updateDst32(cpu, insn, value);
}
function and64(cpu: Cpu, insn: Insn): void {
  const bLo = readSrc64(cpu, insn);
  const bHi = cpu.hi;
  const lo = fetchDst64(cpu, insn) & bLo;
  const hi = cpu.hi & bHi;
  set64(cpu, lo, hi);
  updateDst64(cpu, insn, lo, hi);
}

function or8(cpu: Cpu, insn: Insn): void {
  const b = readSrc8(cpu, insn);
  const value = fetchDst8(cpu, insn) | b;
  setNarrow(cpu, value, 24);
  updateDst8(cpu, insn, value);
}
function or16(cpu: Cpu, insn: Insn): void {
  const b = readSrc16(cpu, insn);
  const value = fetchDst16(cpu, insn) | b;
  setNarrow(cpu, value, 16);
  updateDst16(cpu, insn, value);
}
function or32(cpu: Cpu, insn: Insn): void {
  const b = readSrc32(cpu, insn);
  const value = fetchDst32(cpu, insn) | b;
  set32(cpu, value);
  updateDst32(cpu, insn, value);
}
function or64(cpu: Cpu, insn: Insn): void {
  const bLo = readSrc64(cpu, insn);
  const bHi = cpu.hi;
  const lo = fetchDst64(cpu, insn) | bLo;
  const hi = cpu.hi | bHi;
  set64(cpu, lo, hi);
  updateDst64(cpu, insn, lo, hi);
}

function xor8(cpu: Cpu, insn: Insn): void {
  const b = readSrc8(cpu, insn);
  const value = fetchDst8(cpu, insn) ^ b;
  setNarrow(cpu, value, 24);
  updateDst8(cpu, insn, value);
}
function xor16(cpu: Cpu, insn: Insn): void {
  const b = readSrc16(cpu, insn);
  const value = fetchDst16(cpu, insn) ^ b;
  setNarrow(cpu, value, 16);
  updateDst16(cpu, insn, value);
}
function xor32(cpu: Cpu, insn: Insn): void {
  const b = readSrc32(cpu, insn);
  const value = fetchDst32(cpu, insn) ^ b;
  set32(cpu, value);
  updateDst32(cpu, insn, value);
}
function xor64(cpu: Cpu, insn: Insn): void {
  const bLo = readSrc64(cpu, insn);
  const bHi = cpu.hi;
  const lo = fetchDst64(cpu, insn) ^ bLo;
  const hi = cpu.hi ^ bHi;
  set64(cpu, lo, hi);
  updateDst64(cpu, insn, lo, hi);
}

function test8(cpu: Cpu, insn: Insn): void {
  const b = readSrc8(cpu, insn);
  setNarrow(cpu, readDst8(cpu, insn) & b, 24);
}
function test16(cpu: Cpu, insn: Insn): void {
  const b = readSrc16(cpu, insn);
  setNarrow(cpu, readDst16(cpu, insn) & b, 16);
}
function test32(cpu: Cpu, insn: Insn): void {
  const b = readSrc32(cpu, insn);
  set32(cpu, readDst32(cpu, insn) & b);
}
function test64(cpu: Cpu, insn: Insn): void {
  const bLo = readSrc64(cpu, insn);
  const bHi = cpu.hi;
  const lo = readDst64(cpu, insn) & bLo;
  set64(cpu, lo, cpu.hi & bHi);
}

// NOT changes no flags.
function not8(cpu: Cpu, insn: Insn): void {
  updateDst8(cpu, insn, ~fetchDst8(cpu, insn));
}
function not16(cpu: Cpu, insn: Insn): void {
  updateDst16(cpu, insn, ~fetchDst16(cpu, insn));
}
function not32(cpu: Cpu, insn: Insn): void {
  updateDst32(cpu, insn, ~fetchDst32(cpu, insn));
}
function not64(cpu: Cpu, insn: Insn): void {
  const lo = ~fetchDst64(cpu, insn);
  updateDst64(cpu, insn, lo, ~cpu.hi);
}

const and = bySize(and16, and32, and64);
const or = bySize(or16, or32, or64);
const xor = bySize(xor16, xor32, xor64);
const test = bySize(test16, test32, test64);

const UNDEF: RowOptions = { undef: "a" };
const LOCK: RowOptions = { lock: true, undef: "a" };
const READS: RowOptions = { reads: true, undef: "a" };

export const LOGIC: readonly Row[] = [
  row("08 /r", "or Eb,Gb", or8, LOCK),
  row("09 /r", "or Ev,Gv", or, LOCK),
  row("0a /r", "or Gb,Eb", or8, UNDEF),
  row("0b /r", "or Gv,Ev", or, UNDEF),
  row("0c ib", "or AL,Ib", or8, UNDEF),
  row("0d iz", "or rAX,Iz", or, UNDEF),
  row("80 /1 ib", "or Eb,Ib", or8, LOCK),
  row("81 /1 iz", "or Ev,Iz", or, LOCK),
  row("82 /1 ib", "or Eb,Ib", or8, { ...LOCK, mode: "legacy" }),
  row("83 /1 ib", "or Ev,Ib", or, LOCK),

  row("20 /r", "and Eb,Gb", and8, LOCK),
  row("21 /r", "and Ev,Gv", and, LOCK),
  row("22 /r", "and Gb,Eb", and8, UNDEF),
  row("23 /r", "and Gv,Ev", and, UNDEF),
  row("24 ib", "and AL,Ib", and8, UNDEF),
  row("25 iz", "and rAX,Iz", and, UNDEF),
  row("80 /4 ib", "and Eb,Ib", and8, LOCK),
  row("81 /4 iz", "and Ev,Iz", and, LOCK),
  row("82 /4 ib", "and Eb,Ib", and8, { ...LOCK, mode: "legacy" }),
  row("83 /4 ib", "and Ev,Ib", and, LOCK),

  row("30 /r", "xor Eb,Gb", xor8, LOCK),
  row("31 /r", "xor Ev,Gv", xor, LOCK),
  row("32 /r", "xor Gb,Eb", xor8, UNDEF),
  row("33 /r", "xor Gv,Ev", xor, UNDEF),
  row("34 ib", "xor AL,Ib", xor8, UNDEF),
  row("35 iz", "xor rAX,Iz", xor, UNDEF),
  row("80 /6 ib", "xor Eb,Ib", xor8, LOCK),
  row("81 /6 iz", "xor Ev,Iz", xor, LOCK),
  row("82 /6 ib", "xor Eb,Ib", xor8, { ...LOCK, mode: "legacy" }),
  row("83 /6 ib", "xor Ev,Ib", xor, LOCK),

  row("84 /r", "test Eb,Gb", test8, READS),
  row("85 /r", "test Ev,Gv", test, READS),
  row("a8 ib", "test AL,Ib", test8, READS),
  row("a9 iz", "test rAX,Iz", test, READS),
  row("f6 /0 ib", "test Eb,Ib", test8, READS),
  row("f6 /1 ib", "test Eb,Ib", test8, READS),
  row("f7 /0 iz", "test Ev,Iz", test, READS),
  row("f7 /1 iz", "test Ev,Iz", test, READS),

  row("f6 /2", "not Eb", not8, { lock: true }),
  row("f7 /2", "not Ev", bySize(not16, not32, not64), { lock: true }),
];
