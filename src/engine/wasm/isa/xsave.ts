/** XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS, XGETBV, XSETBV (SDM 1 chapter 13). */

import { XCR0_BITS, type XsaveComponent } from "../../../cpu/cpuid_model.ts";
import { Cr0, Cr4 } from "../../../cpu/modes.ts";
import { Reg } from "../../../cpu/state.ts";
import { linearAddress } from "../address.ts";
import { type Cpu, Word } from "../cpu.ts";
import { Vector } from "../exception.ts";
import type { Insn } from "../insn.ts";
import { AREA_AT } from "../private_state.ts";
import * as area from "../xsave_area.ts";
import { type Row, row } from "./row.ts";

const { Area, Component, MXCSR_INIT, MXCSR_MASK } = area;
const { inUse, offsetIn, readIn, wordOf, writeOut } = area;

/** XCOMP_BV bit 63, in its upper half: the compacted format. */
const COMPACTED = 1 << 31;
const XSTATE_BV = (AREA_AT + Area.XSTATE_BV) / 4;
const XCOMP_BV = (AREA_AT + Area.XCOMP_BV) / 4;
const MXCSR = (AREA_AT + Area.MXCSR) / 4;
/** The x87 part of the legacy region: up to MXCSR, and from the first register on. */
const X87_END = 24;
const ST0 = 32;

/** #UD unless the system has enabled XSAVE. */
function checkEnabled(cpu: Cpu): void {
  if ((cpu.s[Word.CR4] & Cr4.OSXSAVE) === 0) cpu.raise(Vector.UD);
}

/** The area's address: low half, high half in `cpu.hi`. Raises what precedes all accesses. */
function areaAddress(cpu: Cpu, insn: Insn): number {
  checkEnabled(cpu);
  if ((cpu.s[Word.CR0] & Cr0.TS) !== 0) cpu.raise(Vector.NM);
  const lo = linearAddress(cpu, insn);
  if ((lo & 63) !== 0) cpu.raise(Vector.GP);
  return lo;
}

/** The components that the instruction is asked for: RFBM. */
function requested(cpu: Cpu): number {
  return cpu.s[Word.XCR0] & cpu.s[Reg.RAX * 2];
}

/**
 * Writes the components in `which` to the area; MXCSR goes its own way.
 * @param format Of `offsetIn`.
 */
function saveComponents(
  cpu: Cpu,
  insn: Insn,
  lo: number,
  hi: number,
  which: number,
  format: number,
): void {
  if ((which & Component.X87) !== 0) {
    cpu.x87.save(cpu.view, AREA_AT, insn.opSize === 8);
    writeOut(cpu, lo, hi, 0, X87_END);
    writeOut(cpu, lo, hi, ST0, Area.XMM);
  }
  if ((which & Component.SSE) !== 0) {
    area.putXmm(cpu);
    writeOut(cpu, lo, hi, Area.XMM, Area.XMM + area.xmmCount(cpu) * 16);
  }
  for (const component of cpu.cpuid.components) {
    if ((which & component.bit) === 0) continue;
    const at = offsetIn(cpu, component, format);
    const word = wordOf(component);
    cpu.s.copyWithin((AREA_AT + at) / 4, word, word + component.sizeBytes / 4);
    writeOut(cpu, lo, hi, at, at + component.sizeBytes);
  }
}

function saveMxcsr(cpu: Cpu, lo: number, hi: number): void {
  area.putMxcsr(cpu);
  writeOut(cpu, lo, hi, Area.MXCSR, ST0);
}

/** XSAVE and XSAVEOPT: the standard format (SDM 1 §13.7, §13.9). */
function saveStandard(cpu: Cpu, insn: Insn, optimized: boolean): void {
  const { s } = cpu;
  const lo = areaAddress(cpu, insn);
  const { hi } = cpu;
  const asked = requested(cpu);
  const used = inUse(cpu);
  readIn(cpu, lo, hi, Area.XSTATE_BV, Area.XCOMP_BV);
  s[XSTATE_BV] = s[XSTATE_BV] & ~asked | used & asked;
  writeOut(cpu, lo, hi, Area.XSTATE_BV, Area.XCOMP_BV);
  saveComponents(cpu, insn, lo, hi, optimized ? asked & used : asked, 0);
  if ((asked & Component.SSE) !== 0) saveMxcsr(cpu, lo, hi);
}

