/** AND, OR, XOR, NOT, TEST: see `isa/logic.ts`. */

import { type Emitter, Extend } from "../emitter.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import type { Emissions } from "./emit.ts";
import { flagExtension, setLogicFlags } from "./flags.ts";

const { FLAG_RESULT, T0 } = Local;

function binary(e: Emitter, width: number, op: Op): void {
  const { code, insn } = e;
  e.checkDestination(width);
  const extend = e.flagsWanted ? flagExtension(width) : Extend.ANY;
  // XOR of a register with itself is how code spells 0.
  if (op === Op.I64_XOR && insn.dst >= 0 && insn.dst === insn.src) code.i64(0);
  else {
    e.readSource(width, extend);
    code.set(T0);
    e.operate(width, op, () => e.fetchDestination(width, extend), () => code.get(T0));
  }
  if (!e.flagsWanted) {
    code.set(T0);
    return e.writeDestination(width, T0, true);
  }
  setLogicFlags(e, width === 4);
  e.writeDestination(width, FLAG_RESULT, true);
}

function test(e: Emitter, width: number): void {
  const { code, insn } = e;
  if (insn.dst >= 0 && insn.dst === insn.src) e.readRegister(insn.dst, width, flagExtension(width));
  else {
    e.readSource(width, flagExtension(width));
    code.set(T0);
    const operand = () => e.readDestination(width, flagExtension(width));
    e.operate(width, Op.I64_AND, operand, () => code.get(T0));
  }
  if (e.flagsWanted) setLogicFlags(e, width === 4);
  else code.op(Op.DROP);
}

function not(e: Emitter, width: number): void {
  const { code } = e;
  e.checkDestination(width);
  const operand = () => e.fetchDestination(width, Extend.ANY);
  e.operate(width, Op.I64_XOR, operand, () => code.i64(-1));
  code.set(T0);
  e.writeDestination(width, T0, true);
}

/** @see Emissions */
export const LOGIC: Emissions = {
  and: { emit: (e, width) => binary(e, width, Op.I64_AND), sets: "all" },
  or: { emit: (e, width) => binary(e, width, Op.I64_OR), sets: "all" },
  xor: { emit: (e, width) => binary(e, width, Op.I64_XOR), sets: "all" },
  test: { emit: test, sets: "all" },
  not: { emit: not },
};
