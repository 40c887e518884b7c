/** Conversions between singles, doubles and integers (SDM 2A "CVT…"). */

import type { Cpu } from "../../cpu.ts";
import type { Handler, Insn } from "../../insn.ts";
import { readSrc32, readSrc64 } from "../../operands.ts";
import { bySize, type Row, row } from "../row.ts";
import * as element from "./convert_element.ts";
import { type ElementOp, packed32, raiseFlags } from "./floating.ts";
import { checkPending, enterMmx, mmxDestination, mmxSource } from "./mmx_operands.ts";
import { SSE, SSE2 } from "./units.ts";
import { copy128, put128, RESULT, source128, source32, source64 } from "./vector.ts";

/** An integer from a general register or memory waits here for its conversion. */
const INTEGER = RESULT + 4;

/** CVTSI2SS and CVTSI2SD of 32 bits. */
function fromInt32(op: ElementOp, words: number): Handler {
  return (cpu, insn) => {
    cpu.s[INTEGER] = readSrc32(cpu, insn);
    finishFromInteger(cpu, insn, op, words);
  };
}

/** Of 64 bits. */
function fromInt64(op: ElementOp, words: number): Handler {
  return (cpu, insn) => {
    cpu.s[INTEGER] = readSrc64(cpu, insn);
    cpu.s[INTEGER + 1] = cpu.hi;
    finishFromInteger(cpu, insn, op, words);
  };
}

function finishFromInteger(cpu: Cpu, insn: Insn, op: ElementOp, words: number): void {
  const { s } = cpu;
  raiseFlags(cpu, op(cpu, 0, INTEGER, RESULT, 0));
  s[insn.dst] = s[RESULT];
  if (words === 2) s[insn.dst + 1] = s[RESULT + 1];
}

/** CVTSS2SI and the like: a general register of 32 bits. */
function toInt32(op: ElementOp, source: typeof source32): Handler {
  return (cpu, insn) => {
    const { s } = cpu;
    raiseFlags(cpu, op(cpu, 0, source(cpu, insn), RESULT, 0));
    s[insn.dst] = s[RESULT];
    s[insn.dst + 1] = 0;
  };
}

/** A general register of 64 bits. */
function toInt64(op: ElementOp, source: typeof source32): Handler {
  return (cpu, insn) => {
    const { s } = cpu;
    raiseFlags(cpu, op(cpu, 0, source(cpu, insn), RESULT, 0));
    s[insn.dst] = s[RESULT];
    s[insn.dst + 1] = s[RESULT + 1];
  };
}

/** Two elements of 32 bits to two of 64. */
function doubling(op: ElementOp): Handler {
  return (cpu, insn) => {
    const b = source64(cpu, insn);
    raiseFlags(cpu, op(cpu, 0, b, RESULT, 0) | op(cpu, 0, b + 1, RESULT + 2, 0));
    copy128(cpu.s, RESULT, insn.dst);
  };
}

/** Two elements of 64 bits to two of 32; the upper half of the register becomes 0. */
function halving(op: ElementOp): Handler {
  return (cpu, insn) => {
    const b = source128(cpu, insn);
    const { s } = cpu;
    raiseFlags(cpu, op(cpu, 0, b, RESULT, 0) | op(cpu, 0, b + 2, RESULT + 1, 0));
    put128(s, insn.dst, s[RESULT], s[RESULT + 1], 0, 0);
  };
}

/** CVTSS2SD. */
function cvtss2sd(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  raiseFlags(cpu, element.widen(cpu, 0, source32(cpu, insn), RESULT));
  s[insn.dst] = s[RESULT];
  s[insn.dst + 1] = s[RESULT + 1];
}

/** CVTSD2SS. */
function cvtsd2ss(cpu: Cpu, insn: Insn): void {
  raiseFlags(cpu, element.narrow(cpu, 0, source64(cpu, insn), RESULT));
  cpu.s[insn.dst] = cpu.s[RESULT];
}

// CVTPI2PS and CVTPI2PD leave the x87 registers alone when the operand is in memory: the manual says
// so of the latter only, processors of AMD do it for both.
function cvtpi2ps(cpu: Cpu, insn: Insn): void {
  const b = integers(cpu, insn);
  const { s } = cpu;
  const flags = element.int32To32(cpu, 0, b, RESULT) | element.int32To32(cpu, 0, b + 1, RESULT + 1);
  raiseFlags(cpu, flags);
  s[insn.dst] = s[RESULT];
  s[insn.dst + 1] = s[RESULT + 1];
  if (!insn.isMem) enterMmx(cpu);
}

function cvtpi2pd(cpu: Cpu, insn: Insn): void {
  const b = integers(cpu, insn);
  element.int32To64(cpu, 0, b, RESULT);
  element.int32To64(cpu, 0, b + 1, RESULT + 2);
  copy128(cpu.s, RESULT, insn.dst);
  if (!insn.isMem) enterMmx(cpu);
}

