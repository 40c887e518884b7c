/** Descriptor tables and what is in them: LGDT, LLDT, LTR and their kin; LAR, LSL, VERR, ARPL. */

import { carryOf } from "../../../base/u64.ts";
import { Cr4 } from "../../../cpu/modes.ts";
import { Seg } from "../../../cpu/state.ts";
import { linearAddress } from "../address.ts";
import { type Cpu, Word } from "../cpu.ts";
import { Vector } from "../exception.ts";
import type { Insn } from "../insn.ts";
import { load16, load32, load64, storeBytes } from "../memory.ts";
import { isCanonical } from "../modes.ts";
import {
  fetchDst16,
  readDst16,
  readSrc16,
  updateDst16,
  writeDst16,
  writeDst32,
  writeDst64,
} from "../operands.ts";
import { Descriptor, findDescriptor, isNull } from "../segments.ts";
import { loadLocalTable, loadTaskRegister } from "../task_state.ts";
import { SCRATCH_AT } from "../tlb.ts";
import { type Row, row } from "./row.ts";

/** The descriptor that is looked at. */
const seen = new Descriptor();

/** Bit by type of system segments whose rights LAR gives, outside of IA-32e mode and in it. */
const LAR_TYPES = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 11 | 1 << 12;
const LAR_TYPES64 = 1 << 2 | 1 << 9 | 1 << 11 | 1 << 12;
/** Those that have a limit. */
const LSL_TYPES = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 9 | 1 << 11;
const LSL_TYPES64 = 1 << 2 | 1 << 9 | 1 << 11;

/** #UD where there are no descriptors: real and virtual-8086 mode. */
function needProtected(cpu: Cpu): void {
  if (!cpu.protectedMode) cpu.raise(Vector.UD);
}
function needSupervisor(cpu: Cpu): void {
  if (cpu.cpl !== 0) cpu.raise(Vector.GP);
}
/** User-mode instruction prevention (SDM 3A §2.5). */
function checkUmip(cpu: Cpu): void {
  if (cpu.cpl !== 0 && (cpu.s[Word.CR4] & Cr4.UMIP) !== 0) cpu.raise(Vector.GP);
}

/** Writes a 16-bit value: zero-extended to a register of the operand's size. */
function write16(cpu: Cpu, insn: Insn, value: number): void {
  if (insn.isMem || insn.opSize === 2) writeDst16(cpu, insn, value);
  else if (insn.opSize === 4) writeDst32(cpu, insn, value);
  else writeDst64(cpu, insn, value, 0);
}

function sldt(cpu: Cpu, insn: Insn): void {
  needProtected(cpu);
  checkUmip(cpu);
  write16(cpu, insn, cpu.selector(Seg.LDTR));
}
function str(cpu: Cpu, insn: Insn): void {
  needProtected(cpu);
  checkUmip(cpu);
  write16(cpu, insn, cpu.selector(Seg.TR));
}
function lldt(cpu: Cpu, insn: Insn): void {
  needProtected(cpu);
  needSupervisor(cpu);
  loadLocalTable(cpu, readDst16(cpu, insn), Vector.GP);
}
function ltr(cpu: Cpu, insn: Insn): void {
  needProtected(cpu);
  needSupervisor(cpu);
  loadTaskRegister(cpu, readDst16(cpu, insn));
}

/** Stores a limit and a base of 32 bits, in 64-bit mode 64 bits (SDM 2B, SGDT). */
function storeTable(cpu: Cpu, insn: Insn, at: number): void {
  const { s, view } = cpu;
  checkUmip(cpu);
  const lo = linearAddress(cpu, insn);
  const { hi } = cpu;
  view.setUint16(SCRATCH_AT, s[at + 2], true);
  view.setInt32(SCRATCH_AT + 2, s[at], true);
  view.setInt32(SCRATCH_AT + 6, s[at + 1], true);
  storeBytes(cpu, lo, hi, cpu.is64 ? 10 : 6);
}
function sgdt(cpu: Cpu, insn: Insn): void {
  storeTable(cpu, insn, Word.GDTR);
}
function sidt(cpu: Cpu, insn: Insn): void {
  storeTable(cpu, insn, Word.IDTR);
}

