/** Far JMP and CALL: direct, through call gates, to tasks (SDM 3A §5.8; 2A, JMP and CALL). */

import { Reg, Seg } from "../../cpu/state.ts";
import {
  checkCodeSize,
  checkRealTarget,
  checkTarget,
  setCode,
  setRealCode,
} from "./code_segment.ts";
import { type Cpu, Word } from "./cpu.ts";
import { Vector } from "./exception.ts";
import { updateModes, useTlbSets } from "./modes.ts";
import {
  Descriptor,
  findUpperHalf,
  isNull,
  markAccessed,
  readDescriptor,
  setNullSegment,
  setSegment,
  SystemType,
} from "./segments.ts";
import { StackFrame } from "./stack_frame.ts";
import { finishTask, switchTask, TaskSource } from "./task_switch.ts";
import { rspOffset, useInnerStack, useInnerStack64 } from "./task_state.ts";

/** What the selector names: a code segment, or a gate or TSS. */
const named = new Descriptor();
/** The code segment that a call gate leads to. */
const behind = new Descriptor();
const stack = new Descriptor();
const frame = new StackFrame();
/** Where a call gate's parameters come from. */
const outer = new StackFrame();
/** Parameters of a call gate: a 5-bit count (SDM 3A §5.8.3). */
const parameters = new Int32Array(32);

/** JMP to `selector`:`hi:lo`. */
export function farJump(cpu: Cpu, selector: number, lo: number, hi: number): void {
  if (!cpu.protectedMode) {
    setRealCode(cpu, selector, lo);
  } else {
    readNamed(cpu, selector);
    if (named.isSystem) {
      jumpThroughSystem(cpu);
      return;
    }
    checkDirect(cpu);
    checkTarget(cpu, named, lo, hi);
    markAccessed(cpu, named);
    setCode(cpu, named, cpu.cpl, lo, hi);
  }
  updateModes(cpu);
}

/** CALL to `selector`:`hi:lo` with operands of `size` bytes; RIP is the return address. */
export function farCall(cpu: Cpu, selector: number, lo: number, hi: number, size: number): void {
  // The target is checked before anything is pushed (SDM 2A CALL, "Operation").
  if (!cpu.protectedMode) {
    checkRealTarget(cpu, lo);
    frame.useCurrent(cpu);
    pushReturn(cpu, size);
    setRealCode(cpu, selector, lo);
  } else {
    readNamed(cpu, selector);
    if (named.isSystem) {
      callThroughSystem(cpu);
      return;
    }
    checkDirect(cpu);
    checkTarget(cpu, named, lo, hi);
    frame.useCurrent(cpu);
    pushReturn(cpu, size);
    markAccessed(cpu, named);
    setCode(cpu, named, cpu.cpl, lo, hi);
  }
  frame.commit(cpu);
  updateModes(cpu);
}

function readNamed(cpu: Cpu, selector: number): void {
  if (isNull(selector)) cpu.raise(Vector.GP);
  readDescriptor(cpu, selector, named);
}

function pushReturn(cpu: Cpu, size: number): void {
  frame.push(cpu, size, cpu.selector(Seg.CS));
  frame.push(cpu, size, cpu.s[Word.RIP], cpu.s[Word.RIP + 1]);
}

/** Whether a code segment may be reached directly (SDM 3A §5.8.1). */
function checkDirect(cpu: Cpu): void {
  const { selector, dpl } = named;
  const code = selector & 0xfffc;
  if (!named.isCode) cpu.raise(Vector.GP, code);
  checkCodeSize(cpu, named);
  const refused = named.isConforming ? dpl > cpu.cpl : (selector & 3) > cpu.cpl || dpl !== cpu.cpl;
  if (refused) cpu.raise(Vector.GP, code);
  if (!named.present) cpu.raise(Vector.NP, code);
}

function isCallGate(cpu: Cpu, type: number): boolean {
  return type === SystemType.CALL_GATE32 || (type === SystemType.CALL_GATE16 && !cpu.longMode);
}

function jumpThroughSystem(cpu: Cpu): void {
  if (!isCallGate(cpu, named.type)) {
    startTask(cpu, TaskSource.JUMP);
    return;
  }
  readGateTarget(cpu);
  if (!behind.isConforming && behind.dpl !== cpu.cpl) {
    cpu.raise(Vector.GP, behind.selector & 0xfffc);
  }
  const lo = named.gateOffset;
  checkTarget(cpu, behind, lo, named.upper);
  markAccessed(cpu, behind);
  setCode(cpu, behind, cpu.cpl, lo, named.upper);
  updateModes(cpu);
}

