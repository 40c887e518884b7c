/** Arithmetic and comparisons of single elements: see `isa/simd/float_arithmetic.ts`. */

import { Flag } from "../../cpu.ts";
import type { Emitter } from "../emitter.ts";
import { FloatKind } from "../float_rules.ts";
import { Local } from "../locals.ts";
import { Op, Simd } from "../opcodes.ts";
import type { Emission, Emissions } from "./emit.ts";
import { setExplicitFlags } from "./flags.ts";
import * as float from "./float.ts";
import { getXmm, setXmm, sse } from "./vector.ts";

const { bitsOf, checkExact, checkFlags, checkMxcsr, pushLongProduct, writeF2 } = float;
const { destinationToF0, roundToF2, sourceToF1 } = float;
const { F0, F1, F2, F3 } = Local;
/** The lowest bits of a rounding instruction's immediate: the mode, MXCSR's, no PE. */
const MODE = 3;
const BY_MXCSR = 4;
const QUIET = 8;
const ROUNDINGS = [Op.F64_NEAREST, Op.F64_FLOOR, Op.F64_CEIL, Op.F64_TRUNC];

/** Pushes whether `F0 op F1` is not exactly F2 (of singles, F3 before it was rounded to F2). */
type Inexact = (e: Emitter, single: boolean) => void;

/** Pushes whether two locals differ. */
function pushDiffer(e: Emitter, a: number, b: number): void {
  e.code.get(a);
  e.code.get(b);
  e.code.op(Op.F64_NE);
}

/** The rounding error of a sum is a double (Knuth, The Art of Computer Programming 2, §4.2.2). */
function sumError(e: Emitter, single: boolean): void {
  const { code } = e;
  const sum = single ? F3 : F2;
  const part = () => {
    code.get(sum);
    code.get(F0);
    code.op(Op.F64_SUB);
  };
  code.get(F0);
  code.get(sum);
  part();
  code.op(Op.F64_SUB);
  code.op(Op.F64_SUB);
  code.get(F1);
  part();
  code.op(Op.F64_SUB);
  code.op(Op.F64_ADD);
  code.f64(0);
  code.op(Op.F64_NE);
  if (!single) return;
  pushDiffer(e, F2, F3);
  code.op(Op.I32_OR);
}

/** A difference is the sum with the second operand negated. */
function differenceError(e: Emitter, single: boolean): void {
  e.code.get(F1);
  e.code.op(Op.F64_NEG);
  e.code.set(F1);
  sumError(e, single);
}

function productError(e: Emitter, single: boolean): void {
  if (single) pushDiffer(e, F2, F3);
  else pushLongProduct(e, bitsOf(e, F0), bitsOf(e, F1));
}

/** Whether the result times `factor` is not `operand`. */
function inverseError(e: Emitter, single: boolean, factor: number, operand: number): void {
  const { code } = e;
  code.get(F2);
  code.get(factor);
  code.op(Op.F64_MUL);
  code.get(operand);
  code.op(Op.F64_NE);
  if (single) return;
  pushLongProduct(e, bitsOf(e, F2), bitsOf(e, factor));
  code.op(Op.I32_OR);
}

/** Both formats of an operation with two operands. */
function arithmetic(name: string, op: Op, kind: FloatKind, inexact: Inexact): Emissions {
  const form = (single: boolean) =>
    sse((e) => {
      checkMxcsr(e);
      sourceToF1(e, single);
      destinationToF0(e, single);
      e.code.get(F0);
      e.code.get(F1);
      e.code.op(op);
      roundToF2(e, single);
      checkFlags(e, kind, single);
      checkExact(e, () => inexact(e, single));
      writeF2(e, single);
    });
  return { [`${name}ss`]: form(true), [`${name}sd`]: form(false) };
}

/** SQRTSS, SQRTSD. */
function root(single: boolean): Emission {
  return sse((e) => {
    checkMxcsr(e);
    sourceToF1(e, single);
    e.code.get(F1);
    e.code.op(Op.F64_SQRT);
    roundToF2(e, single);
    checkFlags(e, FloatKind.ROOT, single, F1, F1);
    checkExact(e, () => inverseError(e, single, F2, F1));
    writeF2(e, single);
  });
}

