/** SHL, SHR, SAR, ROL, ROR: see `isa/shift.ts`, also for what the undefined flags become. */

import { IMM, type Insn } from "../../insn.ts";
import { type Emitter, Extend } from "../emitter.ts";
import { FlagKind } from "../layout.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import type { Emissions } from "./emit.ts";
import { flagExtension, replaceCarryAndOverflow, setFlagKind } from "./flags.ts";

const { FLAG_A, FLAG_B, FLAG_RESULT, I0, T0, T1, T2 } = Local;

/** A shift, and how its flags follow from operand, count and result. */
interface Shift {
  readonly op: Op;
  /** How the operand is read, by its width. */
  readonly extend: (width: number) => Extend;
  readonly kind: FlagKind;
}

const SHL: Shift = {
  op: Op.I64_SHL,
  // Beyond a narrow operand's size CF is one of the zeros above it.
  extend: (width) => width < 4 ? Extend.ZERO : Extend.ANY,
  kind: FlagKind.LEFT,
};
const SHR: Shift = {
  op: Op.I64_SHR_U,
  extend: (width) => width < 4 ? Extend.ZERO : Extend.ANY,
  kind: FlagKind.RIGHT,
};
const SAR: Shift = {
  op: Op.I64_SHR_S,
  extend: (width) => width < 4 ? Extend.SIGN : Extend.ANY,
  kind: FlagKind.RIGHT,
};

function shift(e: Emitter, width: number, { op, extend, kind }: Shift): void {
  const { code, insn } = e;
  e.checkDestination(width);
  e.fetchDestination(width, extend(width));
  code.set(T0);
  const fixed = insn.src === IMM;
  if (fixed && maskedCount(insn, width) === 0) return e.writeDestination(width, T0);
  const count = pushCount(e, width);
  e.operate(width, op, () => code.get(T0), count);
  if (!e.flagsWanted) {
    code.set(T0);
    return e.writeDestination(width, T0, true);
  }
  e.extend(width, flagExtension(width));
  if (fixed) code.set(FLAG_RESULT);
  else {
    // With a count of 0 the flags are the old ones.
    code.set(T2);
    count();
    code.op(Op.I64_EQZ);
    code.op(Op.I32_EQZ);
    e.open(Op.IF);
    code.get(T2);
    code.set(FLAG_RESULT);
  }
  // A narrow operand goes to the top, where its sign is A's, and nothing is beyond its end.
  const raised = op === Op.I64_SHR_U && width < 4 ? 64 - width * 8 : 0;
  code.get(T0);
  if (raised !== 0) {
    code.i64(raised);
    code.op(Op.I64_SHL);
  }
  code.set(FLAG_A);
  const isLeft = kind === FlagKind.LEFT;
  moved(e, width, isLeft ? width * 8 : raised - 1, isLeft ? -1 : 1);
  code.set(FLAG_B);
  setFlagKind(e, kind, true, width === 4);
  if (fixed) return e.writeDestination(width, FLAG_RESULT, true);
  e.end();
  e.known = undefined;
  e.writeDestination(width, T2, true);
}

/** Pushes a place (i64) moved up or down by the count: of the bit that leaves last. */
function moved(e: Emitter, width: number, from: number, direction: 1 | -1): void {
  const { code, insn } = e;
  if (insn.src === IMM) return code.i64(from + direction * maskedCount(insn, width));
  code.i64(from);
  code.get(T1);
  code.op(direction > 0 ? Op.I64_ADD : Op.I64_SUB);
}

/** What pushes the masked count (i64): a constant, or T1. */
function pushCount(e: Emitter, width: number): () => void {
  const { code, insn } = e;
  if (insn.src === IMM) return () => code.i64(maskedCount(insn, width));
  e.readRegister(insn.src, 1, Extend.ANY);
  code.i64(width === 8 ? 63 : 31);
  code.op(Op.I64_AND);
  code.set(T1);
  return () => code.get(T1);
}

function maskedCount(insn: Insn, width: number): number {
  return insn.immLo & (width === 8 ? 63 : 31);
}

/** Rotations of 32 and 64 bits; other flags than CF and OF stay. */
function rotate(e: Emitter, width: number, left: boolean): void {
  const { code, insn } = e;
  e.checkDestination(width);
  e.fetchDestination(width, Extend.ANY);
  code.set(T0);
  const count = pushCount(e, width);
  e.operate(width, left ? Op.I64_ROTL : Op.I64_ROTR, () => code.get(T0), count);
  code.set(T0);
  const fixed = insn.src === IMM;
  if (e.flagsWanted && !(fixed && maskedCount(insn, width) === 0)) {
    if (!fixed) {
      count();
      code.op(Op.I64_EQZ);
      code.op(Op.I32_EQZ);
      e.open(Op.IF);
    }
    replaceCarryAndOverflow(e, () => rotationFlags(e, width, left));
    if (!fixed) {
      e.end();
      e.known = undefined;
    }
  }
  e.writeDestination(width, T0, true);
}