function xsave(cpu: Cpu, insn: Insn): void {
  saveStandard(cpu, insn, false);
}
function xsaveopt(cpu: Cpu, insn: Insn): void {
  saveStandard(cpu, insn, true);
}

/** XSAVEC and XSAVES, which has no supervisor components here (SDM 1 §13.10, §13.11). */
function xsavec(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const lo = areaAddress(cpu, insn);
  const { hi } = cpu;
  const asked = requested(cpu);
  let used = inUse(cpu);
  // An MXCSR of its own makes SSE state one to save.
  if (s[Word.MXCSR] !== MXCSR_INIT) used |= Component.SSE;
  s[XSTATE_BV] = used & asked;
  s[XSTATE_BV + 1] = 0;
  s[XCOMP_BV] = asked;
  s[XCOMP_BV + 1] = COMPACTED;
  writeOut(cpu, lo, hi, Area.XSTATE_BV, Area.XCOMP_BV + 8);
  saveComponents(cpu, insn, lo, hi, used & asked, asked);
  if ((used & asked & Component.SSE) !== 0) saveMxcsr(cpu, lo, hi);
}

/** Checks the header in the image; returns whether the format is compacted (SDM 1 §13.8, §13.12). */
function checkHeader(cpu: Cpu, mustBeCompacted: boolean): boolean {
  const { s } = cpu;
  const compacted = (s[XCOMP_BV + 1] & COMPACTED) !== 0;
  const xcr0 = s[Word.XCR0];
  const present = compacted ? s[XCOMP_BV] : xcr0;
  let wrong = mustBeCompacted && !compacted;
  wrong ||= s[XSTATE_BV + 1] !== 0 || (s[XSTATE_BV] & ~present) !== 0;
  wrong ||= (s[XCOMP_BV + 1] & ~COMPACTED) !== 0 || (s[XCOMP_BV] & ~xcr0) !== 0;
  wrong ||= !compacted && s[XCOMP_BV] !== 0;
  // Bytes 23:16 of the header in the standard format, 63:16 in the compacted one.
  const end = compacted ? Area.EXTENDED : Area.XCOMP_BV + 16;
  for (let at = XCOMP_BV + 2; at < (AREA_AT + end) / 4; at++) wrong ||= s[at] !== 0;
  if (wrong) cpu.raise(Vector.GP);
  return compacted;
}

/** Everything is read and checked before anything is changed. */
function restore(cpu: Cpu, insn: Insn, mustBeCompacted: boolean): void {
  const { s } = cpu;
  const lo = areaAddress(cpu, insn);
  const { hi } = cpu;
  const asked = requested(cpu);
  readIn(cpu, lo, hi, Area.XSTATE_BV, Area.EXTENDED);
  const compacted = checkHeader(cpu, mustBeCompacted);
  const loaded = asked & s[XSTATE_BV];
  const initial = asked & ~s[XSTATE_BV];
  if ((loaded & Component.X87) !== 0) {
    readIn(cpu, lo, hi, 0, X87_END);
    readIn(cpu, lo, hi, ST0, Area.XMM);
  }
  if ((loaded & Component.SSE) !== 0) {
    readIn(cpu, lo, hi, Area.XMM, Area.XMM + area.xmmCount(cpu) * 16);
  }
  // In the standard format MXCSR is loaded whenever SSE is asked for.
  const mxcsrLoaded = compacted ? (loaded & Component.SSE) !== 0 : (asked & Component.SSE) !== 0;
  if (mxcsrLoaded) {
    readIn(cpu, lo, hi, Area.MXCSR, ST0);
    if ((s[MXCSR] & ~MXCSR_MASK) !== 0) cpu.raise(Vector.GP);
  }
  const { components } = cpu.cpuid;
  const format = compacted ? s[XCOMP_BV] : 0;
  for (const component of components) {
    if ((loaded & component.bit) === 0) continue;
    const at = offsetIn(cpu, component, format);
    readIn(cpu, lo, hi, at, at + component.sizeBytes);
  }

  if ((loaded & Component.X87) !== 0) cpu.x87.restore(cpu.view, AREA_AT, insn.opSize === 8);
  else if ((initial & Component.X87) !== 0) area.clearX87(cpu);
  if ((loaded & Component.SSE) !== 0) area.takeXmm(cpu);
  else if ((initial & Component.SSE) !== 0) area.clearXmm(cpu);
  if (mxcsrLoaded) s[Word.MXCSR] = s[MXCSR];
  else if (compacted && (initial & Component.SSE) !== 0) s[Word.MXCSR] = MXCSR_INIT;
  const pkru = s[Word.PKRU];
  for (const component of components) {
    if ((loaded & component.bit) !== 0) takeComponent(cpu, component, format);
    else if ((initial & component.bit) !== 0) clearComponent(cpu, component);
  }
  if (s[Word.PKRU] !== pkru) cpu.paging.keysChanged();
}

