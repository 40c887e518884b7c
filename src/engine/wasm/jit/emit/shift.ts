/** SHL, SHR, SAR, ROL, ROR: see `isa/shift.ts`, also for what the undefined flags become. */

import { IMM, type Insn } from "../../insn.ts";
import { type Emitter, Extend } from "../emitter.ts";
import { FlagKind } from "../layout.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import type { Emissions } from "./emit.ts";
import { pushFlags, setExplicitFlags, setFlagKind } from "./flags.ts";

const { FLAG_B, FLAG_RESULT, I0, T0, T1, T2 } = Local;
/** CF and OF. */
const CARRY_OVERFLOW = 0x801;

/** A shift: result and carry of the value in T0 by the count that `count` pushes (i64). */
interface Shift {
  readonly extend: Extend;
  /** Pushes the result, with whatever above it. */
  result(e: Emitter, count: () => void): void;
  /** Pushes CF, 0 or 1 (i64). The count is not 0. */
  carry(e: Emitter, width: number, count: () => void): void;
  /** Pushes OF, 0 or 1 (i64); CF is in T2, the result in FLAG_RESULT. */
  overflow(e: Emitter, width: number): void;
}

/** Pushes 0 or 1: bit 0 of the value on the stack. */
function lowBit(e: Emitter): void {
  e.code.i64(1);
  e.code.op(Op.I64_AND);
}

/** Of right shifts: the bit that leaves last. */
function rightCarry(e: Emitter, op: Op, count: () => void): void {
  const { code } = e;
  code.get(T0);
  count();
  code.i64(1);
  code.op(Op.I64_SUB);
  code.op(op);
  lowBit(e);
}

const SHL: Shift = {
  extend: Extend.ZERO,
  result: (e, count) => {
    e.code.get(T0);
    count();
    e.code.op(Op.I64_SHL);
  },
  carry: (e, width, count) => {
    const { code } = e;
    if (width === 8) {
      code.get(T0);
      code.i64(64);
      count();
      code.op(Op.I64_SUB);
    } else { // what has left the operand is still there
      code.get(T0);
      count();
      code.op(Op.I64_SHL);
      code.i64(width * 8);
    }
    code.op(Op.I64_SHR_U);
    lowBit(e);
  },
  overflow: (e) => {
    e.code.get(FLAG_RESULT);
    e.code.i64(63);
    e.code.op(Op.I64_SHR_U);
    e.code.get(T2);
    e.code.op(Op.I64_XOR);
  },
};

const SHR: Shift = {
  extend: Extend.ZERO,
  result: (e, count) => {
    e.code.get(T0);
    count();
    e.code.op(Op.I64_SHR_U);
  },
  carry: (e, _width, count) => rightCarry(e, Op.I64_SHR_U, count),
  overflow: (e, width) => {
    e.code.get(T0);
    e.code.i64(width * 8 - 1);
    e.code.op(Op.I64_SHR_U);
  },
};

const SAR: Shift = {
  extend: Extend.SIGN,
  result: (e, count) => {
    e.code.get(T0);
    count();
    e.code.op(Op.I64_SHR_S);
  },
  carry: (e, _width, count) => rightCarry(e, Op.I64_SHR_S, count),
  overflow: (e) => e.code.i64(0),
};

