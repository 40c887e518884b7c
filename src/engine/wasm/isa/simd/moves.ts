/** Moves between XMM registers, memory, and general registers (SDM 2A, 2B). */

import { linearAddress, segmentAddress } from "../../address.ts";
import type { Cpu } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import * as memory from "../../memory.ts";
import * as operands from "../../operands.ts";
import { bySize, type Row, row } from "../row.ts";
import { SSE, SSE2, SSE3, SSE41 } from "./units.ts";
import * as vector from "./vector.ts";

// V8 folds a module's own constants, not those of others.
const { store8, store32, store64 } = memory;
const { readSrc32, readSrc64, writeDst32, writeDst64 } = operands;
const { copy128, put128, source64, source128, sourceUnaligned } = vector;
const { write128, writeUnaligned } = vector;

/** Word of RDI. */
const RDI = 14;

function loadAligned(cpu: Cpu, insn: Insn): void {
  copy128(cpu.s, source128(cpu, insn), insn.dst);
}
function loadUnaligned(cpu: Cpu, insn: Insn): void {
  copy128(cpu.s, sourceUnaligned(cpu, insn), insn.dst);
}
function storeAligned(cpu: Cpu, insn: Insn): void {
  write128(cpu, insn, insn.src);
}
function storeUnaligned(cpu: Cpu, insn: Insn): void {
  writeUnaligned(cpu, insn, insn.src);
}

/** MOVSS and MOVSD: between registers the rest stays, from memory it becomes 0. */
function loadSingle(cpu: Cpu, insn: Insn): void {
  if (insn.isMem) put128(cpu.s, insn.dst, readSrc32(cpu, insn), 0, 0, 0);
  else cpu.s[insn.dst] = cpu.s[insn.src];
}
function loadDouble(cpu: Cpu, insn: Insn): void {
  if (insn.isMem) movqFrom64(cpu, insn);
  else moveLow(cpu, insn.src, insn.dst);
}
function storeSingle(cpu: Cpu, insn: Insn): void {
  if (insn.isMem) store32(cpu, linearAddress(cpu, insn), cpu.hi, cpu.s[insn.src]);
  else cpu.s[insn.dst] = cpu.s[insn.src];
}
function storeDouble(cpu: Cpu, insn: Insn): void {
  if (insn.isMem) store64At(cpu, insn, insn.src);
  else moveLow(cpu, insn.src, insn.dst);
}

/** Copies two words. */
function moveLow({ s }: Cpu, from: number, to: number): void {
  const lo = s[from];
  s[to + 1] = s[from + 1];
  s[to] = lo;
}

/** Writes two words to the first operand, which is in memory. */
function store64At(cpu: Cpu, insn: Insn, from: number): void {
  const lo = linearAddress(cpu, insn);
  store64(cpu, lo, cpu.hi, cpu.s[from], cpu.s[from + 1]);
}

// MOVLPS, MOVLPD, MOVHPS, MOVHPD, MOVHLPS, MOVLHPS: one half.
function loadLow(cpu: Cpu, insn: Insn): void {
  moveLow(cpu, source64(cpu, insn), insn.dst);
}
function loadHigh(cpu: Cpu, insn: Insn): void {
  moveLow(cpu, source64(cpu, insn), insn.dst + 2);
}
function highToLow(cpu: Cpu, insn: Insn): void {
  moveLow(cpu, insn.src + 2, insn.dst);
}
function storeLow(cpu: Cpu, insn: Insn): void {
  store64At(cpu, insn, insn.src);
}
function storeHigh(cpu: Cpu, insn: Insn): void {
  store64At(cpu, insn, insn.src + 2);
}

function movddup(cpu: Cpu, insn: Insn): void {
  const b = source64(cpu, insn);
  const { s } = cpu;
  put128(s, insn.dst, s[b], s[b + 1], s[b], s[b + 1]);
}
function movsldup(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  put128(s, insn.dst, s[b], s[b], s[b + 2], s[b + 2]);
}
function movshdup(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  put128(s, insn.dst, s[b + 1], s[b + 1], s[b + 3], s[b + 3]);
}

function movd32(cpu: Cpu, insn: Insn): void {
  put128(cpu.s, insn.dst, readSrc32(cpu, insn), 0, 0, 0);
}
/** MOVQ from a general register or memory. */
function movqFrom64(cpu: Cpu, insn: Insn): void {
  const lo = readSrc64(cpu, insn);
  put128(cpu.s, insn.dst, lo, cpu.hi, 0, 0);
}
function movdTo32(cpu: Cpu, insn: Insn): void {
  writeDst32(cpu, insn, cpu.s[insn.src]);
}
function movqTo64(cpu: Cpu, insn: Insn): void {
  writeDst64(cpu, insn, cpu.s[insn.src], cpu.s[insn.src + 1]);
}
/** MOVQ between XMM registers, or from memory: the rest becomes 0. */
function movq(cpu: Cpu, insn: Insn): void {
  const b = source64(cpu, insn);
  put128(cpu.s, insn.dst, cpu.s[b], cpu.s[b + 1], 0, 0);
}
function storeQuad(cpu: Cpu, insn: Insn): void {
  if (insn.isMem) store64At(cpu, insn, insn.src);
  else movq(cpu, insn);
}

// The lanes' top bits.
function movmskps(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const { src } = insn;
  const mask = s[src] >>> 31 | s[src + 1] >>> 31 << 1 | s[src + 2] >>> 31 << 2 |
    s[src + 3] >>> 31 << 3;
  writeDst32(cpu, insn, mask);
}
function movmskpd(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  writeDst32(cpu, insn, s[insn.src + 1] >>> 31 | s[insn.src + 3] >>> 31 << 1);
}
function pmovmskb(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const { src } = insn;
  const mask = topBits(s[src]) | topBits(s[src + 1]) << 4 | topBits(s[src + 2]) << 8 |
    topBits(s[src + 3]) << 12;
  writeDst32(cpu, insn, mask);
}

