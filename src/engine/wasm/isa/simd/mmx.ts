/** Moves, extractions and shuffles of MMX registers (SDM 2A, 2B). */

import { linearAddress } from "../../address.ts";
import type { Cpu } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { store64 } from "../../memory.ts";
import { readSrc32, readSrc64, writeDst32, writeDst64 } from "../../operands.ts";
import { bySize, type Row, row } from "../row.ts";
import { checkPending, enterMmx, mmxDestination, mmxSource } from "./mmx_operands.ts";
import { storeSelected, topBits } from "./moves.ts";
import { MMX, MMX_SSE, SSE2 } from "./units.ts";
import { put128 } from "./vector.ts";

function setMmx(cpu: Cpu, insn: Insn, lo: number, hi: number): void {
  const a = mmxDestination(cpu, insn);
  cpu.s[a] = lo;
  cpu.s[a + 1] = hi;
}

function load(cpu: Cpu, insn: Insn): void {
  const b = mmxSource(cpu, insn);
  setMmx(cpu, insn, cpu.s[b], cpu.s[b + 1]);
}

function store(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const { src } = insn;
  if (!insn.isMem) return load(cpu, insn);
  checkPending(cpu);
  const lo = linearAddress(cpu, insn);
  store64(cpu, lo, cpu.hi, s[src], s[src + 1]);
  enterMmx(cpu);
}

function movdFrom32(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  setMmx(cpu, insn, readSrc32(cpu, insn), 0);
}
function movqFrom64(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const lo = readSrc64(cpu, insn);
  setMmx(cpu, insn, lo, cpu.hi);
}
function movdTo32(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  writeDst32(cpu, insn, cpu.s[insn.src]);
  enterMmx(cpu);
}
function movqTo64(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  writeDst64(cpu, insn, cpu.s[insn.src], cpu.s[insn.src + 1]);
  enterMmx(cpu);
}

function movq2dq(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  put128(cpu.s, insn.dst, cpu.s[insn.src], cpu.s[insn.src + 1], 0, 0);
  enterMmx(cpu);
}

function pmovmskb(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  writeDst32(cpu, insn, topBits(cpu.s[insn.src]) | topBits(cpu.s[insn.src + 1]) << 4);
  enterMmx(cpu);
}

function maskmovq(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  storeSelected(cpu, insn, 8);
  enterMmx(cpu);
}

function pshufw(cpu: Cpu, insn: Insn): void {
  const b = mmxSource(cpu, insn);
  const { u16 } = cpu;
  const order = insn.immLo;
  const low = u16[b * 2 + (order & 3)] | u16[b * 2 + (order >>> 2 & 3)] << 16;
  const high = u16[b * 2 + (order >>> 4 & 3)] | u16[b * 2 + (order >>> 6 & 3)] << 16;
  setMmx(cpu, insn, low, high);
}

export const SIMD_MMX: readonly Row[] = [
  row("np 0f 6e /r", "movd Pq,Ey", bySize(movdFrom32, movdFrom32, movqFrom64), MMX),
  row("np 0f 7e /r", "movd Ey,Pq", bySize(movdTo32, movdTo32, movqTo64), MMX),
  row("np 0f 6f /r", "movq Pq,Qq", load, MMX),
  row("np 0f 7f /r", "movq Qq,Pq", store, MMX),
  row("np 0f e7 /r", "movntq Mq,Pq", store, MMX_SSE),
  row("f2 0f d6 /r", "movdq2q Pq,Uq", load, SSE2),
  row("f3 0f d6 /r", "movq2dq Vx,Nq", movq2dq, SSE2),
  row("np 0f d7 /r", "pmovmskb Gd,Nq", pmovmskb, MMX_SSE),
  row("np 0f f7 /r", "maskmovq Pq,Nq", maskmovq, { ...MMX_SSE, reads: true }),
  row("np 0f 70 /r ib", "pshufw Pq,Qq,Ib", pshufw, MMX_SSE),
];