function shift(e: Emitter, width: number, kind: Shift): void {
  const { code, insn } = e;
  e.checkDestination(width);
  e.fetchDestination(width, kind.extend);
  code.set(T0);
  const fixed = insn.src === IMM;
  if (fixed && maskedCount(insn, width) === 0) return e.writeDestination(width, T0);
  const count = pushCount(e, width);
  if (!e.flagsWanted) {
    kind.result(e, count);
    code.set(T0);
    return e.writeDestination(width, T0);
  }
  if (!fixed) {
    count();
    code.op(Op.I64_EQZ);
    code.op(Op.I32_EQZ);
    e.open(Op.IF);
  }
  kind.result(e, count);
  e.extend(width, Extend.SIGN);
  code.set(FLAG_RESULT);
  kind.carry(e, width, count);
  code.tee(T2);
  kind.overflow(e, width);
  code.i64(11);
  code.op(Op.I64_SHL);
  code.op(Op.I64_OR);
  code.set(FLAG_B);
  setFlagKind(e, FlagKind.RESULT);
  if (fixed) return e.writeDestination(width, FLAG_RESULT);
  code.get(FLAG_RESULT);
  code.set(T0);
  e.end();
  e.known = undefined; // with a count of 0 the flags are the old ones
  e.writeDestination(width, T0);
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
  code.get(T0);
  if (width === 4) {
    code.op(Op.I32_WRAP_I64);
    count();
    code.op(Op.I32_WRAP_I64);
    code.op(left ? Op.I32_ROTL : Op.I32_ROTR);
    code.op(Op.I64_EXTEND_I32_U);
  } else {
    count();
    code.op(left ? Op.I64_ROTL : Op.I64_ROTR);
  }
  code.set(T0);
  const fixed = insn.src === IMM;
  if (e.flagsWanted && !(fixed && maskedCount(insn, width) === 0)) {
    if (!fixed) {
      count();
      code.op(Op.I64_EQZ);
      code.op(Op.I32_EQZ);
      e.open(Op.IF);
    }
    pushFlags(e);
    code.i32(~CARRY_OVERFLOW);
    code.op(Op.I32_AND);
    rotationFlags(e, width, left);
    code.op(Op.I32_OR);
    setExplicitFlags(e);
    if (!fixed) {
      e.end();
      e.known = undefined;
    }
  }
  e.writeDestination(width, T0);
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

/** SHLD and SHRD of 32 and 64 bits by an immediate: see `isa/double_shift.ts`. */
function doubleShift(e: Emitter, width: number, left: boolean): void {
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
  e.extend(width, Extend.SIGN);
  if (!e.flagsWanted) {
    code.set(T0);
    return e.writeDestination(width, T0);
  }
  code.set(FLAG_RESULT);
  code.get(T0);
  code.i64(left ? bits - n : n - 1);
  code.op(Op.I64_SHR_U);
  lowBit(e);
  // OF: the sign changes.
  code.get(T0);
  code.i64(bits - 1);
  code.op(Op.I64_SHR_U);
  code.get(FLAG_RESULT);
  code.i64(63);
  code.op(Op.I64_SHR_U);
  code.op(Op.I64_XOR);
  code.i64(11);
  code.op(Op.I64_SHL);
  code.op(Op.I64_OR);
  code.set(FLAG_B);
  setFlagKind(e, FlagKind.RESULT);
  e.writeDestination(width, FLAG_RESULT);
}

/** A byte operand has "b" for its size. */
function isWide(insn: Insn): boolean {
  return insn.opSize > 2 && insn.row?.operands[0] === "Ev";
}
function byImmediate(insn: Insn): boolean {
  return insn.src2 === 0 && insn.opSize > 2;
}

/** A count in CL may leave the flags as they are; an immediate one that is not 0 sets all. */
const SHIFT = { sets: "some", reads: true } as const;

/** @see Emissions */
export const SHIFTS: Emissions = {
  shl: { emit: (e, width) => shift(e, width, SHL), ...SHIFT },
  shr: { emit: (e, width) => shift(e, width, SHR), ...SHIFT },
  sar: { emit: (e, width) => shift(e, width, SAR), ...SHIFT },
  rol: { emit: (e, width) => rotate(e, width, true), ...SHIFT, when: isWide },
  ror: { emit: (e, width) => rotate(e, width, false), ...SHIFT, when: isWide },
  shld: { emit: (e, width) => doubleShift(e, width, true), ...SHIFT, when: byImmediate },
  shrd: { emit: (e, width) => doubleShift(e, width, false), ...SHIFT, when: byImmediate },
};
