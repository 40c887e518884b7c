/** PUSH, POP, LEAVE, and the stack of calls: see `isa/stack_instructions.ts`. */

import { Reg, State } from "../../../../cpu/state.ts";
import { Flag, STATUS_FLAGS } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { perRow } from "../../isa/row.ts";
import { Memory } from "../code_writer.ts";
import { type Emitter, Extend } from "../emitter.ts";
import { Local } from "../locals.ts";
import { locate } from "../locate.ts";
import { Op } from "../opcodes.ts";
import type { Emissions } from "./emit.ts";
import { pushFlags } from "./flags.ts";

const { ADDRESS, T0 } = Local;

/** Bytes of the stack's natural operand. */
export function stackWidth(e: Emitter): number {
  return e.is64 ? 8 : 4;
}

/** Pushes T0; RSP changes only when the store is certain. */
export function pushT0(e: Emitter): void {
  const { code } = e;
  const width = stackWidth(e);
  let offset = 0;
  if (e.access !== undefined) offset = e.locateGroup(e.access);
  else {
    e.getReg(Reg.RSP);
    code.i64(width);
    code.op(Op.I64_SUB);
    if (!e.is64) e.extend(4, Extend.ZERO);
    code.set(ADDRESS);
    locate(e, width, true);
  }
  code.get(T0);
  code.access(width === 8 ? Op.I64_STORE : Op.I64_STORE32, Memory.RAM, offset);
  release(e, -width);
}

/** Loads the top of the stack into T0. RSP stays: `release` follows. */
export function topToT0(e: Emitter, pointer: number = Reg.RSP): void {
  const { code } = e;
  if (e.access !== undefined) {
    const offset = e.locateGroup(e.access);
    code.access(e.is64 ? Op.I64_LOAD : Op.I64_LOAD32_U, Memory.RAM, offset);
  } else {
    e.getReg(pointer);
    if (!e.is64) e.extend(4, Extend.ZERO);
    e.loadAt(stackWidth(e), Extend.ZERO);
  }
  code.set(T0);
}

/** RSP = `pointer` + `bytes`. */
export function release(e: Emitter, bytes: number, pointer: number = Reg.RSP): void {
  e.getReg(pointer);
  e.code.i64(bytes);
  e.code.op(Op.I64_ADD);
  if (!e.is64) e.extend(4, Extend.ZERO);
  e.setReg(Reg.RSP);
}

function push(e: Emitter): void {
  const { insn, code } = e;
  const width = stackWidth(e);
  if (insn.row?.operands[0].startsWith("I")) e.immediate(width, Extend.ANY);
  else e.readDestination(width, Extend.ANY);
  code.set(T0);
  pushT0(e);
}

/** POP of a register. A pop into RSP replaces the incremented pointer. */
function pop(e: Emitter, width: number): void {
  topToT0(e);
  release(e, width);
  e.code.get(T0);
  e.writeRegister(e.insn.dst, width);
}

function leave(e: Emitter, width: number): void {
  topToT0(e, Reg.RBP);
  release(e, width, Reg.RBP);
  e.code.get(T0);
  e.setReg(Reg.RBP);
}

/** PUSHF as its own privilege level sees the flags: VM and RF are 0 (SDM 2B PUSHF). */
function pushf(e: Emitter): void {
  const { code } = e;
  pushFlags(e);
  code.i32(0);
  code.access(Op.I32_LOAD, Memory.PRIVATE, State.RFLAGS);
  code.i32(~(STATUS_FLAGS | Flag.VM | Flag.RF));
  code.op(Op.I32_AND);
  code.op(Op.I32_OR);
  code.i32(2);
  code.op(Op.I32_OR);
  code.op(Op.I64_EXTEND_I32_U);
  code.set(T0);
  pushT0(e);
}

/** Operands of the natural size only. */
function natural(insn: Insn, is64: boolean): boolean {
  return insn.opSize === (is64 ? 8 : 4);
}
/** Segment registers have these mnemonics, too. */
const isGeneral = perRow(({ operands }) => /^[EZI]/.test(operands[0]));

function canPush(insn: Insn, is64: boolean): boolean {
  return natural(insn, is64) && isGeneral(insn.row!);
}
function canPop(insn: Insn, is64: boolean): boolean {
  return canPush(insn, is64) && !insn.isMem;
}

/** @see Emissions */
export const STACK: Emissions = {
  push: { emit: push, bails: true, when: canPush },
  pop: { emit: pop, bails: true, when: canPop },
  leave: { emit: leave, bails: true, when: natural },
  pushf: { emit: pushf, bails: true, reads: true, when: natural },
};
