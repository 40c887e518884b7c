/** Conversions of vectors between integers, singles and doubles: see `isa/simd/convert.ts`. */

import type { Emitter } from "../emitter.ts";
import { SINGLE_RANGE } from "../float_rules.ts";
import { Local } from "../locals.ts";
import { Op, Simd } from "../opcodes.ts";
import type { Emission, Emissions } from "./emit.ts";
import { checkExact, checkMxcsr } from "./float.ts";
import { pushLowSource, pushSource, pushZeros, setXmm, sse } from "./vector.ts";

const { V0, V1, V2 } = Local;

/** Integers of up to 24 bits are singles. */
const MAX_SINGLE_INTEGER = 2 ** 24;
/** The first that is no integer of 32 bits. */
const TOO_LARGE = 2 ** 31;

/** Pushes a vector of the same double, or single. */
function pushSame(e: Emitter, value: number, single = false): void {
  const lanes = single ? new Float32Array(4).fill(value) : new Float64Array(2).fill(value);
  e.code.v128(new Uint8Array(lanes.buffer));
}

/**
 * Leaves the instruction to the interpreter unless the doubles in `local` are normal as singles, in
 * the sense of `above`, or those in `original` are 0.
 */
function checkSingles(e: Emitter, local: number, above: Simd, original: number): void {
  const { code } = e;
  const compare = (op: Simd, value: number) => {
    code.get(local);
    code.simd(Simd.F64X2_ABS);
    pushSame(e, value);
    code.simd(op);
  };
  compare(above, SINGLE_RANGE[0]);
  compare(Simd.F64X2_LE, SINGLE_RANGE[1]);
  code.simd(Simd.AND);
  code.get(original);
  pushZeros(e);
  code.simd(Simd.F64X2_EQ);
  code.simd(Simd.OR);
  code.simd(Simd.I64X2_ALL_TRUE);
  code.op(Op.I32_EQZ);
  e.bailIf();
}

/** Pushes whether any lanes of two vectors differ. */
function pushDiffer(e: Emitter, ne: Simd, a: number, b: number): void {
  e.code.get(a);
  e.code.get(b);
  e.code.simd(ne);
  e.code.simd(Simd.ANY_TRUE);
}

/** CVTPS2PD: exact. */
const WIDEN = sse((e) => {
  const { code, insn } = e;
  pushLowSource(e, 8);
  code.simd(Simd.F64X2_PROMOTE);
  code.set(V1);
  checkSingles(e, V1, Simd.F64X2_GE, V1);
  code.get(V1);
  setXmm(e, insn.dst);
});

/** CVTPD2PS. */
const NARROW = sse((e) => {
  const { code, insn } = e;
  checkMxcsr(e);
  pushSource(e);
  code.tee(V0);
  code.simd(Simd.F32X4_DEMOTE);
  code.tee(V1);
  code.simd(Simd.F64X2_PROMOTE);
  code.set(V2);
  checkSingles(e, V2, Simd.F64X2_GT, V0);
  checkExact(e, () => pushDiffer(e, Simd.F64X2_NE, V2, V0));
  code.get(V1);
  setXmm(e, insn.dst);
});

/** CVTPS2DQ and the like: `round` makes integers of the same format, which `convert` converts. */
function toIntegers(single: boolean, round: Simd, convert: Simd): Emission {
  return sse((e) => {
    const { code, insn } = e;
    checkMxcsr(e);
    pushSource(e);
    code.tee(V0);
    code.simd(round);
    code.tee(V1);
    code.simd(single ? Simd.F32X4_ABS : Simd.F64X2_ABS);
    pushSame(e, TOO_LARGE, single);
    code.simd(single ? Simd.F32X4_LT : Simd.F64X2_LT);
    code.simd(single ? Simd.I32X4_ALL_TRUE : Simd.I64X2_ALL_TRUE);
    code.op(Op.I32_EQZ);
    e.bailIf();
    checkExact(e, () => pushDiffer(e, single ? Simd.F32X4_NE : Simd.F64X2_NE, V1, V0));
    code.get(V1);
    code.simd(convert);
    setXmm(e, insn.dst);
  });
}

/** CVTDQ2PD: exact. */
const INTEGERS_TO_DOUBLES = sse((e) => {
  pushLowSource(e, 8);
  e.code.simd(Simd.F64X2_CONVERT_LOW_S);
  setXmm(e, e.insn.dst);
});

/** CVTDQ2PS. The absolute value of the smallest integer is negative, and that integer a single. */
const INTEGERS_TO_SINGLES = sse((e) => {
  const { code, insn } = e;
  checkMxcsr(e);
  pushSource(e);
  code.set(V0);
  checkExact(e, () => {
    code.get(V0);
    code.simd(Simd.I32X4_ABS);
    code.v128(new Uint8Array(new Int32Array(4).fill(MAX_SINGLE_INTEGER).buffer));
    code.simd(Simd.I32X4_GT_S);
    code.simd(Simd.ANY_TRUE);
  });
  code.get(V0);
  code.simd(Simd.F32X4_CONVERT_S);
  setXmm(e, insn.dst);
});

/** @see Emissions */
export const FLOAT_CONVERT_PACKED: Emissions = {
  cvtps2pd: WIDEN,
  cvtpd2ps: NARROW,
  cvtdq2pd: INTEGERS_TO_DOUBLES,
  cvtdq2ps: INTEGERS_TO_SINGLES,
  cvtps2dq: toIntegers(true, Simd.F32X4_NEAREST, Simd.I32X4_TRUNC_F32X4),
  cvttps2dq: toIntegers(true, Simd.F32X4_TRUNC, Simd.I32X4_TRUNC_F32X4),
  cvtpd2dq: toIntegers(false, Simd.F64X2_NEAREST, Simd.I32X4_TRUNC_F64X2),
  cvttpd2dq: toIntegers(false, Simd.F64X2_TRUNC, Simd.I32X4_TRUNC_F64X2),
};
