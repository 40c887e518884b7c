/** The stack of the current privilege level: pushes and pops of general instructions. */

import { Reg, Seg } from "../../cpu/state.ts";
import { segmentAddress } from "./address.ts";
import type { Cpu } from "./cpu.ts";
import { Vector } from "./exception.ts";
import * as memory from "./memory.ts";
import { isCanonical } from "./modes.ts";

// V8 folds a module's own constants, not those of others.
const { load16, load32, load64, store16, store32, store64 } = memory;
const RSP = Reg.RSP * 2;
const SS = Seg.SS;

/** Pushes `size` bytes (2, 4 or 8) of `hi:lo`; RSP changes only when the store has succeeded. */
export function push(cpu: Cpu, size: number, lo: number, hi: number): void {
  if (size === 8) push64(cpu, lo, hi);
  else if (size === 4) push32(cpu, lo);
  else push16(cpu, lo);
}

/** Pops `size` bytes: the low half; the high half is in `cpu.hi`. */
export function pop(cpu: Cpu, size: number): number {
  if (size === 8) return pop64(cpu);
  const value = size === 4 ? pop32(cpu) : pop16(cpu);
  cpu.hi = 0;
  return value;
}

export function push64(cpu: Cpu, lo: number, hi: number): void {
  const { s } = cpu;
  const sp = s[RSP];
  const newLo = (sp - 8) | 0;
  const newHi = (sp >>> 0) < 8 ? s[RSP + 1] - 1 | 0 : s[RSP + 1];
  checkCanonical(cpu, newHi);
  store64(cpu, newLo, newHi, lo, hi);
  s[RSP] = newLo;
  s[RSP + 1] = newHi;
}

export function push32(cpu: Cpu, value: number): void {
  const sp = pushAddress(cpu, 4);
  store32(cpu, sp, cpu.hi, value);
  moveStack(cpu, -4);
}

export function push16(cpu: Cpu, value: number): void {
  const sp = pushAddress(cpu, 2);
  store16(cpu, sp, cpu.hi, value);
  moveStack(cpu, -2);
}

export function pop64(cpu: Cpu): number {
  const { s } = cpu;
  const sp = s[RSP];
  const spHi = s[RSP + 1];
  checkCanonical(cpu, spHi);
  const lo = load64(cpu, sp, spHi);
  const newLo = (sp + 8) | 0;
  s[RSP] = newLo;
  if ((newLo >>> 0) < 8) s[RSP + 1] = spHi + 1 | 0;
  return lo;
}

export function pop32(cpu: Cpu): number {
  const sp = topAddress(cpu, 0, 4);
  const value = load32(cpu, sp, cpu.hi);
  moveStack(cpu, 4);
  return value;
}

export function pop16(cpu: Cpu): number {
  const sp = topAddress(cpu, 0, 2);
  const value = load16(cpu, sp, cpu.hi);
  moveStack(cpu, 2);
  return value;
}

/**
 * Linear address of `size` bytes at RSP + `offset` for a read: the low half; the high half is in
 * `cpu.hi`.
 */
export function topAddress(cpu: Cpu, offset: number, size: number): number {
  return stackAddress(cpu, offset, size, false);
}

/** Adds `bytes` to the stack pointer: to as many bits of it as the stack has. */
export function moveStack(cpu: Cpu, bytes: number): void {
  const { s } = cpu;
  if (cpu.is64) {
    const sp = s[RSP];
    const lo = (sp + bytes) | 0;
    const carry = bytes >= 0 ? Number(lo >>> 0 < sp >>> 0) : -Number(lo >>> 0 > sp >>> 0);
    s[RSP] = lo;
    s[RSP + 1] = s[RSP + 1] + carry | 0;
  } else if (cpu.stack32) {
    s[RSP] = (s[RSP] + bytes) | 0;
    s[RSP + 1] = 0;
  } else cpu.u16[Reg.RSP * 4] = cpu.u16[Reg.RSP * 4] + bytes;
}

function pushAddress(cpu: Cpu, size: number): number {
  return stackAddress(cpu, -size, size, true);
}

/** Linear address of `size` bytes at RSP + `offset`, for a write or a read. */
export function stackAddress(cpu: Cpu, offset: number, size: number, write: boolean): number {
  const { s } = cpu;
  if (cpu.is64) {
    const sp = s[RSP];
    const lo = (sp + offset) | 0;
    const carry = offset >= 0 ? Number(lo >>> 0 < sp >>> 0) : -Number(lo >>> 0 > sp >>> 0);
    cpu.hi = s[RSP + 1] + carry | 0;
    checkCanonical(cpu, cpu.hi);
    return lo;
  }
  const sp = (s[RSP] + offset) & (cpu.stack32 ? -1 : 0xffff);
  return segmentAddress(cpu, SS, sp, 0, size, write);
}

/** A stack address that is not canonical is #SS(0) (SDM 2B PUSH). */
export function checkCanonical(cpu: Cpu, hi: number): void {
  // Most are in one of the halves that 48 bits make.
  const top = hi >> 15;
  if (top !== 0 && top !== -1 && !isCanonical(cpu, hi)) cpu.raise(Vector.SS);
}
