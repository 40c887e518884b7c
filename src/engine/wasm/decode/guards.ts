/** Checks that come before an instruction as such; the decoder puts them in front of its handler. */

import type { Cpu } from "../cpu.ts";
import { Vector } from "../exception.ts";
import type { Handler, Insn } from "../insn.ts";
import type { Row } from "../isa/row.ts";

/** #UD, for what is no instruction. */
export function undefinedOpcode(cpu: Cpu): void {
  cpu.raise(Vector.UD);
}

/** An instruction of more than 15 bytes (SDM 2A §2.3.11): #GP(0). */
export function tooLong(cpu: Cpu): void {
  cpu.raise(Vector.GP);
}

function privileged(cpu: Cpu, insn: Insn): void {
  if (cpu.cpl !== 0) cpu.raise(Vector.GP);
  insn.inner(cpu, insn);
}

// A trap word is the vector + 1.
function sse(cpu: Cpu, insn: Insn): void {
  if (cpu.sseTrap !== 0) cpu.raise(cpu.sseTrap - 1);
  insn.inner(cpu, insn);
}
function mmx(cpu: Cpu, insn: Insn): void {
  if (cpu.mmxTrap !== 0) cpu.raise(cpu.mmxTrap - 1);
  insn.inner(cpu, insn);
}
function x87(cpu: Cpu, insn: Insn): void {
  if (cpu.x87Trap !== 0) cpu.raise(cpu.x87Trap - 1);
  insn.inner(cpu, insn);
}

/** Real and virtual-8086 mode have no VEX (SDM 2A §2.3.5). */
function vex(cpu: Cpu, insn: Insn): void {
  if (!cpu.protectedMode) cpu.raise(Vector.UD);
  insn.inner(cpu, insn);
}

/** What comes before instructions of a line of the instruction table, or undefined. */
export function guardOf(row: Row, isVex: boolean): Handler | undefined {
  if (row.cpl0 === true) return privileged;
  if (isVex) return vex;
  switch (row.unit) {
    case "sse":
      return sse;
    case "mmx":
      return mmx;
    case "x87":
      return x87;
    default:
      return undefined;
  }
}
