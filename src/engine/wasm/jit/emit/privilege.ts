/** What emissions ask of the vCPU's control registers and privilege before they do anything. */

import { Memory } from "../code_writer.ts";
import type { Emitter } from "../emitter.ts";
import { Jit, MODE_CPL } from "../layout.ts";
import { Op } from "../opcodes.ts";

/** Pushes bits of a word of the private memory. */
export function pushBits({ code }: Emitter, at: number, bits: number): void {
  code.i32(0);
  code.access(Op.I32_LOAD, Memory.PRIVATE, at);
  code.i32(bits);
  code.op(Op.I32_AND);
}

/** Pushes the two bits from `shift` on of a word. */
export function pushLevel({ code }: Emitter, at: number, shift: number): void {
  code.i32(0);
  code.access(Op.I32_LOAD, Memory.PRIVATE, at);
  code.i32(shift);
  code.op(Op.I32_SHR_U);
  code.i32(3);
  code.op(Op.I32_AND);
}

/** Pushes the CPL. */
export function pushCpl(e: Emitter): void {
  pushLevel(e, Jit.MODE + 4, MODE_CPL);
}

/** Only at CPL 0: elsewhere it raises something. */
export function checkPrivileged(e: Emitter): void {
  pushCpl(e);
  e.bailIf();
}

/** One of the bits of a control register must be set. */
export function checkEnabled(e: Emitter, register: number, bit: number): void {
  pushBits(e, register, bit);
  e.code.op(Op.I32_EQZ);
  e.bailIf();
}

/** The address in a local variable must be canonical; 57-bit ones are left to the interpreter. */
export function checkCanonical(e: Emitter, local: number): void {
  const { code } = e;
  code.get(local);
  code.i64(16);
  code.op(Op.I64_SHL);
  code.i64(16);
  code.op(Op.I64_SHR_S);
  code.get(local);
  code.op(Op.I64_NE);
  e.bailIf();
}
