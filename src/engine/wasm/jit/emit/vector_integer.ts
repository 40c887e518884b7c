/** Integer lanes: logic, sums, products, comparisons, packing, shifts: see `isa/simd`. */

import { Flag } from "../../cpu.ts";
import { IMM } from "../../insn.ts";
import type {} from "../emitter.ts";
import { Local } from "../locals.ts";
import { Op, Simd } from "../opcodes.ts";
import type { Emission, Emissions } from "./emit.ts";
import { setExplicitFlags } from "./flags.ts";
import { getXmm, pushSource, pushZeros, setXmm, sse } from "./vector.ts";

const { T0, V0, V1 } = Local;

/** The first operand, then the second. */
function binary(op: Simd): Emission {
  return sse((e) => {
    getXmm(e, e.insn.dst);
    pushSource(e);
    e.code.simd(op);
    setXmm(e, e.insn.dst);
  });
}

/** The second operand alone. */
function unary(op: Simd): Emission {
  return sse((e) => {
    pushSource(e);
    e.code.simd(op);
    setXmm(e, e.insn.dst);
  });
}

/** PANDN: the second operand without the bits of the first. */
const AND_NOT = sse((e) => {
  pushSource(e);
  getXmm(e, e.insn.dst);
  e.code.simd(Simd.ANDNOT);
  setXmm(e, e.insn.dst);
});
/** A register with itself is how code spells 0. */
const XOR = sse((e) => {
  const { dst, src } = e.insn;
  if (dst === src) pushZeros(e);
  else {
    getXmm(e, dst);
    pushSource(e);
    e.code.simd(Simd.XOR);
  }
  setXmm(e, dst);
});

/** PMULHW, PMULHUW: the upper halves of the products. */
function highProducts(low: Simd, high: Simd): Emission {
  return sse((e) => {
    const { code, insn } = e;
    pushSource(e);
    code.set(V0);
    for (const op of [low, high]) {
      getXmm(e, insn.dst);
      code.get(V0);
      code.simd(op);
    }
    code.shuffle(Array.from({ length: 16 }, (_, i) => i * 2 - (i & 1) + 2));
    setXmm(e, insn.dst);
  });
}

/** PMULUDQ, PMULDQ: products of the even words. */
function evenProducts(op: Simd): Emission {
  const even = [0, 1, 2, 3, 8, 9, 10, 11, ...new Array<number>(8).fill(0)];
  return sse((e) => {
    const { code, insn } = e;
    pushSource(e);
    code.tee(V0);
    code.get(V0);
    code.shuffle(even);
    getXmm(e, insn.dst);
    getXmm(e, insn.dst);
    code.shuffle(even);
    code.simd(op);
    setXmm(e, insn.dst);
  });
}

/** ZF: no bit in common; CF: all of the second's bits are in the first. */
const PTEST = sse((e) => {
  const { code, insn } = e;
  pushSource(e);
  code.set(V0);
  const isEmpty = (op: Simd, shift: number) => {
    code.get(V0);
    getXmm(e, insn.dst);
    code.simd(op);
    code.simd(Simd.ANY_TRUE);
    code.op(Op.I32_EQZ);
    code.i32(shift);
    code.op(Op.I32_SHL);
  };
  isEmpty(Simd.AND, Math.log2(Flag.ZF));
  isEmpty(Simd.ANDNOT, 0);
  code.op(Op.I32_OR);
  setExplicitFlags(e);
}, { sets: "all" });

/**
 * Shifts of lanes of `bits` bits by an immediate, or by the second operand's low 64 bits. A count
 * beyond the lanes gives 0, or for `arithmetic` ones the sign.
 */
function shift(op: Simd, bits: number, arithmetic = false): Emission {
  return sse((e) => {
    const { code, insn } = e;
    if (insn.src === IMM) {
      const count = insn.immLo & 255;
      if (count >= bits && !arithmetic) pushZeros(e);
      else {
        getXmm(e, insn.dst);
        code.i32(Math.min(count, bits - 1));
        code.simd(op);
      }
      return setXmm(e, insn.dst);
    }
    pushSource(e);
    code.simdLane(Simd.I64X2_EXTRACT, 0);
    code.set(T0);
    const isLarge = () => {
      code.get(T0);
      code.i64(bits - 1);
      code.op(Op.I64_GT_U);
    };
    if (arithmetic) {
      getXmm(e, insn.dst);
      code.i32(bits - 1);
      code.get(T0);
      code.op(Op.I32_WRAP_I64);
      isLarge();
      code.op(Op.SELECT);
      code.simd(op);
    } else {
      pushZeros(e);
      getXmm(e, insn.dst);
      code.get(T0);
      code.op(Op.I32_WRAP_I64);
      code.simd(op);
      isLarge();
      code.op(Op.SELECT);
    }
    setXmm(e, insn.dst);
  });
}

