/** Trigonometric, logarithmic and exponential functions (SDM 1 §8.3.7, §8.3.9). */

import * as float from "../../../../cpu/float/mod.ts";
import type { Cpu } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { type Row, row } from "../row.ts";
import { checkPending } from "../simd/mmx_operands.ts";
import {
  C2,
  hasRoomForTwo,
  isEmpty,
  pop,
  REGISTER_FORM,
  settleStack,
  settleTwo,
  underflow,
} from "./fpu.ts";

// V8 folds a module's own constants, not those of others.
const { result, pushed } = float;

function f2xm1(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (isEmpty(x87, 0)) underflow(x87);
  else float.exp2m1F80(s[a], s[a + 1], s[a + 2], x87.control);
  settleStack(cpu, insn, 0);
}

/** A function of ST(0) and ST(1): the result replaces ST(1), ST(0) is popped. */
function settlePop(cpu: Cpu, insn: Insn): void {
  settleStack(cpu, insn, 1);
  if (result.stored !== 0) pop(cpu.x87);
}

function isOneEmpty(cpu: Cpu): boolean {
  return isEmpty(cpu.x87, 0) || isEmpty(cpu.x87, 1);
}

function fyl2x(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  const b = x87.stackWord(1);
  if (isOneEmpty(cpu)) underflow(x87);
  else float.yLog2xF80(s[b], s[b + 1], s[b + 2], s[a], s[a + 1], s[a + 2], x87.control);
  settlePop(cpu, insn);
}

function fyl2xp1(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  const b = x87.stackWord(1);
  if (isOneEmpty(cpu)) underflow(x87);
  else float.yLog2xp1F80(s[b], s[b + 1], s[b + 2], s[a], s[a + 1], s[a + 2], x87.control);
  settlePop(cpu, insn);
}

function fpatan(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  const b = x87.stackWord(1);
  if (isOneEmpty(cpu)) underflow(x87);
  else float.atanF80(s[b], s[b + 1], s[b + 2], s[a], s[a + 1], s[a + 2], x87.control);
  settlePop(cpu, insn);
}

/** C2 tells that the argument is out of range; ST(0) is as it was. */
function settleAngle(cpu: Cpu, insn: Insn): void {
  settleStack(cpu, insn, 0);
  const { x87 } = cpu;
  x87.status = x87.status & ~C2 | (result.incomplete !== 0 ? C2 : 0);
}

function fsin(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (isEmpty(x87, 0)) underflow(x87);
  else float.sinF80(s[a], s[a + 1], s[a + 2], x87.control);
  settleAngle(cpu, insn);
}

function fcos(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (isEmpty(x87, 0)) underflow(x87);
  else float.cosF80(s[a], s[a + 1], s[a + 2], x87.control);
  settleAngle(cpu, insn);
}

/** As `settleAngle`, with a result that is pushed above the first. */
function settleAngleTwo(cpu: Cpu, insn: Insn): void {
  settleTwo(cpu, insn);
  const { x87 } = cpu;
  x87.status = x87.status & ~C2 | (result.incomplete !== 0 ? C2 : 0);
}

function fsincos(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (hasRoomForTwo(x87)) float.sinCosF80(s[a], s[a + 1], s[a + 2], x87.control);
  settleAngleTwo(cpu, insn);
}

function fptan(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  if (hasRoomForTwo(x87)) {
    float.tanF80(s[a], s[a + 1], s[a + 2], x87.control);
    // A NaN is pushed, too, else 1.0.
    const isNan = (result.signExp & 0x7fff) === 0x7fff;
    pushed.lo = isNan ? result.lo : 0;
    pushed.hi = isNan ? result.hi : 0x8000_0000 | 0;
    pushed.signExp = isNan ? result.signExp : 0x3fff;
  }
  settleAngleTwo(cpu, insn);
}

export const X87_TRANSCENDENTAL: readonly Row[] = [
  row("d9 f0", "f2xm1", f2xm1, REGISTER_FORM),
  row("d9 f1", "fyl2x", fyl2x, REGISTER_FORM),
  row("d9 f2", "fptan", fptan, REGISTER_FORM),
  row("d9 f3", "fpatan", fpatan, REGISTER_FORM),
  row("d9 f9", "fyl2xp1", fyl2xp1, REGISTER_FORM),
  row("d9 fb", "fsincos", fsincos, REGISTER_FORM),
  row("d9 fe", "fsin", fsin, REGISTER_FORM),
  row("d9 ff", "fcos", fcos, REGISTER_FORM),
];
