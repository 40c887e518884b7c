/** Stores, with and without a pop (SDM 1 §8.3.3). */

import * as float from "../../../../cpu/float/mod.ts";
import { linearAddress } from "../../address.ts";
import type { Cpu } from "../../cpu.ts";
import type { Handler, Insn } from "../../insn.ts";
import { store16, store64, storeBytes } from "../../memory.ts";
import { writeDst16, writeDst32, writeDst64 } from "../../operands.ts";
import { SCRATCH_AT } from "../../tlb.ts";
import { type Row, row } from "../row.ts";
import { checkPending } from "../simd/mmx_operands.ts";
import {
  isEmpty,
  pop,
  REGISTER_FORM,
  settle,
  settleQuietly,
  settleStack,
  STORE_FORM,
  underflow,
} from "./fpu.ts";

// V8 folds a module's own constants, not those of others.
const { result, CW_TO_ZERO } = float;
/** Word of the scratch space. */
const SCRATCH = SCRATCH_AT >> 2;
/** Offset in a page, and the last one from which ten bytes fit. */
const OFFSET = 0xfff;
const LAST_IN_PAGE = 0xff6;
/** The indefinites of the formats (SDM 1 tables 4-1, 4-3, 4-4), where `underflow` needs them. */
const F32_INDEFINITE = 0xffc0_0000 | 0;
const F64_INDEFINITE_HI = 0xfff8_0000 | 0;
const INT_INDEFINITE = 0x8000_0000 | 0;
const BCD_INDEFINITE_HI = 0xc000_0000 | 0;

function storeSingle(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (isEmpty(x87, 0)) underflow(x87, F32_INDEFINITE);
  else float.storeF32(s[a], s[a + 1], s[a + 2], x87.control);
  if (result.stored !== 0) writeDst32(cpu, insn, result.lo);
  else probe(cpu, insn);
  settle(cpu, insn);
}

function storeDouble(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (isEmpty(x87, 0)) underflow(x87, 0, F64_INDEFINITE_HI);
  else float.storeF64(s[a], s[a + 1], s[a + 2], x87.control);
  if (result.stored !== 0) writeDst64(cpu, insn, result.lo, result.hi);
  else probe(cpu, insn);
  settle(cpu, insn);
}

/** Writes ten bytes to the memory operand. */
function writeTen(cpu: Cpu, insn: Insn, lo: number, hi: number, signExp: number): void {
  const { s } = cpu;
  const addressLo = linearAddress(cpu, insn);
  const addressHi = cpu.hi;
  if ((addressLo & OFFSET) <= LAST_IN_PAGE) {
    store64(cpu, addressLo, addressHi, lo, hi);
    return store16(cpu, addressLo + 8, addressHi, signExp);
  }
  s[SCRATCH] = lo;
  s[SCRATCH + 1] = hi;
  s[SCRATCH + 2] = signExp;
  storeBytes(cpu, addressLo, addressHi, 10);
}

/** What an exception that is not masked keeps from being stored faults all the same. */
function probe(cpu: Cpu, insn: Insn): void {
  const lo = linearAddress(cpu, insn);
  cpu.paging.readForWrite(lo, cpu.hi, insn.memSize);
}

function fstpExtended(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (isEmpty(x87, 0)) {
    underflow(x87);
    if (result.stored !== 0) writeTen(cpu, insn, result.lo, result.hi, result.signExp);
    else probe(cpu, insn);
  } else {
    writeTen(cpu, insn, s[a], s[a + 1], s[a + 2]);
    nothingRaised();
  }
  settle(cpu, insn);
  popWhenStored(cpu);
}

function fbstp(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (isEmpty(x87, 0)) underflow(x87, 0, BCD_INDEFINITE_HI);
  else float.f80ToBcd(s[a], s[a + 1], s[a + 2], x87.control);
  if (result.stored !== 0) writeTen(cpu, insn, result.lo, result.hi, result.signExp);
  else probe(cpu, insn);
  settle(cpu, insn);
  popWhenStored(cpu);
}

function nothingRaised(): void {
  result.flags = 0;
  result.roundedUp = 0;
  result.stored = 1;
}

function storeStack(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (isEmpty(x87, 0)) underflow(x87);
  else {
    nothingRaised();
    result.lo = s[a];
    result.hi = s[a + 1];
    result.signExp = s[a + 2];
  }
  settleStack(cpu, insn, insn.rm & 7);
}

/** @param rounding Added to the control word. */
function storeInt16(cpu: Cpu, insn: Insn, rounding: number): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (isEmpty(x87, 0)) underflow(x87, INT_INDEFINITE >> 16);
  else float.f80ToInt16(s[a], s[a + 1], s[a + 2], x87.control | rounding);
  if (result.stored !== 0) writeDst16(cpu, insn, result.lo);
  else probe(cpu, insn);
  settle(cpu, insn);
}

