/**
 * Flags and what is next to them: CLI, STI, CLD, STD, CLC, STC, CMC, LAHF, SAHF; PAUSE and fences;
 * RDTSC, RDTSCP, RDPID.
 */

import { Cr4 } from "../../../../cpu/modes.ts";
import { Reg, State } from "../../../../cpu/state.ts";
import { Flag, STATUS_FLAGS } from "../../cpu.ts";
import { TSC_AUX_WORD } from "../../isa/tsc.ts";
import { Memory } from "../code_writer.ts";
import { type Emitter, Extend, Imported } from "../emitter.ts";
import { Jit } from "../layout.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import type { Emissions } from "./emit.ts";
import { pushCarry, pushFlags, replaceCarry, setExplicitFlags } from "./flags.ts";
import { pushBits, pushCpl, pushLevel } from "./privilege.ts";

/** Index of AH in the view of bytes. */
const AH = 1;
/** Place of the I/O privilege level in RFLAGS. */
const IOPL_SHIFT = 12;

/** Changes RFLAGS beside the status flags. */
export function changeFlags(e: Emitter, op: Op, bits: number): void {
  const { code } = e;
  code.i32(0);
  code.i32(0);
  code.access(Op.I32_LOAD, Memory.PRIVATE, State.RFLAGS);
  code.i32(bits);
  code.op(op);
  code.access(Op.I32_STORE, Memory.PRIVATE, State.RFLAGS);
}

/** Above the I/O privilege level CLI and STI raise #GP, or do something else (SDM 2A CLI). */
export function checkIoPrivilege(e: Emitter): void {
  pushCpl(e);
  pushLevel(e, State.RFLAGS, IOPL_SHIFT);
  e.code.op(Op.I32_GT_U);
  e.bailIf();
}

function cli(e: Emitter): void {
  checkIoPrivilege(e);
  changeFlags(e, Op.I32_AND, ~Flag.IF);
}

/**
 * Where STI turns interrupts on, they wait for the end of the next instruction (SDM 2B STI). If none
 * waits already, and that instruction may run, nobody gets to see the shadow: before it nothing can
 * come up.
 */
function sti(e: Emitter): void {
  const { code } = e;
  checkIoPrivilege(e);
  pushBits(e, State.RFLAGS, Flag.IF);
  code.op(Op.I32_EQZ);
  e.open(Op.IF);
  code.call(Imported.WAITS);
  pushBudget(e);
  code.i32(2);
  code.op(Op.I32_LT_S);
  code.op(Op.I32_OR);
  e.bailIf();
  changeFlags(e, Op.I32_OR, Flag.IF);
  e.end();
}

/** Pushes the instructions that may still run, this one among them. */
function pushBudget(e: Emitter): void {
  const { code } = e;
  code.get(Local.BUDGET);
  code.i32(e.counted - e.done);
  code.op(Op.I32_ADD);
}

/** CR4.TSD leaves RDTSC to CPL 0 (SDM 2B RDTSC). */
function rdtsc(e: Emitter): void {
  const { code } = e;
  pushBits(e, State.CR4, Cr4.TSD);
  pushCpl(e);
  code.op(Op.I32_MUL);
  e.bailIf();
  pushBudget(e);
  code.call(Imported.TSC);
  code.tee(Local.T0);
  e.extend(4, Extend.ZERO);
  e.setReg(Reg.RAX);
  code.get(Local.T0);
  code.i64(32);
  code.op(Op.I64_SHR_U);
  e.setReg(Reg.RDX);
}

function rdtscp(e: Emitter): void {
  rdtsc(e);
  readTscAux(e, Reg.RCX);
}

/** Bits 31:0 of IA32_TSC_AUX. */
function readTscAux(e: Emitter, reg: number): void {
  const { code } = e;
  code.i32(0);
  code.access(Op.I64_LOAD32_U, Memory.PRIVATE, TSC_AUX_WORD * 4);
  e.setReg(reg);
}

function complement(e: Emitter): void {
  replaceCarry(e, () => {
    pushCarry(e);
    e.code.op(Op.I32_EQZ);
  });
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
  sti: { emit: sti, bails: true, endless: true },
  cld: { emit: (e) => changeFlags(e, Op.I32_AND, ~Flag.DF) },
  std: { emit: (e) => changeFlags(e, Op.I32_OR, Flag.DF) },
  clc: { emit: (e) => replaceCarry(e, () => e.code.i32(0)), ...CARRY },
  stc: { emit: (e) => replaceCarry(e, () => e.code.i32(1)), ...CARRY },
  cmc: { emit: complement, ...CARRY },
  lahf: { emit: lahf, reads: true },
  sahf: { emit: sahf, ...CARRY },
  pause: { emit: pause, bails: true },
  lfence: { emit: () => {} },
  mfence: { emit: () => {} },
  sfence: { emit: () => {} },
  rdtsc: { emit: rdtsc, bails: true },
  rdtscp: { emit: rdtscp, bails: true },
  rdpid: { emit: (e) => readTscAux(e, e.insn.rm) },
};
