/** Shuffles, blends, PALIGNR, and the extensions of lanes to wider ones (SDM 2B). */

import type { Cpu } from "../../cpu.ts";
import { Word } from "../../cpu.ts";
import type { Handler, Insn } from "../../insn.ts";
import { type Row, row } from "../row.ts";
import { mmxDestination, mmxSource } from "./mmx_operands.ts";
import { MMX_SSSE3, SSE, SSE2, SSE41, SSSE3 } from "./units.ts";
import { copy128, put128, RESULT, source128, source16, source32, source64 } from "./vector.ts";

/** Word of XMM0, the mask of variable blends. */
const MASK = Word.XMM;

function pshufd(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  const order = insn.immLo;
  const w0 = s[b + (order & 3)], w1 = s[b + (order >>> 2 & 3)];
  put128(s, insn.dst, w0, w1, s[b + (order >>> 4 & 3)], s[b + (order >>> 6 & 3)]);
}

function pshuflw(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  const order = insn.immLo;
  const low = halves(cpu, b, order), high = halves(cpu, b, order >>> 4);
  put128(s, insn.dst, low, high, s[b + 2], s[b + 3]);
}

function pshufhw(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  const order = insn.immLo;
  const low = halves(cpu, b + 2, order), high = halves(cpu, b + 2, order >>> 4);
  put128(s, insn.dst, s[b], s[b + 1], low, high);
}

/** The two halves that bits 3:0 of `order` pick from the four at word `b`. */
function halves({ u16 }: Cpu, b: number, order: number): number {
  return u16[b * 2 + (order & 3)] | u16[b * 2 + (order >>> 2 & 3)] << 16;
}

function shufps(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  const a = insn.dst;
  const order = insn.immLo;
  const w0 = s[a + (order & 3)], w1 = s[a + (order >>> 2 & 3)];
  put128(s, a, w0, w1, s[b + (order >>> 4 & 3)], s[b + (order >>> 6 & 3)]);
}

function shufpd(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  const from = insn.dst + (insn.immLo & 1) * 2;
  const from2 = b + (insn.immLo & 2);
  put128(s, insn.dst, s[from], s[from + 1], s[from2], s[from2 + 1]);
}

function pshufb(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  shuffleBytes(cpu, insn.dst, b, 16);
  copy128(cpu.s, RESULT, insn.dst);
}

function mmxPshufb(cpu: Cpu, insn: Insn): void {
  const b = mmxSource(cpu, insn);
  const a = mmxDestination(cpu, insn);
  shuffleBytes(cpu, a, b, 8);
  cpu.s[a] = cpu.s[RESULT];
  cpu.s[a + 1] = cpu.s[RESULT + 1];
}

/** Picks bytes from word `a` on by the bytes from word `b` on; those with the top bit set give 0. */
function shuffleBytes({ u8 }: Cpu, a: number, b: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const pick = u8[b * 4 + i];
    u8[RESULT * 4 + i] = (pick & 0x80) !== 0 ? 0 : u8[a * 4 + (pick & count - 1)];
  }
}

/** Bytes from `immediate` on of the second operand with the first above it. */
function palignr(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  alignBytes(cpu, insn.dst, b, insn.immLo & 255, 16);
  copy128(cpu.s, RESULT, insn.dst);
}

function mmxPalignr(cpu: Cpu, insn: Insn): void {
  const b = mmxSource(cpu, insn);
  const a = mmxDestination(cpu, insn);
  alignBytes(cpu, a, b, insn.immLo & 255, 8);
  cpu.s[a] = cpu.s[RESULT];
  cpu.s[a + 1] = cpu.s[RESULT + 1];
}

function alignBytes({ u8 }: Cpu, a: number, b: number, count: number, size: number): void {
  for (let i = 0; i < size; i++) {
    const from = i + count;
    u8[RESULT * 4 + i] = from < size
      ? u8[b * 4 + from]
      : from < 2 * size
      ? u8[a * 4 + from - size]
      : 0;
  }
}

function blendps(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  for (let i = 0; i < 4; i++) {
    if ((insn.immLo >>> i & 1) !== 0) s[insn.dst + i] = s[b + i];
  }
}

function blendpd(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  for (let i = 0; i < 4; i++) {
    if ((insn.immLo >>> (i >>> 1) & 1) !== 0) s[insn.dst + i] = s[b + i];
  }
}

function pblendw(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { u16 } = cpu;
  for (let i = 0; i < 8; i++) {
    if ((insn.immLo >>> i & 1) !== 0) u16[insn.dst * 2 + i] = u16[b * 2 + i];
  }
}

// The lanes of the second operand whose top bit in XMM0 is set.
function pblendvb(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { u8 } = cpu;
  for (let i = 0; i < 16; i++) {
    if ((u8[MASK * 4 + i] & 0x80) !== 0) u8[insn.dst * 4 + i] = u8[b * 4 + i];
  }
}

function blendvps(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  for (let i = 0; i < 4; i++) {
    if (s[MASK + i] < 0) s[insn.dst + i] = s[b + i];
  }
}

function blendvpd(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  for (let i = 0; i < 4; i += 2) {
    if (s[MASK + i + 1] < 0) {
      s[insn.dst + i] = s[b + i];
      s[insn.dst + i + 1] = s[b + i + 1];
    }
  }
}

/** A result from one lane: bits 31:0, sign-extended to 64 where the lane is that wide. */
type Extension = (cpu: Cpu, b: number, i: number) => number;

