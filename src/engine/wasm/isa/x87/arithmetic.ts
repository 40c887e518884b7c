/** Addition to division, square root and what else computes without a table (SDM 1 §8.3.5). */

import * as float from "../../../../cpu/float/mod.ts";
import type { Cpu } from "../../cpu.ts";
import type { Handler, Insn } from "../../insn.ts";
import { readDst16, readDst32, readDst64 } from "../../operands.ts";
import { type Row, row } from "../row.ts";
import { checkPending } from "../simd/mmx_operands.ts";
import {
  C0,
  C1,
  C2,
  C3,
  hasRoomForTwo,
  isEmpty,
  LOAD_FORM,
  pop,
  REGISTER_FORM,
  settleQuietly,
  settleStack,
  settleTwo,
  underflow,
} from "./fpu.ts";

// V8 folds a module's own constants, not those of others.
const { result, addF80, subF80, mulF80, divF80 } = float;

/** ModRM.reg of the operations, in all their forms: with ST(0) = a and the other operand = b. */
const Operation = { ADD: 0, MUL: 1, SUB: 4, SUB_REVERSED: 5, DIV: 6 } as const;

/**
 * Leaves in `result` what the operation makes of ST(0) and an operand b, which must be there.
 * @param flags What converting b has raised.
 */
function compute(
  cpu: Cpu,
  insn: Insn,
  lo: number,
  hi: number,
  signExp: number,
  flags: number,
): void {
  const { x87, s } = cpu;
  const { control } = x87;
  const a = x87.stackWord(0);
  switch (insn.reg & 7) {
    case Operation.ADD:
      return addF80(s[a], s[a + 1], s[a + 2], lo, hi, signExp, control, flags);
    case Operation.MUL:
      return mulF80(s[a], s[a + 1], s[a + 2], lo, hi, signExp, control, flags);
    case Operation.SUB:
      return subF80(s[a], s[a + 1], s[a + 2], lo, hi, signExp, control, flags);
    case Operation.SUB_REVERSED:
      return subF80(lo, hi, signExp, s[a], s[a + 1], s[a + 2], control, flags);
    case Operation.DIV:
      return divF80(s[a], s[a + 1], s[a + 2], lo, hi, signExp, control, flags);
    default:
      return divF80(lo, hi, signExp, s[a], s[a + 1], s[a + 2], control, flags);
  }
}

/** ST(0) with ST(i), the result in one of them. */
function computeStack(cpu: Cpu, insn: Insn, to: number): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const i = insn.rm & 7;
  const b = x87.stackWord(i);
  if (isEmpty(x87, 0) || isEmpty(x87, i)) underflow(x87);
  else compute(cpu, insn, s[b], s[b + 1], s[b + 2], 0);
  settleStack(cpu, insn, to);
}

function toTop(cpu: Cpu, insn: Insn): void {
  computeStack(cpu, insn, 0);
}
function toOther(cpu: Cpu, insn: Insn): void {
  computeStack(cpu, insn, insn.rm & 7);
}
function toOtherPop(cpu: Cpu, insn: Insn): void {
  computeStack(cpu, insn, insn.rm & 7);
  if (result.stored !== 0) pop(cpu.x87);
}

/** ST(0) with the operand that has been converted to `result`. */
function computeConverted(cpu: Cpu, insn: Insn): void {
  const { x87 } = cpu;
  if (isEmpty(x87, 0)) underflow(x87);
  else compute(cpu, insn, result.lo, result.hi, result.signExp, result.flags);
  settleStack(cpu, insn, 0);
}

function withSingle(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  float.widenF32(readDst32(cpu, insn));
  computeConverted(cpu, insn);
}
function withDouble(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const lo = readDst64(cpu, insn);
  float.widenF64(lo, cpu.hi);
  computeConverted(cpu, insn);
}
function withInt16(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  float.int32ToF80(readDst16(cpu, insn) << 16 >> 16);
  computeConverted(cpu, insn);
}
function withInt32(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  float.int32ToF80(readDst32(cpu, insn));
  computeConverted(cpu, insn);
}

function fchs(cpu: Cpu, insn: Insn): void {
  changeSign(cpu, insn, 0xffff, 0x8000);
}
function fabs(cpu: Cpu, insn: Insn): void {
  changeSign(cpu, insn, 0x7fff, 0);
}

/** Sign and exponent of ST(0) anded and xored, whatever it is. */
function changeSign(cpu: Cpu, insn: Insn, and: number, xor: number): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  if (isEmpty(x87, 0)) {
    underflow(x87);
    return settleStack(cpu, insn, 0);
  }
  const a = x87.stackWord(0);
  s[a + 2] = s[a + 2] & and ^ xor;
  settleQuietly(cpu, insn);
}

