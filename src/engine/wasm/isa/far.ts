/** Far JMP, CALL and RET; INT n and its kin; IRET (SDM 2A, 2B). */

import { type Cpu, Flag, Word } from "../cpu.ts";
import { deliverInterrupt } from "../delivery.ts";
import { FaultClass, GUEST_EXCEPTION, Vector } from "../exception.ts";
import { pointer, readFarPointer } from "../far_pointer.ts";
import { farReturn, interruptReturn } from "../far_return.ts";
import { farCall, farJump } from "../far_transfer.ts";
import type { Insn } from "../insn.ts";
import { type Row, row } from "./row.ts";

/** Offset of a far pointer that stands in the instruction. */
function immediateOffset(insn: Insn): number {
  return insn.opSize === 2 ? insn.immLo & 0xffff : insn.immLo;
}

function jmpAp(cpu: Cpu, insn: Insn): void {
  farJump(cpu, insn.imm2, immediateOffset(insn), 0);
}
function jmpMp(cpu: Cpu, insn: Insn): void {
  readFarPointer(cpu, insn);
  farJump(cpu, pointer.selector, pointer.lo, pointer.hi);
}
function callAp(cpu: Cpu, insn: Insn): void {
  farCall(cpu, insn.imm2, immediateOffset(insn), 0, insn.opSize);
}
function callMp(cpu: Cpu, insn: Insn): void {
  readFarPointer(cpu, insn);
  farCall(cpu, pointer.selector, pointer.lo, pointer.hi, insn.opSize);
}
function retf(cpu: Cpu, insn: Insn): void {
  farReturn(cpu, insn.opSize, 0);
}
function retfIw(cpu: Cpu, insn: Insn): void {
  farReturn(cpu, insn.opSize, insn.immLo & 0xffff);
}

/** INT n; in virtual-8086 mode for IOPL 3 only (SDM 3A §20.3, table 20-2). */
function int(cpu: Cpu, insn: Insn): void {
  if (cpu.v86 && (cpu.s[Word.RFLAGS] & Flag.IOPL) !== Flag.IOPL) cpu.raise(Vector.GP);
  deliverInterrupt(cpu, insn.immLo & 0xff, true);
}
function int3(cpu: Cpu): void {
  deliverInterrupt(cpu, Vector.BP, true);
}
function into(cpu: Cpu): void {
  if (cpu.over < 0) deliverInterrupt(cpu, Vector.OF, true);
}
/** INT1: a #DB from outside the program, which no gate's privilege level stops. */
function int1(cpu: Cpu): void {
  cpu.faultVector = Vector.DB;
  cpu.faultCode = 0;
  cpu.faultClass = FaultClass.TRAP;
  throw GUEST_EXCEPTION;
}
function iret(cpu: Cpu, insn: Insn): void {
  interruptReturn(cpu, insn.opSize);
}

const ENDS = { ends: true };

export const FAR: readonly Row[] = [
  row("ea", "jmp Ap", jmpAp, { ...ENDS, mode: "legacy" }),
  row("ff /5", "jmp Mp", jmpMp, { ...ENDS, reads: true }),
  row("9a", "call Ap", callAp, { ...ENDS, mode: "legacy" }),
  row("ff /3", "call Mp", callMp, { ...ENDS, reads: true }),
  row("cb", "retf", retf, ENDS),
  row("ca iw", "retf Iw", retfIw, ENDS),
  row("cc", "int3", int3, ENDS),
  row("cd ib", "int Ib", int, ENDS),
  row("ce", "into", into, { ...ENDS, mode: "legacy" }),
  row("f1", "int1", int1, ENDS),
  row("cf", "iret", iret, ENDS),
];
