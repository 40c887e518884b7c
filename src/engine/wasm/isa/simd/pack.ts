/** Packing, interleaving and adding up of neighbouring lanes (SDM 2B). */

import type { Cpu } from "../../cpu.ts";
import type { Handler, Insn } from "../../insn.ts";
import { type Row, row, type RowOptions } from "../row.ts";
import { checkPending, mmxDestination, mmxSource } from "./mmx_operands.ts";
import { MMX, MMX_SSSE3, SSE, SSE2, SSE41, SSSE3 } from "./units.ts";
import { put128, source128, source32, type WordOp } from "./vector.ts";
import * as words from "./words.ts";

/** Each word of the result comes from two neighbouring words of an operand. */
function xmmNarrowing(op: WordOp): Handler {
  return (cpu, insn) => {
    const b = source128(cpu, insn);
    const a = insn.dst;
    const { s } = cpu;
    const w0 = op(s[a], s[a + 1]);
    const w1 = op(s[a + 2], s[a + 3]);
    const w2 = op(s[b], s[b + 1]);
    put128(s, a, w0, w1, w2, op(s[b + 2], s[b + 3]));
  };
}

function mmxNarrowing(op: WordOp): Handler {
  return (cpu, insn) => {
    const b = mmxSource(cpu, insn);
    const a = mmxDestination(cpu, insn);
    const { s } = cpu;
    const w0 = op(s[a], s[a + 1]);
    s[a + 1] = op(s[b], s[b + 1]);
    s[a] = w0;
  };
}

// The low and the high word of two words' lanes by turns.
function bytesLow(a: number, b: number): number {
  return a & 255 | (b & 255) << 8 | (a & 0xff00) << 8 | (b & 0xff00) << 16;
}
function bytesHigh(a: number, b: number): number {
  return a >>> 16 & 255 | b >>> 8 & 0xff00 | a >>> 8 & 0xff_0000 | b & ~0xff_ffff;
}
function halvesLow(a: number, b: number): number {
  return a & 0xffff | b << 16;
}
function halvesHigh(a: number, b: number): number {
  return a >>> 16 | b & ~0xffff;
}
function wordsLow(a: number): number {
  return a;
}
function wordsHigh(_: number, b: number): number {
  return b;
}

/** PUNPCKL: the lanes of the low halves by turns, the first operand's first. */
function xmmLow(low: WordOp, high: WordOp): Handler {
  return (cpu, insn) => {
    const b = source128(cpu, insn);
    const a = insn.dst;
    const { s } = cpu;
    const a0 = s[a], a1 = s[a + 1], b0 = s[b], b1 = s[b + 1];
    put128(s, a, low(a0, b0), high(a0, b0), low(a1, b1), high(a1, b1));
  };
}

/** PUNPCKH: of the high halves. */
function xmmHigh(low: WordOp, high: WordOp): Handler {
  return (cpu, insn) => {
    const b = source128(cpu, insn);
    const a = insn.dst;
    const { s } = cpu;
    const a2 = s[a + 2], a3 = s[a + 3], b2 = s[b + 2], b3 = s[b + 3];
    put128(s, a, low(a2, b2), high(a2, b2), low(a3, b3), high(a3, b3));
  };
}

/** With MMX registers; only the low 32 bits of memory are read. */
function mmxLow(low: WordOp, high: WordOp): Handler {
  return (cpu, insn) => {
    checkPending(cpu);
    const b = source32(cpu, insn);
    const a = mmxDestination(cpu, insn);
    const { s } = cpu;
    const x = s[a], y = s[b];
    s[a] = low(x, y);
    s[a + 1] = high(x, y);
  };
}

function mmxHigh(low: WordOp, high: WordOp): Handler {
  return (cpu, insn) => {
    const b = mmxSource(cpu, insn);
    const a = mmxDestination(cpu, insn);
    const { s } = cpu;
    const x = s[a + 1], y = s[b + 1];
    s[a] = low(x, y);
    s[a + 1] = high(x, y);
  };
}

