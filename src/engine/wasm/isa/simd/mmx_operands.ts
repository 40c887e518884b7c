/**
 * Operands of MMX instructions, and what every one of them but EMMS does to the x87 registers, of
 * which the MMX registers are a part (SDM 3A §12.2): all become valid, TOP becomes 0, and bits 79:64
 * of a register that is written become ones.
 */

import type { Cpu } from "../../cpu.ts";
import { Vector } from "../../exception.ts";
import type { Insn } from "../../insn.ts";
import { source64 as importedSource64 } from "./vector.ts";

// V8 folds a module's own constants, not those of others.
const source64 = importedSource64;

/** x87 status word: an unmasked exception is pending (SDM 1 §8.1.3.3). */
const EXCEPTION_SUMMARY = 1 << 7;
/** Sign and exponent of an x87 register that an MMX instruction has written. */
const ALL_ONES = 0xffff;

/** #MF for an x87 exception that is pending: before anything else (SDM 3A §12.5). */
export function checkPending(cpu: Cpu): void {
  if ((cpu.x87.status & EXCEPTION_SUMMARY) !== 0) cpu.raise(Vector.MF);
}

/** Word index of the second operand: an MMX register, or memory. */
export function mmxSource(cpu: Cpu, insn: Insn): number {
  checkPending(cpu);
  return source64(cpu, insn);
}

/** The x87 registers become MMX registers: when nothing can fault any more. */
export function enterMmx(cpu: Cpu): void {
  cpu.x87.top = 0;
  cpu.x87.used = 0xff;
}

/** Word index of the first operand, an MMX register that will be written. */
export function mmxDestination(cpu: Cpu, insn: Insn): number {
  enterMmx(cpu);
  cpu.s[insn.dst + 2] = ALL_ONES;
  return insn.dst;
}
