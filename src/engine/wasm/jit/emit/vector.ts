/** Operands of SSE instructions: see `isa/simd/vector.ts`. XMM registers are in local variables. */

import { Word } from "../../cpu.ts";
import { Memory } from "../code_writer.ts";
import { type Emitter, Extend } from "../emitter.ts";
import { Jit } from "../layout.ts";
import { Local } from "../locals.ts";
import { locate } from "../locate.ts";
import { Op, Simd } from "../opcodes.ts";
import { XMM0 } from "../registers.ts";
import type { Emission } from "./emit.ts";

/** Number of the XMM register that `Insn.dst` or `src` names. */
function numberOf(index: number): number {
  return index - Word.XMM >> 2;
}

/** SSE instructions may be disabled (#UD, #NM): asked once for a block. */
export function checkSse(e: Emitter): void {
  if (e.sseChecked) return;
  const { code } = e;
  code.i32(0);
  code.access(Op.I32_LOAD, Memory.PRIVATE, Jit.SSE_TRAP);
  e.bailIf();
  e.sseChecked = true;
}

/** Pushes the register that `Insn.dst` or `src` names. */
export function getXmm(e: Emitter, index: number): void {
  e.registers.get(XMM0 + numberOf(index));
}

/** Pops the register's value. */
export function setXmm(e: Emitter, index: number): void {
  e.registers.set(XMM0 + numberOf(index));
}

/** Pushes the offset in RAM of the second operand of `width` bytes. */
export function locateSource(e: Emitter, width: number, aligned = false): void {
  e.linearAddress();
  e.code.set(Local.ADDRESS);
  if (aligned) e.checkAligned();
  locate(e, width, false);
}

/** Pushes the second operand of 16 bytes; in memory it must be aligned, unless `anywhere`. */
export function pushSource(e: Emitter, anywhere = false): void {
  const { src } = e.insn;
  if (src >= 0) return getXmm(e, src);
  locateSource(e, 16, !anywhere);
  e.code.simdAccess(Simd.LOAD, Memory.RAM);
}

/** Pushes the second operand whose low `width` bytes count; above them is anything. */
export function pushLowSource(e: Emitter, width: number): void {
  const { insn, code } = e;
  if (insn.src >= 0) return getXmm(e, insn.src);
  locateSource(e, width);
  if (width < 4) {
    code.access(Op.I64_LOAD16_U, Memory.RAM);
    code.simd(Simd.I64X2_SPLAT);
  } else code.simdAccess(width === 4 ? Simd.LOAD32_ZERO : Simd.LOAD64_ZERO, Memory.RAM);
}

/** Pushes the second operand, a general register or memory, of 4 or 8 bytes (i64). */
export function pushInteger(e: Emitter, extend: Extend = Extend.ZERO): void {
  e.readSource(e.insn.opSize === 8 ? 8 : 4, extend);
}

/** Writes the vector that `push` pushes to the first operand; see `pushSource` for `anywhere`. */
export function writeVector(e: Emitter, anywhere: boolean, push: () => void): void {
  const { insn, code } = e;
  if (insn.dst >= 0) {
    push();
    return setXmm(e, insn.dst);
  }
  e.linearAddress();
  code.set(Local.ADDRESS);
  if (!anywhere) e.checkAligned();
  locate(e, 16, true);
  push();
  code.simdAccess(Simd.STORE, Memory.RAM);
}

/** Pushes a vector of zeros. */
export function pushZeros(e: Emitter): void {
  e.code.v128(new Uint8Array(16));
}

/** An emission of an SSE instruction. */
export function sse(emit: (e: Emitter) => void, more: Partial<Emission> = {}): Emission {
  return {
    emit: (e) => {
      checkSse(e);
      emit(e);
    },
    bails: true,
    ...more,
  };
}
