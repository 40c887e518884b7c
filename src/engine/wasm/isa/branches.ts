/** Near JMP, CALL, RET, Jcc, LOOP, JCXZ (SDM 2A, 2B). RIP is the next instruction's. */

import { Reg } from "../../../cpu/state.ts";
import { branch, checkTarget, condition, jumpTo, relativeTarget } from "../branch.ts";
import { type Cpu, Word } from "../cpu.ts";
import type { Insn } from "../insn.ts";
import { load16, load32, load64 } from "../memory.ts";
import { readDst16, readDst32, readDst64 } from "../operands.ts";
import { moveStack, push16, push32, push64, topAddress } from "../stack.ts";
import { bySize, type Row, row } from "./row.ts";

const RCX = Reg.RCX * 2;
const RIP = Word.RIP;

function jcc(cpu: Cpu, insn: Insn): void {
  if (condition(cpu, insn.imm2)) branch(cpu, insn);
}
function jump(cpu: Cpu, insn: Insn): void {
  branch(cpu, insn);
}

function jumpOperand16(cpu: Cpu, insn: Insn): void {
  jumpTo(cpu, readDst16(cpu, insn), 0);
}
function jumpOperand32(cpu: Cpu, insn: Insn): void {
  jumpTo(cpu, readDst32(cpu, insn), 0);
}
function jumpOperand64(cpu: Cpu, insn: Insn): void {
  const lo = readDst64(cpu, insn);
  jumpTo(cpu, lo, cpu.hi);
}

// The target is checked before the return address is pushed.
function call(cpu: Cpu, size: number, lo: number, hi: number): void {
  const { s } = cpu;
  checkTarget(cpu, lo, hi);
  if (size === 8) push64(cpu, s[RIP], s[RIP + 1]);
  else if (size === 4) push32(cpu, s[RIP]);
  else push16(cpu, s[RIP]);
  s[RIP] = lo;
  s[RIP + 1] = hi;
}
function callRelative(cpu: Cpu, insn: Insn): void {
  const lo = relativeTarget(cpu, insn);
  call(cpu, insn.opSize, lo, cpu.hi);
}
function callOperand16(cpu: Cpu, insn: Insn): void {
  call(cpu, 2, readDst16(cpu, insn), 0);
}
function callOperand32(cpu: Cpu, insn: Insn): void {
  call(cpu, 4, readDst32(cpu, insn), 0);
}
function callOperand64(cpu: Cpu, insn: Insn): void {
  const lo = readDst64(cpu, insn);
  call(cpu, 8, lo, cpu.hi);
}

// The immediate is what RET n releases beyond the return address; RET has 0.
function ret16(cpu: Cpu, insn: Insn): void {
  const sp = topAddress(cpu, 0, 2);
  jumpTo(cpu, load16(cpu, sp, cpu.hi), 0);
  moveStack(cpu, 2 + (insn.immLo & 0xffff));
}
function ret32(cpu: Cpu, insn: Insn): void {
  const sp = topAddress(cpu, 0, 4);
  jumpTo(cpu, load32(cpu, sp, cpu.hi), 0);
  moveStack(cpu, 4 + (insn.immLo & 0xffff));
}
function ret64(cpu: Cpu, insn: Insn): void {
  const sp = topAddress(cpu, 0, 8);
  const lo = load64(cpu, sp, cpu.hi);
  jumpTo(cpu, lo, cpu.hi);
  moveStack(cpu, 8 + (insn.immLo & 0xffff));
}

/** Decrements the count register, of the address size, and branches on it; a fault leaves it. */
function loop(cpu: Cpu, insn: Insn, goes: boolean): void {
  const { s } = cpu;
  const lo = (s[RCX] - 1) | 0;
  const hi = insn.addrSize === 8 ? (s[RCX] === 0 ? s[RCX + 1] - 1 | 0 : s[RCX + 1]) : 0;
  const left = insn.addrSize === 2 ? lo & 0xffff : lo | hi;
  if (goes && left !== 0) branch(cpu, insn);
  if (insn.addrSize === 2) cpu.u16[Reg.RCX * 4] = lo;
  else {
    s[RCX] = lo;
    s[RCX + 1] = hi;
  }
}
function loopAlways(cpu: Cpu, insn: Insn): void {
  loop(cpu, insn, true);
}
function loopEqual(cpu: Cpu, insn: Insn): void {
  loop(cpu, insn, cpu.zero === 0);
}
function loopNotEqual(cpu: Cpu, insn: Insn): void {
  loop(cpu, insn, cpu.zero !== 0);
}
function jumpIfCountZero(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const count = insn.addrSize === 8
    ? s[RCX] | s[RCX + 1]
    : insn.addrSize === 4
    ? s[RCX]
    : cpu.u16[Reg.RCX * 4];
  if (count === 0) branch(cpu, insn);
}

const jumpOperand = bySize(jumpOperand16, jumpOperand32, jumpOperand64);
const callOperand = bySize(callOperand16, callOperand32, callOperand64);
const ret = bySize(ret16, ret32, ret64);
/** Near branches have 64-bit operands in 64-bit mode whatever the prefix (SDM 2A §2.2.1.7). */
const NEAR = { ends: true, size64: "f64" } as const;

/** One line for each of the 16 conditions. */
function byCondition(line: (digit: string) => Row): Row[] {
  return Array.from({ length: 16 }, (_, cc) => ({ ...line(cc.toString(16)), condition: cc }));
}

export const BRANCHES: readonly Row[] = [
  ...byCondition((digit) => row(`7${digit} cb`, "j Jb", jcc, NEAR)),
  ...byCondition((digit) => row(`0f 8${digit} cz`, "j Jz", jcc, NEAR)),
  row("eb cb", "jmp Jb", jump, NEAR),
  row("e9 cz", "jmp Jz", jump, NEAR),
  row("ff /4", "jmp Ev", jumpOperand, { ...NEAR, reads: true }),
  row("e8 cz", "call Jz", callRelative, NEAR),
  row("ff /2", "call Ev", callOperand, { ...NEAR, reads: true }),
  row("c2 iw", "ret Iw", ret, NEAR),
  row("c3", "ret", ret, NEAR),
  row("e0 cb", "loopne Jb", loopNotEqual, NEAR),
  row("e1 cb", "loope Jb", loopEqual, NEAR),
  row("e2 cb", "loop Jb", loopAlways, NEAR),
  row("e3 cb", "jrcxz Jb", jumpIfCountZero, NEAR),
];