function fsqrt(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (isEmpty(x87, 0)) underflow(x87);
  else float.sqrtF80(s[a], s[a + 1], s[a + 2], x87.control);
  settleStack(cpu, insn, 0);
}

function frndint(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (isEmpty(x87, 0)) underflow(x87);
  else float.roundToIntF80(s[a], s[a + 1], s[a + 2], x87.control);
  settleStack(cpu, insn, 0);
}

/** Whether ST(0) and ST(1) are there; else the outcome is an underflow. */
function hasTwo(cpu: Cpu): boolean {
  const { x87 } = cpu;
  if (!isEmpty(x87, 0) && !isEmpty(x87, 1)) return true;
  underflow(x87);
  return false;
}

function fscale(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  const b = x87.stackWord(1);
  if (hasTwo(cpu)) {
    float.scaleF80(s[a], s[a + 1], s[a + 2], s[b], s[b + 1], s[b + 2], x87.control);
  }
  settleStack(cpu, insn, 0);
}

function fprem(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  const b = x87.stackWord(1);
  if (hasTwo(cpu)) {
    float.remainderF80(s[a], s[a + 1], s[a + 2], s[b], s[b + 1], s[b + 2], x87.control);
  }
  settleRemainder(cpu, insn);
}

function fprem1(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  const b = x87.stackWord(1);
  if (hasTwo(cpu)) {
    float.remainderNearestF80(s[a], s[a + 1], s[a + 2], s[b], s[b + 1], s[b + 2], x87.control);
  }
  settleRemainder(cpu, insn);
}

/**
 * C2: not complete; C0, C3, C1: the quotient's bits 2 to 0 (SDM 2A "FPREM"). Where there is no
 * quotient, C0 and C3 stay.
 */
function settleRemainder(cpu: Cpu, insn: Insn): void {
  settleStack(cpu, insn, 0);
  const { x87 } = cpu;
  const { quotient } = result;
  x87.status = x87.status & ~C2 | (result.incomplete !== 0 ? C2 : 0);
  if (result.stored === 0 || (result.signExp & 0x7fff) === 0x7fff) return;
  x87.status = x87.status & ~(C0 | C1 | C3) |
    (quotient & 4) << 6 | (quotient & 2) << 13 | (quotient & 1) << 9;
}

/** The exponent stays in the old ST(0), the significand is pushed. */
function fxtract(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (hasRoomForTwo(x87)) float.extractF80(s[a], s[a + 1], s[a + 2], x87.control);
  settleTwo(cpu, insn);
}

/** Mnemonics by ModRM.reg. */
const NAMES = ["add", "mul", "", "", "sub", "subr", "div", "divr"] as const;
/** Those with the result in ST(i) have differences and quotients the other way round. */
const REVERSED_NAMES = ["add", "mul", "", "", "subr", "sub", "divr", "div"] as const;

/** Rows for all operations of a form with a memory operand. */
function memoryRows(opcode: string, prefix: string, operand: string, exec: Handler): Row[] {
  return NAMES.flatMap((name, digit) =>
    name === "" ? [] : [row(`${opcode} /${digit}`, `${prefix}${name} ${operand}`, exec, LOAD_FORM)]
  );
}

/** Rows for all operations of a form with ST(0) and ST(i). */
function stackRows(opcode: string, names: readonly string[], suffix: string, exec: Handler): Row[] {
  return names.flatMap((name, digit) => {
    const modrm = (0xc0 + digit * 8).toString(16);
    return name === ""
      ? []
      : [row(`${opcode} ${modrm}+i`, `f${name}${suffix}`, exec, REGISTER_FORM)];
  });
}

export const X87_ARITHMETIC: readonly Row[] = [
  ...memoryRows("d8", "f", "Md", withSingle),
  ...memoryRows("dc", "f", "Mq", withDouble),
  ...memoryRows("da", "fi", "Md", withInt32),
  ...memoryRows("de", "fi", "Mw", withInt16),
  ...stackRows("d8", NAMES, "", toTop),
  ...stackRows("dc", REVERSED_NAMES, "", toOther),
  ...stackRows("de", REVERSED_NAMES, "p", toOtherPop),
  row("d9 e0", "fchs", fchs, REGISTER_FORM),
  row("d9 e1", "fabs", fabs, REGISTER_FORM),
  row("d9 fa", "fsqrt", fsqrt, REGISTER_FORM),
  row("d9 fc", "frndint", frndint, REGISTER_FORM),
  row("d9 fd", "fscale", fscale, REGISTER_FORM),
  row("d9 f8", "fprem", fprem, REGISTER_FORM),
  row("d9 f5", "fprem1", fprem1, REGISTER_FORM),
  row("d9 f4", "fxtract", fxtract, REGISTER_FORM),
];
