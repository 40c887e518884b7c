/**
 * The way into a handler: interrupt vector table, gates, inner stacks, frames (SDM 3A §6.10 to
 * §6.14, §20.1.4, §20.3; 2A, INT n). Everything that may fault comes before the vCPU changes.
 */

import { carryOf } from "../../base/u64.ts";
import { Reg, Seg } from "../../cpu/state.ts";
import { checkTarget, setCode, setRealCode } from "./code_segment.ts";
import { type Cpu, Flag, Word } from "./cpu.ts";
import { Vector } from "./exception.ts";
import { load32, load64 } from "./memory.ts";
import { beginSystem, endSystem, updateModes, useTlbSets } from "./modes.ts";
import {
  DATA_SEGMENTS,
  Descriptor,
  isNull,
  markAccessed,
  readDescriptor,
  setNullSegment,
  setSegment,
  SystemType,
} from "./segments.ts";
import { StackFrame } from "./stack_frame.ts";
import { finishTask, switchTask, TaskSource } from "./task_switch.ts";
import { istOffset, rspOffset, useInnerStack, useInnerStack64 } from "./task_state.ts";

/** Instead of an error code: none is pushed. */
export const NO_CODE = -1;
/** Bit 1 of an error code: its index is one in the IDT (SDM 3A §6.13). */
const IDT = 2;
/** Flags that handlers of protected mode begin without. */
const CLEARED = Flag.TF | Flag.NT | Flag.VM | Flag.RF;

const gate = new Descriptor();
const code = new Descriptor();
const stack = new Descriptor();
const frame = new StackFrame();

/**
 * Enters the handler of `vector`. The frame has RIP as it stands.
 * @param software The gate's privilege level counts: INT n, INT3, INTO.
 * @param errorCode Error code to push, or NO_CODE.
 * @param flags RFLAGS to push.
 */
export function enterHandler(
  cpu: Cpu,
  vector: number,
  software: boolean,
  errorCode: number,
  flags: number,
): void {
  if (cpu.longMode) enterLong(cpu, vector, software, errorCode, flags);
  else if (cpu.protectedMode || cpu.v86) enterProtected(cpu, vector, software, errorCode, flags);
  else enterReal(cpu, vector, flags);
  cpu.shadow = 0;
}

/** Real mode (SDM 3A §20.1.4). */
function enterReal(cpu: Cpu, vector: number, flags: number): void {
  const { s } = cpu;
  const at = vector * 4;
  if (at + 3 > s[Word.IDTR + 2]) cpu.raise(Vector.GP);
  const entry = load32(cpu, (s[Word.IDTR] + at) | 0, 0);
  frame.useCurrent(cpu);
  frame.push(cpu, 2, flags);
  frame.push(cpu, 2, cpu.selector(Seg.CS));
  frame.push(cpu, 2, s[Word.RIP]);
  setRealCode(cpu, entry >>> 16, entry & 0xffff);
  frame.commit(cpu);
  s[Word.RFLAGS] &= ~(Flag.IF | Flag.TF | Flag.AC | Flag.RF);
  updateModes(cpu);
}

/** Protected and virtual-8086 mode (SDM 3A §6.12). */
function enterProtected(
  cpu: Cpu,
  vector: number,
  software: boolean,
  errorCode: number,
  flags: number,
): void {
  const { s, v86 } = cpu;
  readGate(cpu, vector, software);
  if (gate.type === SystemType.TASK_GATE) {
    switchTask(cpu, gate.gateSelector, TaskSource.EVENT, flags);
    if (errorCode !== NO_CODE) pushOnNewTask(cpu, errorCode);
    finishTask(cpu);
    return;
  }
  const cpl = readTarget(cpu);
  if (v86 && cpl !== 0) cpu.raise(Vector.GP, code.selector & 0xfffc);
  const inner = cpl < cpu.cpl;
  const size = (gate.type & 8) !== 0 ? 4 : 2;
  if (inner) useInnerStack(cpu, cpl, stack, frame);
  else frame.useCurrent(cpu);
  markAccessed(cpu, code);
  useTlbSets(cpu, cpl);
  if (v86) {
    for (const seg of V86_PUSHED) frame.push(cpu, size, cpu.selector(seg));
  }
  if (inner) {
    frame.push(cpu, size, cpu.selector(Seg.SS));
    frame.push(cpu, size, s[Reg.RSP * 2]);
  }
  frame.push(cpu, size, flags);
  frame.push(cpu, size, cpu.selector(Seg.CS));
  frame.push(cpu, size, s[Word.RIP]);
  if (errorCode !== NO_CODE) frame.push(cpu, size, errorCode);
  checkTarget(cpu, code, gate.gateOffset, 0);

  frame.commit(cpu);
  if (inner) setSegment(cpu, Seg.SS, stack.selector, stack);
  if (v86) {
    for (const seg of DATA_SEGMENTS) setNullSegment(cpu, seg, 0);
  }
  enterCode(cpu, cpl, gate.gateOffset, 0);
}

