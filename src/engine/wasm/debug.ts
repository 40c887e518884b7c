/**
 * Debug registers, breakpoints and single-stepping (SDM 3B chapter 17). While anything of that is
 * on, the interpreter runs instructions one by one, with `beforeStep` and `afterStep` around them,
 * and pages with a data breakpoint stay out of the TLB, so that each access to them is noted.
 */

import { borrowOf } from "../../base/u64.ts";
import { Cr4 } from "../../cpu/modes.ts";
import { Seg, STATE_MSRS } from "../../cpu/state.ts";
import { type Cpu, Flag, Word } from "./cpu.ts";
import { FaultClass, GUEST_EXCEPTION, Vector } from "./exception.ts";

/** DR6 bits (SDM 3B §17.2.3). */
export const Dr6 = {
  /** Breakpoint i has been met: bit i. */
  B: 0xf,
  /** An access to a debug register while DR7.GD was set. */
  BD: 1 << 13,
  /** Single step. */
  BS: 1 << 14,
  /** Task switch. */
  BT: 1 << 15,
  /** Bits that always read as 1. */
  FIXED: 0xffff_0ff0 | 0,
} as const;
/** DR7 bits (SDM 3B §17.2.4). */
export const Dr7 = {
  /** L0, G0 to L3, G3. */
  ENABLES: 0xff,
  /** General detect: accesses to debug registers raise #DB. */
  GD: 1 << 13,
  FIXED: 0x400,
} as const;

/** Word of IA32_DEBUGCTL. */
const DEBUGCTL = Word.MSRS + STATE_MSRS.indexOf(0x1d9) * 2;
/** R/W fields of DR7. */
const Kind = { EXECUTE: 0, WRITE: 1, IO: 2, ACCESS: 3 } as const;
/** Bytes that a breakpoint covers, by its LEN field. */
const LENGTHS: readonly number[] = [1, 2, 8, 4];
/** Words of DR6 and DR7. */
const DR6 = Word.DEBUG + 8;
const DR7 = Word.DEBUG + 10;
/** IA32_DEBUGCTL: single-step on branches (SDM 3B §17.4.1). */
const BTF = 1 << 1;
/** The shadow that MOV SS and POP SS cast: debug exceptions are inhibited (SDM 3A §6.8.3). */
const MOV_SS = 1 << 1;
const PAGE = -4096;

/** What DR0 to DR7, CR4.DE or RFLAGS mean for the interpreter: after any change of them. */
export function updateDebug(cpu: Cpu): void {
  let watching = false;
  for (let i = 0; i < 4; i++) {
    const kind = kindOf(cpu, i);
    if (kind === Kind.WRITE || kind === Kind.ACCESS) watching = true;
  }
  // What is in the TLB is not looked at.
  if (watching || cpu.watching) cpu.paging.flush();
  cpu.watching = watching;
  updateStepping(cpu);
}

/** Whether instructions run one by one: after a change of RFLAGS.TF or RF. */
export function updateStepping(cpu: Cpu): void {
  cpu.stepping = (cpu.s[Word.RFLAGS] & Flag.RF) !== 0 || stepsRepetitions(cpu);
}

/**
 * Whether each repetition of a string instruction is looked at: TF traps behind each, and so do
 * breakpoints (SDM 3B §17.3.1.4). RF alone, as when a page has been missing, does not matter to them.
 */
export function stepsRepetitions(cpu: Cpu): boolean {
  const { s } = cpu;
  return (s[Word.RFLAGS] & Flag.TF) !== 0 || (s[DR7] & Dr7.ENABLES) !== 0;
}

/** Before an instruction that is stepped: raises #DB for a breakpoint at it (SDM 3B §17.3.1.1). */
export function beforeStep(cpu: Cpu): void {
  const { s } = cpu;
  const inhibited = (cpu.shadow & MOV_SS) !== 0;
  // Data breakpoints that MOV SS has met wait for the instruction behind it.
  if (!inhibited) cpu.debugHits = 0;
  if ((s[Word.RFLAGS] & Flag.RF) !== 0) {
    // For this instruction only; what faults has it set in the image anyway.
    s[Word.RFLAGS] &= ~Flag.RF;
    return;
  }
  if (inhibited || (s[DR7] & Dr7.ENABLES) === 0) return;
  let lo = s[Word.RIP];
  let hi = s[Word.RIP + 1];
  if (!cpu.is64) {
    lo = (lo + cpu.baseLo(Seg.CS)) | 0;
    hi = 0;
  }
  let hits = 0;
  for (let i = 0; i < 4; i++) {
    const at = Word.DEBUG + i * 2;
    if (kindOf(cpu, i) === Kind.EXECUTE && s[at] === lo && s[at + 1] === hi) hits |= 1 << i;
  }
  if (hits === 0) return;
  // RIP is at the instruction already.
  cpu.block = undefined;
  raiseDebug(cpu, hits, FaultClass.FAULT);
}

/**
 * Behind an instruction that has been stepped: whether #DB comes of it, which is to be delivered then,
 * for the breakpoints that its accesses have met, and for the step itself. It is not thrown, since
 * that is most of what a step costs.
 * @param stepped RFLAGS.TF was set when the instruction began.
 */
