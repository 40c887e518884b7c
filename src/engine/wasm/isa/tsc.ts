/** RDTSC, RDTSCP, RDPID, and the time-stamp counter (SDM 3B §17.17): a tick a nanosecond. */

import { borrowOf, carryOf, hi32, lo32 } from "../../../base/u64.ts";
import { Cr4 } from "../../../cpu/modes.ts";
import { Reg, STATE_MSRS } from "../../../cpu/state.ts";
import { type Cpu, Word } from "../cpu.ts";
import { Vector } from "../exception.ts";
import type { Insn } from "../insn.ts";
import { type Row, row } from "./row.ts";

/** Word of IA32_TSC_AUX. */
export const TSC_AUX_WORD: number = Word.MSRS + STATE_MSRS.indexOf(0xc000_0103) * 2;
/** Word of IA32_TSC_ADJUST. */
export const TSC_ADJUST_WORD: number = Word.MSRS + STATE_MSRS.indexOf(0x3b) * 2;

/** The counter as the guest sees it: low half; the high half is in `cpu.hi`. */
export function guestTsc(cpu: Cpu): number {
  const now = cpu.clock.nowNs();
  const nowLo = lo32(now) | 0;
  const lo = (nowLo + cpu.tscOffsetLo) | 0;
  cpu.hi = (hi32(now) + cpu.tscOffsetHi + carryOf(nowLo, cpu.tscOffsetLo, lo)) | 0;
  return lo;
}

/** The guest sets the counter; IA32_TSC_ADJUST follows (SDM 3B §17.17.3). */
export function setGuestTsc(cpu: Cpu, lo: number, hi: number): void {
  const { s } = cpu;
  const oldLo = guestTsc(cpu);
  const oldHi = cpu.hi;
  const byLo = (lo - oldLo) | 0;
  const byHi = (hi - oldHi - borrowOf(lo, oldLo, byLo)) | 0;
  moveTsc(cpu, byLo, byHi);
  const adjust = s[TSC_ADJUST_WORD];
  const sum = (adjust + byLo) | 0;
  s[TSC_ADJUST_WORD] = sum;
  s[TSC_ADJUST_WORD + 1] += byHi + carryOf(adjust, byLo, sum);
}

/** The guest sets IA32_TSC_ADJUST; the counter follows. */
export function setTscAdjust(cpu: Cpu, lo: number, hi: number): void {
  const { s } = cpu;
  const oldLo = s[TSC_ADJUST_WORD];
  const byLo = (lo - oldLo) | 0;
  const byHi = (hi - s[TSC_ADJUST_WORD + 1] - borrowOf(lo, oldLo, byLo)) | 0;
  moveTsc(cpu, byLo, byHi);
  s[TSC_ADJUST_WORD] = lo;
  s[TSC_ADJUST_WORD + 1] = hi;
}

function moveTsc(cpu: Cpu, lo: number, hi: number): void {
  const sum = (cpu.tscOffsetLo + lo) | 0;
  cpu.tscOffsetHi = (cpu.tscOffsetHi + hi + carryOf(cpu.tscOffsetLo, lo, sum)) | 0;
  cpu.tscOffsetLo = sum;
  cpu.apic.setTscOffset(cpu.tscOffsetLo, cpu.tscOffsetHi);
}

function rdtsc(cpu: Cpu): void {
  const { s } = cpu;
  if (cpu.cpl !== 0 && (s[Word.CR4] & Cr4.TSD) !== 0) cpu.raise(Vector.GP);
  s[Reg.RAX * 2] = guestTsc(cpu);
  s[Reg.RAX * 2 + 1] = 0;
  s[Reg.RDX * 2] = cpu.hi;
  s[Reg.RDX * 2 + 1] = 0;
}

function rdtscp(cpu: Cpu): void {
  const { s } = cpu;
  rdtsc(cpu);
  s[Reg.RCX * 2] = s[TSC_AUX_WORD];
  s[Reg.RCX * 2 + 1] = 0;
}

function rdpid(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  s[insn.rm * 2] = s[TSC_AUX_WORD];
  s[insn.rm * 2 + 1] = 0;
}

/** RDTSC, RDTSCP, RDPID. */
export const TSC: readonly Row[] = [
  row("0f 31", "rdtsc", rdtsc, { feature: "tsc" }),
  row("0f 01 f9", "rdtscp", rdtscp, { feature: "rdtscp" }),
  row("f3 0f c7 /7", "rdpid Rd", rdpid, { feature: "rdpid", form: "reg" }),
];
