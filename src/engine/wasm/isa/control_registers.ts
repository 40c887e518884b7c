/** MOV to and from control and debug registers, LMSW, SMSW, CLTS (SDM 2A, 2B; SDM 3A §2.5). */

import { Cr0, Cr4, Efer } from "../../../cpu/modes.ts";
import { Seg } from "../../../cpu/state.ts";
import { type Cpu, Word } from "../cpu.ts";
import { Dr6, Dr7, raiseDebug, updateDebug } from "../debug.ts";
import { FaultClass, Vector } from "../exception.ts";
import type { Insn } from "../insn.ts";
import { Attribute, updateModes, updateUnitTraps } from "../modes.ts";
import { readDst16, writeDst16, writeDst32, writeDst64 } from "../operands.ts";
import { bySize, type Row, row } from "./row.ts";

/** CR0 bits that can be changed; ET is always 1, other bits are ignored. */
const CR0_BITS = Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.NW | Cr0.CD |
  Cr0.PG;
/** CR0 bits that matter to translation. */
const CR0_PAGING = Cr0.PE | Cr0.WP | Cr0.NW | Cr0.CD | Cr0.PG;
/** CR4 bits that there are; others raise #GP. */
const CR4_BITS = Cr4.TSD | Cr4.DE | Cr4.PSE | Cr4.PAE | Cr4.MCE | Cr4.PGE | Cr4.PCE | Cr4.OSFXSR |
  Cr4.OSXMMEXCPT | Cr4.UMIP | Cr4.LA57 | Cr4.FSGSBASE | Cr4.PCIDE | Cr4.OSXSAVE | Cr4.SMEP |
  Cr4.SMAP | Cr4.PKE;
const CR4_PAGING = Cr4.PSE | Cr4.PAE | Cr4.PGE | Cr4.LA57 | Cr4.PCIDE | Cr4.SMEP | Cr4.SMAP |
  Cr4.PKE;
/** Bit 63 of a value for CR3, in its upper half: keep what is cached for the PCID. */
const NO_FLUSH = 1 << 31;
/** LMSW writes PE, MP, EM and TS. */
const MSW_BITS = Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS;
const DR6_BITS = Dr6.B | Dr6.BD | Dr6.BS | Dr6.BT;
/** DR7: enables, LE and GE, GD, and the four breakpoints' fields. */
const DR7_BITS = 0xffff_23ff | 0;

function gp(cpu: Cpu): never {
  return cpu.raise(Vector.GP);
}

/** Writes CR0, with what follows from it: EFER.LMA and PDPTEs. */
function writeCr0(cpu: Cpu, lo: number, hi: number): void {
  const { s } = cpu;
  const old = s[Word.CR0];
  const efer = s[Word.EFER];
  const cr4 = s[Word.CR4];
  const value = (lo & CR0_BITS) | Cr0.ET;
  const paging = (value & Cr0.PG) !== 0;
  if (hi !== 0) gp(cpu);
  if (paging && (value & Cr0.PE) === 0) gp(cpu);
  if ((value & (Cr0.NW | Cr0.CD)) === Cr0.NW) gp(cpu);
  let newEfer = efer;
  if (paging && (old & Cr0.PG) === 0) {
    if ((efer & Efer.LME) !== 0) {
      const codeIsLong = (cpu.attributes(Seg.CS) & Attribute.LONG) !== 0;
      if ((cr4 & Cr4.PAE) === 0 || codeIsLong) gp(cpu);
      newEfer |= Efer.LMA;
    }
  } else if (!paging && (old & Cr0.PG) !== 0) {
    if (cpu.is64 || (cr4 & Cr4.PCIDE) !== 0) gp(cpu);
    newEfer &= ~Efer.LMA;
  }
  s[Word.CR0] = value;
  s[Word.EFER] = newEfer;
  if (((old ^ value) & CR0_PAGING) !== 0) {
    if (!cpu.paging.controlRegistersChanged()) {
      s[Word.CR0] = old;
      s[Word.EFER] = efer;
      cpu.paging.controlRegistersChanged();
      gp(cpu);
    }
    updateModes(cpu);
  } else if (((old ^ value) & Cr0.AM) !== 0) updateModes(cpu);
  else updateUnitTraps(cpu);
}

/** Writes CR3; in PAE paging this loads the PDPTEs (SDM 3A §4.4.1). */
function writeCr3(cpu: Cpu, lo: number, hi: number): void {
  const { s } = cpu;
  const pcid = (s[Word.CR4] & Cr4.PCIDE) !== 0;
  const high = pcid ? hi & ~NO_FLUSH : hi;
  if (high >>> (cpu.cpuid.maxPhyAddrBits - 32) !== 0) gp(cpu);
  if (!cpu.paging.loadCr3(lo, high)) gp(cpu);
  s[Word.CR3] = lo;
  s[Word.CR3 + 1] = high;
}

function writeCr4(cpu: Cpu, lo: number, hi: number): void {
  const { s } = cpu;
  const old = s[Word.CR4];
  const changed = old ^ lo;
  if (hi !== 0 || (lo & ~CR4_BITS) !== 0) gp(cpu);
  if (cpu.longMode && ((lo & Cr4.PAE) === 0 || (changed & Cr4.LA57) !== 0)) gp(cpu);
  if ((changed & lo & Cr4.PCIDE) !== 0 && (!cpu.longMode || (s[Word.CR3] & 0xfff) !== 0)) gp(cpu);
  s[Word.CR4] = lo;
  if ((changed & CR4_PAGING) !== 0 && !cpu.paging.controlRegistersChanged()) {
    s[Word.CR4] = old;
    cpu.paging.controlRegistersChanged();
    gp(cpu);
  }
  if ((changed & Cr4.DE) !== 0) updateDebug(cpu);
  updateModes(cpu);
}

