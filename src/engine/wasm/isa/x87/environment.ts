/** FLDENV, FNSTENV, FRSTOR, FNSAVE: the FPU's state in the formats of the 8087 (SDM 1 §8.1.10). */

import { carryOf } from "../../../../base/u64.ts";
import { effectiveAddress, segmentAddress } from "../../address.ts";
import type { Cpu } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { loadBytes, storeBytes } from "../../memory.ts";
import { AREA_AT } from "../../private_state.ts";
import { SCRATCH_AT } from "../../tlb.ts";
import type { X87 } from "../../x87_state.ts";
import { probeEnd } from "../../xsave_area.ts";
import { type Row, row } from "../row.ts";
import { checkPending } from "../simd/mmx_operands.ts";

/** Bytes of an environment with 32-bit operands; with 16-bit ones, half of that. */
const ENVIRONMENT = 28;
/** Bytes of the registers that FNSAVE puts behind it. */
const REGISTERS = 80;
/** The most that one access moves. */
const CHUNK = 64;
/** Masks of all exceptions, in the control word. */
const MASKS = 0x3f;

function environmentSize(insn: Insn): number {
  return insn.opSize === 2 ? ENVIRONMENT / 2 : ENVIRONMENT;
}

/** Address of `size` bytes: the operand's size depends on that of operands. High half in `cpu.hi`. */
function address(cpu: Cpu, insn: Insn, size: number, write: boolean): number {
  const lo = effectiveAddress(cpu, insn);
  return segmentAddress(cpu, insn.seg, lo, cpu.hi, size, write);
}

/** Copies `size` bytes at `AREA_AT` to the memory operand. */
function writeImage(cpu: Cpu, insn: Insn, size: number): void {
  const lo = address(cpu, insn, size, true);
  const { hi } = cpu;
  probeEnd(cpu, lo, hi, size);
  for (let at = 0; at < size; at += CHUNK) {
    const count = Math.min(CHUNK, size - at);
    cpu.u8.copyWithin(SCRATCH_AT, AREA_AT + at, AREA_AT + at + count);
    const atLo = (lo + at) | 0;
    storeBytes(cpu, atLo, cpu.is64 ? (hi + carryOf(lo, at, atLo)) | 0 : 0, count);
  }
}

/** Copies `size` bytes of the memory operand to `AREA_AT`. */
function readImage(cpu: Cpu, insn: Insn, size: number): void {
  const lo = address(cpu, insn, size, false);
  const { hi } = cpu;
  for (let at = 0; at < size; at += CHUNK) {
    const count = Math.min(CHUNK, size - at);
    const atLo = (lo + at) | 0;
    loadBytes(cpu, atLo, cpu.is64 ? (hi + carryOf(lo, at, atLo)) | 0 : 0, count);
    cpu.u8.copyWithin(AREA_AT + at, SCRATCH_AT, SCRATCH_AT + count);
  }
}

/** Writes the environment at `AREA_AT` (SDM 1 figures 8-9 to 8-12); selectors are zero. */
function putEnvironment(cpu: Cpu, wide: boolean): void {
  const { x87, view } = cpu;
  const { ipLo, dpLo, opcode } = x87;
  if (!wide) {
    view.setUint16(AREA_AT, x87.control, true);
    view.setUint16(AREA_AT + 2, x87.statusWord, true);
    view.setUint16(AREA_AT + 4, x87.tagWord, true);
    view.setUint16(AREA_AT + 6, ipLo, true);
    view.setUint16(AREA_AT + 8, cpu.protectedMode ? 0 : ipLo >>> 4 & 0xf000 | opcode, true);
    view.setUint16(AREA_AT + 10, dpLo, true);
    view.setUint16(AREA_AT + 12, cpu.protectedMode ? 0 : dpLo >>> 4 & 0xf000, true);
    return;
  }
  // The upper halves of words of 16 bits are ones
  view.setUint32(AREA_AT, 0xffff_0000 | x87.control, true);
  view.setUint32(AREA_AT + 4, 0xffff_0000 | x87.statusWord, true);
  view.setUint32(AREA_AT + 8, 0xffff_0000 | x87.tagWord, true);
  if (cpu.protectedMode) {
    view.setInt32(AREA_AT + 12, ipLo, true);
    view.setInt32(AREA_AT + 16, opcode << 16, true);
    view.setInt32(AREA_AT + 20, dpLo, true);
    view.setUint32(AREA_AT + 24, 0xffff_0000, true);
  } else {
    view.setUint32(AREA_AT + 12, 0xffff_0000 | ipLo & 0xffff, true);
    view.setInt32(AREA_AT + 16, ipLo >>> 16 << 12 | opcode, true);
    view.setUint32(AREA_AT + 20, 0xffff_0000 | dpLo & 0xffff, true);
    view.setInt32(AREA_AT + 24, dpLo >>> 16 << 12, true);
  }
}