function takeComponent(cpu: Cpu, component: XsaveComponent, format: number): void {
  const from = (AREA_AT + offsetIn(cpu, component, format)) / 4;
  cpu.s.copyWithin(wordOf(component), from, from + component.sizeBytes / 4);
  if (component.bit === Component.PKRU) cpu.s[Word.PKRU + 1] = 0; // reserved
}

function clearComponent(cpu: Cpu, component: XsaveComponent): void {
  const word = wordOf(component);
  cpu.s.fill(0, word, word + component.sizeBytes / 4);
}

function xrstor(cpu: Cpu, insn: Insn): void {
  restore(cpu, insn, false);
}

/** #UD and #GP for programs: privilege comes behind CR4.OSXSAVE. */
function xrstors(cpu: Cpu, insn: Insn): void {
  checkEnabled(cpu);
  if (cpu.cpl !== 0) cpu.raise(Vector.GP);
  restore(cpu, insn, true);
}
function xsaves(cpu: Cpu, insn: Insn): void {
  checkEnabled(cpu);
  if (cpu.cpl !== 0) cpu.raise(Vector.GP);
  xsavec(cpu, insn);
}

/** XCR0, or with ECX = 1 the part of it that is in use. */
function xgetbv(cpu: Cpu): void {
  const { s } = cpu;
  checkEnabled(cpu);
  const index = s[Reg.RCX * 2] >>> 0;
  if (index > 1) cpu.raise(Vector.GP);
  const xcr0 = s[Word.XCR0];
  s[Reg.RAX * 2] = index === 0 ? xcr0 : xcr0 & inUse(cpu);
  s[Reg.RAX * 2 + 1] = 0;
  s[Reg.RDX * 2] = 0;
  s[Reg.RDX * 2 + 1] = 0;
}

function xsetbv(cpu: Cpu): void {
  const { s } = cpu;
  checkEnabled(cpu);
  const value = s[Reg.RAX * 2];
  const valid = s[Reg.RDX * 2] === 0 && (value & ~XCR0_BITS) === 0 && (value & Component.X87) !== 0;
  if (cpu.cpl !== 0 || s[Reg.RCX * 2] !== 0 || !valid) cpu.raise(Vector.GP);
  s[Word.XCR0] = value;
}

/** Legacy region and header: what the segment must have room for. */
const AREA = { form: "mem", memSize: Area.EXTENDED } as const;
const READS = { ...AREA, reads: true } as const;

/** XSAVE and its relatives. PKRU may change what can be accessed: loads end their block. */
export const XSAVE: readonly Row[] = [
  row("np 0f ae /4", "xsave M", xsave, { ...AREA, feature: "xsave" }),
  row("np 0f ae /5", "xrstor M", xrstor, { ...READS, feature: "xsave", ends: true }),
  row("np 0f ae /6", "xsaveopt M", xsaveopt, { ...AREA, feature: "xsaveopt" }),
  row("np 0f c7 /4", "xsavec M", xsavec, { ...AREA, feature: "xsavec" }),
  row("np 0f c7 /5", "xsaves M", xsaves, { ...AREA, feature: "xsaves" }),
  row("np 0f c7 /3", "xrstors M", xrstors, { ...READS, feature: "xsaves", ends: true }),
  row("np 0f 01 d0", "xgetbv", xgetbv, { feature: "xsave" }),
  row("np 0f 01 d1", "xsetbv", xsetbv, { feature: "xsave", ends: true }),
];
