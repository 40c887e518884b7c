/** BT and its kin, BSF, BSR, TZCNT, LZCNT, POPCNT: see `isa/bits.ts`. */

import { IMM } from "../../insn.ts";
import { type Emitter, Extend } from "../emitter.ts";
import { FlagKind } from "../layout.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import type { Emissions } from "./emit.ts";
import { replaceCarry, setExplicitFlags, setFlagKind, setLogicFlags } from "./flags.ts";

const { FLAG_RESULT, T0, T1, T2 } = Local;

/** BT, BTS, BTR, BTC: `change` pushes the operand T0 with the bit of the mask T1 changed. */
function bitTest(e: Emitter, width: number, change?: (e: Emitter) => void): void {
  const { code, insn } = e;
  if (change !== undefined && insn.dst < 0) {
    bitAddress(e, width);
    e.checkWriteAt(width);
  }
  if (change !== undefined) e.fetchDestination(width, Extend.ANY);
  else if (insn.dst >= 0) e.readRegister(insn.dst, width, Extend.ANY);
  else {
    bitAddress(e, width);
    e.loadAt(width, Extend.ANY);
  }
  code.set(T0);
  const mask = width * 8 - 1;
  if (insn.src === IMM) code.i64(insn.immLo & mask);
  else {
    e.readRegister(insn.src, width, Extend.ANY);
    code.i64(mask);
    code.op(Op.I64_AND);
  }
  code.set(T2);
  if (e.flagsWanted) {
    replaceCarry(e, () => {
      code.get(T0);
      code.get(T2);
      code.op(Op.I64_SHR_U);
      code.op(Op.I32_WRAP_I64);
      code.i32(1);
      code.op(Op.I32_AND);
    });
  }
  if (change === undefined) return;
  code.i64(1);
  code.get(T2);
  code.op(Op.I64_SHL);
  code.set(T1);
  change(e);
  code.set(T0);
  e.writeDestination(width, T0);
}

function combine(op: Op): (e: Emitter) => void {
  return ({ code }) => {
    code.get(T0);
    code.get(T1);
    code.op(op);
  };
}

/** T0 without the bits of T1. */
function reset({ code }: Emitter): void {
  code.get(T0);
  code.get(T1);
  code.i64(-1);
  code.op(Op.I64_XOR);
  code.op(Op.I64_AND);
}

/** Pushes the linear address of the operand in memory: a register's offset reaches beyond it. */
function bitAddress(e: Emitter, width: number): void {
  const { code, insn } = e;
  if (insn.src === IMM) return e.linearAddress();
  e.effectiveAddress();
  // Offset in bytes of the operand: bit offset divided by its bits, times its bytes.
  e.readRegister(insn.src, width, Extend.SIGN);
  code.i64(3);
  code.op(Op.I64_SHR_S);
  code.i64(-width);
  code.op(Op.I64_AND);
  code.op(Op.I64_ADD);
  e.cutAddress(insn.addrSize);
  e.addSegmentBase();
}

/** BSF and BSR: 0 leaves the destination as it was. */
function scan(e: Emitter, width: number, forward: boolean): void {
  const { code, insn } = e;
  e.readSource(width, Extend.ZERO);
  code.set(T0);
  if (width < 4) {
    code.get(T0);
    code.op(Op.I64_EQZ);
    code.op(Op.I32_EQZ);
    e.open(Op.IF);
    pushScan(e, forward);
    e.writeRegister(insn.dst, width);
    e.end();
  } else { // the place is its own extension
    e.getReg(insn.dst / 2);
    pushScan(e, forward);
    code.get(T0);
    code.op(Op.I64_EQZ);
    code.op(Op.SELECT);
    e.setReg(insn.dst / 2);
  }
  if (!e.flagsWanted) return;
  code.get(T0);
  if (width < 4) e.extend(width, Extend.SIGN);
  setLogicFlags(e, width === 4);
}

/** Pushes the place of the first or last bit of T0. */
function pushScan({ code }: Emitter, forward: boolean): void {
  if (forward) {
    code.get(T0);
    code.op(Op.I64_CTZ);
  } else {
    code.i64(63);
    code.get(T0);
    code.op(Op.I64_CLZ);
    code.op(Op.I64_SUB);
  }
}

/** TZCNT and LZCNT. CF: the source is 0. */
function count(e: Emitter, width: number, forward: boolean): void {
  const { code, insn } = e;
  const bits = width * 8;
  e.readSource(width, Extend.ZERO);
  code.set(T0);
  code.get(T0);
  if (forward) {
    if (width < 8) { // a bit behind the last one ends the count there
      code.i64(width === 4 ? 0 : 1 << bits, width === 4 ? 1 : 0);
      code.op(Op.I64_OR);
    }
    code.op(Op.I64_CTZ);
  } else {
    code.op(Op.I64_CLZ);
    code.i64(64 - bits);
    code.op(Op.I64_SUB);
  }
  if (e.flagsWanted) {
    code.tee(FLAG_RESULT);
    setFlagKind(e, FlagKind.RESULT, true);
    replaceCarry(e, () => {
      code.get(T0);
      code.op(Op.I64_EQZ);
    });
  }
  e.writeRegister(insn.dst, width);
}

function ones(e: Emitter, width: number): void {
  const { code, insn } = e;
  e.readSource(width, Extend.ZERO);
  code.tee(T0);
  code.op(Op.I64_POPCNT);
  e.writeRegister(insn.dst, width);
  if (!e.flagsWanted) return;
  code.get(T0);
  code.op(Op.I64_EQZ);
  code.i32(6); // ZF
  code.op(Op.I32_SHL);
  setExplicitFlags(e);
}

const TEST = { sets: "some", reads: true } as const;

/** @see Emissions */
export const BITS: Emissions = {
  bt: { emit: (e, width) => bitTest(e, width), ...TEST },
  bts: { emit: (e, width) => bitTest(e, width, combine(Op.I64_OR)), ...TEST },
  btr: { emit: (e, width) => bitTest(e, width, reset), ...TEST },
  btc: { emit: (e, width) => bitTest(e, width, combine(Op.I64_XOR)), ...TEST },
  bsf: { emit: (e, width) => scan(e, width, true), sets: "all" },
  bsr: { emit: (e, width) => scan(e, width, false), sets: "all" },
  tzcnt: { emit: (e, width) => count(e, width, true), sets: "all" },
  lzcnt: { emit: (e, width) => count(e, width, false), sets: "all" },
  popcnt: { emit: ones, sets: "all" },
};