function signedByte({ u8 }: Cpu, b: number, i: number): number {
  return u8[b * 4 + i] << 24 >> 24;
}
function unsignedByte({ u8 }: Cpu, b: number, i: number): number {
  return u8[b * 4 + i];
}
function signedHalf({ u16 }: Cpu, b: number, i: number): number {
  return u16[b * 2 + i] << 16 >> 16;
}
function unsignedHalf({ u16 }: Cpu, b: number, i: number): number {
  return u16[b * 2 + i];
}
function word({ s }: Cpu, b: number, i: number): number {
  return s[b + i];
}

function toHalves(lane: Extension): Handler {
  return (cpu, insn) => {
    const b = source64(cpu, insn);
    for (let i = 0; i < 4; i++) {
      cpu.s[RESULT + i] = lane(cpu, b, 2 * i) & 0xffff | lane(cpu, b, 2 * i + 1) << 16;
    }
    copy128(cpu.s, RESULT, insn.dst);
  };
}

function toWords(lane: Extension, source: (cpu: Cpu, insn: Insn) => number): Handler {
  return (cpu, insn) => {
    const b = source(cpu, insn);
    const w0 = lane(cpu, b, 0), w1 = lane(cpu, b, 1), w2 = lane(cpu, b, 2);
    put128(cpu.s, insn.dst, w0, w1, w2, lane(cpu, b, 3));
  };
}

function toSignedPairs(lane: Extension, source: (cpu: Cpu, insn: Insn) => number): Handler {
  return (cpu, insn) => {
    const b = source(cpu, insn);
    const low = lane(cpu, b, 0), high = lane(cpu, b, 1);
    put128(cpu.s, insn.dst, low, low >> 31, high, high >> 31);
  };
}

function toUnsignedPairs(lane: Extension, source: (cpu: Cpu, insn: Insn) => number): Handler {
  return (cpu, insn) => {
    const b = source(cpu, insn);
    put128(cpu.s, insn.dst, lane(cpu, b, 0), 0, lane(cpu, b, 1), 0);
  };
}

export const SHUFFLE: readonly Row[] = [
  row("66 0f 70 /r ib", "pshufd Vx,Wx,Ib", pshufd, SSE2),
  row("f2 0f 70 /r ib", "pshuflw Vx,Wx,Ib", pshuflw, SSE2),
  row("f3 0f 70 /r ib", "pshufhw Vx,Wx,Ib", pshufhw, SSE2),
  row("np 0f c6 /r ib", "shufps Vx,Wx,Ib", shufps, SSE),
  row("66 0f c6 /r ib", "shufpd Vx,Wx,Ib", shufpd, SSE2),
  row("np 0f 38 00 /r", "pshufb Pq,Qq", mmxPshufb, MMX_SSSE3),
  row("66 0f 38 00 /r", "pshufb Vx,Wx", pshufb, SSSE3),
  row("np 0f 3a 0f /r ib", "palignr Pq,Qq,Ib", mmxPalignr, MMX_SSSE3),
  row("66 0f 3a 0f /r ib", "palignr Vx,Wx,Ib", palignr, SSSE3),

  row("66 0f 3a 0c /r ib", "blendps Vx,Wx,Ib", blendps, SSE41),
  row("66 0f 3a 0d /r ib", "blendpd Vx,Wx,Ib", blendpd, SSE41),
  row("66 0f 3a 0e /r ib", "pblendw Vx,Wx,Ib", pblendw, SSE41),
  row("66 0f 38 10 /r", "pblendvb Vx,Wx", pblendvb, SSE41),
  row("66 0f 38 14 /r", "blendvps Vx,Wx", blendvps, SSE41),
  row("66 0f 38 15 /r", "blendvpd Vx,Wx", blendvpd, SSE41),

  row("66 0f 38 20 /r", "pmovsxbw Vx,Wq", toHalves(signedByte), SSE41),
  row("66 0f 38 21 /r", "pmovsxbd Vx,Wd", toWords(signedByte, source32), SSE41),
  row("66 0f 38 22 /r", "pmovsxbq Vx,Ww", toSignedPairs(signedByte, source16), SSE41),
  row("66 0f 38 23 /r", "pmovsxwd Vx,Wq", toWords(signedHalf, source64), SSE41),
  row("66 0f 38 24 /r", "pmovsxwq Vx,Wd", toSignedPairs(signedHalf, source32), SSE41),
  row("66 0f 38 25 /r", "pmovsxdq Vx,Wq", toSignedPairs(word, source64), SSE41),
  row("66 0f 38 30 /r", "pmovzxbw Vx,Wq", toHalves(unsignedByte), SSE41),
  row("66 0f 38 31 /r", "pmovzxbd Vx,Wd", toWords(unsignedByte, source32), SSE41),
  row("66 0f 38 32 /r", "pmovzxbq Vx,Ww", toUnsignedPairs(unsignedByte, source16), SSE41),
  row("66 0f 38 33 /r", "pmovzxwd Vx,Wq", toWords(unsignedHalf, source64), SSE41),
  row("66 0f 38 34 /r", "pmovzxwq Vx,Wd", toUnsignedPairs(unsignedHalf, source32), SSE41),
  row("66 0f 38 35 /r", "pmovzxdq Vx,Wq", toUnsignedPairs(word, source64), SSE41),
];
