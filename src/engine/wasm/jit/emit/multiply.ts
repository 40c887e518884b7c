/** MUL, IMUL, DIV, IDIV: see `isa/multiply.ts` and `isa/divide.ts`. */

import { type Emitter, Extend } from "../emitter.ts";
import { FlagKind } from "../layout.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import type { Emissions } from "./emit.ts";
import { flagExtension, setFlagKind } from "./flags.ts";

const { FLAG_A, FLAG_B, FLAG_RESULT, T0, T1, T2, T3 } = Local;
const RAX = 0;
const RDX = 2;

/** IMUL with two or three operands: the product is cut to the operand size. */
function multiplyInto(e: Emitter, width: number): void {
  const { code, insn } = e;
  const extend = e.flagsWanted ? flagExtension(width) : Extend.ANY;
  e.readSource(width, extend);
  code.set(T0);
  const three = (insn.row?.operands.length ?? 0) === 3;
  const second = () => {
    if (three) e.immediate(width, extend);
    else e.readRegister(insn.dst, width, extend);
  };
  if (!e.flagsWanted) {
    code.get(T0);
    second();
    code.op(Op.I64_MUL);
    return e.writeRegister(insn.dst, width);
  }
  second();
  code.tee(FLAG_A);
  code.get(T0);
  code.tee(FLAG_B);
  code.op(Op.I64_MUL);
  e.extend(width, extend);
  code.tee(FLAG_RESULT);
  setFlagKind(e, FlagKind.PRODUCT, true, width === 4);
  e.writeRegister(insn.dst, width);
}

/** MUL and IMUL into RDX:RAX. */
function multiplyAccumulator(e: Emitter, width: number, signed: boolean): void {
  const { code } = e;
  const extend = signed ? Extend.SIGN : Extend.ZERO;
  e.readDestination(width, extend);
  code.set(T0);
  e.readRegister(RAX, width, extend);
  code.set(T1);
  if (width === 8) highProduct(e, signed);
  else {
    code.get(T0);
    code.get(T1);
    code.op(Op.I64_MUL);
    code.tee(T2);
    code.i64(width * 8);
    code.op(signed ? Op.I64_SHR_S : Op.I64_SHR_U);
    code.set(T3);
  }
  code.get(T0);
  code.get(T1);
  code.op(Op.I64_MUL);
  e.extend(width, Extend.SIGN);
  const lower = e.flagsWanted ? FLAG_RESULT : T0;
  code.set(lower);
  if (e.flagsWanted) {
    // CF and OF: the upper half is not what the lower one says already.
    code.get(T3);
    if (signed) {
      code.get(lower);
      code.i64(63);
      code.op(Op.I64_SHR_S);
      code.op(Op.I64_XOR);
    }
    code.set(FLAG_B);
    setFlagKind(e, FlagKind.HIGH);
  }
  if (width === 1) {
    code.get(T2);
    return e.writeRegister(0, 2); // AX
  }
  code.get(lower);
  e.writeRegister(0, width);
  code.get(T3);
  e.writeRegister(RDX * (width === 2 ? 4 : 2), width);
}

/** The upper half of T0 * T1 to T3: from four products of 32-bit halves. */
export function highProduct(e: Emitter, signed: boolean): void {
  const { code } = e;
  const low = (local: number) => {
    code.get(local);
    code.i64(-1, 0);
    code.op(Op.I64_AND);
  };
  const high = (local: number) => {
    code.get(local);
    code.i64(32);
    code.op(Op.I64_SHR_U);
  };
  const times = (a: () => void, b: () => void) => {
    a();
    b();
    code.op(Op.I64_MUL);
  };
  times(() => high(T0), () => low(T1));
  times(() => low(T0), () => low(T1));
  code.i64(32);
  code.op(Op.I64_SHR_U);
  code.op(Op.I64_ADD);
  code.set(T2);
  times(() => low(T0), () => high(T1));
  low(T2);
  code.op(Op.I64_ADD);
  code.set(T3);
  times(() => high(T0), () => high(T1));
  high(T2);
  code.op(Op.I64_ADD);
  high(T3);
  code.op(Op.I64_ADD);
  if (signed) { // an operand below zero has counted as itself + 2^64
    for (const [a, b] of [[T0, T1], [T1, T0]]) {
      code.get(a);
      code.i64(63);
      code.op(Op.I64_SHR_S);
      code.get(b);
      code.op(Op.I64_AND);
      code.op(Op.I64_SUB);
    }
  }
  code.set(T3);
}

