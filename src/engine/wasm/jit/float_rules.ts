/**
 * When a floating-point operation does what WebAssembly's does, apart from the cases that translated
 * code tells by itself: a function of the runtime.
 */

import { CodeWriter } from "./code_writer.ts";
import type { FunctionCode } from "./module_writer.ts";
import { Op, Type } from "./opcodes.ts";

/** Operations by what can come of plain operands (zeros and normal numbers). */
export const FloatKind = {
  /** A result that is not finite raises OE; a denormal one is exact. */
  SUM: 0,
  /** A result below the normal numbers raises UE, unless an operand is 0. */
  PRODUCT: 1,
  /** The same, and ZE and IE by a divisor of 0. */
  QUOTIENT: 2,
  /** IE of what is below 0. The operand is both. */
  ROOT: 3,
  /** Nothing: comparisons, minima. */
  PLAIN: 4,
} as const;
export type FloatKind = typeof FloatKind[keyof typeof FloatKind];
/** Added to the kind: of singles, which are given as doubles. */
export const SINGLE = 8;

/** The smallest normal number and the largest of all. */
export const DOUBLE_RANGE = [2 ** -1022, Number.MAX_VALUE] as const;
export const SINGLE_RANGE = [2 ** -126, (2 - 2 ** -23) * 2 ** 127] as const;

/** (kind, x, y, result): 1 when the interpreter has to find out. */
export function floatRule(type: number): FunctionCode {
  const code = new CodeWriter();
  const [kind, x, y, result, least, most] = [0, 1, 2, 3, 4, 5];
  [least, most].forEach((local, i) => {
    code.f64(SINGLE_RANGE[i]);
    code.f64(DOUBLE_RANGE[i]);
    code.get(kind);
    code.i32(SINGLE);
    code.op(Op.I32_AND);
    code.op(Op.SELECT);
    code.set(local);
  });
  const compare = (push: () => void, op: Op, other: () => void) => {
    push();
    other();
    code.op(op);
  };
  const get = (local: number) => () => code.get(local);
  const size = (local: number) => () => {
    code.get(local);
    code.op(Op.F64_ABS);
  };
  const zero = () => code.f64(0);
  const isInRange = (local: number, from: Op) => {
    compare(size(local), from, get(least));
    compare(size(local), Op.F64_LE, get(most));
    code.op(Op.I32_AND);
  };
  const isPlain = (local: number) => {
    isInRange(local, Op.F64_GE);
    compare(get(local), Op.F64_EQ, zero);
    code.op(Op.I32_OR);
  };
  /** Of operations of one kind, where the condition that is pushed does not hold: 1. */
  const rule = (only: FloatKind, push: () => void) => {
    code.get(kind);
    code.i32(SINGLE - 1);
    code.op(Op.I32_AND);
    code.i32(only);
    code.op(Op.I32_EQ);
    code.open(Op.IF, Type.NONE);
    push();
    code.op(Op.I32_EQZ);
    code.open(Op.IF, Type.NONE);
    code.i32(1);
    code.op(Op.RETURN);
    code.end();
    code.end();
  };
  rule(FloatKind.SUM, () => compare(size(result), Op.F64_LE, get(most)));
  rule(FloatKind.PRODUCT, () => {
    compare(get(x), Op.F64_EQ, zero);
    compare(get(y), Op.F64_EQ, zero);
    code.op(Op.I32_OR);
    isInRange(result, Op.F64_GT);
    code.op(Op.I32_OR);
  });
  rule(FloatKind.QUOTIENT, () => {
    compare(get(x), Op.F64_EQ, zero);
    compare(get(y), Op.F64_NE, zero);
    code.op(Op.I32_AND);
    isInRange(result, Op.F64_GT);
    code.op(Op.I32_OR);
  });
  rule(FloatKind.ROOT, () => compare(get(y), Op.F64_GE, zero));
  isPlain(x);
  isPlain(y);
  code.op(Op.I32_AND);
  code.op(Op.I32_EQZ);
  code.end();
  return { type, locals: [[2, Type.F64]], code: code.finish(), name: "floats" };
}