function unpackLowPairs(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const a = insn.dst;
  const { s } = cpu;
  put128(s, a, s[a], s[a + 1], s[b], s[b + 1]);
}

function unpackHighPairs(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const a = insn.dst;
  const { s } = cpu;
  put128(s, a, s[a + 2], s[a + 3], s[b + 2], s[b + 3]);
}

const unpackLowWords = xmmLow(wordsLow, wordsHigh);
const unpackHighWords = xmmHigh(wordsLow, wordsHigh);

function narrowing(
  opcode: string,
  mnemonic: string,
  op: WordOp,
  mmx: RowOptions = MMX,
  xmm: RowOptions = SSE2,
): Row[] {
  return [
    row(`np ${opcode}`, `${mnemonic} Pq,Qq`, mmxNarrowing(op), mmx),
    row(`66 ${opcode}`, `${mnemonic} Vx,Wx`, xmmNarrowing(op), xmm),
  ];
}

function unpacking(lowOpcode: string, highOpcode: string, suffix: string, ops: [WordOp, WordOp]) {
  const [low, high] = ops;
  return [
    row(`np 0f ${lowOpcode} /r`, `punpckl${suffix} Pq,Qd`, mmxLow(low, high), MMX),
    row(`66 0f ${lowOpcode} /r`, `punpckl${suffix} Vx,Wx`, xmmLow(low, high), SSE2),
    row(`np 0f ${highOpcode} /r`, `punpckh${suffix} Pq,Qq`, mmxHigh(low, high), MMX),
    row(`66 0f ${highOpcode} /r`, `punpckh${suffix} Vx,Wx`, xmmHigh(low, high), SSE2),
  ];
}

export const PACK: readonly Row[] = [
  ...narrowing("0f 63 /r", "packsswb", words.packSignedHalves),
  ...narrowing("0f 67 /r", "packuswb", words.packUnsignedHalves),
  ...narrowing("0f 6b /r", "packssdw", words.packSignedWords),
  row("66 0f 38 2b /r", "packusdw Vx,Wx", xmmNarrowing(words.packUnsignedWords), SSE41),

  ...narrowing("0f 38 01 /r", "phaddw", words.addAdjacentHalves, MMX_SSSE3, SSSE3),
  ...narrowing("0f 38 02 /r", "phaddd", words.addWords, MMX_SSSE3, SSSE3),
  ...narrowing("0f 38 03 /r", "phaddsw", words.addAdjacentSaturated, MMX_SSSE3, SSSE3),
  ...narrowing("0f 38 05 /r", "phsubw", words.subAdjacentHalves, MMX_SSSE3, SSSE3),
  ...narrowing("0f 38 06 /r", "phsubd", words.subWords, MMX_SSSE3, SSSE3),
  ...narrowing("0f 38 07 /r", "phsubsw", words.subAdjacentSaturated, MMX_SSSE3, SSSE3),

  ...unpacking("60", "68", "bw", [bytesLow, bytesHigh]),
  ...unpacking("61", "69", "wd", [halvesLow, halvesHigh]),
  ...unpacking("62", "6a", "dq", [wordsLow, wordsHigh]),
  row("66 0f 6c /r", "punpcklqdq Vx,Wx", unpackLowPairs, SSE2),
  row("66 0f 6d /r", "punpckhqdq Vx,Wx", unpackHighPairs, SSE2),
  row("np 0f 14 /r", "unpcklps Vx,Wx", unpackLowWords, SSE),
  row("66 0f 14 /r", "unpcklpd Vx,Wx", unpackLowPairs, SSE2),
  row("np 0f 15 /r", "unpckhps Vx,Wx", unpackHighWords, SSE),
  row("66 0f 15 /r", "unpckhpd Vx,Wx", unpackHighPairs, SSE2),
];