/** Word index of two integers in memory or an MMX register. */
function integers(cpu: Cpu, insn: Insn): number {
  return insn.isMem ? source64(cpu, insn) : mmxSource(cpu, insn);
}

/** CVTPS2PI: an MMX register from two singles. */
function singlesToMmx(op: ElementOp): Handler {
  return (cpu, insn) => {
    checkPending(cpu);
    const b = source64(cpu, insn);
    finishToMmx(cpu, insn, op(cpu, 0, b, RESULT, 0) | op(cpu, 0, b + 1, RESULT + 1, 0));
  };
}

/** CVTPD2PI: from two doubles. */
function doublesToMmx(op: ElementOp): Handler {
  return (cpu, insn) => {
    checkPending(cpu);
    const b = source128(cpu, insn);
    finishToMmx(cpu, insn, op(cpu, 0, b, RESULT, 0) | op(cpu, 0, b + 2, RESULT + 1, 0));
  };
}

function finishToMmx(cpu: Cpu, insn: Insn, flags: number): void {
  raiseFlags(cpu, flags);
  const a = mmxDestination(cpu, insn);
  cpu.s[a] = cpu.s[RESULT];
  cpu.s[a + 1] = cpu.s[RESULT + 1];
}

/** CVTSI2xx by the size of the integer. */
function fromInteger(op32: ElementOp, op64: ElementOp, words: number) {
  const narrow = fromInt32(op32, words);
  return bySize(narrow, narrow, fromInt64(op64, words));
}

/** CVT(T)xx2SI by the size of the integer. */
function toInteger(op32: ElementOp, op64: ElementOp, source: typeof source32) {
  const narrow = toInt32(op32, source);
  return bySize(narrow, narrow, toInt64(op64, source));
}

const cvtsi2ss = fromInteger(element.int32To32, element.int64To32, 1);
const cvtsi2sd = fromInteger(element.int32To64, element.int64To64, 2);
const cvtss2si = toInteger(element.round32To32, element.round32To64, source32);
const cvttss2si = toInteger(element.truncate32To32, element.truncate32To64, source32);
const cvtsd2si = toInteger(element.round64To32, element.round64To64, source64);
const cvttsd2si = toInteger(element.truncate64To32, element.truncate64To64, source64);

export const CONVERT: readonly Row[] = [
  row("f3 0f 2a /r", "cvtsi2ss Vd,Ey", cvtsi2ss, SSE),
  row("f2 0f 2a /r", "cvtsi2sd Vq,Ey", cvtsi2sd, SSE2),
  row("f3 0f 2c /r", "cvttss2si Gy,Wd", cvttss2si, SSE),
  row("f2 0f 2c /r", "cvttsd2si Gy,Wq", cvttsd2si, SSE2),
  row("f3 0f 2d /r", "cvtss2si Gy,Wd", cvtss2si, SSE),
  row("f2 0f 2d /r", "cvtsd2si Gy,Wq", cvtsd2si, SSE2),

  row("np 0f 5a /r", "cvtps2pd Vx,Wq", doubling(element.widen), SSE2),
  row("66 0f 5a /r", "cvtpd2ps Vx,Wx", halving(element.narrow), SSE2),
  row("f3 0f 5a /r", "cvtss2sd Vq,Wd", cvtss2sd, SSE2),
  row("f2 0f 5a /r", "cvtsd2ss Vd,Wq", cvtsd2ss, SSE2),

  row("np 0f 5b /r", "cvtdq2ps Vx,Wx", packed32(element.int32To32), SSE2),
  row("66 0f 5b /r", "cvtps2dq Vx,Wx", packed32(element.round32To32), SSE2),
  row("f3 0f 5b /r", "cvttps2dq Vx,Wx", packed32(element.truncate32To32), SSE2),
  row("f3 0f e6 /r", "cvtdq2pd Vx,Wq", doubling(element.int32To64), SSE2),
  row("f2 0f e6 /r", "cvtpd2dq Vx,Wx", halving(element.round64To32), SSE2),
  row("66 0f e6 /r", "cvttpd2dq Vx,Wx", halving(element.truncate64To32), SSE2),

  row("np 0f 2a /r", "cvtpi2ps Vq,Qq", cvtpi2ps, SSE),
  row("66 0f 2a /r", "cvtpi2pd Vx,Qq", cvtpi2pd, SSE2),
  row("np 0f 2c /r", "cvttps2pi Pq,Wq", singlesToMmx(element.truncate32To32), SSE),
  row("66 0f 2c /r", "cvttpd2pi Pq,Wx", doublesToMmx(element.truncate64To32), SSE2),
  row("np 0f 2d /r", "cvtps2pi Pq,Wq", singlesToMmx(element.round32To32), SSE),
  row("66 0f 2d /r", "cvtpd2pi Pq,Wx", doublesToMmx(element.round64To32), SSE2),
];
