/**
 * Operands of general instructions: a register, memory or an immediate, as the decoder found. `dst`
 * is the first operand, `src` the second.
 *
 * 64-bit values return their low half and leave the high half in `cpu.hi`. A 32-bit result in a
 * register clears the register's upper half (SDM 1 §3.4.1.1).
 */

import { linearAddress as importedLinearAddress } from "./address.ts";
import type { Cpu } from "./cpu.ts";
import { IMM as importedImm, type Insn } from "./insn.ts";
import * as memory from "./memory.ts";

// V8 folds a module's own constants, not those of others.
const linearAddress = importedLinearAddress;
const IMM = importedImm;
const { load8, load16, load32, load64, store8, store16, store32, store64 } = memory;
const { modifyLoad8, modifyLoad16, modifyLoad32, modifyLoad64 } = memory;
const { modifyStore8, modifyStore16, modifyStore32, modifyStore64 } = memory;

/** The second operand. */
export function readSrc8(cpu: Cpu, insn: Insn): number {
  const { src } = insn;
  if (src >= 0) return cpu.u8[src];
  if (src === IMM) return insn.immLo & 0xff;
  const lo = linearAddress(cpu, insn);
  return load8(cpu, lo, cpu.hi);
}
export function readSrc16(cpu: Cpu, insn: Insn): number {
  const { src } = insn;
  if (src >= 0) return cpu.u16[src];
  if (src === IMM) return insn.immLo & 0xffff;
  const lo = linearAddress(cpu, insn);
  return load16(cpu, lo, cpu.hi);
}
export function readSrc32(cpu: Cpu, insn: Insn): number {
  const { src } = insn;
  if (src >= 0) return cpu.s[src];
  if (src === IMM) return insn.immLo;
  const lo = linearAddress(cpu, insn);
  return load32(cpu, lo, cpu.hi);
}
export function readSrc64(cpu: Cpu, insn: Insn): number {
  const { src } = insn;
  if (src >= 0) {
    cpu.hi = cpu.s[src + 1];
    return cpu.s[src];
  }
  if (src === IMM) {
    cpu.hi = insn.immHi;
    return insn.immLo;
  }
  const lo = linearAddress(cpu, insn);
  return load64(cpu, lo, cpu.hi);
}

/** The first operand, of an instruction that only reads it (`RowOptions.reads`). */
export function readDst8(cpu: Cpu, insn: Insn): number {
  if (insn.dst >= 0) return cpu.u8[insn.dst];
  const lo = linearAddress(cpu, insn);
  return load8(cpu, lo, cpu.hi);
}
export function readDst16(cpu: Cpu, insn: Insn): number {
  if (insn.dst >= 0) return cpu.u16[insn.dst];
  const lo = linearAddress(cpu, insn);
  return load16(cpu, lo, cpu.hi);
}
export function readDst32(cpu: Cpu, insn: Insn): number {
  if (insn.dst >= 0) return cpu.s[insn.dst];
  const lo = linearAddress(cpu, insn);
  return load32(cpu, lo, cpu.hi);
}
export function readDst64(cpu: Cpu, insn: Insn): number {
  const { dst } = insn;
  if (dst >= 0) {
    cpu.hi = cpu.s[dst + 1];
    return cpu.s[dst];
  }
  const lo = linearAddress(cpu, insn);
  return load64(cpu, lo, cpu.hi);
}

/** The first operand, of an instruction that will write it by `updateDst`: faults as a write. */
export function fetchDst8(cpu: Cpu, insn: Insn): number {
  if (insn.dst >= 0) return cpu.u8[insn.dst];
  const lo = linearAddress(cpu, insn);
  return modifyLoad8(cpu, lo, cpu.hi);
}
export function fetchDst16(cpu: Cpu, insn: Insn): number {
  if (insn.dst >= 0) return cpu.u16[insn.dst];
  const lo = linearAddress(cpu, insn);
  return modifyLoad16(cpu, lo, cpu.hi);
}
export function fetchDst32(cpu: Cpu, insn: Insn): number {
  if (insn.dst >= 0) return cpu.s[insn.dst];
  const lo = linearAddress(cpu, insn);
  return modifyLoad32(cpu, lo, cpu.hi);
}
export function fetchDst64(cpu: Cpu, insn: Insn): number {
  const { dst } = insn;
  if (dst >= 0) {
    cpu.hi = cpu.s[dst + 1];
    return cpu.s[dst];
  }
  const lo = linearAddress(cpu, insn);
  return modifyLoad64(cpu, lo, cpu.hi);
}

/** Writes the operand that `fetchDst` of the same size has read. Never faults. */
export function updateDst8(cpu: Cpu, insn: Insn, value: number): void {
  if (insn.dst >= 0) cpu.u8[insn.dst] = value;
  else modifyStore8(cpu, value);
}
export function updateDst16(cpu: Cpu, insn: Insn, value: number): void {
  if (insn.dst >= 0) cpu.u16[insn.dst] = value;
  else modifyStore16(cpu, value);
}
export function updateDst32(cpu: Cpu, insn: Insn, value: number): void {
  const { dst } = insn;
  if (dst >= 0) {
    cpu.s[dst] = value;
    cpu.s[dst + 1] = 0;
  } else modifyStore32(cpu, value);
}
export function updateDst64(cpu: Cpu, insn: Insn, lo: number, hi: number): void {
  const { dst } = insn;
  if (dst >= 0) {
    cpu.s[dst] = lo;
    cpu.s[dst + 1] = hi;
  } else modifyStore64(cpu, lo, hi);
}

/** Writes the first operand of an instruction that does not read it. */
export function writeDst8(cpu: Cpu, insn: Insn, value: number): void {
  if (insn.dst >= 0) cpu.u8[insn.dst] = value;
  else {
    const lo = linearAddress(cpu, insn);
    store8(cpu, lo, cpu.hi, value);
  }
}
export function writeDst16(cpu: Cpu, insn: Insn, value: number): void {
  if (insn.dst >= 0) cpu.u16[insn.dst] = value;
  else {
    const lo = linearAddress(cpu, insn);
    store16(cpu, lo, cpu.hi, value);
  }
}
export function writeDst32(cpu: Cpu, insn: Insn, value: number): void {
  const { dst } = insn;
  if (dst >= 0) {
    cpu.s[dst] = value;
    cpu.s[dst + 1] = 0;
  } else {
    const lo = linearAddress(cpu, insn);
    store32(cpu, lo, cpu.hi, value);
  }
}
export function writeDst64(cpu: Cpu, insn: Insn, valueLo: number, valueHi: number): void {
  const { dst } = insn;
  if (dst >= 0) {
    cpu.s[dst] = valueLo;
    cpu.s[dst + 1] = valueHi;
  } else {
    const lo = linearAddress(cpu, insn);
    store64(cpu, lo, cpu.hi, valueLo, valueHi);
  }
}
