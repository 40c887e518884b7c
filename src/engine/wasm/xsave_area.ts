/**
 * State components and the image of an XSAVE area (SDM 1 chapter 13). An image is put together at
 * `AREA_AT` of the vCPU's memory, and read from there.
 */

import type { XsaveComponent } from "../../cpu/cpuid_model.ts";
import { State } from "../../cpu/state.ts";
import { carryOf } from "../../base/u64.ts";
import { type Cpu, Word } from "./cpu.ts";
import { load64, store64 } from "./memory.ts";
import { AREA_AT } from "./private_state.ts";

const PAGE = 4096;

/** State components, as in XCR0 (SDM 1 §13.1). */
export const Component = { X87: 1 << 0, SSE: 1 << 1, PKRU: 1 << 9 } as const;

/** Byte offsets in the area. */
export const Area = {
  MXCSR: 24,
  MXCSR_MASK: 28,
  XMM: 160,
  XSTATE_BV: 512,
  XCOMP_BV: 520,
  /** End of the header, where the compacted format goes on (SDM 1 §13.4.3). */
  EXTENDED: 576,
} as const;

/** MXCSR after reset, and the bits that can be set (SDM 1 §10.2.3). */
export const MXCSR_INIT = 0x1f80;
export const MXCSR_MASK = 0xffff;
/** Control word of the FPU's initial state. */
const FCW_INIT = 0x37f;

/** XMM registers that there are in the current mode. */
export function xmmCount(cpu: Cpu): number {
  return cpu.is64 ? 16 : 8;
}

/** Components that are not in their initial state: XINUSE (SDM 1 §13.6). */
export function inUse(cpu: Cpu): number {
  return (isX87Initial(cpu) ? 0 : Component.X87) | (isSseInitial(cpu) ? 0 : Component.SSE) |
    extendedInUse(cpu);
}

/** The same of the components beyond x87 and SSE. */
export function extendedInUse(cpu: Cpu): number {
  const { components } = cpu.cpuid;
  let used = 0;
  for (let i = 0; i < components.length; i++) {
    const at = wordOf(components[i]);
    const end = at + components[i].sizeBytes / 4;
    for (let word = at; word < end; word++) {
      if (cpu.s[word] === 0) continue;
      used |= components[i].bit;
      break;
    }
  }
  return used;
}

/** Index in `Cpu.s` of a component's first word: the state holds it as the standard format does. */
export function wordOf(component: XsaveComponent): number {
  return component.bit === Component.PKRU ? Word.PKRU : (State.XSAVE + component.offset) / 4;
}

function isX87Initial(cpu: Cpu): boolean {
  const { x87, s } = cpu;
  if (x87.control !== FCW_INIT || x87.statusWord !== 0 || x87.used !== 0) return false;
  if ((x87.opcode | x87.ipLo | x87.ipHi | x87.dpLo | x87.dpHi) !== 0) return false;
  for (let i = 0; i < 32; i++) if (s[Word.MMX + i] !== 0) return false;
  return true;
}

/** MXCSR does not count here. */
function isSseInitial(cpu: Cpu): boolean {
  for (let i = 0; i < 64; i++) if (cpu.s[Word.XMM + i] !== 0) return false;
  return true;
}

/** Puts MXCSR and its mask into the image. */
export function putMxcsr(cpu: Cpu): void {
  cpu.s[(AREA_AT + Area.MXCSR) / 4] = cpu.s[Word.MXCSR];
  cpu.s[(AREA_AT + Area.MXCSR_MASK) / 4] = MXCSR_MASK;
}

/** Puts the XMM registers of the current mode into the image. */
export function putXmm(cpu: Cpu): void {
  cpu.s.copyWithin((AREA_AT + Area.XMM) / 4, Word.XMM, Word.XMM + xmmCount(cpu) * 4);
}

/** Takes the XMM registers of the current mode from the image. */
export function takeXmm(cpu: Cpu): void {
  const from = (AREA_AT + Area.XMM) / 4;
  cpu.s.copyWithin(Word.XMM, from, from + xmmCount(cpu) * 4);
}

/** Sets the XMM registers of the current mode to zero. */
export function clearXmm(cpu: Cpu): void {
  cpu.s.fill(0, Word.XMM, Word.XMM + xmmCount(cpu) * 4);
}

/** FNINIT's state, registers included (SDM 1 §13.6). */
export function clearX87(cpu: Cpu): void {
  cpu.x87.init();
  cpu.s.fill(0, Word.MMX, Word.MMX + 32);
}

/** An area of two pages: nothing of it is written when either cannot be, and the first faults first. */
export function probeEnd(cpu: Cpu, lo: number, hi: number, size: number): void {
  if ((lo & PAGE - 1) + size <= PAGE) return;
  cpu.paging.readForWrite(lo, hi, 4);
  const last = (lo + size - 1) | 0;
  cpu.paging.readForWrite(lo, hi, 1);
  cpu.paging.readForWrite(last, cpu.is64 ? (hi + carryOf(lo, size - 1, last)) | 0 : 0, 1);
}

/** Writes bytes [from, to) of the image to the area at `hi:lo`; both are multiples of 8. */
export function writeOut(cpu: Cpu, lo: number, hi: number, from: number, to: number): void {
  const { s } = cpu;
  probeEnd(cpu, lo, hi, to);
  for (let offset = from; offset < to; offset += 8) {
    const at = (AREA_AT + offset) / 4;
    const addressLo = (lo + offset) | 0;
    const addressHi = cpu.is64 ? (hi + carryOf(lo, offset, addressLo)) | 0 : 0;
    store64(cpu, addressLo, addressHi, s[at], s[at + 1]);
  }
}

/** Reads bytes [from, to) of the area at `hi:lo` into the image; both are multiples of 8. */
export function readIn(cpu: Cpu, lo: number, hi: number, from: number, to: number): void {
  const { s } = cpu;
  for (let offset = from; offset < to; offset += 8) {
    const at = (AREA_AT + offset) / 4;
    const addressLo = (lo + offset) | 0;
    const addressHi = cpu.is64 ? (hi + carryOf(lo, offset, addressLo)) | 0 : 0;
    s[at] = load64(cpu, addressLo, addressHi);
    s[at + 1] = cpu.hi;
  }
}

/**
 * Where a component is in an area.
 * @param compacted The components that a compacted area has, in the lower half of XCOMP_BV, which
 * stand one after the other (SDM 1 §13.4.3); 0: the standard format.
 */
export function offsetIn(cpu: Cpu, component: XsaveComponent, compacted: number): number {
  if (compacted === 0) return component.offset;
  const { components } = cpu.cpuid;
  let at: number = Area.EXTENDED;
  for (let i = 0; i < components.length; i++) {
    const { bit, sizeBytes, aligned } = components[i];
    if ((compacted & bit) === 0) continue;
    if (aligned) at = (at + 63) & ~63;
    if (bit === component.bit) break;
    at += sizeBytes;
  }
  return at;
}