export function afterStep(cpu: Cpu, stepped: boolean): boolean {
  const { s } = cpu;
  keepRepeating(cpu);
  // MOV SS and POP SS: the step is lost, data breakpoints wait.
  if ((cpu.shadow & MOV_SS) !== 0) {
    updateStepping(cpu);
    return false;
  }
  let cause = cpu.debugHits;
  cpu.debugHits = 0;
  if (stepped && tracesStep(cpu)) cause |= Dr6.BS;
  updateStepping(cpu);
  if (cause === 0) return false;
  // The instruction has been accounted for.
  cpu.block = undefined;
  if ((cause & Dr6.BS) !== 0) s[DEBUGCTL] &= ~BTF;
  setDebug(cpu, cause, FaultClass.TRAP);
  return true;
}

/**
 * Raises #DB.
 * @param cause `Dr6` bits.
 */
export function raiseDebug(cpu: Cpu, cause: number, faultClass: FaultClass): never {
  setDebug(cpu, cause, faultClass);
  throw GUEST_EXCEPTION;
}

/** Makes #DB the vCPU's exception. */
function setDebug(cpu: Cpu, cause: number, faultClass: FaultClass): void {
  const { s } = cpu;
  const others = s[DR6] & ~Dr6.B;
  s[DR6] = others | cause | Dr6.FIXED;
  // The handler may use the debug registers (SDM 3B §17.2.4).
  s[DR7] &= ~Dr7.GD;
  cpu.faultVector = Vector.DB;
  cpu.faultCode = 0;
  cpu.faultClass = faultClass;
}

/** Whether a data breakpoint lies in the page of `hi:lo`. */
export function isWatched(cpu: Cpu, lo: number, hi: number): boolean {
  const { s } = cpu;
  for (let i = 0; i < 4; i++) {
    const kind = kindOf(cpu, i);
    if (kind !== Kind.WRITE && kind !== Kind.ACCESS) continue;
    // A breakpoint is aligned to its length: it lies in one page.
    const at = Word.DEBUG + i * 2;
    if ((s[at] & PAGE) === (lo & PAGE) && s[at + 1] === hi) return true;
  }
  return false;
}

/** An access of `size` bytes at `hi:lo` is made: notes the data breakpoints that it meets. */
export function noteAccess(cpu: Cpu, lo: number, hi: number, size: number, write: boolean): void {
  const { s } = cpu;
  for (let i = 0; i < 4; i++) {
    const kind = kindOf(cpu, i);
    if (kind !== Kind.ACCESS && !(write && kind === Kind.WRITE)) continue;
    const at = Word.DEBUG + i * 2;
    const length = lengthOf(cpu, i);
    const from = s[at] & -length;
    if (isWithin(lo, hi, from, s[at + 1], length) || isWithin(from, s[at + 1], lo, hi, size)) {
      cpu.debugHits |= 1 << i;
    }
  }
}

/** An access of `size` bytes to `port` is made: notes the I/O breakpoints that it meets. */
export function notePort(cpu: Cpu, port: number, size: number): void {
  const { s } = cpu;
  for (let i = 0; i < 4; i++) {
    if (kindOf(cpu, i) !== Kind.IO) continue;
    const length = lengthOf(cpu, i);
    const from = s[Word.DEBUG + i * 2] & -length;
    if (port < from + length && from < port + size) cpu.debugHits |= 1 << i;
  }
}

/** What breakpoint `i` waits for: a `Kind`, or -1 when it is off or undefined. */
function kindOf(cpu: Cpu, i: number): number {
  const control = cpu.s[DR7];
  if ((control >>> i * 2 & 3) === 0) return -1;
  const kind = control >>> 16 + i * 4 & 3;
  const undefinedKind = kind === Kind.IO && (cpu.s[Word.CR4] & Cr4.DE) === 0;
  return undefinedKind ? -1 : kind;
}

function lengthOf(cpu: Cpu, i: number): number {
  return LENGTHS[cpu.s[DR7] >>> 18 + i * 4 & 3];
}

/** Whether a lies in the `length` bytes from b on, as 64-bit addresses. */
function isWithin(aLo: number, aHi: number, bLo: number, bHi: number, length: number): boolean {
  const lo = (aLo - bLo) | 0;
  const hi = (aHi - bHi - borrowOf(aLo, bLo, lo)) | 0;
  return hi === 0 && lo >>> 0 < length;
}

/** Whether the step of an instruction that began with TF set is one to report. */
function tracesStep(cpu: Cpu): boolean {
  const { s } = cpu;
  const insn = cpu.block?.insns[0];
  if (insn === undefined) return true;
  // INT n and SYSCALL clear TF for what they lead to (SDM 3B §17.3.1.4).
  const mnemonic = insn.row?.mnemonic ?? "";
  const clears = mnemonic.startsWith("int") || mnemonic === "syscall";
  if (clears && (s[Word.RFLAGS] & Flag.TF) === 0) return false;
  if ((s[DEBUGCTL] & BTF) === 0) return true;
  return s[Word.RIP] !== ((cpu.codeBaseLo + insn.next) | 0);
}

/**
 * A string instruction that stands between two of its repetitions meets no breakpoint again: RF is
 * set for its next part (SDM 3B §17.3.1.1).
 */
function keepRepeating(cpu: Cpu): void {
  const { s } = cpu;
  const insn = cpu.block?.insns[0];
  if (insn === undefined || insn.rep === 0) return;
  if (s[Word.RIP] === ((cpu.codeBaseLo + insn.offset) | 0)) s[Word.RFLAGS] |= Flag.RF;
}
