/** Comparisons and FXAM (SDM 1 §8.3.6). */

import * as float from "../../../../cpu/float/mod.ts";
import type { Cpu } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { readDst16, readDst32, readDst64 } from "../../operands.ts";
import { type Row, row } from "../row.ts";
import { checkPending } from "../simd/mmx_operands.ts";
import {
  C0,
  C1,
  C2,
  C3,
  isEmpty,
  LOAD_FORM,
  pop,
  REGISTER_FORM,
  settle,
  settleQuietly,
  underflow,
} from "./fpu.ts";

// V8 folds a module's own constants, not those of others.
const { result, compareF80, LESS, EQUAL, GREATER, UNORDERED } = float;
const CONDITIONS = C0 | C2 | C3;
/** ModRM.reg bit 0 of FCOM's forms and FICOM's: the stack is popped. */
const POPS = 1;

/** How ST(0) compares to an operand; unordered where ST(0) is empty. */
function compareTop(
  cpu: Cpu,
  lo: number,
  hi: number,
  signExp: number,
  quiet: boolean,
  flags: number,
): number {
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  return compareF80(s[a], s[a + 1], s[a + 2], lo, hi, signExp, quiet, x87.control, flags);
}

/** How ST(0) compares to ST(i). */
function compareStack(cpu: Cpu, i: number, quiet: boolean): number {
  const { x87, s } = cpu;
  if (isEmpty(x87, 0) || isEmpty(x87, i)) {
    underflow(x87);
    return UNORDERED;
  }
  const b = x87.stackWord(i);
  return compareTop(cpu, s[b], s[b + 1], s[b + 2], quiet, 0);
}

/** Ends a comparison with condition codes. */
function settleConditions(cpu: Cpu, insn: Insn, relation: number, pops: number): void {
  const { x87 } = cpu;
  settle(cpu, insn);
  x87.status = x87.status & ~CONDITIONS | conditionsOf(relation);
  if (result.stored === 0) return;
  for (let i = 0; i < pops; i++) pop(x87);
}

function conditionsOf(relation: number): number {
  if (relation === GREATER) return 0;
  if (relation === LESS) return C0;
  return relation === EQUAL ? C3 : CONDITIONS;
}

function fcom(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  settleConditions(cpu, insn, compareStack(cpu, insn.rm & 7, false), insn.reg & POPS);
}
/** DE D0+i, whose ModRM.reg does not tell. */
function fcompAlias(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  settleConditions(cpu, insn, compareStack(cpu, insn.rm & 7, false), 1);
}
function fcompp(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  settleConditions(cpu, insn, compareStack(cpu, 1, false), 2);
}
function fucom(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  settleConditions(cpu, insn, compareStack(cpu, insn.rm & 7, true), insn.reg & POPS);
}
function fucompp(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  settleConditions(cpu, insn, compareStack(cpu, 1, true), 2);
}

/** ST(0) against the operand that has been converted to `result`. */
function compareConverted(cpu: Cpu, insn: Insn): void {
  const { x87 } = cpu;
  let relation: number = UNORDERED;
  if (isEmpty(x87, 0)) underflow(x87);
  else {
    relation = compareTop(cpu, result.lo, result.hi, result.signExp, false, result.flags);
  }
  settleConditions(cpu, insn, relation, insn.reg & POPS);
}

function fcomSingle(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  float.widenF32(readDst32(cpu, insn));
  compareConverted(cpu, insn);
}
function fcomDouble(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const lo = readDst64(cpu, insn);
  float.widenF64(lo, cpu.hi);
  compareConverted(cpu, insn);
}
function ficom16(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  float.int32ToF80(readDst16(cpu, insn) << 16 >> 16);
  compareConverted(cpu, insn);
}
function ficom32(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  float.int32ToF80(readDst32(cpu, insn));
  compareConverted(cpu, insn);
}

function ftst(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  let relation: number = UNORDERED;
  if (isEmpty(cpu.x87, 0)) underflow(cpu.x87);
  else relation = compareTop(cpu, 0, 0, 0, false, 0);
  settleConditions(cpu, insn, relation, 0);
}

