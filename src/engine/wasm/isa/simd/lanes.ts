/** Single lanes taken out of registers and put into them: PEXTR, PINSR, EXTRACTPS, INSERTPS (SDM 2B). */

import { linearAddress } from "../../address.ts";
import type { Cpu } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { load16, load8, store16, store8 } from "../../memory.ts";
import { readSrc32, readSrc64, writeDst32, writeDst64 } from "../../operands.ts";
import { bySize, type Row, row } from "../row.ts";
import { checkPending, enterMmx, mmxDestination } from "./mmx_operands.ts";
import { MMX_SSE, SSE2, SSE41 } from "./units.ts";
import { source32 } from "./vector.ts";

// To a general register the lane is zero-extended; to memory it goes alone.
function pextrb(cpu: Cpu, insn: Insn): void {
  const value = cpu.u8[insn.src * 4 + (insn.immLo & 15)];
  if (insn.isMem) store8(cpu, linearAddress(cpu, insn), cpu.hi, value);
  else writeDst32(cpu, insn, value);
}
function pextrw(cpu: Cpu, insn: Insn): void {
  const value = cpu.u16[insn.src * 2 + (insn.immLo & 7)];
  if (insn.isMem) store16(cpu, linearAddress(cpu, insn), cpu.hi, value);
  else writeDst32(cpu, insn, value);
}
function pextrd(cpu: Cpu, insn: Insn): void {
  writeDst32(cpu, insn, cpu.s[insn.src + (insn.immLo & 3)]);
}
function pextrq(cpu: Cpu, insn: Insn): void {
  const at = insn.src + (insn.immLo & 1) * 2;
  writeDst64(cpu, insn, cpu.s[at], cpu.s[at + 1]);
}
function mmxPextrw(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  writeDst32(cpu, insn, cpu.u16[insn.src * 2 + (insn.immLo & 3)]);
  enterMmx(cpu);
}

function pinsrb(cpu: Cpu, insn: Insn): void {
  const value = insn.isMem ? load8(cpu, linearAddress(cpu, insn), cpu.hi) : cpu.s[insn.src];
  cpu.u8[insn.dst * 4 + (insn.immLo & 15)] = value;
}
function pinsrw(cpu: Cpu, insn: Insn): void {
  const value = insn.isMem ? load16(cpu, linearAddress(cpu, insn), cpu.hi) : cpu.s[insn.src];
  cpu.u16[insn.dst * 2 + (insn.immLo & 7)] = value;
}
function mmxPinsrw(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const value = insn.isMem ? load16(cpu, linearAddress(cpu, insn), cpu.hi) : cpu.s[insn.src];
  cpu.u16[mmxDestination(cpu, insn) * 2 + (insn.immLo & 3)] = value;
}
function pinsrd(cpu: Cpu, insn: Insn): void {
  cpu.s[insn.dst + (insn.immLo & 3)] = readSrc32(cpu, insn);
}
function pinsrq(cpu: Cpu, insn: Insn): void {
  const at = insn.dst + (insn.immLo & 1) * 2;
  const lo = readSrc64(cpu, insn);
  cpu.s[at] = lo;
  cpu.s[at + 1] = cpu.hi;
}

/** Bits 7:6 of the immediate pick from a register, 5:4 where to, 3:0 what becomes 0. */
function insertps(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const { dst, immLo } = insn;
  const b = source32(cpu, insn);
  s[dst + (immLo >>> 4 & 3)] = insn.isMem ? s[b] : s[b + (immLo >>> 6 & 3)];
  for (let i = 0; i < 4; i++) {
    if ((immLo >>> i & 1) !== 0) s[dst + i] = 0;
  }
}

const REG = { ...SSE41, form: "reg" } as const;
const MEM = { ...SSE41, form: "mem" } as const;

export const LANES: readonly Row[] = [
  row("66 0f 3a 14 /r ib", "pextrb Rd,Vx,Ib", pextrb, REG),
  row("66 0f 3a 14 /r ib", "pextrb Mb,Vx,Ib", pextrb, MEM),
  row("66 0f 3a 15 /r ib", "pextrw Rd,Vx,Ib", pextrw, REG),
  row("66 0f 3a 15 /r ib", "pextrw Mw,Vx,Ib", pextrw, MEM),
  row("66 0f 3a 16 /r ib", "pextrd Ey,Vx,Ib", bySize(pextrd, pextrd, pextrq), SSE41),
  row("66 0f 3a 17 /r ib", "extractps Ed,Vx,Ib", pextrd, SSE41),
  row("np 0f c5 /r ib", "pextrw Gd,Nq,Ib", mmxPextrw, MMX_SSE),
  row("66 0f c5 /r ib", "pextrw Gd,Ux,Ib", pextrw, SSE2),

  row("66 0f 3a 20 /r ib", "pinsrb Vx,Rd,Ib", pinsrb, REG),
  row("66 0f 3a 20 /r ib", "pinsrb Vx,Mb,Ib", pinsrb, MEM),
  row("66 0f 3a 21 /r ib", "insertps Vx,Wd,Ib", insertps, SSE41),
  row("66 0f 3a 22 /r ib", "pinsrd Vx,Ey,Ib", bySize(pinsrd, pinsrd, pinsrq), SSE41),
  row("np 0f c4 /r ib", "pinsrw Pq,Rd,Ib", mmxPinsrw, { ...MMX_SSE, form: "reg" }),
  row("np 0f c4 /r ib", "pinsrw Pq,Mw,Ib", mmxPinsrw, { ...MMX_SSE, form: "mem" }),
  row("66 0f c4 /r ib", "pinsrw Vx,Rd,Ib", pinsrw, { ...SSE2, form: "reg" }),
  row("66 0f c4 /r ib", "pinsrw Vx,Mw,Ib", pinsrw, { ...SSE2, form: "mem" }),
];
