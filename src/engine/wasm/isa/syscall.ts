/** SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM 2B): segments without descriptors. */

import { Cr0, Efer } from "../../../cpu/modes.ts";
import { Reg, Seg, SegField, State } from "../../../cpu/state.ts";
import { type Cpu, Flag, STATUS_FLAGS, Word } from "../cpu.ts";
import { Vector } from "../exception.ts";
import { interruptsOn } from "../flags.ts";
import type { Insn } from "../insn.ts";
import { isCanonical, updateModes } from "../modes.ts";
import { msrWord } from "./msr.ts";
import { type Row, row } from "./row.ts";

const STAR_HI = msrWord(0xc000_0081) + 1;
const LSTAR = msrWord(0xc000_0082);
const FMASK = msrWord(0xc000_0084);
const SYSENTER_CS = msrWord(0x174);
const SYSENTER_ESP = msrWord(0x175);
const SYSENTER_EIP = msrWord(0x176);

/** Attributes of flat segments at privilege level 0 (layout: `SegField.ATTRIBUTES`). */
const CODE64 = 0xa09b;
const CODE32 = 0xc09b;
const DATA32 = 0xc093;
/** DPL 3. */
const USER = 3 << 5;
/** What SYSRET takes from R11 (SDM 2B SYSRET). */
const SYSRET_FLAGS = 0x3c7fd7;

function setFlatSegment(cpu: Cpu, seg: number, selector: number, attributes: number): void {
  const at = State.SEGMENTS + seg * 16;
  cpu.s[at / 4] = 0;
  cpu.s[at / 4 + 1] = 0;
  cpu.s[(at + SegField.LIMIT) / 4] = -1;
  cpu.u16[(at + SegField.SELECTOR) / 2] = selector;
  cpu.u16[(at + SegField.ATTRIBUTES) / 2] = attributes;
}

function setFlags(cpu: Cpu, flags: number): void {
  cpu.setStatusFlags(flags);
  cpu.s[Word.RFLAGS] = flags & ~STATUS_FLAGS | 2;
}

function setRip(cpu: Cpu, lo: number, hi: number): void {
  cpu.s[Word.RIP] = lo;
  cpu.s[Word.RIP + 1] = hi;
}

/** Only in 64-bit mode, as on Intel's processors. */
function checkEnabled(cpu: Cpu): void {
  if (!cpu.is64 || (cpu.s[Word.EFER] & Efer.SCE) === 0) cpu.raise(Vector.UD);
}

function syscall(cpu: Cpu): void {
  const { s } = cpu;
  checkEnabled(cpu);
  const flags = cpu.flags;
  s[Reg.RCX * 2] = s[Word.RIP];
  s[Reg.RCX * 2 + 1] = s[Word.RIP + 1];
  s[Reg.R11 * 2] = flags;
  s[Reg.R11 * 2 + 1] = 0;
  setRip(cpu, s[LSTAR], s[LSTAR + 1]);
  setFlags(cpu, flags & ~s[FMASK] & ~Flag.RF);
  // SS keeps the RPL that CS loses (SDM 2B SYSCALL).
  const selector = s[STAR_HI] & 0xffff;
  setFlatSegment(cpu, Seg.CS, selector & 0xfffc, CODE64);
  setFlatSegment(cpu, Seg.SS, selector + 8, DATA32);
  updateModes(cpu);
}

function sysret(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  checkEnabled(cpu);
  if (cpu.cpl !== 0) cpu.raise(Vector.GP);
  const to64 = insn.opSize === 8;
  const hi = s[Reg.RCX * 2 + 1];
  if (to64 && !isCanonical(cpu, hi)) cpu.raise(Vector.GP);
  setRip(cpu, s[Reg.RCX * 2], to64 ? hi : 0);
  setFlags(cpu, s[Reg.R11 * 2] & SYSRET_FLAGS);
  const selector = s[STAR_HI] >>> 16;
  const code = (to64 ? selector + 16 : selector) | 3;
  setFlatSegment(cpu, Seg.CS, code, (to64 ? CODE64 : CODE32) | USER);
  setFlatSegment(cpu, Seg.SS, (selector + 8) | 3, DATA32 | USER);
  updateModes(cpu);
  if ((s[Word.RFLAGS] & Flag.IF) !== 0) interruptsOn(cpu);
}

/** The selector in IA32_SYSENTER_CS, or raises #GP(0): none, or real mode. */
function sysenterSelector(cpu: Cpu): number {
  const { s } = cpu;
  const selector = s[SYSENTER_CS] & 0xfffc;
  if ((s[Word.CR0] & Cr0.PE) === 0 || selector === 0) cpu.raise(Vector.GP);
  return selector;
}

function sysenter(cpu: Cpu): void {
  const { s } = cpu;
  const selector = sysenterSelector(cpu);
  const long = cpu.longMode;
  s[Word.RFLAGS] &= ~(Flag.VM | Flag.IF);
  s[Reg.RSP * 2] = s[SYSENTER_ESP];
  s[Reg.RSP * 2 + 1] = long ? s[SYSENTER_ESP + 1] : 0;
  setRip(cpu, s[SYSENTER_EIP], long ? s[SYSENTER_EIP + 1] : 0);
  setFlatSegment(cpu, Seg.CS, selector, long ? CODE64 : CODE32);
  setFlatSegment(cpu, Seg.SS, selector + 8, DATA32);
  updateModes(cpu);
}

function sysexit(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const selector = sysenterSelector(cpu);
  if (cpu.cpl !== 0) cpu.raise(Vector.GP);
  const to64 = insn.opSize === 8;
  const ripHi = s[Reg.RDX * 2 + 1];
  const rspHi = s[Reg.RCX * 2 + 1];
  if (to64 && !(isCanonical(cpu, ripHi) && isCanonical(cpu, rspHi))) cpu.raise(Vector.GP);
  s[Reg.RSP * 2] = s[Reg.RCX * 2];
  s[Reg.RSP * 2 + 1] = to64 ? rspHi : 0;
  setRip(cpu, s[Reg.RDX * 2], to64 ? ripHi : 0);
  const code = (selector + (to64 ? 32 : 16)) | 3;
  setFlatSegment(cpu, Seg.CS, code, (to64 ? CODE64 : CODE32) | USER);
  setFlatSegment(cpu, Seg.SS, code + 8, DATA32 | USER);
  updateModes(cpu);
}

/** SYSCALL, SYSRET, SYSENTER, SYSEXIT. */
export const SYSCALL: readonly Row[] = [
  row("0f 05", "syscall", syscall, { ends: true }),
  row("0f 07", "sysret", sysret, { ends: true }),
  row("0f 34", "sysenter", sysenter, { ends: true, feature: "sep" }),
  row("0f 35", "sysexit", sysexit, { ends: true, feature: "sep" }),
];
