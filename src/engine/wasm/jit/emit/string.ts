/** MOVS, STOS, LODS, CMPS, SCAS without REP: see `isa/string.ts`. With REP they are interpreted. */

import { Reg, Seg, State } from "../../../../cpu/state.ts";
import { Flag } from "../../cpu.ts";
import { type Insn, Rep } from "../../insn.ts";
import { Memory } from "../code_writer.ts";
import { type Emitter, Extend, Local } from "../emitter.ts";
import { FlagKind } from "../layout.ts";
import { Op } from "../opcodes.ts";
import type { Emission, Emissions } from "./emit.ts";
import { setFlagKind } from "./flags.ts";

const { FLAG_A, FLAG_B, FLAG_RESULT, T0, T1 } = Local;

/** Pushes where RSI or RDI points. */
function pushPointer(e: Emitter, reg: number): void {
  e.getReg(reg);
  e.cutAddress(e.insn.addrSize);
}

/** Pushes what is there. */
function loadElement(e: Emitter, reg: number, width: number): void {
  pushPointer(e, reg);
  e.loadAt(width, Extend.SIGN);
}

/** Writes T0 to where RDI points. */
function storeElement(e: Emitter, width: number): void {
  pushPointer(e, Reg.RDI);
  e.checkWriteAt(width);
  e.storeAt(width, T0);
}

/** Moves pointers by an element in the direction of DF: bit 10, moved to twice the element's size. */
function advance(e: Emitter, width: number, ...pointers: number[]): void {
  const { code } = e;
  code.i64(width);
  code.i32(0);
  code.access(Op.I32_LOAD, Memory.PRIVATE, State.RFLAGS);
  code.i32(Flag.DF);
  code.op(Op.I32_AND);
  code.i32(9 - Math.log2(width));
  code.op(Op.I32_SHR_U);
  code.op(Op.I64_EXTEND_I32_U);
  code.op(Op.I64_SUB);
  code.set(T1);
  for (const reg of pointers) {
    e.getReg(reg);
    code.get(T1);
    code.op(Op.I64_ADD);
    e.cutAddress(e.insn.addrSize);
    e.setReg(reg);
  }
}

function movs(e: Emitter, width: number): void {
  loadElement(e, Reg.RSI, width);
  e.code.set(T0);
  storeElement(e, width);
  advance(e, width, Reg.RSI, Reg.RDI);
}

function stos(e: Emitter, width: number): void {
  e.getReg(Reg.RAX);
  e.code.set(T0);
  storeElement(e, width);
  advance(e, width, Reg.RDI);
}

function lods(e: Emitter, width: number): void {
  loadElement(e, Reg.RSI, width);
  e.writeRegister(Reg.RAX, width);
  advance(e, width, Reg.RSI);
}

/** The flags of T0 - T1. */
function compare(e: Emitter, width: number): void {
  const { code } = e;
  code.get(T0);
  code.tee(FLAG_A);
  code.get(T1);
  code.tee(FLAG_B);
  code.op(Op.I64_SUB);
  e.extend(width, Extend.SIGN);
  code.set(FLAG_RESULT);
  setFlagKind(e, FlagKind.SUB, true);
}

function cmps(e: Emitter, width: number): void {
  loadElement(e, Reg.RSI, width);
  e.code.set(T0);
  loadElement(e, Reg.RDI, width);
  e.code.set(T1);
  compare(e, width);
  advance(e, width, Reg.RSI, Reg.RDI);
}

function scas(e: Emitter, width: number): void {
  loadElement(e, Reg.RDI, width);
  e.code.set(T1);
  e.readRegister(Reg.RAX, width, Extend.SIGN);
  e.code.set(T0);
  compare(e, width);
  advance(e, width, Reg.RDI);
}

/** FS and GS as the source's segment are rare. */
function isSingle(insn: Insn): boolean {
  return insn.rep === Rep.NONE && insn.addrSize !== 2 && insn.seg < Seg.FS;
}

/** The forms for bytes and for all other elements. */
function forms(name: string, emit: Emission["emit"], more: Partial<Emission> = {}): Emissions {
  const common = { bails: true, endless: true, when: isSingle, ...more };
  return { [name]: { emit, ...common }, [`${name}b`]: { emit: (e) => emit(e, 1), ...common } };
}

/** @see Emissions */
export const STRING: Emissions = {
  ...forms("movs", movs),
  ...forms("stos", stos),
  ...forms("lods", lods),
  ...forms("cmps", cmps, { sets: "all" }),
  ...forms("scas", scas, { sets: "all" }),
};
