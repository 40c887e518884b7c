/** FXSAVE, FXRSTOR, LDMXCSR, STMXCSR (SDM 2A, 2B; SDM 1 §10.5). */

import { linearAddress } from "../address.ts";
import { type Cpu, Word } from "../cpu.ts";
import { Vector } from "../exception.ts";
import type { Insn } from "../insn.ts";
import { readDst32, writeDst32 } from "../operands.ts";
import { AREA_AT } from "../private_state.ts";
import {
  Area,
  MXCSR_MASK,
  putMxcsr,
  putXmm,
  readIn,
  takeXmm,
  writeOut,
  xmmCount,
} from "../xsave_area.ts";
import { type Row, row } from "./row.ts";

/** Bytes of the area that the CPU uses, by the number of XMM registers. */
function usedBytes(cpu: Cpu): number {
  return Area.XMM + xmmCount(cpu) * 16;
}

/** The area's address: low half, high half in `cpu.hi`; raises #GP(0) where it is not aligned. */
function alignedAddress(cpu: Cpu, insn: Insn): number {
  const lo = linearAddress(cpu, insn);
  if ((lo & 15) !== 0) cpu.raise(Vector.GP);
  return lo;
}

function fxsave(cpu: Cpu, insn: Insn): void {
  const lo = alignedAddress(cpu, insn);
  const { hi } = cpu;
  cpu.x87.save(cpu.view, AREA_AT, insn.opSize === 8);
  putMxcsr(cpu);
  putXmm(cpu);
  writeOut(cpu, lo, hi, 0, usedBytes(cpu));
}

function fxrstor(cpu: Cpu, insn: Insn): void {
  const lo = alignedAddress(cpu, insn);
  readIn(cpu, lo, cpu.hi, 0, usedBytes(cpu));
  const mxcsr = cpu.s[(AREA_AT + Area.MXCSR) / 4];
  if ((mxcsr & ~MXCSR_MASK) !== 0) cpu.raise(Vector.GP);
  cpu.x87.restore(cpu.view, AREA_AT, insn.opSize === 8);
  takeXmm(cpu);
  cpu.s[Word.MXCSR] = mxcsr;
}

function ldmxcsr(cpu: Cpu, insn: Insn): void {
  const value = readDst32(cpu, insn);
  if ((value & ~MXCSR_MASK) !== 0) cpu.raise(Vector.GP);
  cpu.s[Word.MXCSR] = value;
}

function stmxcsr(cpu: Cpu, insn: Insn): void {
  writeDst32(cpu, insn, cpu.s[Word.MXCSR]);
}

const AREA = { form: "mem", memSize: 512, unit: "x87", feature: "fxsr" } as const;
const REGISTER = { form: "mem", unit: "sse", feature: "sse" } as const;

/** FXSAVE, FXRSTOR, LDMXCSR, STMXCSR. */
export const FXSAVE: readonly Row[] = [
  row("np 0f ae /0", "fxsave M", fxsave, AREA),
  row("np 0f ae /1", "fxrstor M", fxrstor, { ...AREA, reads: true }),
  row("np 0f ae /2", "ldmxcsr Md", ldmxcsr, { ...REGISTER, reads: true }),
  row("np 0f ae /3", "stmxcsr Md", stmxcsr, REGISTER),
];
