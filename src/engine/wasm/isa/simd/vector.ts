/**
 * Operands of SSE instructions. A source is a word index in `Cpu.s` wherever it came from: a
 * register's, or that of a scratch area to which the memory operand has been read.
 */

import { Seg } from "../../../../cpu/state.ts";
import { linearAddress as importedLinearAddress } from "../../address.ts";
import type { Cpu } from "../../cpu.ts";
import { Vector } from "../../exception.ts";
import type { Handler, Insn } from "../../insn.ts";
import * as memory from "../../memory.ts";
import { isCanonical } from "../../modes.ts";
import { SCRATCH_AT } from "../../tlb.ts";

// V8 folds a module's own constants, not those of others.
const linearAddress = importedLinearAddress;
const { load16, load32, load64, load128, store128 } = memory;

/** First of the four words to which sources in memory are read: behind memory.ts's own scratch. */
const SOURCE = SCRATCH_AT / 4 + 64;
/** First of four words where a result waits until nothing can fault any more. */
export const RESULT = SOURCE + 4;

/** #GP(0) of an operand that is not aligned; what is not canonical either comes first: #SS(0). */
export function misaligned(cpu: Cpu, insn: Insn): never {
  const onStack = cpu.is64 && insn.seg === Seg.SS && !isCanonical(cpu, cpu.hi);
  return cpu.raise(onStack ? Vector.SS : Vector.GP);
}

/** Word index of the second operand's 16 bytes; #GP(0) when in memory and not aligned. */
export function source128(cpu: Cpu, insn: Insn): number {
  if (insn.src >= 0) return insn.src;
  const lo = linearAddress(cpu, insn);
  if ((lo & 15) !== 0) misaligned(cpu, insn);
  load128(cpu, lo, cpu.hi, SOURCE);
  return SOURCE;
}

/** Word index of the second operand's 16 bytes, which may lie anywhere. */
export function sourceUnaligned(cpu: Cpu, insn: Insn): number {
  if (insn.src >= 0) return insn.src;
  const lo = linearAddress(cpu, insn);
  load128(cpu, lo, cpu.hi, SOURCE);
  return SOURCE;
}

/** Word index of the second operand's low 8 bytes. */
export function source64(cpu: Cpu, insn: Insn): number {
  if (insn.src >= 0) return insn.src;
  const lo = linearAddress(cpu, insn);
  cpu.s[SOURCE] = load64(cpu, lo, cpu.hi);
  cpu.s[SOURCE + 1] = cpu.hi;
  return SOURCE;
}

/** Word index of the second operand's low 4 bytes. */
export function source32(cpu: Cpu, insn: Insn): number {
  if (insn.src >= 0) return insn.src;
  const lo = linearAddress(cpu, insn);
  cpu.s[SOURCE] = load32(cpu, lo, cpu.hi);
  return SOURCE;
}

/** Word index of the second operand's low 2 bytes; what is above them is not specified. */
export function source16(cpu: Cpu, insn: Insn): number {
  if (insn.src >= 0) return insn.src;
  const lo = linearAddress(cpu, insn);
  cpu.s[SOURCE] = load16(cpu, lo, cpu.hi);
  return SOURCE;
}

/** Writes 16 bytes to the first operand, a register or aligned memory (else #GP(0)). */
export function write128(cpu: Cpu, insn: Insn, from: number): void {
  if (insn.dst >= 0) return copy128(cpu.s, from, insn.dst);
  const lo = linearAddress(cpu, insn);
  if ((lo & 15) !== 0) misaligned(cpu, insn);
  store128(cpu, lo, cpu.hi, from);
}

/** Writes 16 bytes to the first operand, a register or memory anywhere. */
export function writeUnaligned(cpu: Cpu, insn: Insn, from: number): void {
  if (insn.dst >= 0) return copy128(cpu.s, from, insn.dst);
  const lo = linearAddress(cpu, insn);
  store128(cpu, lo, cpu.hi, from);
}

/** Copies four words. */
export function copy128(s: Int32Array, from: number, to: number): void {
  const w0 = s[from], w1 = s[from + 1], w2 = s[from + 2], w3 = s[from + 3];
  s[to] = w0;
  s[to + 1] = w1;
  s[to + 2] = w2;
  s[to + 3] = w3;
}

/** Writes four words to `to`. */
export function put128(
  s: Int32Array,
  to: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
): void {
  s[to] = w0;
  s[to + 1] = w1;
  s[to + 2] = w2;
  s[to + 3] = w3;
}

/** A result from a word of each operand. */
export type WordOp = (a: number, b: number) => number;
/**
 * 64 bits of the first operand at word `a` become the result with those of the second at `b`. The
 * two may be the same.
 */
export type PairOp = (s: Int32Array, a: number, b: number) => void;

/** The XMM form of an instruction whose lanes stay within words. */
export function xmmWords(op: WordOp): Handler {
  return (cpu, insn) => {
    const b = source128(cpu, insn);
    const a = insn.dst;
    const { s } = cpu;
    s[a] = op(s[a], s[b]);
    s[a + 1] = op(s[a + 1], s[b + 1]);
    s[a + 2] = op(s[a + 2], s[b + 2]);
    s[a + 3] = op(s[a + 3], s[b + 3]);
  };
}

/** The XMM form of an instruction that does the same with both halves. */
export function xmmPairs(op: PairOp): Handler {
  return (cpu, insn) => {
    const b = source128(cpu, insn);
    op(cpu.s, insn.dst, b);
    op(cpu.s, insn.dst + 2, b + 2);
  };
}
