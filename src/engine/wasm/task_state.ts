/** The task register: inner stacks in the TSS (SDM 3A §7.2), and the loads of TR and LDTR. */

import { carryOf } from "../../base/u64.ts";
import { Seg } from "../../cpu/state.ts";
import type { Cpu } from "./cpu.ts";
import { Vector } from "./exception.ts";
import { load16, load32, load64 } from "./memory.ts";
import { beginSystem, endSystem, isCanonical } from "./modes.ts";
import {
  Descriptor,
  findUpperHalf,
  isNull,
  markAccessed,
  readDescriptor,
  readStackDescriptor,
  setNullSegment,
  setSegment,
  setTypeBits,
  SystemType,
} from "./segments.ts";
import type { StackFrame } from "./stack_frame.ts";

/** What LTR and LLDT load. */
const loaded = new Descriptor();

/**
 * Lets `frame` be the stack that the current 16- or 32-bit TSS has for privilege level `cpl`, and
 * `segment` its segment, with all checks (SDM 2A, CALL and INT: #TS, or #SS).
 */
export function useInnerStack(
  cpu: Cpu,
  cpl: number,
  segment: Descriptor,
  frame: StackFrame,
): void {
  const is32 = (cpu.attributes(Seg.TR) & 8) !== 0;
  const offset = is32 ? cpl * 8 + 4 : cpl * 4 + 2;
  const lo = tssField(cpu, offset, is32 ? 6 : 4);
  beginSystem(cpu);
  const esp = is32 ? load32(cpu, lo, cpu.hi) : load16(cpu, lo, cpu.hi);
  const above = tssField(cpu, offset + (is32 ? 4 : 2), 2);
  const selector = load16(cpu, above, cpu.hi);
  endSystem(cpu);
  readStackDescriptor(cpu, selector, cpl, segment, Vector.TS);
  markAccessed(cpu, segment);
  frame.useSegment(segment, esp);
}

/**
 * Lets `frame` be the stack at offset `offset` of the current 64-bit TSS: RSP0 to RSP2, or an
 * interrupt stack (SDM 3A §6.14.5, §7.7).
 */
export function useInnerStack64(cpu: Cpu, offset: number, frame: StackFrame): void {
  const at = tssField(cpu, offset, 8);
  beginSystem(cpu);
  const lo = load64(cpu, at, cpu.hi);
  frame.use64(lo, cpu.hi);
  endSystem(cpu);
}

/** Offset in a 64-bit TSS of the stack pointer for privilege level `cpl`. */
export function rspOffset(cpl: number): number {
  return 4 + cpl * 8;
}

/** Offset in a 64-bit TSS of interrupt stack `ist`, 1 to 7. */
export function istOffset(ist: number): number {
  return 28 + ist * 8;
}

/** Linear address of a field of the current TSS: low half, high half in `cpu.hi`; else #TS. */
function tssField(cpu: Cpu, offset: number, size: number): number {
  if (offset + size - 1 > cpu.limit(Seg.TR)) cpu.raise(Vector.TS, cpu.selector(Seg.TR) & 0xfffc);
  const base = cpu.baseLo(Seg.TR);
  const lo = (base + offset) | 0;
  cpu.hi = cpu.longMode ? (cpu.baseHi(Seg.TR) + carryOf(base, offset, lo)) | 0 : 0;
  return lo;
}

/** LTR (SDM 2A): an available TSS, which becomes busy. */
export function loadTaskRegister(cpu: Cpu, selector: number): void {
  if (isNull(selector)) cpu.raise(Vector.GP);
  const code = selector & 0xfffc;
  if ((selector & 4) !== 0) cpu.raise(Vector.GP, code);
  readDescriptor(cpu, selector, loaded);
  const { type } = loaded;
  const available = type === SystemType.TSS32 || (type === SystemType.TSS16 && !cpu.longMode);
  if (!loaded.isSystem || !available) cpu.raise(Vector.GP, code);
  if (!loaded.present) cpu.raise(Vector.NP, code);
  readUpperBase(cpu);
  setTypeBits(cpu, loaded, 2);
  loaded.hi |= 0x200;
  setSegment(cpu, Seg.TR, selector, loaded);
}

/** LLDT (SDM 2A). `vector` is #GP, or #TS in a task switch. */
export function loadLocalTable(cpu: Cpu, selector: number, vector: number): void {
  if (isNull(selector)) {
    setNullSegment(cpu, Seg.LDTR, selector);
    return;
  }
  const code = selector & 0xfffc;
  if ((selector & 4) !== 0) cpu.raise(vector, code);
  readDescriptor(cpu, selector, loaded, vector);
  if (!loaded.isSystem || loaded.type !== SystemType.LDT) cpu.raise(vector, code);
  if (!loaded.present) cpu.raise(vector === Vector.TS ? vector : Vector.NP, code);
  readUpperBase(cpu);
  setSegment(cpu, Seg.LDTR, selector, loaded);
}

/**
 * The upper half of the base in `loaded`: 64-bit mode alone has descriptors of 16 bytes here (SDM 2A
 * LTR, LLDT; APM 3 LTR: 8 bytes in compatibility mode).
 */
function readUpperBase(cpu: Cpu): void {
  if (!cpu.is64) return;
  const valid = findUpperHalf(cpu, loaded) && isCanonical(cpu, loaded.upper);
  if (!valid) cpu.raise(Vector.GP, loaded.selector & 0xfffc);
}
