/** Loads: what pushes a value onto the register stack (SDM 1 §8.3.3, §8.3.4). */

import { carryOf as importedCarryOf } from "../../../../base/u64.ts";
import * as float from "../../../../cpu/float/mod.ts";
import { linearAddress } from "../../address.ts";
import type { Cpu } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { load16 as importedLoad16, load64 as importedLoad64 } from "../../memory.ts";
import { readDst16, readDst32, readDst64 } from "../../operands.ts";
import { type Row, row } from "../row.ts";
import { checkPending } from "../simd/mmx_operands.ts";
import {
  isEmpty,
  isFull,
  LOAD_FORM,
  overflow,
  REGISTER_FORM,
  settlePush,
  underflow,
} from "./fpu.ts";

// V8 folds a module's own constants, not those of others.
const { result } = float;
const carryOf = importedCarryOf;
const load16 = importedLoad16;
const load64 = importedLoad64;

/** Leaves a value in `result` that is loaded as it is. */
function take(lo: number, hi: number, signExp: number): void {
  result.lo = lo;
  result.hi = hi;
  result.signExp = signExp;
  result.flags = 0;
  result.roundedUp = 0;
  result.stored = 1;
}

function fldSingle(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const bits = readDst32(cpu, insn);
  if (isFull(cpu.x87)) overflow(cpu.x87);
  else float.loadF32(bits, cpu.x87.control);
  settlePush(cpu, insn);
}

function fldDouble(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const lo = readDst64(cpu, insn);
  if (isFull(cpu.x87)) overflow(cpu.x87);
  else float.loadF64(lo, cpu.hi, cpu.x87.control);
  settlePush(cpu, insn);
}

/** Takes the ten bytes of the memory operand as they are. */
function readTen(cpu: Cpu, insn: Insn): void {
  const lo = linearAddress(cpu, insn);
  const { hi } = cpu;
  const restLo = (lo + 8) | 0;
  const low = load64(cpu, lo, hi);
  const high = cpu.hi;
  const rest = load16(cpu, restLo, cpu.is64 ? (hi + carryOf(lo, 8, restLo)) | 0 : 0);
  take(low, high, rest);
}

function fldExtended(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  readTen(cpu, insn);
  if (isFull(cpu.x87)) overflow(cpu.x87);
  settlePush(cpu, insn);
}

function fbld(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  readTen(cpu, insn);
  if (isFull(cpu.x87)) overflow(cpu.x87);
  else float.bcdToF80(result.lo, result.hi, result.signExp);
  settlePush(cpu, insn);
}

function fldStack(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const b = x87.stackWord(insn.rm & 7);
  if (isEmpty(x87, insn.rm & 7)) underflow(x87);
  else if (isFull(x87)) overflow(x87);
  else take(s[b], s[b + 1], s[b + 2]);
  settlePush(cpu, insn);
}

function fild16(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const value = readDst16(cpu, insn) << 16 >> 16;
  if (isFull(cpu.x87)) overflow(cpu.x87);
  else float.int32ToF80(value);
  settlePush(cpu, insn);
}

function fild32(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const value = readDst32(cpu, insn);
  if (isFull(cpu.x87)) overflow(cpu.x87);
  else float.int32ToF80(value);
  settlePush(cpu, insn);
}

function fild64(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const lo = readDst64(cpu, insn);
  if (isFull(cpu.x87)) overflow(cpu.x87);
  else float.int64ToF80(lo, cpu.hi);
  settlePush(cpu, insn);
}

/** The constants are in the order of ModRM.rm. */
function fldConstant(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  if (isFull(cpu.x87)) overflow(cpu.x87);
  else float.constantF80(insn.rm & 7, cpu.x87.control);
  settlePush(cpu, insn);
}

const LOAD_TEN = { ...LOAD_FORM, memSize: 10 } as const;

export const X87_LOAD: readonly Row[] = [
  row("d9 /0", "fld Md", fldSingle, LOAD_FORM),
  row("dd /0", "fld Mq", fldDouble, LOAD_FORM),
  row("db /5", "fld M", fldExtended, LOAD_TEN),
  row("d9 c0+i", "fld", fldStack, REGISTER_FORM),
  row("df /0", "fild Mw", fild16, LOAD_FORM),
  row("db /0", "fild Md", fild32, LOAD_FORM),
  row("df /5", "fild Mq", fild64, LOAD_FORM),
  row("df /4", "fbld M", fbld, LOAD_TEN),
  row("d9 e8", "fld1", fldConstant, REGISTER_FORM),
  row("d9 e9", "fldl2t", fldConstant, REGISTER_FORM),
  row("d9 ea", "fldl2e", fldConstant, REGISTER_FORM),
  row("d9 eb", "fldpi", fldConstant, REGISTER_FORM),
  row("d9 ec", "fldlg2", fldConstant, REGISTER_FORM),
  row("d9 ed", "fldln2", fldConstant, REGISTER_FORM),
  row("d9 ee", "fldz", fldConstant, REGISTER_FORM),
];
