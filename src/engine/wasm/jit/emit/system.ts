/** What operating systems do all the time: CLI, CLD, STD, CLC, STC, CMC. */

import { State } from "../../../../cpu/state.ts";
import { Flag } from "../../cpu.ts";
import { Memory } from "../code_writer.ts";
import type { Emitter } from "../emitter.ts";
import { Op } from "../opcodes.ts";
import type { Emissions } from "./emit.ts";
import { pushFlags, setExplicitFlags } from "./flags.ts";

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

const CARRY = { sets: "some", reads: true } as const;

/** @see Emissions */
export const SYSTEM: Emissions = {
  cld: { emit: (e) => changeFlags(e, Op.I32_AND, ~Flag.DF) },
  std: { emit: (e) => changeFlags(e, Op.I32_OR, Flag.DF) },
  clc: { emit: (e) => changeCarry(e, Op.I32_AND, ~Flag.CF), ...CARRY },
  stc: { emit: (e) => changeCarry(e, Op.I32_OR, Flag.CF), ...CARRY },
  cmc: { emit: (e) => changeCarry(e, Op.I32_XOR, Flag.CF), ...CARRY },
};
