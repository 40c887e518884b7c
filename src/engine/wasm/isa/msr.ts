/** RDMSR and WRMSR, and the model-specific registers that there are (SDM 4). */

import { Efer } from "../../../cpu/modes.ts";
import { Reg, Seg, SegField, State, STATE_MSRS } from "../../../cpu/state.ts";
import { type Cpu, Word } from "../cpu.ts";
import { updateStepping } from "../debug.ts";
import { Vector } from "../exception.ts";
import { updateFlatSegments } from "../modes.ts";
import { MTRR_MSRS } from "./mtrr_msrs.ts";
import { type Row, row } from "./row.ts";
import { guestTsc, setGuestTsc, setTscAdjust, TSC_ADJUST_WORD } from "./tsc.ts";

/** How one register is read and written. */
export interface Msr {
  /** Returns the low half and leaves the high half in `cpu.hi`. */
  readonly read: (cpu: Cpu, msr: number) => number;
  /** Writes, or returns false: #GP(0). */
  readonly write: (cpu: Cpu, msr: number, lo: number, hi: number) => boolean;
}

/** IA32_MISC_ENABLE: fast strings; MONITOR is there, branch and precise-event stores are not. */
const FAST_STRINGS = 1;
const MISC_ENABLE_FIXED = 1 << 18 | 1 << 11 | 1 << 12;
/** IA32_PLATFORM_INFO: a maximum ratio of 10 times 100 MHz. */
const PLATFORM_INFO = 10 << 8;
/** IA32_BIOS_SIGN_ID: revision of the microcode, in the high half. */
const MICROCODE_REVISION = 1;
/** Banks of machine-check registers; all read as zero, for nothing ever fails. */
const MC_BANKS = 2;
/** EFER bits that can be written; LMA is ignored, all others raise #GP. */
const EFER_BITS = Efer.SCE | Efer.LME | Efer.NXE;
/** IA32_DEBUGCTL: LBR (no records are kept), BTF. */
const DEBUGCTL_BITS = 3;

/** Index in `Cpu.s` of an MSR of `STATE_MSRS`. */
export function msrWord(msr: number): number {
  return Word.MSRS + STATE_MSRS.indexOf(msr) * 2;
}

function readWords(cpu: Cpu, at: number): number {
  cpu.hi = cpu.s[at + 1];
  return cpu.s[at];
}
function writeWords(cpu: Cpu, at: number, lo: number, hi: number): true {
  cpu.s[at] = lo;
  cpu.s[at + 1] = hi;
  return true;
}

/** Canonical for the widest linear addresses that the processor has, whatever CR4.LA57. */
function isCanonical57(hi: number): boolean {
  return hi << 7 >> 7 === hi;
}

function readZero(cpu: Cpu): number {
  cpu.hi = 0;
  return 0;
}
function refuse(): boolean {
  return false;
}

/** A register that lies in the state; `valid` says what may be written. */
function stored(msr: number, valid: (lo: number, hi: number) => boolean): [number, Msr] {
  const at = msrWord(msr);
  return [msr, {
    read: (cpu) => readWords(cpu, at),
    write: (cpu, _msr, lo, hi) => valid(lo, hi) && writeWords(cpu, at, lo, hi),
  }];
}
const anything = () => true;
const low32 = (_lo: number, hi: number) => hi === 0;
const canonical = (_lo: number, hi: number) => isCanonical57(hi);
/** PAT: eight memory types (SDM 3A §11.12.2). */
const memoryTypes = (lo: number, hi: number) => areMemoryTypes(lo) && areMemoryTypes(hi);

function areMemoryTypes(four: number): boolean {
  for (let shift = 0; shift < 32; shift += 8) {
    const type = four >>> shift & 0xff;
    if (type > 7 || type === 2 || type === 3) return false;
  }
  return true;
}

/** A register that reads as a constant and cannot be written. */
function constant(msr: number, lo: number, hi = 0): [number, Msr] {
  return [msr, {
    read: (cpu) => {
      cpu.hi = hi;
      return lo;
    },
    write: refuse,
  }];
}

function segmentBase(msr: number, seg: number): [number, Msr] {
  const at = (State.SEGMENTS + seg * 16 + SegField.BASE) / 4;
  return [msr, {
    read: (cpu) => readWords(cpu, at),
    write: (cpu, _msr, lo, hi) => {
      if (!isCanonical57(hi)) return false;
      writeWords(cpu, at, lo, hi);
      updateFlatSegments(cpu);
      return true;
    },
  }];
}

/** LME cannot change while paging is on (SDM 3A §9.8.5). */
function writeEfer(cpu: Cpu, _msr: number, lo: number, hi: number): boolean {
  const { s } = cpu;
  const old = s[Word.EFER];
  if (hi !== 0 || (lo & ~(EFER_BITS | Efer.LMA)) !== 0) return false;
  const paging = s[Word.CR0] < 0; // bit 31, PG
  if (paging && ((old ^ lo) & Efer.LME) !== 0) return false;
  s[Word.EFER] = lo & EFER_BITS | old & Efer.LMA;
  if (((old ^ lo) & Efer.NXE) !== 0) cpu.paging.controlRegistersChanged();
  return true;
}

/** IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC's registers: the local APIC has them. */
const APIC: Msr = {
  read: (cpu, msr) => {
    if (!cpu.apic.readMsr(msr)) cpu.raise(Vector.GP);
    cpu.hi = cpu.apic.msrHi;
    return cpu.apic.msrLo;
  },
  write: (cpu, msr, lo, hi) => cpu.apic.writeMsr(msr, lo, hi),
};

/** Machine-check banks: CTL takes anything, the others only zero (SDM 3B §15.3.2). */
function machineCheckBanks(): [number, Msr][] {
  const control: Msr = { read: readZero, write: anything };
  const log: Msr = { read: readZero, write: (_cpu, _msr, lo, hi) => (lo | hi) === 0 };
  const banks: [number, Msr][] = [];
  for (let at = 0x400; at < 0x400 + MC_BANKS * 4; at++) {
    banks.push([at, at % 4 === 0 ? control : log]);
  }
  return banks;
}

const MSRS: ReadonlyMap<number, Msr> = new Map<number, Msr>([
  [0x10, { // IA32_TIME_STAMP_COUNTER
    read: guestTsc,
    write: (cpu, _msr, lo, hi) => {
      setGuestTsc(cpu, lo, hi);
      return true;
    },
  }],
  constant(0x17, 0), // IA32_PLATFORM_ID
  [0x1b, APIC],
  [0x3b, { // IA32_TSC_ADJUST
    read: (cpu) => readWords(cpu, TSC_ADJUST_WORD),
    write: (cpu, _msr, lo, hi) => {
      setTscAdjust(cpu, lo, hi);
      return true;
    },
  }],
  [0x8b, { // IA32_BIOS_SIGN_ID: systems write 0 and execute CPUID before they read it
    read: (cpu) => {
      cpu.hi = MICROCODE_REVISION;
      return 0;
    },
    write: anything,
  }],
  constant(0xce, PLATFORM_INFO),
  stored(0x174, low32), // IA32_SYSENTER_CS
  stored(0x175, canonical),
  stored(0x176, canonical),
  constant(0x179, MC_BANKS), // IA32_MCG_CAP
  stored(0x17a, (lo, hi) => hi === 0 && lo >>> 0 < 8), // IA32_MCG_STATUS
  [0x1a0, { // IA32_MISC_ENABLE
    read: (cpu) => {
      cpu.hi = 0;
      return cpu.s[msrWord(0x1a0)] & FAST_STRINGS | MISC_ENABLE_FIXED;
    },
    write: (cpu, _msr, lo) => writeWords(cpu, msrWord(0x1a0), lo & FAST_STRINGS, 0),
  }],
  [0x1d9, { // IA32_DEBUGCTL
    read: (cpu) => readWords(cpu, msrWord(0x1d9)),
    write: (cpu, _msr, lo, hi) => {
      if (hi !== 0 || (lo & ~DEBUGCTL_BITS) !== 0) return false;
      writeWords(cpu, msrWord(0x1d9), lo, hi);
      updateStepping(cpu);
      return true;
    },
  }],
  stored(0x277, memoryTypes), // IA32_PAT
  ...MTRR_MSRS,
  ...machineCheckBanks(),
  [0x6e0, APIC],
  [0xda0, { // IA32_XSS: no supervisor state
    read: readZero,
    write: (_cpu, _msr, lo, hi) => (lo | hi) === 0,
  }],
  [0xc000_0080, { read: (cpu) => readWords(cpu, Word.EFER), write: writeEfer }],
  stored(0xc000_0081, anything), // IA32_STAR
  stored(0xc000_0082, canonical), // IA32_LSTAR
  stored(0xc000_0083, canonical), // IA32_CSTAR
  stored(0xc000_0084, low32), // IA32_FMASK
  segmentBase(0xc000_0100, Seg.FS),
  segmentBase(0xc000_0101, Seg.GS),
  stored(0xc000_0102, canonical), // IA32_KERNEL_GS_BASE
  stored(0xc000_0103, low32), // IA32_TSC_AUX
]);

/** The register that ECX names; raises #GP(0) when there is none. */
function find(cpu: Cpu): Msr {
  const msr = cpu.s[Reg.RCX * 2] >>> 0;
  const found = msr >= 0x800 && msr <= 0x8ff ? APIC : MSRS.get(msr);
  if (found === undefined) cpu.raise(Vector.GP);
  return found;
}

function rdmsr(cpu: Cpu): void {
  const { s } = cpu;
  const lo = find(cpu).read(cpu, s[Reg.RCX * 2] >>> 0);
  s[Reg.RAX * 2] = lo;
  s[Reg.RAX * 2 + 1] = 0;
  s[Reg.RDX * 2] = cpu.hi;
  s[Reg.RDX * 2 + 1] = 0;
}

function wrmsr(cpu: Cpu): void {
  const { s } = cpu;
  const msr = find(cpu);
  const written = msr.write(cpu, s[Reg.RCX * 2] >>> 0, s[Reg.RAX * 2], s[Reg.RDX * 2]);
  if (!written) cpu.raise(Vector.GP);
}

/** RDMSR, WRMSR. */
export const MSR: readonly Row[] = [
  row("0f 30", "wrmsr", wrmsr, { cpl0: true, ends: true }),
  row("0f 32", "rdmsr", rdmsr, { cpl0: true }),
];
