/**
 * MOVS, STOS, LODS, CMPS, SCAS: see `isa/string.ts`. With REP only MOVS and STOS, page by page; STOS of
 * equal bytes.
 */

import { Reg, Seg, State } from "../../../../cpu/state.ts";
import { Flag } from "../../cpu.ts";
import { type Insn, Rep } from "../../insn.ts";
import { type Emitter, Extend } from "../emitter.ts";
import { FlagKind } from "../layout.ts";
import { Local } from "../locals.ts";
import { locate } from "../locate.ts";
import { Op } from "../opcodes.ts";
import type { Emission, Emissions } from "./emit.ts";
import { setFlagKind } from "./flags.ts";
import { pushBits } from "./privilege.ts";

const { ADDRESS, BUDGET, FLAG_A, FLAG_B, FLAG_RESULT, I0, RAM, T0, T1 } = Local;
const PAGE = 4096;

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
  pushBits(e, State.RFLAGS, Flag.DF);
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
  // The order in which they fault.
  loadElement(e, Reg.RDI, width);
  e.code.set(T1);
  loadElement(e, Reg.RSI, width);
  e.code.set(T0);
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

/**
 * All repetitions of what `run` does with T0 elements, T1 bytes, forwards: as many at once as do not
 * reach into the next page at one of the pointers. Each counts as an instruction, so that those that
 * are done stay so when the rest has to be interpreted.
 */
function repeat(e: Emitter, width: number, pointers: readonly number[], run: () => void): void {
  const { code } = e;
  const left = () => {
    pushPointer(e, Reg.RCX);
    code.tee(T0);
    code.op(Op.I64_EQZ);
    code.op(Op.I32_EQZ);
  };
  left();
  e.open(Op.IF);
  pushBits(e, State.RFLAGS, Flag.DF);
  e.bailIf();
  e.open(Op.LOOP);
  const { depth } = e;
  for (const reg of pointers) endAtPage(e, reg, width);
  code.get(T0);
  code.op(Op.I64_EQZ);
  e.bailIf();
  // All must fit into the budget, and what may follow.
  code.get(BUDGET);
  code.i32(e.total);
  code.op(Op.I32_SUB);
  code.get(T0);
  code.op(Op.I32_WRAP_I64);
  code.op(Op.I32_LT_S);
  e.bailIf();
  code.get(T0);
  code.i64(Math.log2(width));
  code.op(Op.I64_SHL);
  code.set(T1);
  run();
  for (const reg of pointers) movePointer(e, reg, T1, Op.I64_ADD);
  movePointer(e, Reg.RCX, T0, Op.I64_SUB);
  code.get(BUDGET);
  code.get(T0);
  code.op(Op.I32_WRAP_I64);
  code.op(Op.I32_SUB);
  code.set(BUDGET);
  left();
  e.branchIfTo(depth);
  e.end();
  // The block has counted one of them.
  code.get(BUDGET);
  code.i32(1);
  code.op(Op.I32_ADD);
  code.set(BUDGET);
  e.end();
}

/** T0 = how many of T0 elements at a pointer end before their first one's page does. */
function endAtPage(e: Emitter, reg: number, width: number): void {
  const { code } = e;
  code.get(T0);
  code.i64(PAGE);
  pushPointer(e, reg);
  code.i64(PAGE - 1);
  code.op(Op.I64_AND);
  code.op(Op.I64_SUB);
  code.i64(Math.log2(width));
  code.op(Op.I64_SHR_U);
  code.tee(T1);
  code.get(T0);
  code.get(T1);
  code.op(Op.I64_LT_U);
  code.op(Op.SELECT);
  code.set(T0);
}

/** Pushes the offset in RAM of what is at a pointer. */
function locateRun(e: Emitter, reg: number, write: boolean): void {
  pushPointer(e, reg);
  e.code.set(ADDRESS);
  locate(e, 1, write);
}

function movePointer(e: Emitter, reg: number, by: number, op: Op): void {
  e.getReg(reg);
  e.code.get(by);
  e.code.op(op);
  e.cutAddress(e.insn.addrSize);
  e.setReg(reg);
}

function pushBytes(e: Emitter): void {
  e.code.get(T1);
  e.code.op(Op.I32_WRAP_I64);
}

function repMovs(e: Emitter, width: number): void {
  const { code } = e;
  repeat(e, width, [Reg.RSI, Reg.RDI], () => {
    locateRun(e, Reg.RSI, false);
    code.set(I0);
    locateRun(e, Reg.RDI, true);
    code.tee(RAM);
    // A destination inside of the source repeats what has just been written.
    code.get(I0);
    code.op(Op.I32_SUB);
    pushBytes(e);
    code.op(Op.I32_LT_U);
    e.bailIf();
    code.get(RAM);
    code.get(I0);
    pushBytes(e);
    code.copyRam();
  });
}

function repStos(e: Emitter, width: number): void {
  const { code } = e;
  repeat(e, width, [Reg.RDI], () => {
    if (width > 1) {
      // All bytes are the same when each is its neighbour.
      e.readRegister(Reg.RAX, width, Extend.SIGN);
      code.i64(8);
      code.op(Op.I64_SHR_S);
      e.getReg(Reg.RAX);
      code.op(Op.I64_XOR);
      code.i64(64 - 8 * (width - 1));
      code.op(Op.I64_SHL);
      code.op(Op.I64_EQZ);
      code.op(Op.I32_EQZ);
      e.bailIf();
    }
    locateRun(e, Reg.RDI, true);
    e.getReg(Reg.RAX);
    code.op(Op.I32_WRAP_I64);
    pushBytes(e);
    code.fillRam();
  });
}

/** FS and GS as the source's segment are rare. */
function isPlain(insn: Insn): boolean {
  return insn.addrSize !== 2 && insn.seg < Seg.FS;
}
function isSingle(insn: Insn): boolean {
  return insn.rep === Rep.NONE && isPlain(insn);
}

/** The forms for bytes and for all other elements. */
function forms(name: string, emit: Emission["emit"], more: Partial<Emission> = {}): Emissions {
  const common = { bails: true, endless: true, when: isSingle, ...more };
  return { [name]: { emit, ...common }, [`${name}b`]: { emit: (e) => emit(e, 1), ...common } };
}

/** @see Emissions */
export const STRING: Emissions = {
  ...forms("movs", (e, width) => (isSingle(e.insn) ? movs : repMovs)(e, width), { when: isPlain }),
  ...forms("stos", (e, width) => (isSingle(e.insn) ? stos : repStos)(e, width), { when: isPlain }),
  ...forms("lods", lods),
  ...forms("cmps", cmps, { sets: "all" }),
  ...forms("scas", scas, { sets: "all" }),
};