/** PSADBW: the sums of the distances of eight bytes each. */
const PSADBW = sse((e) => {
  const { code, insn } = e;
  pushSource(e);
  code.set(V0);
  getXmm(e, insn.dst);
  code.get(V0);
  code.simd(Simd.I8X16_SUB_SAT_U);
  code.get(V0);
  getXmm(e, insn.dst);
  code.simd(Simd.I8X16_SUB_SAT_U);
  code.simd(Simd.OR);
  code.simd(Simd.I16X8_EXTADD_U);
  code.simd(Simd.I32X4_EXTADD_U);
  code.tee(V1);
  code.get(V1);
  code.i32(32);
  code.simd(Simd.I64X2_SHR_U);
  code.simd(Simd.I32X4_ADD);
  code.i64(-1, 0);
  code.simd(Simd.I64X2_SPLAT);
  code.simd(Simd.AND);
  setXmm(e, insn.dst);
});

const AND = binary(Simd.AND);
const OR = binary(Simd.OR);

/** @see Emissions */
export const VECTOR_INTEGER: Emissions = {
  pand: AND,
  andps: AND,
  andpd: AND,
  por: OR,
  orps: OR,
  orpd: OR,
  pxor: XOR,
  xorps: XOR,
  xorpd: XOR,
  pandn: AND_NOT,
  andnps: AND_NOT,
  andnpd: AND_NOT,
  ptest: PTEST,

  paddb: binary(Simd.I8X16_ADD),
  paddw: binary(Simd.I16X8_ADD),
  paddd: binary(Simd.I32X4_ADD),
  paddq: binary(Simd.I64X2_ADD),
  psubb: binary(Simd.I8X16_SUB),
  psubw: binary(Simd.I16X8_SUB),
  psubd: binary(Simd.I32X4_SUB),
  psubq: binary(Simd.I64X2_SUB),
  paddsb: binary(Simd.I8X16_ADD_SAT_S),
  paddsw: binary(Simd.I16X8_ADD_SAT_S),
  paddusb: binary(Simd.I8X16_ADD_SAT_U),
  paddusw: binary(Simd.I16X8_ADD_SAT_U),
  psubsb: binary(Simd.I8X16_SUB_SAT_S),
  psubsw: binary(Simd.I16X8_SUB_SAT_S),
  psubusb: binary(Simd.I8X16_SUB_SAT_U),
  psubusw: binary(Simd.I16X8_SUB_SAT_U),
  pavgb: binary(Simd.I8X16_AVGR_U),
  pavgw: binary(Simd.I16X8_AVGR_U),
  psadbw: PSADBW,
  pabsb: unary(Simd.I8X16_ABS),
  pabsw: unary(Simd.I16X8_ABS),
  pabsd: unary(Simd.I32X4_ABS),

  pmullw: binary(Simd.I16X8_MUL),
  pmulld: binary(Simd.I32X4_MUL),
  pmaddwd: binary(Simd.I32X4_DOT),
  pmulhw: highProducts(Simd.I32X4_EXTMUL_LOW_S, Simd.I32X4_EXTMUL_HIGH_S),
  pmulhuw: highProducts(Simd.I32X4_EXTMUL_LOW_U, Simd.I32X4_EXTMUL_HIGH_U),
  pmuludq: evenProducts(Simd.I64X2_EXTMUL_LOW_U),
  pmuldq: evenProducts(Simd.I64X2_EXTMUL_LOW_S),

  pcmpeqb: binary(Simd.I8X16_EQ),
  pcmpeqw: binary(Simd.I16X8_EQ),
  pcmpeqd: binary(Simd.I32X4_EQ),
  pcmpeqq: binary(Simd.I64X2_EQ),
  pcmpgtb: binary(Simd.I8X16_GT_S),
  pcmpgtw: binary(Simd.I16X8_GT_S),
  pcmpgtd: binary(Simd.I32X4_GT_S),
  pcmpgtq: binary(Simd.I64X2_GT_S),
  pminub: binary(Simd.I8X16_MIN_U),
  pminsb: binary(Simd.I8X16_MIN_S),
  pminuw: binary(Simd.I16X8_MIN_U),
  pminsw: binary(Simd.I16X8_MIN_S),
  pminud: binary(Simd.I32X4_MIN_U),
  pminsd: binary(Simd.I32X4_MIN_S),
  pmaxub: binary(Simd.I8X16_MAX_U),
  pmaxsb: binary(Simd.I8X16_MAX_S),
  pmaxuw: binary(Simd.I16X8_MAX_U),
  pmaxsw: binary(Simd.I16X8_MAX_S),
  pmaxud: binary(Simd.I32X4_MAX_U),
  pmaxsd: binary(Simd.I32X4_MAX_S),

  packsswb: binary(Simd.I8X16_NARROW_S),
  packuswb: binary(Simd.I8X16_NARROW_U),
  packssdw: binary(Simd.I16X8_NARROW_S),
  packusdw: binary(Simd.I16X8_NARROW_U),

  psllw: shift(Simd.I16X8_SHL, 16),
  pslld: shift(Simd.I32X4_SHL, 32),
  psllq: shift(Simd.I64X2_SHL, 64),
  psrlw: shift(Simd.I16X8_SHR_U, 16),
  psrld: shift(Simd.I32X4_SHR_U, 32),
  psrlq: shift(Simd.I64X2_SHR_U, 64),
  psraw: shift(Simd.I16X8_SHR_S, 16, true),
  psrad: shift(Simd.I32X4_SHR_S, 32, true),
};
