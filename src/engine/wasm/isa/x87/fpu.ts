/**
 * What x87 instructions have in common: the register stack and its faults, and what an instruction
 * leaves behind in the status word (SDM 1 §8.1, §8.4, §8.5). Results, also those of stack faults,
 * are in `result` of the arithmetic library.
 */

import { carryOf as importedCarryOf } from "../../../../base/u64.ts";
import {
  IE as importedIe,
  pushed as importedPushed,
  result as importedResult,
} from "../../../../cpu/float/mod.ts";
import { effectiveAddress } from "../../address.ts";
import type { Cpu } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import type { X87 } from "../../x87_state.ts";

// V8 folds a module's own constants, not those of others.
const carryOf = importedCarryOf;
const result = importedResult;
const pushed = importedPushed;
const IE = importedIe;

/** Condition codes, in the status word. */
export const C0 = 1 << 8;
/** See `C0`. */
export const C1 = 1 << 9;
/** See `C0`. */
export const C2 = 1 << 10;
/** See `C0`. */
export const C3 = 1 << 14;
/** Stack fault, in the status word, together with IE (SDM 1 §8.1.3.4). */
const SF = 1 << 6;
/** The six exceptions. */
const EXCEPTIONS = 0x3f;

/** The real indefinite (SDM 1 table 4-3): upper half of the significand, sign and exponent. */
const INDEFINITE_HI = 0xc000_0000 | 0;
const INDEFINITE_SIGN_EXP = 0xffff;

/** Whether ST(i) is empty. */
export function isEmpty(x87: X87, i: number): boolean {
  return (x87.used >>> (x87.top + i & 7) & 1) === 0;
}

/** Whether there is no room for a push. */
export function isFull(x87: X87): boolean {
  return (x87.used >>> (x87.top + 7 & 7) & 1) !== 0;
}

/** Makes room for a new ST(0). */
export function push(x87: X87): void {
  x87.top = x87.top + 7 & 7;
}

/** Empties ST(0) and makes ST(1) the new one. */
export function pop(x87: X87): void {
  x87.used &= ~(1 << x87.top);
  x87.top = x87.top + 1 & 7;
}

/** Writes ST(i). */
export function setStack(cpu: Cpu, i: number, lo: number, hi: number, signExp: number): void {
  const { x87, s } = cpu;
  const at = x87.stackWord(i);
  s[at] = lo;
  s[at + 1] = hi;
  s[at + 2] = signExp;
  x87.used |= 1 << (x87.top + i & 7);
}

/** The outcome of an instruction that met an empty register: the indefinite of the destination. */
export function underflow(
  x87: X87,
  lo = 0,
  hi = INDEFINITE_HI,
  signExp = INDEFINITE_SIGN_EXP,
): void {
  result.lo = lo;
  result.hi = hi;
  result.signExp = signExp;
  result.flags = IE | SF;
  result.roundedUp = 0;
  result.incomplete = 0;
  result.stored = x87.control & IE;
}

/** The outcome of a push onto a full stack: C1 tells it from an underflow. */
export function overflow(x87: X87): void {
  underflow(x87);
  result.roundedUp = 1;
}

/**
 * Enters `result`'s flags into the status word, C1, and the pointers to the instruction; those to its
 * opcode and operand only for an exception that is not masked (SDM 1 §8.1.8, §8.1.9; CPUID
 * FDP_EXCPTN_ONLY).
 */
export function settle(cpu: Cpu, insn: Insn): void {
  const { x87 } = cpu;
  const { flags } = result;
  const base = cpu.codeBaseLo;
  const lo = (base + insn.offset) | 0;
  x87.ipLo = lo;
  x87.ipHi = cpu.is64 ? (cpu.codeBaseHi + carryOf(base, insn.offset, lo)) | 0 : 0;
  x87.status = x87.status & ~C1 | flags | (result.roundedUp !== 0 ? C1 : 0);
  if ((flags & ~x87.control & EXCEPTIONS) !== 0) reportLater(cpu, insn);
}

/** #MF comes before the next waiting instruction (SDM 1 §8.6). */
function reportLater(cpu: Cpu, insn: Insn): void {
  const { x87 } = cpu;
  x87.summarize();
  x87.opcode = insn.x87Opcode;
  if (!insn.isMem) return;
  x87.dpLo = effectiveAddress(cpu, insn);
  x87.dpHi = cpu.hi;
}

/** Ends an instruction with a result for ST(i). */
export function settleStack(cpu: Cpu, insn: Insn, i: number): void {
  if (result.stored !== 0) setStack(cpu, i, result.lo, result.hi, result.signExp);
  settle(cpu, insn);
}

/** Ends an instruction with a result that is pushed. */
export function settlePush(cpu: Cpu, insn: Insn): void {
  if (result.stored !== 0) push(cpu.x87);
  settleStack(cpu, insn, 0);
}

/**
 * Whether an instruction that replaces ST(0) and pushes may go on; if not, its outcome is a stack
 * fault, with two indefinites.
 */
export function hasRoomForTwo(x87: X87): boolean {
  if (isEmpty(x87, 0)) underflow(x87);
  else if (isFull(x87)) overflow(x87);
  else return true;
  pushed.lo = result.lo;
  pushed.hi = result.hi;
  pushed.signExp = result.signExp;
  return false;
}

/** Ends such an instruction: `result` replaces ST(0), `pushed` is pushed unless C2 will be set. */
export function settleTwo(cpu: Cpu, insn: Insn): void {
  settleStack(cpu, insn, 0);
  if (result.stored === 0 || result.incomplete !== 0) return;
  push(cpu.x87);
  setStack(cpu, 0, pushed.lo, pushed.hi, pushed.signExp);
}

/** Ends an instruction that has no result but its effect: nothing is raised, C1 becomes 0. */
export function settleQuietly(cpu: Cpu, insn: Insn): void {
  result.flags = 0;
  result.roundedUp = 0;
  settle(cpu, insn);
}

/** As `settleQuietly`, for instructions that leave C1 alone unless the stack faults. */
export function settleUnchanged(cpu: Cpu, insn: Insn): void {
  result.flags = 0;
  result.roundedUp = cpu.x87.status & C1;
  settle(cpu, insn);
}

/** What the rows have in common. */
export const REGISTER_FORM = { unit: "x87" } as const;
/** See `REGISTER_FORM`: a memory operand that is read. */
export const LOAD_FORM = { unit: "x87", form: "mem", reads: true } as const;
/** See `REGISTER_FORM`: a memory operand that is written. */
export const STORE_FORM = { unit: "x87", form: "mem" } as const;
