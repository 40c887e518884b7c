/** Conversions of single elements between integers, singles and doubles: see `isa/simd/convert.ts`. */

import { type Emitter, Extend } from "../emitter.ts";
import { FloatKind } from "../float_rules.ts";
import { Local } from "../locals.ts";
import { Op, Simd } from "../opcodes.ts";
import type { Emission, Emissions } from "./emit.ts";
import * as float from "./float.ts";
import { getXmm, pushInteger, setXmm, sse } from "./vector.ts";

const { checkExact, checkFlags, checkInexactAllowed, checkMxcsr, pushUnusual, writeF2 } = float;
const { roundToF2, sourceToF1 } = float;
const { F1, F2, T0 } = Local;

/** Integers of up to 53 bits are doubles, of up to 24 singles. */
const LONG = 64 - 54;
const MAX_SINGLE_INTEGER = 2 ** 24;

/** CVTSS2SD: exact. */
const WIDEN = sse((e) => {
  sourceToF1(e, true);
  checkFlags(e, FloatKind.PLAIN, true, F1, F1);
  e.code.get(F1);
  e.code.set(F2);
  writeF2(e, false);
});

/** CVTSD2SS. */
const NARROW = sse((e) => {
  const { code } = e;
  checkMxcsr(e);
  sourceToF1(e, false);
  code.get(F1);
  roundToF2(e, true);
  pushUnusual(e, F2, true);
  code.get(F1);
  code.f64(0);
  code.op(Op.F64_NE);
  code.op(Op.I32_AND);
  e.bailIf();
  checkExact(e, () => {
    code.get(F1);
    code.get(F2);
    code.op(Op.F64_NE);
  });
  writeF2(e, true);
});

/** CVTSI2SD. */
const INTEGER_TO_DOUBLE = sse((e) => {
  const { code, insn } = e;
  pushInteger(e, Extend.SIGN);
  code.set(T0);
  if (insn.opSize === 8) {
    code.get(T0);
    code.i64(LONG);
    code.op(Op.I64_SHL);
    code.i64(LONG);
    code.op(Op.I64_SHR_S);
    code.get(T0);
    code.op(Op.I64_NE);
    e.open(Op.IF);
    checkInexactAllowed(e);
    e.end();
  }
  code.get(T0);
  code.op(Op.F64_CONVERT_I64_S);
  code.set(F2);
  writeF2(e, false);
});

/** CVTSI2SS. */
const INTEGER_TO_SINGLE = sse((e) => {
  const { code, insn } = e;
  checkMxcsr(e);
  pushInteger(e, Extend.SIGN);
  code.set(T0);
  checkExact(e, () => {
    code.get(T0);
    code.i64(MAX_SINGLE_INTEGER);
    code.op(Op.I64_ADD);
    code.i64(2 * MAX_SINGLE_INTEGER);
    code.op(Op.I64_GT_U);
  });
  getXmm(e, insn.dst);
  code.get(T0);
  code.op(Op.F32_CONVERT_I64_S);
  code.simdLane(Simd.F32X4_REPLACE, 0);
  setXmm(e, insn.dst);
});

/** CVTSS2SI and the like: `op` rounds to an integer. */
function toInteger(single: boolean, op: Op): Emission {
  return sse((e: Emitter) => {
    const { code, insn } = e;
    const width = insn.opSize === 8 ? 8 : 4;
    checkMxcsr(e);
    sourceToF1(e, single);
    code.get(F1);
    code.op(op);
    code.tee(F2);
    code.op(Op.F64_ABS);
    code.f64(2 ** (width * 8 - 1));
    code.op(Op.F64_LT);
    code.op(Op.I32_EQZ);
    e.bailIf();
    checkExact(e, () => {
      code.get(F1);
      code.get(F2);
      code.op(Op.F64_NE);
    });
    code.get(F2);
    code.op(Op.I64_TRUNC_F64_S);
    e.writeRegister(insn.dst, width);
  });
}

/** @see Emissions */
export const FLOAT_CONVERT: Emissions = {
  cvtss2sd: WIDEN,
  cvtsd2ss: NARROW,
  cvtsi2sd: INTEGER_TO_DOUBLE,
  cvtsi2ss: INTEGER_TO_SINGLE,
  cvttsd2si: toInteger(false, Op.F64_TRUNC),
  cvttss2si: toInteger(true, Op.F64_TRUNC),
  cvtsd2si: toInteger(false, Op.F64_NEAREST),
  cvtss2si: toInteger(true, Op.F64_NEAREST),
};