/** IMUL has forms of one, two and three operands. */
function imul(e: Emitter, width: number): void {
  if (e.insn.row?.operands.length === 1) multiplyAccumulator(e, width, true);
  else multiplyInto(e, width);
}

/** DIV of 32 and 64 bits; of 128 bits only when the upper half is 0. */
function div(e: Emitter, width: number): void {
  const { code } = e;
  e.readDestination(width, Extend.ZERO);
  code.set(T0);
  if (width === 4) {
    // The quotient fits when the upper half is below the divisor; so is 0 when that is 0.
    e.readRegister(RDX * 2, 4, Extend.ZERO);
    code.tee(T1);
    code.get(T0);
    code.op(Op.I64_GE_U);
    e.bailIf();
    code.get(T1);
    code.i64(32);
    code.op(Op.I64_SHL);
    e.readRegister(RAX, 4, Extend.ZERO);
    code.op(Op.I64_OR);
    code.set(T1);
  } else {
    e.getReg(RDX);
    code.op(Op.I64_EQZ);
    code.get(T0);
    code.op(Op.I64_EQZ);
    code.op(Op.I32_LE_U); // RDX is not 0, or the divisor is
    e.bailIf();
    e.getReg(RAX);
    code.set(T1);
  }
  quotientAndRemainder(e, width, Op.I64_DIV_U, Op.I64_REM_U);
}

/** IDIV of 32 and 64 bits; of 128 bits only when the upper half is the lower one's sign. */
function idiv(e: Emitter, width: number): void {
  const { code } = e;
  e.readDestination(width, Extend.SIGN);
  code.set(T0);
  if (width === 4) {
    e.readRegister(RDX * 2, 4, Extend.ZERO);
    code.i64(32);
    code.op(Op.I64_SHL);
    e.readRegister(RAX, 4, Extend.ZERO);
    code.op(Op.I64_OR);
    code.set(T1);
  } else {
    e.getReg(RAX);
    code.tee(T1);
    code.i64(63);
    code.op(Op.I64_SHR_S);
    e.getReg(RDX);
    code.op(Op.I64_NE);
    e.bailIf();
  }
  // By 0 there is no quotient, and by -1 it may not fit.
  code.get(T0);
  code.i64(1);
  code.op(Op.I64_ADD);
  code.i64(1);
  code.op(Op.I64_LE_U);
  e.bailIf();
  if (width === 4) {
    code.get(T1);
    code.get(T0);
    code.op(Op.I64_DIV_S);
    code.tee(T2);
    code.get(T2);
    code.op(Op.I64_EXTEND32_S);
    code.op(Op.I64_NE);
    e.bailIf();
  }
  quotientAndRemainder(e, width, Op.I64_DIV_S, Op.I64_REM_S);
}

/** T1 / T0 to rAX, the remainder to rDX. */
function quotientAndRemainder(e: Emitter, width: number, divide: Op, remainder: Op): void {
  const { code } = e;
  code.get(T1);
  code.get(T0);
  code.op(divide);
  e.writeRegister(RAX, width);
  code.get(T1);
  code.get(T0);
  code.op(remainder);
  e.writeRegister(RDX * 2, width);
}

/** @see Emissions */
export const MULTIPLY: Emissions = {
  mul: { emit: (e, width) => multiplyAccumulator(e, width, false), sets: "all" },
  imul: { emit: imul, sets: "all" },
  div: {
    emit: div,
    bails: true,
    when: (insn) => insn.opSize > 2 && insn.row?.operands[0] === "Ev",
  },
  idiv: {
    emit: idiv,
    bails: true,
    when: (insn) => insn.opSize > 2 && insn.row?.operands[0] === "Ev",
  },
};
