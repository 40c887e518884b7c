/** XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B: see `isa/exchange.ts`. */

import { Reg } from "../../../../cpu/state.ts";
import { Flag } from "../../cpu.ts";
import { Memory } from "../code_writer.ts";
import { type Emitter, Extend } from "../emitter.ts";
import { FlagKind } from "../layout.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import type { Emissions } from "./emit.ts";
import { pushFlags, setExplicitFlags, setFlagKind } from "./flags.ts";

const { FLAG_A, FLAG_B, FLAG_RESULT, I0, RAM, T0, T1, T2 } = Local;

/** With one register twice the sum stays: the destination is written last. */
function xadd(e: Emitter, width: number): void {
  const { code, insn } = e;
  e.checkDestination(width);
  e.fetchDestination(width, Extend.SIGN);
  code.set(T0);
  e.readRegister(insn.src, width, Extend.SIGN);
  code.set(FLAG_B);
  code.get(T0);
  code.tee(FLAG_A);
  code.get(FLAG_B);
  code.op(Op.I64_ADD);
  e.extend(width, Extend.SIGN);
  code.set(FLAG_RESULT);
  setFlagKind(e, FlagKind.ADD, true);
  code.get(T0);
  e.writeRegister(insn.src, width);
  e.writeDestination(width, FLAG_RESULT);
}

function cmpxchg(e: Emitter, width: number): void {
  const { code, insn } = e;
  e.checkDestination(width);
  e.fetchDestination(width, Extend.SIGN);
  code.set(FLAG_B);
  e.readRegister(Reg.RAX, width, Extend.SIGN);
  code.tee(FLAG_A);
  code.get(FLAG_B);
  code.op(Op.I64_SUB);
  e.extend(width, Extend.SIGN);
  code.tee(FLAG_RESULT);
  setFlagKind(e, FlagKind.SUB, true);
  code.op(Op.I64_EQZ);
  e.open(Op.IF);
  e.readRegister(insn.src, width, Extend.ANY);
  code.set(T0);
  e.writeDestination(width, T0);
  e.else();
  code.get(FLAG_B);
  e.writeRegister(Reg.RAX, width);
  e.end();
}

/** ZF is what I0 holds. */
function setZero(e: Emitter): void {
  const { code } = e;
  pushFlags(e);
  code.i32(~Flag.ZF);
  code.op(Op.I32_AND);
  code.get(I0);
  code.i32(6);
  code.op(Op.I32_SHL);
  code.op(Op.I32_OR);
  setExplicitFlags(e);
}

/** EDX:EAX against memory; ECX:EBX goes there when they are equal. */
function cmpxchg8b(e: Emitter): void {
  const { code } = e;
  const pair = (high: number, low: number) => {
    e.getReg(high);
    code.i64(32);
    code.op(Op.I64_SHL);
    e.readRegister(low * 2, 4, Extend.ZERO);
    code.op(Op.I64_OR);
  };
  e.checkWrite(8);
  code.get(RAM);
  code.access(Op.I64_LOAD, Memory.RAM);
  code.tee(T0);
  pair(Reg.RDX, Reg.RAX);
  code.op(Op.I64_EQ);
  code.tee(I0);
  e.open(Op.IF);
  code.get(RAM);
  pair(Reg.RCX, Reg.RBX);
  code.access(Op.I64_STORE, Memory.RAM);
  e.else();
  code.get(T0);
  e.writeRegister(Reg.RAX * 2, 4);
  code.get(T0);
  code.i64(32);
  code.op(Op.I64_SHR_U);
  e.setReg(Reg.RDX);
  e.end();
  setZero(e);
}

/** RDX:RAX against memory, which must be aligned; RCX:RBX goes there when they are equal. */
function cmpxchg16b(e: Emitter): void {
  const { code } = e;
  const halves = [[Reg.RAX, Reg.RBX, T1], [Reg.RDX, Reg.RCX, T2]] as const;
  e.checkWrite(16);
  e.checkAligned();
  halves.forEach(([old, , local], i) => {
    code.get(RAM);
    code.access(Op.I64_LOAD, Memory.RAM, i * 8);
    code.tee(local);
    e.getReg(old);
    code.op(Op.I64_EQ);
  });
  code.op(Op.I32_AND);
  code.tee(I0);
  e.open(Op.IF);
  halves.forEach(([, by], i) => {
    code.get(RAM);
    e.getReg(by);
    code.access(Op.I64_STORE, Memory.RAM, i * 8);
  });
  e.else();
  for (const [old, , local] of halves) {
    code.get(local);
    e.setReg(old);
  }
  e.end();
  setZero(e);
}

const ZERO_ONLY = { sets: "some", reads: true } as const;

/** @see Emissions */
export const EXCHANGE: Emissions = {
  xadd: { emit: xadd, sets: "all" },
  cmpxchg: { emit: cmpxchg, sets: "all" },
  cmpxchg8b: { emit: cmpxchg8b, ...ZERO_ONLY },
  cmpxchg16b: { emit: cmpxchg16b, ...ZERO_ONLY },
};
