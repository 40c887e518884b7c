/** ADD, ADC, SUB, SBB, CMP, NEG, INC, DEC: see `isa/arithmetic.ts`. */

import { type Emitter, Extend } from "../emitter.ts";
import { FlagKind } from "../layout.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import type { Emissions } from "./emit.ts";
import { flagExtension, pushCarry, setFlagKind, setFlagKindKeepingCarry } from "./flags.ts";

const { FLAG_A, FLAG_B, FLAG_RESULT, T0, T1 } = Local;

/** Sum or difference. */
function binary(e: Emitter, width: number, op: Op): void {
  const { code } = e;
  e.checkDestination(width);
  if (!e.flagsWanted) {
    e.readSource(width, Extend.ANY);
    code.set(T0);
    e.operate(width, op, () => e.fetchDestination(width, Extend.ANY), () => code.get(T0));
    code.set(T0);
    return e.writeDestination(width, T0, true);
  }
  const extend = flagExtension(width);
  e.readSource(width, extend);
  code.set(FLAG_B);
  e.operate(width, op, () => {
    e.fetchDestination(width, extend);
    if (width < 4) code.tee(FLAG_A);
  }, () => code.get(FLAG_B));
  e.extend(width, extend);
  code.set(FLAG_RESULT);
  setFlagKind(e, kindOf(op, width), true, width === 4);
  e.writeDestination(width, FLAG_RESULT, true);
}

/** The kind of a sum or difference without a carry; A is needed for narrow ones alone. */
function kindOf(op: Op, width: number): FlagKind {
  if (op === Op.I64_ADD) return width < 4 ? FlagKind.ADD : FlagKind.SUM;
  return width < 4 ? FlagKind.SUB : FlagKind.DIFFERENCE;
}

/** The same with CF as another summand. */
function binaryWithCarry(e: Emitter, width: number, op: Op, kind: FlagKind): void {
  const { code, insn } = e;
  if (op === Op.I64_SUB && insn.dst >= 0 && insn.dst === insn.src) return spreadCarry(e, width);
  const extend = e.flagsWanted ? flagExtension(width) : Extend.ANY;
  e.checkDestination(width);
  e.readSource(width, extend);
  code.set(T0);
  pushCarry(e);
  code.op(Op.I64_EXTEND_I32_U);
  code.set(T1);
  e.fetchDestination(width, extend);
  if (e.flagsWanted) code.tee(FLAG_A);
  code.get(T0);
  if (e.flagsWanted) code.tee(FLAG_B);
  code.op(op);
  code.get(T1);
  code.op(op);
  if (!e.flagsWanted) {
    code.set(T0);
    return e.writeDestination(width, T0);
  }
  e.extend(width, extend);
  code.set(FLAG_RESULT);
  setFlagKind(e, kind, false, width === 4);
  e.writeDestination(width, FLAG_RESULT);
}

/** SBB of a register from itself is how code spells 0 less CF: the flags are those of that, too. */
function spreadCarry(e: Emitter, width: number): void {
  const { code } = e;
  pushCarry(e);
  code.op(Op.I64_EXTEND_I32_U);
  code.set(T0);
  subtractFrom0(e, width);
}

/** T0, taken from 0, becomes the first operand. */
function subtractFrom0(e: Emitter, width: number): void {
  const { code } = e;
  e.operate(width, Op.I64_SUB, () => code.i64(0), () => code.get(T0));
  if (!e.flagsWanted) {
    code.set(T0);
    return e.writeDestination(width, T0, true);
  }
  e.extend(width, flagExtension(width));
  code.set(FLAG_RESULT);
  code.get(T0);
  code.set(FLAG_B);
  if (width < 4) {
    code.i64(0);
    code.set(FLAG_A);
  }
  setFlagKind(e, kindOf(Op.I64_SUB, width), true, width === 4);
  e.writeDestination(width, FLAG_RESULT, true);
}

function compare(e: Emitter, width: number): void {
  const { code } = e;
  const extend = flagExtension(width);
  e.readSource(width, extend);
  code.set(T0);
  e.readDestination(width, extend);
  if (!e.flagsWanted) return code.op(Op.DROP);
  if (width < 4) {
    code.tee(FLAG_A);
    code.get(T0);
    code.tee(FLAG_B);
    code.op(Op.I64_SUB);
    e.extend(width, extend);
    code.set(FLAG_RESULT);
    return setFlagKind(e, FlagKind.SUB, true);
  }
  code.set(FLAG_A);
  code.get(T0);
  code.set(FLAG_B);
  setFlagKind(e, FlagKind.COMPARISON, true, width === 4);
}

function negate(e: Emitter, width: number): void {
  e.checkDestination(width);
  e.fetchDestination(width, flagExtension(width));
  e.code.set(T0);
  subtractFrom0(e, width);
}

/** INC and DEC keep CF. */
function step(e: Emitter, width: number, op: Op): void {
  const { code } = e;
  e.checkDestination(width);
  const extend = flagExtension(width);
  if (!e.flagsWanted) {
    e.operate(width, op, () => e.fetchDestination(width, Extend.ANY), () => code.i64(1));
    code.set(T0);
    return e.writeDestination(width, T0, true);
  }
  setFlagKindKeepingCarry(e, kindOf(op, width), width === 4);
  code.i64(1);
  code.set(FLAG_B);
  e.operate(width, op, () => {
    e.fetchDestination(width, extend);
    if (width < 4) code.tee(FLAG_A);
  }, () => code.i64(1));
  e.extend(width, extend);
  code.set(FLAG_RESULT);
  e.writeDestination(width, FLAG_RESULT, true);
}

/** @see Emissions */
export const ARITHMETIC: Emissions = {
  add: { emit: (e, width) => binary(e, width, Op.I64_ADD), sets: "all" },
  sub: { emit: (e, width) => binary(e, width, Op.I64_SUB), sets: "all" },
  adc: {
    emit: (e, width) => binaryWithCarry(e, width, Op.I64_ADD, FlagKind.ADD),
    sets: "all",
    reads: true,
  },
  sbb: {
    emit: (e, width) => binaryWithCarry(e, width, Op.I64_SUB, FlagKind.SUB),
    sets: "all",
    reads: true,
  },
  cmp: { emit: compare, sets: "all" },
  neg: { emit: negate, sets: "all" },
  inc: { emit: (e, width) => step(e, width, Op.I64_ADD), sets: "some", reads: true },
  dec: { emit: (e, width) => step(e, width, Op.I64_SUB), sets: "some", reads: true },
};