/** MOV to CR0, CR2, CR3, CR4, CR8. */
function movToCr(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const lo = s[insn.rm * 2];
  const hi = cpu.is64 ? s[insn.rm * 2 + 1] : 0;
  switch (insn.reg) {
    case 0:
      return writeCr0(cpu, lo, hi);
    case 2:
      s[Word.CR2] = lo;
      s[Word.CR2 + 1] = hi;
      return;
    case 3:
      return writeCr3(cpu, lo, hi);
    case 4:
      return writeCr4(cpu, lo, hi);
    case 8:
      if (hi !== 0 || (lo & ~15) !== 0) gp(cpu);
      cpu.apic.taskPriority = lo;
      return;
    default:
      return cpu.raise(Vector.UD);
  }
}

/** MOV from the same: 64 bits in 64-bit mode, else 32. */
function movFromCr(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  let from: number;
  switch (insn.reg) {
    case 0:
      from = Word.CR0;
      break;
    case 2:
      from = Word.CR2;
      break;
    case 3:
      from = Word.CR3;
      break;
    case 4:
      from = Word.CR4;
      break;
    case 8:
      s[insn.rm * 2] = cpu.apic.taskPriority;
      s[insn.rm * 2 + 1] = 0;
      return;
    default:
      return cpu.raise(Vector.UD);
  }
  s[insn.rm * 2] = s[from];
  s[insn.rm * 2 + 1] = cpu.is64 ? s[from + 1] : 0;
}

/** Word of the debug register that `insn` names, or raises: DR4 and DR5 are DR6 and DR7 unless CR4.DE. */
function debugRegister(cpu: Cpu, insn: Insn): number {
  const { s } = cpu;
  const { reg } = insn;
  const aliased = reg === 4 || reg === 5;
  if (reg >= 8 || (aliased && (s[Word.CR4] & Cr4.DE) !== 0)) cpu.raise(Vector.UD);
  if ((s[Word.DEBUG + 10] & Dr7.GD) !== 0) raiseDebug(cpu, Dr6.BD, FaultClass.FAULT);
  const slot = reg < 4 ? reg : aliased ? reg : reg - 2;
  return Word.DEBUG + slot * 2;
}

function movToDr(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const at = debugRegister(cpu, insn);
  const lo = s[insn.rm * 2];
  const hi = cpu.is64 ? s[insn.rm * 2 + 1] : 0;
  if (at < Word.DEBUG + 8) {
    // Not checked for being canonical (SDM 3B §17.2.6).
    s[at] = lo;
    s[at + 1] = hi;
  } else {
    if (hi !== 0) gp(cpu);
    s[at] = at === Word.DEBUG + 8 ? (lo & DR6_BITS) | Dr6.FIXED : (lo & DR7_BITS) | Dr7.FIXED;
    s[at + 1] = 0;
  }
  updateDebug(cpu);
}

function movFromDr(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const at = debugRegister(cpu, insn);
  s[insn.rm * 2] = s[at];
  s[insn.rm * 2 + 1] = cpu.is64 ? s[at + 1] : 0;
}

/** LMSW cannot leave protected mode. */
function lmsw(cpu: Cpu, insn: Insn): void {
  const old = cpu.s[Word.CR0];
  const value = readDst16(cpu, insn);
  writeCr0(cpu, (old & ~MSW_BITS) | (value & MSW_BITS) | (old & Cr0.PE), 0);
}

/** UMIP: not for programs (SDM 3A §2.5). */
function checkUmip(cpu: Cpu): void {
  if (cpu.cpl !== 0 && (cpu.s[Word.CR4] & Cr4.UMIP) !== 0) gp(cpu);
}
function smsw16(cpu: Cpu, insn: Insn): void {
  checkUmip(cpu);
  writeDst16(cpu, insn, cpu.s[Word.CR0]);
}
function smsw32(cpu: Cpu, insn: Insn): void {
  checkUmip(cpu);
  writeDst32(cpu, insn, cpu.s[Word.CR0]);
}
function smsw64(cpu: Cpu, insn: Insn): void {
  checkUmip(cpu);
  writeDst64(cpu, insn, cpu.s[Word.CR0], 0);
}

function clts(cpu: Cpu): void {
  cpu.s[Word.CR0] &= ~Cr0.TS;
  updateUnitTraps(cpu);
}

const PRIVILEGED = { cpl0: true, ends: true } as const;
const MOVE = { ...PRIVILEGED, form: "mod-ignored" } as const;

/** MOV CR and DR, LMSW, SMSW, CLTS. */
export const CONTROL_REGISTERS: readonly Row[] = [
  row("0f 20 /r", "mov Rd,Cd", movFromCr, MOVE),
  row("0f 21 /r", "mov Rd,Dd", movFromDr, MOVE),
  row("0f 22 /r", "mov Cd,Rd", movToCr, MOVE),
  row("0f 23 /r", "mov Dd,Rd", movToDr, MOVE),
  row("0f 01 /6", "lmsw Ew", lmsw, { ...PRIVILEGED, reads: true }),
  row("0f 01 /4", "smsw Rv", bySize(smsw16, smsw32, smsw64), { form: "reg" }),
  row("0f 01 /4", "smsw Mw", smsw16, { form: "mem" }),
  row("0f 06", "clts", clts, PRIVILEGED),
];
