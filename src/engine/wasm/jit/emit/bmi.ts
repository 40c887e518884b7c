/** BMI1, BMI2 without PDEP and PEXT, ADX: see `isa/bmi.ts`, also for what the undefined flags become. */

import { Reg } from "../../../../cpu/state.ts";
import { Flag } from "../../cpu.ts";
import { type Emitter, Extend } from "../emitter.ts";
import { carryOfSum } from "../flag_rules.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";

import type { Emission, Emissions } from "./emit.ts";
import { pushFlags, setExplicitFlags } from "./flags.ts";
import { highProduct } from "./multiply.ts";

const { I0, T0, T1, T2 } = Local;

/** Bits of SF and OF. */
const SIGN_BIT = 7;
const OVERFLOW_BIT = 11;

/**
 * T0 is the result, I0 is CF: to the destination and the flags. AF and PF stay, OF is cleared.
 */
function finish(e: Emitter, width: number): void {
  const { code } = e;
  if (e.flagsWanted) {
    code.get(T0);
    e.extend(width, Extend.SIGN);
    code.set(T0);
    pushFlags(e);
    code.i32(Flag.AF | Flag.PF);
    code.op(Op.I32_AND);
    code.get(I0);
    code.op(Op.I32_OR);
    code.get(T0);
    code.op(Op.I64_EQZ);
    code.i32(6);
    code.op(Op.I32_SHL);
    code.op(Op.I32_OR);
    code.get(T0);
    code.i64(63);
    code.op(Op.I64_SHR_U);
    code.op(Op.I32_WRAP_I64);
    code.i32(SIGN_BIT);
    code.op(Op.I32_SHL);
    code.op(Op.I32_OR);
    setExplicitFlags(e);
  }
  code.get(T0);
  e.writeRegister(e.insn.dst, width);
}

function andn(e: Emitter, width: number): void {
  const { code, insn } = e;
  e.readSource(width, Extend.ANY);
  e.readRegister(insn.src2, width, Extend.ANY);
  code.i64(-1);
  code.op(Op.I64_XOR);
  code.op(Op.I64_AND);
  code.set(T0);
  code.i32(0);
  code.set(I0);
  finish(e, width);
}

/** BLSR, BLSMSK: the source and that less 1. BLSI: the source and that negated. */
function lowestBit(e: Emitter, width: number, op: Op, negated: boolean): void {
  const { code } = e;
  e.readSource(width, Extend.ZERO);
  code.tee(T1);
  code.op(Op.I64_EQZ);
  if (negated) code.op(Op.I32_EQZ);
  code.set(I0);
  if (negated) code.i64(0);
  code.get(T1);
  if (!negated) code.i64(1);
  code.op(Op.I64_SUB);
  code.get(T1);
  code.op(op);
  code.set(T0);
  finish(e, width);
}

/** Pushes a byte of the register that VEX.vvvv names. */
function pushControl(e: Emitter, width: number, shift: number): void {
  const { code } = e;
  e.readRegister(e.insn.src2, width, Extend.ANY);
  if (shift !== 0) {
    code.i64(shift);
    code.op(Op.I64_SHR_U);
  }
  code.i64(0xff);
  code.op(Op.I64_AND);
}

/** Pops the lowest bits of T1, as many as T2 says, into T0. */
function keepLow(e: Emitter): void {
  const { code } = e;
  code.get(T1);
  code.get(T1);
  code.i64(-1);
  code.get(T2);
  code.op(Op.I64_SHL);
  code.i64(-1);
  code.op(Op.I64_XOR);
  code.op(Op.I64_AND);
  code.get(T2);
  code.i64(63);
  code.op(Op.I64_GT_U);
  code.op(Op.SELECT);
  code.set(T0);
}

function bextr(e: Emitter, width: number): void {
  const { code } = e;
  e.readSource(width, Extend.ZERO);
  code.set(T1);
  pushControl(e, width, 0);
  code.set(T2);
  code.i64(0);
  code.get(T1);
  code.get(T2);
  code.op(Op.I64_SHR_U);
  code.get(T2);
  code.i64(63);
  code.op(Op.I64_GT_U);
  code.op(Op.SELECT);
  code.set(T1);
  pushControl(e, width, 8);
  code.set(T2);
  keepLow(e);
  code.i32(0);
  code.set(I0);
  finish(e, width);
}

