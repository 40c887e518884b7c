/** Floating-point arithmetic (SDM 2A, 2B). */

import type { Cpu } from "../../cpu.ts";
import type { Handler, Insn } from "../../insn.ts";
import { type Row, row } from "../row.ts";
import * as double from "./double.ts";
import { type ElementOp, packed32, packed64, raiseFlags, scalar32, scalar64 } from "./floating.ts";
import * as single from "./single.ts";
import { SSE, SSE2, SSE3, SSE41 } from "./units.ts";
import { copy128, put128, RESULT, source128 } from "./vector.ts";

const { add64, sub64, mul64, round64 } = double;
const { add32, sub32, mul32, round32 } = single;

/** Operates on neighbouring elements, first of the first operand, then of the second. */
function horizontal32(op: ElementOp): Handler {
  return (cpu, insn) => {
    const b = source128(cpu, insn);
    const a = insn.dst;
    let flags = op(cpu, a, a + 1, RESULT, 0) | op(cpu, a + 2, a + 3, RESULT + 1, 0);
    flags |= op(cpu, b, b + 1, RESULT + 2, 0) | op(cpu, b + 2, b + 3, RESULT + 3, 0);
    raiseFlags(cpu, flags);
    copy128(cpu.s, RESULT, a);
  };
}

function horizontal64(op: ElementOp): Handler {
  return (cpu, insn) => {
    const b = source128(cpu, insn);
    const a = insn.dst;
    raiseFlags(cpu, op(cpu, a, a + 2, RESULT, 0) | op(cpu, b, b + 2, RESULT + 2, 0));
    copy128(cpu.s, RESULT, a);
  };
}

/** Subtracts the even elements, adds the odd ones. */
function addsubps(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const a = insn.dst;
  let flags = sub32(cpu, a, b, RESULT) | add32(cpu, a + 1, b + 1, RESULT + 1);
  flags |= sub32(cpu, a + 2, b + 2, RESULT + 2) | add32(cpu, a + 3, b + 3, RESULT + 3);
  raiseFlags(cpu, flags);
  copy128(cpu.s, RESULT, a);
}

function addsubpd(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const a = insn.dst;
  raiseFlags(cpu, sub64(cpu, a, b, RESULT) | add64(cpu, a + 2, b + 2, RESULT + 2));
  copy128(cpu.s, RESULT, a);
}

/**
 * DPPS: the sum, in pairs, of the products that bits 7:4 of the immediate ask for, to the elements
 * that bits 3:0 do. Each step's exceptions are raised before the next.
 */
function dpps(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  const { dst, immLo } = insn;
  let flags = 0;
  for (let i = 0; i < 4; i++) {
    if ((immLo >>> 4 + i & 1) !== 0) flags |= mul32(cpu, dst + i, b + i, RESULT + i);
    else s[RESULT + i] = 0;
  }
  raiseFlags(cpu, flags);
  flags = add32(cpu, RESULT, RESULT + 1, RESULT);
  raiseFlags(cpu, flags | add32(cpu, RESULT + 2, RESULT + 3, RESULT + 2));
  raiseFlags(cpu, add32(cpu, RESULT, RESULT + 2, RESULT));
  for (let i = 0; i < 4; i++) s[dst + i] = (immLo >>> i & 1) !== 0 ? s[RESULT] : 0;
}

/** DPPD likewise. */
function dppd(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  const { dst, immLo } = insn;
  put128(s, RESULT, 0, 0, 0, 0);
  let flags = (immLo & 0x10) !== 0 ? mul64(cpu, dst, b, RESULT) : 0;
  if ((immLo & 0x20) !== 0) flags |= mul64(cpu, dst + 2, b + 2, RESULT + 2);
  raiseFlags(cpu, flags);
  raiseFlags(cpu, add64(cpu, RESULT, RESULT + 2, RESULT));
  const lowMask = -(immLo & 1), highMask = -(immLo >>> 1 & 1);
  const lo = s[RESULT], hi = s[RESULT + 1];
  put128(s, dst, lo & lowMask, hi & lowMask, lo & highMask, hi & highMask);
}

/** The four forms: packed and scalar, single and double. */
function forms(opcode: string, name: string, op32: ElementOp, op64: ElementOp): Row[] {
  return [
    row(`np 0f ${opcode} /r`, `${name}ps Vx,Wx`, packed32(op32), SSE),
    row(`66 0f ${opcode} /r`, `${name}pd Vx,Wx`, packed64(op64), SSE2),
    row(`f3 0f ${opcode} /r`, `${name}ss Vd,Wd`, scalar32(op32), SSE),
    row(`f2 0f ${opcode} /r`, `${name}sd Vq,Wq`, scalar64(op64), SSE2),
  ];
}

export const FLOAT_ARITHMETIC: readonly Row[] = [
  ...forms("51", "sqrt", single.sqrt32, double.sqrt64),
  ...forms("58", "add", add32, add64),
  ...forms("59", "mul", mul32, mul64),
  ...forms("5c", "sub", sub32, sub64),
  ...forms("5d", "min", single.min32, double.min64),
  ...forms("5e", "div", single.div32, double.div64),
  ...forms("5f", "max", single.max32, double.max64),

  row("f2 0f 7c /r", "haddps Vx,Wx", horizontal32(add32), SSE3),
  row("66 0f 7c /r", "haddpd Vx,Wx", horizontal64(add64), SSE3),
  row("f2 0f 7d /r", "hsubps Vx,Wx", horizontal32(sub32), SSE3),
  row("66 0f 7d /r", "hsubpd Vx,Wx", horizontal64(sub64), SSE3),
  row("f2 0f d0 /r", "addsubps Vx,Wx", addsubps, SSE3),
  row("66 0f d0 /r", "addsubpd Vx,Wx", addsubpd, SSE3),

  row("66 0f 3a 08 /r ib", "roundps Vx,Wx,Ib", packed32(round32), SSE41),
  row("66 0f 3a 09 /r ib", "roundpd Vx,Wx,Ib", packed64(round64), SSE41),
  row("66 0f 3a 0a /r ib", "roundss Vd,Wd,Ib", scalar32(round32), SSE41),
  row("66 0f 3a 0b /r ib", "roundsd Vq,Wq,Ib", scalar64(round64), SSE41),
  row("66 0f 3a 40 /r ib", "dpps Vx,Wx,Ib", dpps, SSE41),
  row("66 0f 3a 41 /r ib", "dppd Vx,Wx,Ib", dppd, SSE41),
];
