/** PUSHF, POPF, CLI, STI, CLAC, STAC (SDM 2A, 2B). */

import { type Cpu, Flag, Word } from "../cpu.ts";
import { updateStepping } from "../debug.ts";
import { Vector } from "../exception.ts";
import { changeFlags, flagsOfPop, interruptsOn, ioPrivilege } from "../flags.ts";
import type { Insn } from "../insn.ts";
import { updateTlbSets } from "../modes.ts";
import { pop, push } from "../stack.ts";
import { type Row, row } from "./row.ts";

/** The shadow of STI (`Event.SHADOW`): one instruction without interrupts. */
const STI = 1 << 0;

/** Virtual-8086 mode leaves PUSHF and POPF to IOPL 3 (SDM 3A §20.2.7). */
function checkV86(cpu: Cpu): void {
  if (cpu.v86 && ioPrivilege(cpu) !== 3) cpu.raise(Vector.GP);
}

function pushf(cpu: Cpu, insn: Insn): void {
  checkV86(cpu);
  push(cpu, insn.opSize, cpu.flags & ~(Flag.VM | Flag.RF), 0);
}

function popf(cpu: Cpu, insn: Insn): void {
  checkV86(cpu);
  const flags = pop(cpu, insn.opSize);
  changeFlags(cpu, flags, flagsOfPop(cpu, insn.opSize));
  updateTlbSets(cpu);
  updateStepping(cpu);
}

function cli(cpu: Cpu): void {
  if (cpu.cpl > ioPrivilege(cpu)) cpu.raise(Vector.GP);
  cpu.s[Word.RFLAGS] &= ~Flag.IF;
}

function sti(cpu: Cpu): void {
  const { s } = cpu;
  if (cpu.cpl > ioPrivilege(cpu)) cpu.raise(Vector.GP);
  if ((s[Word.RFLAGS] & Flag.IF) !== 0) return;
  s[Word.RFLAGS] |= Flag.IF;
  cpu.shadow |= STI;
  interruptsOn(cpu);
}

function clac(cpu: Cpu): void {
  if (cpu.cpl !== 0) cpu.raise(Vector.UD);
  cpu.s[Word.RFLAGS] &= ~Flag.AC;
  updateTlbSets(cpu);
}
function stac(cpu: Cpu): void {
  if (cpu.cpl !== 0) cpu.raise(Vector.UD);
  cpu.s[Word.RFLAGS] |= Flag.AC;
  updateTlbSets(cpu);
}

export const FLAG_INSTRUCTIONS: readonly Row[] = [
  row("9c", "pushf", pushf, { size64: "d64" }),
  row("9d", "popf", popf, { size64: "d64", ends: true }),
  row("fa", "cli", cli),
  row("fb", "sti", sti, { ends: true }),
  row("np 0f 01 ca", "clac", clac, { feature: "smap" }),
  row("np 0f 01 cb", "stac", stac, { feature: "smap" }),
];