/** IA-32e mode (SDM 3A §6.14). */
function enterLong(
  cpu: Cpu,
  vector: number,
  software: boolean,
  errorCode: number,
  flags: number,
): void {
  const { s } = cpu;
  readGate(cpu, vector, software);
  const cpl = readTarget(cpu);
  const inner = cpl < cpu.cpl;
  const ist = gate.hi & 7;
  if (ist !== 0) useInnerStack64(cpu, istOffset(ist), frame);
  else if (inner) useInnerStack64(cpu, rspOffset(cpl), frame);
  else frame.use64(s[Reg.RSP * 2], s[Reg.RSP * 2 + 1]);
  frame.align();
  markAccessed(cpu, code);
  useTlbSets(cpu, cpl);
  frame.push(cpu, 8, cpu.selector(Seg.SS));
  frame.push(cpu, 8, s[Reg.RSP * 2], s[Reg.RSP * 2 + 1]);
  frame.push(cpu, 8, flags);
  frame.push(cpu, 8, cpu.selector(Seg.CS));
  frame.push(cpu, 8, s[Word.RIP], s[Word.RIP + 1]);
  if (errorCode !== NO_CODE) frame.push(cpu, 8, errorCode);
  checkTarget(cpu, code, gate.gateOffset, gate.upper);

  frame.commit(cpu);
  if (inner) setNullSegment(cpu, Seg.SS, cpl, cpl);
  enterCode(cpu, cpl, gate.gateOffset, gate.upper);
}

/** Order in which an event in virtual-8086 mode pushes them (SDM 3A §20.3.1.1). */
const V86_PUSHED: readonly number[] = [Seg.GS, Seg.FS, Seg.DS, Seg.ES];

/** Reads the gate of `vector`, with its checks. */
function readGate(cpu: Cpu, vector: number, software: boolean): void {
  const { s, longMode } = cpu;
  const errorCode = vector * 8 + IDT;
  const size = longMode ? 16 : 8;
  const offset = vector * size;
  if (offset + size - 1 > s[Word.IDTR + 2]) cpu.raise(Vector.GP, errorCode);
  const lo = (s[Word.IDTR] + offset) | 0;
  const hi = longMode ? (s[Word.IDTR + 1] + carryOf(s[Word.IDTR], offset, lo)) | 0 : 0;
  beginSystem(cpu);
  gate.lo = load64(cpu, lo, hi);
  gate.hi = cpu.hi;
  const up = (lo + 8) | 0;
  gate.upper = longMode ? load32(cpu, up, (hi + carryOf(lo, 8, up)) | 0) : 0;
  endSystem(cpu);
  if (!gate.isSystem || !isEventGate(gate.type, longMode)) cpu.raise(Vector.GP, errorCode);
  if (software && gate.dpl < cpu.cpl) cpu.raise(Vector.GP, errorCode);
  if (!gate.present) cpu.raise(Vector.NP, errorCode);
}

function isEventGate(type: number, longMode: boolean): boolean {
  if ((type & 14) === SystemType.INTERRUPT_GATE32) return true;
  return !longMode &&
    ((type & 14) === SystemType.INTERRUPT_GATE16 || type === SystemType.TASK_GATE);
}

/** Reads the gate's code segment, with its checks; returns the handler's privilege level. */
function readTarget(cpu: Cpu): number {
  const selector = gate.gateSelector;
  const errorCode = selector & 0xfffc;
  if (isNull(selector)) cpu.raise(Vector.GP);
  readDescriptor(cpu, selector, code);
  if (!code.isCode || code.dpl > cpu.cpl) cpu.raise(Vector.GP, errorCode);
  if (cpu.longMode && (!code.isLong || code.isBig)) cpu.raise(Vector.GP, errorCode);
  if (!code.present) cpu.raise(Vector.NP, errorCode);
  return code.isConforming ? cpu.cpl : code.dpl;
}

function enterCode(cpu: Cpu, cpl: number, lo: number, hi: number): void {
  const isInterruptGate = (gate.type & 1) === 0;
  setCode(cpu, code, cpl, lo, hi);
  cpu.s[Word.RFLAGS] &= ~(isInterruptGate ? CLEARED | Flag.IF : CLEARED);
  updateModes(cpu);
}

/** The error code of an event that a task gate has handed to a new task (SDM 3A §6.13). */
function pushOnNewTask(cpu: Cpu, errorCode: number): void {
  frame.useCurrent(cpu);
  frame.push(cpu, (cpu.attributes(Seg.TR) & 8) !== 0 ? 4 : 2, errorCode);
  frame.commit(cpu);
}
