/** Flags and what is next to them: CLI, CLD, STD, CLC, STC, CMC, LAHF, SAHF; PAUSE and fences. */

import { State } from "../../../../cpu/state.ts";
import { Flag, STATUS_FLAGS } from "../../cpu.ts";
import { Memory } from "../code_writer.ts";
import { type Emitter, Extend } from "../emitter.ts";
import { Jit, MODE_CPL } from "../layout.ts";
import { Op } from "../opcodes.ts";
import type { Emissions } from "./emit.ts";
import { pushFlags, setExplicitFlags } from "./flags.ts";

/** Index of AH in the view of bytes. */
const AH = 1;
/** Place of the I/O privilege level in RFLAGS. */
const IOPL_SHIFT = 12;

/** Changes RFLAGS beside the status flags. */
function changeFlags(e: Emitter, op: Op, bits: number): void {
  const { code } = e;
  code.i32(0);
  code.i32(0);
  code.access(Op.I32_LOAD, Memory.PRIVATE, State.RFLAGS);
  code.i32(bits);
  code.op(op);
  code.access(Op.I32_STORE, Memory.PRIVATE, State.RFLAGS);
}

function changeCarry(e: Emitter, op: Op, bits: number): void {
  pushFlags(e);
  e.code.i32(bits);
  e.code.op(op);
  setExplicitFlags(e);
}

/** CLI above the I/O privilege level raises #GP, or does something else (SDM 2A CLI). */
function cli(e: Emitter): void {
  const { code } = e;
  const bits = (at: number, shift: number) => {
    code.i32(0);
    code.access(Op.I32_LOAD, Memory.PRIVATE, at);
    code.i32(shift);
    code.op(Op.I32_SHR_U);
    code.i32(3);
    code.op(Op.I32_AND);
  };
  bits(Jit.MODE + 4, MODE_CPL);
  bits(State.RFLAGS, IOPL_SHIFT);
  code.op(Op.I32_GT_U);
  e.bailIf();
  changeFlags(e, Op.I32_AND, ~Flag.IF);
}

/** PAUSE concerns other vCPUs only. */
function pause(e: Emitter): void {
  e.code.i32(0);
  e.code.access(Op.I32_LOAD, Memory.PRIVATE, Jit.SHARES);
  e.bailIf();
}

function lahf(e: Emitter): void {
  const { code } = e;
  pushFlags(e);
  code.i32(2);
  code.op(Op.I32_OR);
  code.op(Op.I64_EXTEND_I32_U);
  e.writeRegister(AH, 1);
}

function sahf(e: Emitter): void {
  const { code } = e;
  pushFlags(e);
  code.i32(Flag.OF);
  code.op(Op.I32_AND);
  e.readRegister(AH, 1, Extend.ANY);
  code.op(Op.I32_WRAP_I64);
  code.i32(STATUS_FLAGS & 0xff);
  code.op(Op.I32_AND);
  code.op(Op.I32_OR);
  setExplicitFlags(e);
}

const CARRY = { sets: "some", reads: true } as const;

/** @see Emissions */
export const SYSTEM: Emissions = {
  cli: { emit: cli, bails: true },
  cld: { emit: (e) => changeFlags(e, Op.I32_AND, ~Flag.DF) },
  std: { emit: (e) => changeFlags(e, Op.I32_OR, Flag.DF) },
  clc: { emit: (e) => changeCarry(e, Op.I32_AND, ~Flag.CF), ...CARRY },
  stc: { emit: (e) => changeCarry(e, Op.I32_OR, Flag.CF), ...CARRY },
  cmc: { emit: (e) => changeCarry(e, Op.I32_XOR, Flag.CF), ...CARRY },
  lahf: { emit: lahf, reads: true },
  sahf: { emit: sahf, ...CARRY },
  pause: { emit: pause, bails: true },
  lfence: { emit: () => {} },
  mfence: { emit: () => {} },
  sfence: { emit: () => {} },
};