function storeInt32(cpu: Cpu, insn: Insn, rounding: number): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (isEmpty(x87, 0)) underflow(x87, INT_INDEFINITE);
  else float.f80ToInt32(s[a], s[a + 1], s[a + 2], x87.control | rounding);
  if (result.stored !== 0) writeDst32(cpu, insn, result.lo);
  else probe(cpu, insn);
  settle(cpu, insn);
}

function storeInt64(cpu: Cpu, insn: Insn, rounding: number): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (isEmpty(x87, 0)) underflow(x87, 0, INT_INDEFINITE);
  else float.f80ToInt64(s[a], s[a + 1], s[a + 2], x87.control | rounding);
  if (result.stored !== 0) writeDst64(cpu, insn, result.lo, result.hi);
  else probe(cpu, insn);
  settle(cpu, insn);
}

/** The pop of an instruction whose result has been stored. */
function popWhenStored(cpu: Cpu): void {
  if (result.stored !== 0) pop(cpu.x87);
}

function fstpSingle(cpu: Cpu, insn: Insn): void {
  storeSingle(cpu, insn);
  popWhenStored(cpu);
}
function fstpDouble(cpu: Cpu, insn: Insn): void {
  storeDouble(cpu, insn);
  popWhenStored(cpu);
}
function fstpStack(cpu: Cpu, insn: Insn): void {
  storeStack(cpu, insn);
  popWhenStored(cpu);
}
/** D9 D8+i: an empty ST(0) is popped, and that is all. */
function fstpAlias(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  if (!isEmpty(cpu.x87, 0)) return fstpStack(cpu, insn);
  settleQuietly(cpu, insn);
  pop(cpu.x87);
}
function fist16(cpu: Cpu, insn: Insn): void {
  storeInt16(cpu, insn, 0);
}
function fist32(cpu: Cpu, insn: Insn): void {
  storeInt32(cpu, insn, 0);
}
function fistp16(cpu: Cpu, insn: Insn): void {
  storeInt16(cpu, insn, 0);
  popWhenStored(cpu);
}
function fistp32(cpu: Cpu, insn: Insn): void {
  storeInt32(cpu, insn, 0);
  popWhenStored(cpu);
}
function fistp64(cpu: Cpu, insn: Insn): void {
  storeInt64(cpu, insn, 0);
  popWhenStored(cpu);
}
function fisttp16(cpu: Cpu, insn: Insn): void {
  storeInt16(cpu, insn, CW_TO_ZERO);
  popWhenStored(cpu);
}
function fisttp32(cpu: Cpu, insn: Insn): void {
  storeInt32(cpu, insn, CW_TO_ZERO);
  popWhenStored(cpu);
}
function fisttp64(cpu: Cpu, insn: Insn): void {
  storeInt64(cpu, insn, CW_TO_ZERO);
  popWhenStored(cpu);
}

const STORE_TEN = { ...STORE_FORM, memSize: 10 } as const;
const STORE_SSE3 = { ...STORE_FORM, feature: "sse3" } as const;

function memory(encoding: string, syntax: string, exec: Handler): Row {
  return row(encoding, syntax, exec, STORE_FORM);
}

export const X87_STORE: readonly Row[] = [
  memory("d9 /2", "fst Md", storeSingle),
  memory("d9 /3", "fstp Md", fstpSingle),
  memory("dd /2", "fst Mq", storeDouble),
  memory("dd /3", "fstp Mq", fstpDouble),
  row("db /7", "fstp M", fstpExtended, STORE_TEN),
  row("dd d0+i", "fst", storeStack, REGISTER_FORM),
  row("dd d8+i", "fstp", fstpStack, REGISTER_FORM),
  memory("df /2", "fist Mw", fist16),
  memory("db /2", "fist Md", fist32),
  memory("df /3", "fistp Mw", fistp16),
  memory("db /3", "fistp Md", fistp32),
  memory("df /7", "fistp Mq", fistp64),
  row("df /1", "fisttp Mw", fisttp16, STORE_SSE3),
  row("db /1", "fisttp Md", fisttp32, STORE_SSE3),
  row("dd /1", "fisttp Mq", fisttp64, STORE_SSE3),
  row("df /6", "fbstp M", fbstp, STORE_TEN),
  // Other encodings that CPUs since the 8087 have, though the manual does not list them
  row("d9 d8+i", "fstp", fstpAlias, REGISTER_FORM),
  row("df d0+i", "fstp", fstpStack, REGISTER_FORM),
  row("df d8+i", "fstp", fstpStack, REGISTER_FORM),
];