/** The top bits of a word's bytes. */
export function topBits(word: number): number {
  return word >>> 7 & 1 | word >>> 14 & 2 | word >>> 21 & 4 | word >>> 28 & 8;
}

function maskmovdqu(cpu: Cpu, insn: Insn): void {
  storeSelected(cpu, insn, 16);
}

/** Writes those of `size` bytes to DS:rDI whose byte of the second operand has its top bit set. */
export function storeSelected(cpu: Cpu, insn: Insn, size: number): void {
  const { s, u8 } = cpu;
  const { addrSize } = insn;
  const offset = addrSize === 2 ? s[RDI] & 0xffff : s[RDI];
  const offsetHi = addrSize === 8 ? s[RDI + 1] : 0;
  const lo = segmentAddress(cpu, insn.seg, offset, offsetHi, size, true);
  const { hi } = cpu;
  for (let i = 0; i < size; i++) {
    if ((u8[insn.src * 4 + i] & 0x80) === 0) continue;
    const at = lo + i | 0;
    const carry = lo < 0 && at >= 0 ? 1 : 0;
    store8(cpu, at, cpu.is64 ? hi + carry | 0 : 0, u8[insn.dst * 4 + i]);
  }
}

export const SIMD_MOVES: readonly Row[] = [
  row("np 0f 10 /r", "movups Vx,Wx", loadUnaligned, SSE),
  row("66 0f 10 /r", "movupd Vx,Wx", loadUnaligned, SSE2),
  row("f3 0f 10 /r", "movss Vd,Wd", loadSingle, SSE),
  row("f2 0f 10 /r", "movsd Vq,Wq", loadDouble, SSE2),
  row("np 0f 11 /r", "movups Wx,Vx", storeUnaligned, SSE),
  row("66 0f 11 /r", "movupd Wx,Vx", storeUnaligned, SSE2),
  row("f3 0f 11 /r", "movss Wd,Vd", storeSingle, SSE),
  row("f2 0f 11 /r", "movsd Wq,Vq", storeDouble, SSE2),

  row("np 0f 12 /r", "movlps Vq,Mq", loadLow, { ...SSE, form: "mem" }),
  row("np 0f 12 /r", "movhlps Vq,Uq", highToLow, { ...SSE, form: "reg" }),
  row("66 0f 12 /r", "movlpd Vq,Mq", loadLow, SSE2),
  row("f3 0f 12 /r", "movsldup Vx,Wx", movsldup, SSE3),
  row("f2 0f 12 /r", "movddup Vx,Wq", movddup, SSE3),
  row("np 0f 13 /r", "movlps Mq,Vq", storeLow, SSE),
  row("66 0f 13 /r", "movlpd Mq,Vq", storeLow, SSE2),
  row("np 0f 16 /r", "movhps Vq,Mq", loadHigh, { ...SSE, form: "mem" }),
  row("np 0f 16 /r", "movlhps Vq,Uq", loadHigh, { ...SSE, form: "reg" }),
  row("66 0f 16 /r", "movhpd Vq,Mq", loadHigh, SSE2),
  row("f3 0f 16 /r", "movshdup Vx,Wx", movshdup, SSE3),
  row("np 0f 17 /r", "movhps Mq,Vq", storeHigh, SSE),
  row("66 0f 17 /r", "movhpd Mq,Vq", storeHigh, SSE2),

  row("np 0f 28 /r", "movaps Vx,Wx", loadAligned, SSE),
  row("66 0f 28 /r", "movapd Vx,Wx", loadAligned, SSE2),
  row("np 0f 29 /r", "movaps Wx,Vx", storeAligned, SSE),
  row("66 0f 29 /r", "movapd Wx,Vx", storeAligned, SSE2),
  row("66 0f 6f /r", "movdqa Vx,Wx", loadAligned, SSE2),
  row("66 0f 7f /r", "movdqa Wx,Vx", storeAligned, SSE2),
  row("f3 0f 6f /r", "movdqu Vx,Wx", loadUnaligned, SSE2),
  row("f3 0f 7f /r", "movdqu Wx,Vx", storeUnaligned, SSE2),
  row("f2 0f f0 /r", "lddqu Vx,Mx", loadUnaligned, SSE3),
  row("np 0f 2b /r", "movntps Mx,Vx", storeAligned, SSE),
  row("66 0f 2b /r", "movntpd Mx,Vx", storeAligned, SSE2),
  row("66 0f e7 /r", "movntdq Mx,Vx", storeAligned, SSE2),
  row("66 0f 38 2a /r", "movntdqa Vx,Mx", loadAligned, SSE41),

  row("66 0f 6e /r", "movd Vx,Ey", bySize(movd32, movd32, movqFrom64), SSE2),
  row("66 0f 7e /r", "movd Ey,Vx", bySize(movdTo32, movdTo32, movqTo64), SSE2),
  row("f3 0f 7e /r", "movq Vq,Wq", movq, SSE2),
  row("66 0f d6 /r", "movq Wq,Vq", storeQuad, SSE2),

  row("np 0f 50 /r", "movmskps Gd,Ux", movmskps, SSE),
  row("66 0f 50 /r", "movmskpd Gd,Ux", movmskpd, SSE2),
  row("66 0f d7 /r", "pmovmskb Gd,Ux", pmovmskb, SSE2),
  row("66 0f f7 /r", "maskmovdqu Vx,Ux", maskmovdqu, { ...SSE2, reads: true }),
];