/**
 * Compares to ST(i) with the result in EFLAGS: ZF, PF and CF; OF, SF and AF are cleared. C1 stays
 * unless the stack faults, as with AMD's CPUs.
 */
function compareFlags(cpu: Cpu, insn: Insn, quiet: boolean): void {
  checkPending(cpu);
  const i = insn.rm & 7;
  const relation = compareStack(cpu, i, quiet);
  if (!isEmpty(cpu.x87, 0) && !isEmpty(cpu.x87, i)) result.roundedUp = cpu.x87.status & C1;
  settle(cpu, insn);
  cpu.setStatusFlags(flagsOf(relation));
}

/** CF, PF, ZF (SDM 2A "FCOMI"). */
function flagsOf(relation: number): number {
  if (relation === GREATER) return 0;
  if (relation === LESS) return 1;
  return relation === EQUAL ? 1 << 6 : 1 << 6 | 1 << 2 | 1;
}

function fcomi(cpu: Cpu, insn: Insn): void {
  compareFlags(cpu, insn, false);
}
function fucomi(cpu: Cpu, insn: Insn): void {
  compareFlags(cpu, insn, true);
}
function fcomip(cpu: Cpu, insn: Insn): void {
  compareFlags(cpu, insn, false);
  if (result.stored !== 0) pop(cpu.x87);
}
function fucomip(cpu: Cpu, insn: Insn): void {
  compareFlags(cpu, insn, true);
  if (result.stored !== 0) pop(cpu.x87);
}

/** C1 is the sign, also of an empty register. */
function fxam(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s } = cpu;
  const a = x87.stackWord(0);
  const kind = isEmpty(x87, 0) ? float.EMPTY_CLASS : float.classifyF80(s[a], s[a + 1], s[a + 2]);
  settleQuietly(cpu, insn);
  const sign = (s[a + 2] & 0x8000) !== 0 ? C1 : 0;
  x87.status = x87.status & ~(CONDITIONS | C1) | kind | sign;
}

export const X87_COMPARE: readonly Row[] = [
  row("d8 /2", "fcom Md", fcomSingle, LOAD_FORM),
  row("d8 /3", "fcomp Md", fcomSingle, LOAD_FORM),
  row("dc /2", "fcom Mq", fcomDouble, LOAD_FORM),
  row("dc /3", "fcomp Mq", fcomDouble, LOAD_FORM),
  row("da /2", "ficom Md", ficom32, LOAD_FORM),
  row("da /3", "ficomp Md", ficom32, LOAD_FORM),
  row("de /2", "ficom Mw", ficom16, LOAD_FORM),
  row("de /3", "ficomp Mw", ficom16, LOAD_FORM),
  row("d8 d0+i", "fcom", fcom, REGISTER_FORM),
  row("d8 d8+i", "fcomp", fcom, REGISTER_FORM),
  row("de d9", "fcompp", fcompp, REGISTER_FORM),
  row("dd e0+i", "fucom", fucom, REGISTER_FORM),
  row("dd e8+i", "fucomp", fucom, REGISTER_FORM),
  row("da e9", "fucompp", fucompp, REGISTER_FORM),
  row("db f0+i", "fcomi", fcomi, REGISTER_FORM),
  row("df f0+i", "fcomip", fcomip, REGISTER_FORM),
  row("db e8+i", "fucomi", fucomi, REGISTER_FORM),
  row("df e8+i", "fucomip", fucomip, REGISTER_FORM),
  row("d9 e4", "ftst", ftst, REGISTER_FORM),
  row("d9 e5", "fxam", fxam, REGISTER_FORM),
  // Other encodings that CPUs since the 8087 have, though the manual does not list them
  row("dc d0+i", "fcom", fcom, REGISTER_FORM),
  row("dc d8+i", "fcomp", fcom, REGISTER_FORM),
  row("de d0+i", "fcomp", fcompAlias, REGISTER_FORM),
];