/** Pushes CF and OF of the rotation whose result is in T0: the top and lowest bits say them. */
function rotationFlags(e: Emitter, width: number, left: boolean): void {
  const { code } = e;
  const bit = (position: number) => {
    code.get(T0);
    code.i64(position);
    code.op(Op.I64_SHR_U);
    code.op(Op.I32_WRAP_I64);
    code.i32(1);
    code.op(Op.I32_AND);
  };
  const top = width * 8 - 1;
  bit(left ? 0 : top);
  code.tee(I0);
  if (left) {
    code.get(I0);
    bit(top);
  } else {
    bit(top);
    bit(top - 1);
  }
  code.op(Op.I32_XOR);
  code.i32(11);
  code.op(Op.I32_SHL);
  code.op(Op.I32_OR);
}

/** SHLD and SHRD of 32 and 64 bits: see `isa/double_shift.ts`. */
function doubleShift(e: Emitter, width: number, left: boolean): void {
  if (e.insn.src2 === 0) doubleShiftByImmediate(e, width, left);
  else doubleShiftByCl(e, width, left);
}

function doubleShiftByCl(e: Emitter, width: number, left: boolean): void {
  const { code, insn } = e;
  const bits = width * 8;
  e.checkDestination(width);
  e.fetchDestination(width, Extend.ZERO);
  code.set(T0);
  e.readRegister(insn.src2, 1, Extend.ANY);
  code.i64(bits - 1);
  code.op(Op.I64_AND);
  code.set(T1);
  code.get(T0);
  code.get(T1);
  code.op(left ? Op.I64_SHL : Op.I64_SHR_U);
  // In two shifts, so that a count of 0 leaves nothing of the source.
  e.readRegister(insn.src, width, Extend.ZERO);
  code.i64(1);
  code.op(left ? Op.I64_SHR_U : Op.I64_SHL);
  code.i64(bits - 1);
  code.get(T1);
  code.op(Op.I64_SUB);
  code.op(left ? Op.I64_SHR_U : Op.I64_SHL);
  code.op(Op.I64_OR);
  code.set(T2);
  if (e.flagsWanted) {
    code.get(T1);
    code.op(Op.I64_EQZ);
    code.op(Op.I32_EQZ);
    e.open(Op.IF);
    code.get(T2);
    code.set(FLAG_RESULT);
    code.get(T0);
    code.set(FLAG_A);
    moved(e, width, left ? bits : -1, left ? -1 : 1);
    code.set(FLAG_B);
    setFlagKind(e, FlagKind.RIGHT, true, width === 4); // OF: the sign changes
    e.end();
    e.known = undefined;
  }
  e.writeDestination(width, T2);
}

function doubleShiftByImmediate(e: Emitter, width: number, left: boolean): void {
  const { code, insn } = e;
  const bits = width * 8;
  const n = maskedCount(insn, width);
  e.checkDestination(width);
  e.fetchDestination(width, Extend.ZERO);
  code.set(T0);
  if (n === 0) return e.writeDestination(width, T0);
  code.get(T0);
  code.i64(n);
  code.op(left ? Op.I64_SHL : Op.I64_SHR_U);
  e.readRegister(insn.src, width, Extend.ZERO);
  code.i64(bits - n);
  code.op(left ? Op.I64_SHR_U : Op.I64_SHL);
  code.op(Op.I64_OR);
  if (!e.flagsWanted) {
    code.set(T0);
    return e.writeDestination(width, T0);
  }
  code.set(FLAG_RESULT);
  code.get(T0);
  code.set(FLAG_A);
  code.i64(left ? bits - n : n - 1);
  code.set(FLAG_B);
  setFlagKind(e, FlagKind.RIGHT, true, width === 4); // OF: the sign changes
  e.writeDestination(width, FLAG_RESULT);
}

/** A byte operand has "b" for its size. */
function isWide(insn: Insn): boolean {
  return insn.opSize > 2 && insn.row?.operands[0] === "Ev";
}
function isWideDouble(insn: Insn): boolean {
  return insn.opSize > 2;
}

/** An immediate count that is not 0. */
function isFixed(insn: Insn): boolean {
  const width = insn.row!.operands[0] === "Eb" ? 1 : insn.opSize;
  return insn.row!.operands.at(-1) !== "CL" && maskedCount(insn, width) !== 0;
}

/** A count in CL may be 0, which leaves the flags as they are. */
const SHIFT = { sets: "some", reads: true, replaces: isFixed } as const;
/** They keep some. */
const ROTATION = { sets: "some", reads: true } as const;

/** @see Emissions */
export const SHIFTS: Emissions = {
  shl: { emit: (e, width) => shift(e, width, SHL), ...SHIFT },
  shr: { emit: (e, width) => shift(e, width, SHR), ...SHIFT },
  sar: { emit: (e, width) => shift(e, width, SAR), ...SHIFT },
  rol: { emit: (e, width) => rotate(e, width, true), ...ROTATION, when: isWide },
  ror: { emit: (e, width) => rotate(e, width, false), ...ROTATION, when: isWide },
  shld: { emit: (e, width) => doubleShift(e, width, true), ...SHIFT, when: isWideDouble },
  shrd: { emit: (e, width) => doubleShift(e, width, false), ...SHIFT, when: isWideDouble },
};
