/** Far RET and IRET (SDM 3A §5.8.6, §6.12.1, §6.14.3, §20.2.5; 2A, IRET; 2B, RET). */

import { Reg, Seg } from "../../cpu/state.ts";
import {
  checkCodeSize,
  checkTarget,
  setCode,
  setInstructionPointer,
  setRealCode,
} from "./code_segment.ts";
import { type Cpu, Flag, Word } from "./cpu.ts";
import { Vector } from "./exception.ts";
import { changeFlags, flagsOfFrame } from "./flags.ts";
import { updateModes } from "./modes.ts";
import {
  Descriptor,
  dropInnerSegments,
  isNull,
  markAccessed,
  readDescriptor,
  readStackDescriptor,
  setNullSegment,
  setSegment,
  setV86Segment,
} from "./segments.ts";
import { StackFrame } from "./stack_frame.ts";
import { returnFromTask } from "./task_switch.ts";

const code = new Descriptor();
const stack = new Descriptor();
const frame = new StackFrame();
/** The stack pointer and the stack segment's selector that a return to another stack has popped. */
let stackLo = 0;
let stackHi = 0;
let stackSelector = 0;

/** RET to another segment, with operands of `size` bytes; drops `bytes` of parameters. */
export function farReturn(cpu: Cpu, size: number, bytes: number): void {
  frame.useCurrent(cpu);
  const lo = frame.pop(cpu, size);
  const { hi } = cpu;
  const selector = frame.pop(cpu, size) & 0xffff;
  if (!cpu.protectedMode) {
    setRealCode(cpu, selector, lo);
    frame.skip(bytes);
    frame.commit(cpu);
    updateModes(cpu);
    return;
  }
  const cpl = readReturnCode(cpu, selector);
  frame.skip(bytes);
  if (cpl > cpu.cpl) {
    popStack(cpu, size, cpl);
    checkTarget(cpu, code, lo, hi);
    markAccessed(cpu, code);
    enterOuter(cpu, cpl, lo, hi);
    frame.useCurrent(cpu);
    frame.skip(bytes);
  } else {
    checkTarget(cpu, code, lo, hi);
    markAccessed(cpu, code);
    setCode(cpu, code, cpl, lo, hi);
    updateModes(cpu);
  }
  frame.commit(cpu);
}

/** IRET with operands of `size` bytes. */
export function interruptReturn(cpu: Cpu, size: number): void {
  // Even when it faults (SDM 3A §6.7.1).
  if (cpu.nmiMasked) cpu.unmaskNmi();
  if (!cpu.protectedMode) {
    returnInRealMode(cpu, size);
    return;
  }
  if ((cpu.s[Word.RFLAGS] & Flag.NT) !== 0) {
    if (cpu.longMode) cpu.raise(Vector.GP);
    returnFromTask(cpu);
    return;
  }
  frame.useCurrent(cpu);
  const lo = frame.pop(cpu, size);
  const { hi } = cpu;
  const selector = frame.pop(cpu, size) & 0xffff;
  const flags = frame.pop(cpu, size);
  if (size === 4 && (flags & Flag.VM) !== 0 && cpu.cpl === 0 && !cpu.longMode) {
    returnToV86(cpu, selector, lo, flags);
    return;
  }
  const cpl = readReturnCode(cpu, selector);
  const mask = flagsOfFrame(cpu, size);
  // 64-bit mode always has a stack in the frame.
  const otherStack = cpl > cpu.cpl || cpu.is64;
  if (otherStack) popStack(cpu, size, cpl);
  checkTarget(cpu, code, lo, hi);
  markAccessed(cpu, code);
  changeFlags(cpu, flags, mask);
  if (otherStack) {
    enterOuter(cpu, cpl, lo, hi);
  } else {
    frame.commit(cpu);
    setCode(cpu, code, cpl, lo, hi);
    updateModes(cpu);
  }
}

/** Real mode, and virtual-8086 mode with IOPL 3 (SDM 3A §20.2.7). */
function returnInRealMode(cpu: Cpu, size: number): void {
  const mask = flagsOfFrame(cpu, size);
  if (cpu.v86 && (cpu.s[Word.RFLAGS] & Flag.IOPL) !== Flag.IOPL) cpu.raise(Vector.GP);
  frame.useCurrent(cpu);
  const lo = frame.pop(cpu, size);
  const selector = frame.pop(cpu, size) & 0xffff;
  const flags = frame.pop(cpu, size);
  setRealCode(cpu, selector, lo);
  frame.commit(cpu);
  changeFlags(cpu, flags, mask);
  updateModes(cpu);
}

function returnToV86(cpu: Cpu, selector: number, ip: number, flags: number): void {
  const sp = frame.pop(cpu, 4);
  const ss = frame.pop(cpu, 4);
  const es = frame.pop(cpu, 4);
  const ds = frame.pop(cpu, 4);
  const fs = frame.pop(cpu, 4);
  const gs = frame.pop(cpu, 4);
  if (ip >>> 0 > 0xffff) cpu.raise(Vector.GP);
  const { s } = cpu;
  setV86Segment(cpu, Seg.CS, selector);
  setV86Segment(cpu, Seg.SS, ss);
  setV86Segment(cpu, Seg.ES, es);
  setV86Segment(cpu, Seg.DS, ds);
  setV86Segment(cpu, Seg.FS, fs);
  setV86Segment(cpu, Seg.GS, gs);
  s[Reg.RSP * 2] = sp;
  s[Reg.RSP * 2 + 1] = 0;
  setInstructionPointer(cpu, ip, 0);
  changeFlags(cpu, flags, -1);
  updateModes(cpu);
}

/** Reads the code segment of a return, with its checks; returns the privilege level there. */
function readReturnCode(cpu: Cpu, selector: number): number {
  if (isNull(selector)) cpu.raise(Vector.GP);
  const errorCode = selector & 0xfffc;
  readDescriptor(cpu, selector, code);
  const rpl = selector & 3;
  if (!code.isCode || rpl < cpu.cpl) cpu.raise(Vector.GP, errorCode);
  if (code.isConforming ? code.dpl > rpl : code.dpl !== rpl) cpu.raise(Vector.GP, errorCode);
  checkCodeSize(cpu, code);
  if (!code.present) cpu.raise(Vector.NP, errorCode);
  return rpl;
}

/** Pops the stack that a return to privilege level `cpl` goes back to, with its checks. */
function popStack(cpu: Cpu, size: number, cpl: number): void {
  stackLo = frame.pop(cpu, size);
  stackHi = cpu.hi;
  stackSelector = frame.pop(cpu, size) & 0xffff;
  if (isNull(stackSelector)) {
    const allowed = cpu.longMode && code.isLong && cpl !== 3;
    if (!allowed || (stackSelector & 3) !== cpl) cpu.raise(Vector.GP);
  } else {
    readStackDescriptor(cpu, stackSelector, cpl, stack, Vector.GP);
    markAccessed(cpu, stack);
  }
}

/** Code and stack of the level that a return goes to. */
function enterOuter(cpu: Cpu, cpl: number, lo: number, hi: number): void {
  const { s } = cpu;
  const isOuter = cpl > cpu.cpl;
  setCode(cpu, code, cpl, lo, hi);
  if (isNull(stackSelector)) setNullSegment(cpu, Seg.SS, stackSelector, cpl);
  else setSegment(cpu, Seg.SS, stackSelector, stack);
  s[Reg.RSP * 2] = stackLo;
  s[Reg.RSP * 2 + 1] = stackHi;
  if (isOuter) dropInnerSegments(cpu, cpl);
  updateModes(cpu);
}
