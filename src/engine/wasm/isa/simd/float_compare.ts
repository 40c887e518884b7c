/** Floating-point comparisons (SDM 2A, 2B): to masks by a predicate, and to flags. */

import { EQUAL, GREATER, LESS, UNORDERED } from "../../../../cpu/float/control.ts";
import { result } from "../../../../cpu/float/result.ts";
import * as soft32 from "../../../../cpu/float/sse32.ts";
import * as soft64 from "../../../../cpu/float/sse64.ts";
import { type Cpu, Word } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { type Row, row } from "../row.ts";
import * as floating from "./floating.ts";
import { SSE, SSE2 } from "./units.ts";
import { source32, source64 } from "./vector.ts";

// V8 folds a module's own constants, not those of others.
const { compareF32, predicateF32 } = soft32;
const { compareF64, predicateF64 } = soft64;
const { isPlain32, isPlain64, packed32, packed64, raiseFlags, scalar32, scalar64 } = floating;
const MXCSR = Word.MXCSR;

function compare32(cpu: Cpu, a: number, b: number, to: number, immediate: number): number {
  const { s, f32 } = cpu;
  const predicate = immediate & 7;
  if (isPlain32(s[a]) && isPlain32(s[b])) {
    s[to] = holds(f32[a], f32[b], predicate);
    return 0;
  }
  s[to] = predicateF32(s[a], s[b], predicate, s[MXCSR]);
  return result.flags;
}

function compare64(cpu: Cpu, a: number, b: number, to: number, immediate: number): number {
  const { s, f64 } = cpu;
  const predicate = immediate & 7;
  if (isPlain64(s[a], s[a + 1]) && isPlain64(s[b], s[b + 1])) {
    s[to] = s[to + 1] = holds(f64[a >> 1], f64[b >> 1], predicate);
    return 0;
  }
  s[to] = s[to + 1] = predicateF64(s[a], s[a + 1], s[b], s[b + 1], predicate, s[MXCSR]);
  return result.flags;
}

/** -1 when the predicate holds for two numbers: equal, less, less or equal, unordered; 4: not. */
function holds(x: number, y: number, predicate: number): number {
  const kind = predicate & 3;
  const isTrue = kind === 0 ? x === y : kind === 1 ? x < y : kind === 2 ? x <= y : false;
  return isTrue === ((predicate & 4) === 0) ? -1 : 0;
}

/** CF: less, ZF: equal; both and PF: unordered. */
function setFlags(cpu: Cpu, relation: number): void {
  const isUnordered = relation === UNORDERED;
  cpu.cf = isUnordered || relation === LESS ? 1 : 0;
  cpu.zero = isUnordered || relation === EQUAL ? 0 : 1;
  cpu.parity = isUnordered ? 0 : 1;
  cpu.aux = cpu.sign = cpu.over = 0;
}

function relationOf(x: number, y: number): number {
  return x === y ? EQUAL : x < y ? LESS : GREATER;
}

function compareSingles(cpu: Cpu, insn: Insn, quiet: boolean): void {
  const b = source32(cpu, insn);
  const { s, f32 } = cpu;
  const x = s[insn.dst], y = s[b];
  if (isPlain32(x) && isPlain32(y)) return setFlags(cpu, relationOf(f32[insn.dst], f32[b]));
  const relation = compareF32(x, y, quiet, s[MXCSR]);
  raiseFlags(cpu, result.flags);
  setFlags(cpu, relation);
}

function compareDoubles(cpu: Cpu, insn: Insn, quiet: boolean): void {
  const b = source64(cpu, insn);
  const { s, f64 } = cpu;
  const a = insn.dst;
  if (isPlain64(s[a], s[a + 1]) && isPlain64(s[b], s[b + 1])) {
    return setFlags(cpu, relationOf(f64[a >> 1], f64[b >> 1]));
  }
  const relation = compareF64(s[a], s[a + 1], s[b], s[b + 1], quiet, s[MXCSR]);
  raiseFlags(cpu, result.flags);
  setFlags(cpu, relation);
}

// COMIS raises IE for every NaN, UCOMIS only for signalling ones.
function comiss(cpu: Cpu, insn: Insn): void {
  compareSingles(cpu, insn, false);
}
function ucomiss(cpu: Cpu, insn: Insn): void {
  compareSingles(cpu, insn, true);
}
function comisd(cpu: Cpu, insn: Insn): void {
  compareDoubles(cpu, insn, false);
}
function ucomisd(cpu: Cpu, insn: Insn): void {
  compareDoubles(cpu, insn, true);
}

const READS_SSE = { ...SSE, reads: true };
const READS_SSE2 = { ...SSE2, reads: true };

export const FLOAT_COMPARE: readonly Row[] = [
  row("np 0f c2 /r ib", "cmpps Vx,Wx,Ib", packed32(compare32), SSE),
  row("66 0f c2 /r ib", "cmppd Vx,Wx,Ib", packed64(compare64), SSE2),
  row("f3 0f c2 /r ib", "cmpss Vd,Wd,Ib", scalar32(compare32), SSE),
  row("f2 0f c2 /r ib", "cmpsd Vq,Wq,Ib", scalar64(compare64), SSE2),
  row("np 0f 2e /r", "ucomiss Vd,Wd", ucomiss, READS_SSE),
  row("66 0f 2e /r", "ucomisd Vq,Wq", ucomisd, READS_SSE2),
  row("np 0f 2f /r", "comiss Vd,Wd", comiss, READS_SSE),
  row("66 0f 2f /r", "comisd Vq,Wq", comisd, READS_SSE2),
];