/** Of plain numbers: the first where the comparison says so, else the second. */
function choice(single: boolean, op: Op): Emission {
  return sse((e) => {
    const { code } = e;
    sourceToF1(e, single);
    destinationToF0(e, single);
    checkFlags(e, FloatKind.PLAIN, single);
    code.get(F0);
    code.get(F1);
    code.get(F0);
    code.get(F1);
    code.op(op);
    code.op(Op.SELECT);
    code.set(F2);
    writeF2(e, single);
  });
}

/** COMIS and UCOMIS, which differ for NaNs only. CF: less, ZF: equal. */
function compare(single: boolean): Emission {
  return sse((e) => {
    const { code } = e;
    sourceToF1(e, single);
    destinationToF0(e, single);
    checkFlags(e, FloatKind.PLAIN, single);
    if (!e.flagsWanted) return;
    code.get(F0);
    code.get(F1);
    code.op(Op.F64_LT);
    code.get(F0);
    code.get(F1);
    code.op(Op.F64_EQ);
    code.i32(Math.log2(Flag.ZF));
    code.op(Op.I32_SHL);
    code.op(Op.I32_OR);
    setExplicitFlags(e);
  }, { sets: "all" });
}

/** CMPSS, CMPSD: a mask by the predicate; numbers are never unordered. */
function predicate(single: boolean): Emission {
  return sse((e) => {
    const { code, insn } = e;
    const kind = insn.immLo & 3;
    sourceToF1(e, single);
    destinationToF0(e, single);
    checkFlags(e, FloatKind.PLAIN, single);
    getXmm(e, insn.dst);
    code.i32(0);
    if (kind === 3) code.i32(0);
    else {
      code.get(F0);
      code.get(F1);
      code.op([Op.F64_EQ, Op.F64_LT, Op.F64_LE][kind]);
    }
    if ((insn.immLo & 4) !== 0) code.op(Op.I32_EQZ);
    code.op(Op.I32_SUB);
    if (single) code.simdLane(Simd.I32X4_REPLACE, 0);
    else {
      code.op(Op.I64_EXTEND_I32_S);
      code.simdLane(Simd.I64X2_REPLACE, 0);
    }
    setXmm(e, insn.dst);
  });
}

/** ROUNDSS, ROUNDSD. */
function round(single: boolean): Emission {
  return sse((e) => {
    const { code, insn: { immLo } } = e;
    checkMxcsr(e);
    sourceToF1(e, single);
    checkFlags(e, FloatKind.PLAIN, single, F1, F1);
    code.get(F1);
    code.op(ROUNDINGS[(immLo & BY_MXCSR) !== 0 ? 0 : immLo & MODE]);
    code.set(F2);
    if ((immLo & QUIET) === 0) checkExact(e, () => pushDiffer(e, F2, F1));
    writeF2(e, single);
  });
}

/** @see Emissions */
export const FLOAT_SCALAR: Emissions = {
  ...arithmetic("add", Op.F64_ADD, FloatKind.SUM, sumError),
  ...arithmetic("sub", Op.F64_SUB, FloatKind.SUM, differenceError),
  ...arithmetic("mul", Op.F64_MUL, FloatKind.PRODUCT, productError),
  ...arithmetic(
    "div",
    Op.F64_DIV,
    FloatKind.QUOTIENT,
    (e, single) => inverseError(e, single, F1, F0),
  ),
  sqrtss: root(true),
  sqrtsd: root(false),
  minss: choice(true, Op.F64_LT),
  minsd: choice(false, Op.F64_LT),
  maxss: choice(true, Op.F64_GT),
  maxsd: choice(false, Op.F64_GT),
  comiss: compare(true),
  comisd: compare(false),
  ucomiss: compare(true),
  ucomisd: compare(false),
  cmpss: predicate(true),
  cmpsd: predicate(false),
  roundss: round(true),
  roundsd: round(false),
};