function callThroughSystem(cpu: Cpu): void {
  if (!isCallGate(cpu, named.type)) {
    startTask(cpu, TaskSource.CALL);
    return;
  }
  readGateTarget(cpu);
  const inner = !behind.isConforming && behind.dpl < cpu.cpl;
  const cpl = inner ? behind.dpl : cpu.cpl;
  if (cpu.longMode) pushForGate64(cpu, cpl);
  else pushForGate(cpu, cpl);
  checkTarget(cpu, behind, named.gateOffset, named.upper);

  frame.commit(cpu);
  if (inner && cpu.longMode) setNullSegment(cpu, Seg.SS, cpl, cpl);
  else if (inner) setSegment(cpu, Seg.SS, stack.selector, stack);
  setCode(cpu, behind, cpl, named.gateOffset, named.upper);
  updateModes(cpu);
}

/** The frame of a 16- or 32-bit call gate (SDM 3A §5.8.5). */
function pushForGate(cpu: Cpu, cpl: number): void {
  const size = named.type === SystemType.CALL_GATE32 ? 4 : 2;
  const inner = cpl < cpu.cpl;
  const count = inner ? named.hi & 31 : 0;
  if (inner) {
    outer.useCurrent(cpu);
    useInnerStack(cpu, cpl, stack, frame);
    for (let i = 0; i < count; i++) parameters[i] = outer.pop(cpu, size);
  } else {
    frame.useCurrent(cpu);
  }
  markAccessed(cpu, behind);
  useTlbSets(cpu, cpl);
  if (inner) {
    frame.push(cpu, size, cpu.selector(Seg.SS));
    frame.push(cpu, size, cpu.s[Reg.RSP * 2]);
    for (let i = count - 1; i >= 0; i--) frame.push(cpu, size, parameters[i]);
  }
  pushReturn(cpu, size);
}

/** The frame of a 64-bit call gate, which has no parameters (SDM 3A §5.8.5.1). */
function pushForGate64(cpu: Cpu, cpl: number): void {
  const { s } = cpu;
  const inner = cpl < cpu.cpl;
  if (inner) useInnerStack64(cpu, rspOffset(cpl), frame);
  else frame.use64(s[Reg.RSP * 2], s[Reg.RSP * 2 + 1]);
  markAccessed(cpu, behind);
  useTlbSets(cpu, cpl);
  if (inner) {
    frame.push(cpu, 8, cpu.selector(Seg.SS));
    frame.push(cpu, 8, s[Reg.RSP * 2], s[Reg.RSP * 2 + 1]);
  }
  pushReturn(cpu, 8);
}

/** A gate or TSS may be used from levels up to its DPL, by selectors likewise. */
function checkReach(cpu: Cpu): void {
  const { selector, dpl } = named;
  if (dpl < cpu.cpl || (selector & 3) > dpl) cpu.raise(Vector.GP, selector & 0xfffc);
}

/** Reads the code segment that call gate `named` leads to, with the checks of both. */
function readGateTarget(cpu: Cpu): void {
  checkReach(cpu);
  const gateCode = named.selector & 0xfffc;
  if (!named.present) cpu.raise(Vector.NP, gateCode);
  if (cpu.longMode && !findUpperHalf(cpu, named)) cpu.raise(Vector.GP, gateCode);
  const selector = named.gateSelector;
  if (isNull(selector)) cpu.raise(Vector.GP);
  const code = selector & 0xfffc;
  readDescriptor(cpu, selector, behind);
  if (!behind.isCode || behind.dpl > cpu.cpl) cpu.raise(Vector.GP, code);
  if (cpu.longMode && (!behind.isLong || behind.isBig)) cpu.raise(Vector.GP, code);
  if (!behind.present) cpu.raise(Vector.NP, code);
}

/** A TSS, or a task gate in front of one: not in IA-32e mode (SDM 3A §7.2.2, §7.2.5). */
function startTask(cpu: Cpu, source: TaskSource): void {
  const { type, selector } = named;
  const code = selector & 0xfffc;
  const isGate = type === SystemType.TASK_GATE;
  const isTss = type === SystemType.TSS16 || type === SystemType.TSS32;
  if (cpu.longMode || !(isGate || isTss)) cpu.raise(Vector.GP, code);
  checkReach(cpu);
  if (!named.present) cpu.raise(Vector.NP, code);
  switchTask(cpu, isGate ? named.gateSelector : selector, source, cpu.flags);
  finishTask(cpu);
}
