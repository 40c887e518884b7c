/** PCMPISTRI of bytes, but for ranges: see `isa/simd/string_compare.ts`. */

import { Reg } from "../../../../cpu/state.ts";
import { Flag } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { type Emitter, Imported } from "../emitter.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import { Aggregation, Control, Ends } from "../string_rules.ts";
import type { Emissions } from "./emit.ts";
import { setExplicitFlags } from "./flags.ts";
import { getXmm, pushSource, sse } from "./vector.ts";

const { I0 } = Local;

function pcmpistri(e: Emitter): void {
  const { code, insn } = e;
  pushSource(e, true);
  code.set(Local.V0);
  getXmm(e, insn.dst);
  code.get(Local.V0);
  code.i32(insn.immLo);
  code.call(Imported.STRINGS);
  code.set(I0);
  const bits = () => {
    code.get(I0);
    code.i32(0xffff);
    code.op(Op.I32_AND);
  };
  // ECX: the lowest or highest bit, or how many there could be.
  if ((insn.immLo & Control.MOST) === 0) {
    bits();
    code.i32(0x1_0000);
    code.op(Op.I32_OR);
    code.op(Op.I32_CTZ);
  } else {
    code.i32(31);
    bits();
    code.op(Op.I32_CLZ);
    code.op(Op.I32_SUB);
    code.i32(16);
    bits();
    code.op(Op.SELECT);
  }
  code.op(Op.I64_EXTEND_I32_U);
  e.setReg(Reg.RCX);
  const flag = (bit: number, to: number) => {
    code.get(I0);
    code.i32(Math.log2(bit));
    code.op(Op.I32_SHR_U);
    code.i32(1);
    code.op(Op.I32_AND);
    code.i32(Math.log2(to));
    code.op(Op.I32_SHL);
  };
  bits();
  code.i32(0);
  code.op(Op.I32_NE);
  flag(1, Flag.OF);
  code.op(Op.I32_OR);
  flag(Ends.FIRST, Flag.SF);
  code.op(Op.I32_OR);
  flag(Ends.SECOND, Flag.ZF);
  code.op(Op.I32_OR);
  setExplicitFlags(e);
}

function isOfBytes({ immLo }: Insn): boolean {
  return (immLo & Control.WORDS) === 0 && (immLo & Control.AGGREGATION) !== Aggregation.RANGES;
}

/** @see Emissions */
export const STRING_COMPARE: Emissions = {
  pcmpistri: sse(pcmpistri, { sets: "all", when: isOfBytes }),
};