/** Loads a limit and a base: 24 bits of it with 16-bit operands (SDM 2A, LGDT). */
function loadTable(cpu: Cpu, insn: Insn, at: number): void {
  const { s } = cpu;
  needSupervisor(cpu);
  const from = linearAddress(cpu, insn);
  const fromHi = cpu.hi;
  const limit = load16(cpu, from, fromHi);
  const up = (from + 2) | 0;
  let lo: number;
  let hi = 0;
  if (cpu.is64) {
    lo = load64(cpu, up, (fromHi + carryOf(from, 2, up)) | 0);
    hi = cpu.hi;
    if (!isCanonical(cpu, hi)) cpu.raise(Vector.GP);
  } else {
    lo = load32(cpu, up, 0);
    if (insn.opSize === 2) lo &= 0xff_ffff;
  }
  s[at] = lo;
  s[at + 1] = hi;
  s[at + 2] = limit;
}
function lgdt(cpu: Cpu, insn: Insn): void {
  loadTable(cpu, insn, Word.GDTR);
}
function lidt(cpu: Cpu, insn: Insn): void {
  loadTable(cpu, insn, Word.IDTR);
}

/** Whether `selector` names a descriptor that this level may see: of those system types, or S. */
function isVisible(cpu: Cpu, selector: number, systemTypes: number): boolean {
  if (isNull(selector) || !findDescriptor(cpu, selector, seen)) return false;
  if (seen.isSystem && (systemTypes >>> seen.type & 1) === 0) return false;
  if (seen.isCode && seen.isConforming) return true;
  return seen.dpl >= cpu.cpl && seen.dpl >= (selector & 3);
}

function setZero(cpu: Cpu, set: boolean): void {
  cpu.zero = set ? 0 : 1;
}

/** Writes the result of LAR and LSL. */
function write(cpu: Cpu, insn: Insn, value: number): void {
  if (insn.opSize === 2) writeDst16(cpu, insn, value);
  else if (insn.opSize === 4) writeDst32(cpu, insn, value);
  else writeDst64(cpu, insn, value, 0);
}

function lar(cpu: Cpu, insn: Insn): void {
  needProtected(cpu);
  const selector = readSrc16(cpu, insn);
  const visible = isVisible(cpu, selector, cpu.longMode ? LAR_TYPES64 : LAR_TYPES);
  if (visible) write(cpu, insn, seen.hi & (insn.opSize === 2 ? 0xff00 : 0x00f0_ff00));
  setZero(cpu, visible);
}
function lsl(cpu: Cpu, insn: Insn): void {
  needProtected(cpu);
  const selector = readSrc16(cpu, insn);
  const visible = isVisible(cpu, selector, cpu.longMode ? LSL_TYPES64 : LSL_TYPES);
  if (visible) write(cpu, insn, seen.limit);
  setZero(cpu, visible);
}
function verr(cpu: Cpu, insn: Insn): void {
  needProtected(cpu);
  const selector = readDst16(cpu, insn);
  // Data, or code that can be read.
  setZero(cpu, isVisible(cpu, selector, 0) && (seen.type & 10) !== 8);
}
function verw(cpu: Cpu, insn: Insn): void {
  needProtected(cpu);
  const selector = readDst16(cpu, insn);
  setZero(cpu, isVisible(cpu, selector, 0) && seen.isStack);
}

function arpl(cpu: Cpu, insn: Insn): void {
  needProtected(cpu);
  const rpl = readSrc16(cpu, insn) & 3;
  const selector = fetchDst16(cpu, insn);
  const raise = (selector & 3) < rpl;
  updateDst16(cpu, insn, raise ? selector & ~3 | rpl : selector);
  setZero(cpu, raise);
}

const READS = { reads: true } as const;
const ENDS = { ends: true } as const;

export const DESCRIPTOR_TABLES: readonly Row[] = [
  row("0f 00 /0", "sldt Rv", sldt, { form: "reg" }),
  row("0f 00 /0", "sldt Mw", sldt, { form: "mem" }),
  row("0f 00 /1", "str Rv", str, { form: "reg" }),
  row("0f 00 /1", "str Mw", str, { form: "mem" }),
  row("0f 00 /2", "lldt Ew", lldt, READS),
  row("0f 00 /3", "ltr Ew", ltr, READS),
  row("0f 00 /4", "verr Ew", verr, READS),
  row("0f 00 /5", "verw Ew", verw, READS),
  row("0f 01 /0", "sgdt Ms", sgdt, { form: "mem" }),
  row("0f 01 /1", "sidt Ms", sidt, { form: "mem" }),
  row("0f 01 /2", "lgdt Ms", lgdt, { ...READS, ...ENDS, form: "mem" }),
  row("0f 01 /3", "lidt Ms", lidt, { ...READS, ...ENDS, form: "mem" }),
  row("0f 02 /r", "lar Gv,Ew", lar),
  row("0f 03 /r", "lsl Gv,Ew", lsl),
  row("63 /r", "arpl Ew,Gw", arpl, { mode: "legacy" }),
];