/** Takes over what `putEnvironment` writes. */
function takeEnvironment(cpu: Cpu, wide: boolean): void {
  const { x87, view } = cpu;
  const step = wide ? 4 : 2;
  x87.setControl(view.getUint16(AREA_AT, true));
  x87.statusWord = view.getUint16(AREA_AT + step, true);
  x87.tagWord = view.getUint16(AREA_AT + 2 * step, true);
  x87.summarize();
  takePointers(cpu, x87, wide);
}

function takePointers(cpu: Cpu, x87: X87, wide: boolean): void {
  const { view } = cpu;
  x87.ipHi = x87.dpHi = 0;
  if (!wide) {
    const ip = view.getUint16(AREA_AT + 6, true);
    const upper = view.getUint16(AREA_AT + 8, true);
    const dp = view.getUint16(AREA_AT + 10, true);
    const upperDp = view.getUint16(AREA_AT + 12, true);
    x87.ipLo = cpu.protectedMode ? ip : ip | (upper & 0xf000) << 4;
    x87.dpLo = cpu.protectedMode ? dp : dp | (upperDp & 0xf000) << 4;
    x87.opcode = cpu.protectedMode ? 0 : upper & 0x7ff;
  } else if (cpu.protectedMode) {
    x87.ipLo = view.getInt32(AREA_AT + 12, true);
    x87.opcode = view.getInt32(AREA_AT + 16, true) >>> 16 & 0x7ff;
    x87.dpLo = view.getInt32(AREA_AT + 20, true);
  } else {
    const upper = view.getInt32(AREA_AT + 16, true);
    x87.ipLo = view.getUint16(AREA_AT + 12, true) | upper >>> 12 << 16;
    x87.opcode = upper & 0x7ff;
    x87.dpLo = view.getUint16(AREA_AT + 20, true) | view.getInt32(AREA_AT + 24, true) >>> 12 << 16;
  }
}

function fnstenv(cpu: Cpu, insn: Insn): void {
  const { x87 } = cpu;
  putEnvironment(cpu, insn.opSize !== 2);
  writeImage(cpu, insn, environmentSize(insn));
  x87.control |= MASKS;
  x87.summarize();
}

function fldenv(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  readImage(cpu, insn, environmentSize(insn));
  takeEnvironment(cpu, insn.opSize !== 2);
}

function fnsave(cpu: Cpu, insn: Insn): void {
  const { x87, s, view } = cpu;
  const size = environmentSize(insn);
  putEnvironment(cpu, insn.opSize !== 2);
  for (let i = 0; i < 8; i++) {
    const from = x87.stackWord(i);
    const to = AREA_AT + size + i * 10;
    view.setInt32(to, s[from], true);
    view.setInt32(to + 4, s[from + 1], true);
    view.setUint16(to + 8, s[from + 2], true);
  }
  writeImage(cpu, insn, size + REGISTERS);
  x87.init();
}

function frstor(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  const { x87, s, view } = cpu;
  const size = environmentSize(insn);
  readImage(cpu, insn, size + REGISTERS);
  takeEnvironment(cpu, insn.opSize !== 2);
  for (let i = 0; i < 8; i++) {
    const to = x87.stackWord(i);
    const from = AREA_AT + size + i * 10;
    s[to] = view.getInt32(from, true);
    s[to + 1] = view.getInt32(from + 4, true);
    s[to + 2] = view.getUint16(from + 8, true);
  }
}

const ENV = { unit: "x87", form: "mem", memSize: ENVIRONMENT } as const;
const SAVE = { unit: "x87", form: "mem", memSize: ENVIRONMENT + REGISTERS } as const;

export const X87_ENVIRONMENT: readonly Row[] = [
  row("d9 /4", "fldenv M", fldenv, { ...ENV, reads: true }),
  row("d9 /6", "fnstenv M", fnstenv, ENV),
  row("dd /4", "frstor M", frstor, { ...SAVE, reads: true }),
  row("dd /6", "fnsave M", fnsave, SAVE),
];
