/**
 * Floating-point instructions, apart from what they do to an element: exceptions, and the forms
 * (scalar, packed).
 *
 * An element's operation writes its result and returns the exception flags that it raises. Results
 * wait in a scratch area until it is known that no exception is unmasked.
 */

import { packedFlags as importedPackedFlags } from "../../../../cpu/float/control.ts";
import { Cr4 } from "../../../../cpu/modes.ts";
import { type Cpu, Word } from "../../cpu.ts";
import { Vector } from "../../exception.ts";
import type { Handler } from "../../insn.ts";
import * as vector from "./vector.ts";

// V8 folds a module's own constants, not those of others.
const packedFlags = importedPackedFlags;
const { copy128, RESULT, source32, source64, source128 } = vector;
const MXCSR = Word.MXCSR;
/** The precision flag, which nearly every program has set after a few operations. */
export const PE = 32;

/** Everything of MXCSR but the flags. */
const CONTROL = 0xffc0;
/** All exceptions masked, round to nearest, denormals are neither flushed nor zeros. */
const DEFAULT_CONTROL = 0x1f80;
/** Exception masks in MXCSR (SDM 1 §10.2.3). */
const MASK_SHIFT = 7;

/**
 * An element's operation: word indices of the operands and of the result, and the instruction's
 * immediate. Returns exception flags. Operations with one operand take `b`.
 */
export type ElementOp = (cpu: Cpu, a: number, b: number, to: number, immediate: number) => number;

/** Whether MXCSR asks for what JavaScript's arithmetic does. */
export function isDefault(mxcsr: number): boolean {
  return (mxcsr & CONTROL) === DEFAULT_CONTROL;
}

/** Whether a double is zero or normal: of any other kind the fast paths know nothing. */
export function isPlain64(lo: number, hi: number): boolean {
  return ((hi & 0x7fff_ffff) - 0x10_0000) >>> 0 < 0x7fe0_0000 || (hi << 1 | lo) === 0;
}

/** Whether a single is zero or normal. */
export function isPlain32(bits: number): boolean {
  return ((bits & 0x7fff_ffff) - 0x80_0000) >>> 0 < 0x7f00_0000 || bits << 1 === 0;
}

/** Whether x + y, rounded to `sum`, was exact (Knuth, The Art of Computer Programming 2, §4.2.2). */
export function isExactSum(x: number, y: number, sum: number): boolean {
  const part = sum - x;
  return x - (sum - part) + (y - part) === 0;
}

/**
 * Sets the sticky flags; an unmasked exception is raised, before the result is written (SDM 1
 * §11.5.3; without CR4.OSXMMEXCPT it is #UD).
 */
export function raiseFlags(cpu: Cpu, union: number): void {
  if (union === 0) return;
  const { s } = cpu;
  const mxcsr = s[MXCSR];
  const flags = packedFlags(union, mxcsr);
  s[MXCSR] = mxcsr | flags;
  if ((flags & ~(mxcsr >> MASK_SHIFT)) !== 0) {
    cpu.raise((s[Word.CR4] & Cr4.OSXMMEXCPT) !== 0 ? Vector.XM : Vector.UD);
  }
}

/** One single; the rest of the destination stays. */
export function scalar32(op: ElementOp): Handler {
  return (cpu, insn) => {
    const b = source32(cpu, insn);
    raiseFlags(cpu, op(cpu, insn.dst, b, RESULT, insn.immLo));
    cpu.s[insn.dst] = cpu.s[RESULT];
  };
}

/** One double; the rest of the destination stays. */
export function scalar64(op: ElementOp): Handler {
  return (cpu, insn) => {
    const b = source64(cpu, insn);
    raiseFlags(cpu, op(cpu, insn.dst, b, RESULT, insn.immLo));
    cpu.s[insn.dst] = cpu.s[RESULT];
    cpu.s[insn.dst + 1] = cpu.s[RESULT + 1];
  };
}

/** Four singles. */
export function packed32(op: ElementOp): Handler {
  return (cpu, insn) => {
    const b = source128(cpu, insn);
    const { dst, immLo } = insn;
    let flags = op(cpu, dst, b, RESULT, immLo);
    flags |= op(cpu, dst + 1, b + 1, RESULT + 1, immLo);
    flags |= op(cpu, dst + 2, b + 2, RESULT + 2, immLo);
    flags |= op(cpu, dst + 3, b + 3, RESULT + 3, immLo);
    raiseFlags(cpu, flags);
    copy128(cpu.s, RESULT, dst);
  };
}

/** Two doubles. */
export function packed64(op: ElementOp): Handler {
  return (cpu, insn) => {
    const b = source128(cpu, insn);
    const { dst, immLo } = insn;
    const flags = op(cpu, dst, b, RESULT, immLo) | op(cpu, dst + 2, b + 2, RESULT + 2, immLo);
    raiseFlags(cpu, flags);
    copy128(cpu.s, RESULT, dst);
  };
}