/** CF: more bits are asked for than there are. */
function bzhi(e: Emitter, width: number): void {
  const { code } = e;
  e.readSource(width, Extend.ZERO);
  code.set(T1);
  pushControl(e, width, 0);
  code.tee(T2);
  code.i64(width * 8 - 1);
  code.op(Op.I64_GT_U);
  code.set(I0);
  keepLow(e);
  finish(e, width);
}

/** The high half goes to the first operand, the low one to VEX.vvvv: the first wins if both are one. */
function mulx(e: Emitter, width: number): void {
  const { code, insn } = e;
  e.readSource(width, Extend.ZERO);
  code.set(T0);
  e.readRegister(Reg.RDX * 2, width, Extend.ZERO);
  code.set(T1);
  if (width === 8) highProduct(e, false);
  code.get(T0);
  code.get(T1);
  code.op(Op.I64_MUL);
  code.tee(T0);
  e.writeRegister(insn.src2, width);
  if (width === 8) code.get(Local.T3);
  else {
    code.get(T0);
    code.i64(32);
    code.op(Op.I64_SHR_U);
  }
  e.writeRegister(insn.dst, width);
}

/** RORX, SARX, SHLX, SHRX: no flags. */
function shiftPlain(e: Emitter, width: number, op: Op, extend: Extend): void {
  const { code, insn } = e;
  e.readSource(width, extend);
  e.readRegister(insn.src2, width, Extend.ANY);
  code.i64(width * 8 - 1);
  code.op(Op.I64_AND);
  code.op(op);
  e.writeRegister(insn.dst, width);
}

function rorx(e: Emitter, width: number): void {
  const { code, insn } = e;
  e.readSource(width, Extend.ANY);
  if (width === 8) {
    code.i64(insn.immLo & 63);
    code.op(Op.I64_ROTR);
  } else {
    code.op(Op.I32_WRAP_I64);
    code.i32(insn.immLo & 31);
    code.op(Op.I32_ROTR);
    code.op(Op.I64_EXTEND_I32_U);
  }
  e.writeRegister(insn.dst, width);
}

/** ADCX and ADOX add with the flag at `bit`, and change that alone. */
function addWith(e: Emitter, width: number, bit: number): void {
  const { code, insn } = e;
  e.readSource(width, Extend.SIGN);
  code.set(T1);
  e.readRegister(insn.dst, width, Extend.SIGN);
  code.set(T0);
  pushFlags(e);
  code.tee(I0);
  code.i32(bit);
  code.op(Op.I32_SHR_U);
  code.i32(1);
  code.op(Op.I32_AND);
  code.op(Op.I64_EXTEND_I32_U);
  code.get(T0);
  code.op(Op.I64_ADD);
  code.get(T1);
  code.op(Op.I64_ADD);
  e.extend(width, Extend.SIGN);
  code.set(T2);
  carryOfSum(code, T0, T1, T2);
  code.i32(1);
  code.op(Op.I32_AND);
  code.i32(bit);
  code.op(Op.I32_SHL);
  code.get(I0);
  code.i32(~(1 << bit));
  code.op(Op.I32_AND);
  code.op(Op.I32_OR);
  setExplicitFlags(e);
  code.get(T2);
  e.writeRegister(insn.dst, width);
}

/** They keep AF and PF. */
function flagged(emit: Emission["emit"]): Emission {
  return { emit, sets: "some", reads: true };
}

/** @see Emissions */
export const BMI: Emissions = {
  andn: flagged(andn),
  blsr: flagged((e, width) => lowestBit(e, width, Op.I64_AND, false)),
  blsmsk: flagged((e, width) => lowestBit(e, width, Op.I64_XOR, false)),
  blsi: flagged((e, width) => lowestBit(e, width, Op.I64_AND, true)),
  bextr: flagged(bextr),
  bzhi: flagged(bzhi),
  mulx: { emit: mulx },
  rorx: { emit: rorx },
  sarx: { emit: (e, width) => shiftPlain(e, width, Op.I64_SHR_S, Extend.SIGN) },
  shlx: { emit: (e, width) => shiftPlain(e, width, Op.I64_SHL, Extend.ANY) },
  shrx: { emit: (e, width) => shiftPlain(e, width, Op.I64_SHR_U, Extend.ZERO) },
  adcx: flagged((e, width) => addWith(e, width, 0)),
  adox: flagged((e, width) => addWith(e, width, OVERFLOW_BIT)),
};
