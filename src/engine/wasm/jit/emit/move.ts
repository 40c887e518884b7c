/** MOV and its kin, LEA, XCHG, CMOVcc, SETcc: see `isa/move.ts`. */

import { Reg, Seg, SegField, State } from "../../../../cpu/state.ts";
import { Memory } from "../code_writer.ts";
import { type Emitter, Extend } from "../emitter.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import type { Emission, Emissions } from "./emit.ts";
import { pushCondition } from "./conditions.ts";

const { T0, T1 } = Local;

function mov(e: Emitter, width: number): void {
  const { code, insn } = e;
  if (insn.dst >= 0) {
    e.readSource(width, width === 4 ? Extend.ZERO : Extend.ANY);
    return e.writeRegister(insn.dst, width, true);
  }
  e.checkWrite(width);
  e.readSource(width, Extend.ANY);
  code.set(T0);
  e.writeDestination(width, T0);
}

/** The source has `from` bytes. */
function movExtended(e: Emitter, width: number, from: number, extend: Extend): void {
  e.readSource(from, extend);
  e.writeRegister(e.insn.dst, width, extend === Extend.ZERO);
}

function lea(e: Emitter, width: number): void {
  e.effectiveAddress();
  e.writeRegister(e.insn.dst, width);
}

function xchg(e: Emitter, width: number): void {
  const { code, insn } = e;
  if (e.insn.row?.encoding === "90+r" && insn.dst === 0) return; // NOP
  e.checkDestination(width);
  e.fetchDestination(width, Extend.ANY);
  code.set(T1);
  e.readRegister(insn.src, width, Extend.ANY);
  code.set(T0);
  e.writeDestination(width, T0);
  code.get(T1);
  e.writeRegister(insn.src, width);
}

/** Swaps the bytes of T0; of 2 and 4 bytes, what is above them is anything. */
function swapT0(e: Emitter, width: number): void {
  const { code } = e;
  // Bytes trade places in pairs, then the pairs, then the halves.
  const swap = (shift: number, lo: number, hi: number) => {
    code.get(T0);
    code.i64(lo, hi);
    code.op(Op.I64_AND);
    code.i64(shift);
    code.op(Op.I64_SHL);
    code.get(T0);
    code.i64(shift);
    code.op(Op.I64_SHR_U);
    code.i64(lo, hi);
    code.op(Op.I64_AND);
    code.op(Op.I64_OR);
    code.set(T0);
  };
  swap(8, 0x00ff_00ff, 0x00ff_00ff);
  if (width > 2) swap(16, 0x0000_ffff, 0x0000_ffff);
  if (width === 8) {
    code.get(T0);
    code.i64(32);
    code.op(Op.I64_ROTL);
    code.set(T0);
  }
}

function bswap(e: Emitter, width: number): void {
  const { code, insn } = e;
  e.readRegister(insn.dst, width, Extend.ANY);
  code.set(T0);
  swapT0(e, width);
  code.get(T0);
  e.writeRegister(insn.dst, width);
}

function movbe(e: Emitter, width: number): void {
  const { code } = e;
  if (e.insn.dst < 0) e.checkWrite(width);
  e.readSource(width, Extend.ANY);
  code.set(T0);
  swapT0(e, width);
  e.writeDestination(width, T0);
}

/** AL = [rBX + AL]. */
function xlat(e: Emitter): void {
  const { code } = e;
  e.getReg(Reg.RBX);
  e.readRegister(Reg.RAX, 1, Extend.ZERO);
  code.op(Op.I64_ADD);
  e.cutAddress(e.insn.addrSize);
  e.loadAt(1, Extend.ZERO);
  e.writeRegister(Reg.RAX, 1);
}

/** MOV from a segment register: zero-extended to a register of any size, as it is to memory. */
function movSelector(e: Emitter): void {
  const { code, insn } = e;
  const width = insn.isMem ? 2 : insn.opSize;
  e.checkDestination(width);
  code.i32(0);
  code.access(
    Op.I64_LOAD16_U,
    Memory.PRIVATE,
    State.SEGMENTS + (insn.reg & 7) * 16 + SegField.SELECTOR,
  );
  code.set(T0);
  e.writeDestination(width, T0);
}

/** The source is read, and a 32-bit destination's upper half cleared, whatever the condition says. */
function cmov(e: Emitter, width: number): void {
  const { code, insn } = e;
  e.readSource(width, Extend.ANY);
  e.readRegister(insn.dst, width, Extend.ANY);
  pushCondition(e, insn.imm2);
  code.op(Op.SELECT);
  e.writeRegister(insn.dst, width);
}

function setcc(e: Emitter): void {
  const { code } = e;
  e.checkDestination(1);
  pushCondition(e, e.insn.imm2);
  code.op(Op.I64_EXTEND_I32_U);
  code.set(T0);
  e.writeDestination(1, T0);
}

/** CBW, CWDE, CDQE: the lower half of the accumulator to all of it. */
function widen(e: Emitter, width: number): void {
  e.getReg(0);
  e.extend(width / 2, Extend.SIGN);
  e.writeRegister(0, width);
}

/** CWD, CDQ, CQO: the accumulator's sign to rDX. */
function signToRdx(e: Emitter, width: number): void {
  const { code } = e;
  e.getReg(0);
  e.extend(width, Extend.SIGN);
  code.i64(63);
  code.op(Op.I64_SHR_S);
  e.writeRegister(2 * (width === 2 ? 4 : 2), width);
}

/** @see Emissions */
export const MOVE: Emissions = {
  mov: { emit: mov },
  movnti: { emit: mov },
  movsxd: { emit: (e, width) => movExtended(e, width, 4, Extend.SIGN) },
  lea: { emit: lea },
  xchg: { emit: xchg },
  bswap: { emit: bswap, when: (insn) => insn.opSize > 2 },
  cmov: { emit: cmov, reads: true },
  set: { emit: setcc, reads: true },
  cbw: { emit: widen },
  cwd: { emit: signToRdx },
  movbe: { emit: movbe },
  xlat: { emit: xlat, bails: true, when: (insn) => insn.addrSize > 2 && insn.seg < Seg.FS },
  nop: { emit: () => {} },
  prefetch: { emit: () => {} },
  prefetchw: { emit: () => {} },
};

/** MOVZX and MOVSX, whose second operand has a size of its own. */
export function emitExtension(e: Emitter, width: number, from: number, signed: boolean): void {
  movExtended(e, width, from, signed ? Extend.SIGN : Extend.ZERO);
}

/** @see movSelector */
export const FROM_SEGMENT: Emission = {
  emit: movSelector,
  when: (insn) => (insn.reg & 7) <= Seg.GS,
};
