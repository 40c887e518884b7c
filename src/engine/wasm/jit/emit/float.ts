/**
 * What floating-point instructions have in common: translated code carries out what WebAssembly's
 * operations do and what sets no flag of MXCSR; everything else is the interpreter's. See
 * `isa/simd/floating.ts`.
 */

import { State } from "../../../../cpu/state.ts";
import { Memory } from "../code_writer.ts";
import { type Emitter, Imported } from "../emitter.ts";
import { FloatKind, SINGLE } from "../float_rules.ts";
import { Local } from "../locals.ts";
import { Op, Simd } from "../opcodes.ts";
import { getXmm, locateSource, setXmm } from "./vector.ts";

const { F0, F1, F2, F3 } = Local;

export const MXCSR = State.XSAVE + 24;
/** Everything of MXCSR but the flags, and the precision flag (SDM 1 §10.2.3). */
const CONTROL = 0xffc0;
const PE = 0x20;
/** All exceptions masked, round to nearest, denormals are neither flushed nor zeros. */
const DEFAULT_CONTROL = 0x1f80;
/** Bits of a double's fraction. */
const FRACTION = 52;
const EXPONENT = 0x7ff;
/** Exponent fields, as of doubles, of the second smallest normal numbers, and how many follow. */
const DOUBLE_EXPONENTS = [2, 2045] as const;
const SINGLE_EXPONENTS = [898, 253] as const;

/** MXCSR must ask for what WebAssembly does: looked at once for a block. */
export function checkMxcsr(e: Emitter): void {
  if (e.mxcsrChecked) return;
  pushMxcsr(e, CONTROL);
  e.code.i32(DEFAULT_CONTROL);
  e.code.op(Op.I32_NE);
  e.bailIf();
  e.mxcsrChecked = true;
}

function pushMxcsr(e: Emitter, mask: number): void {
  const { code } = e;
  code.i32(0);
  code.access(Op.I32_LOAD, Memory.PRIVATE, MXCSR);
  code.i32(mask);
  code.op(Op.I32_AND);
}

/** While PE is not set, what may be inexact (that is pushed) is the interpreter's. */
export function checkExact(e: Emitter, pushInexact: () => void): void {
  pushMxcsr(e, PE);
  e.code.op(Op.I32_EQZ);
  e.open(Op.IF);
  pushInexact();
  e.bailIf();
  e.end();
}

/** Leaves the instruction to the interpreter unless MXCSR is the default and PE is set. */
export function checkInexactAllowed(e: Emitter): void {
  pushMxcsr(e, CONTROL | PE);
  e.code.i32(DEFAULT_CONTROL | PE);
  e.code.op(Op.I32_NE);
  e.bailIf();
}

/** The scalar second operand to F1; singles as doubles. */
export function sourceToF1(e: Emitter, single: boolean): void {
  const { code, insn } = e;
  if (insn.src >= 0) {
    getXmm(e, insn.src);
    code.simdLane(single ? Simd.F32X4_EXTRACT : Simd.F64X2_EXTRACT, 0);
  } else {
    locateSource(e, single ? 4 : 8);
    code.access(single ? Op.F32_LOAD : Op.F64_LOAD, Memory.RAM);
  }
  if (single) code.op(Op.F64_PROMOTE_F32);
  code.set(F1);
}

/** The scalar first operand to F0. */
export function destinationToF0(e: Emitter, single: boolean): void {
  const { code, insn } = e;
  getXmm(e, insn.dst);
  code.simdLane(single ? Simd.F32X4_EXTRACT : Simd.F64X2_EXTRACT, 0);
  if (single) code.op(Op.F64_PROMOTE_F32);
  code.set(F0);
}

/** Rounds the double on the stack to a single, which stays a double; F3 is what it was. */
export function roundToF2(e: Emitter, single: boolean): void {
  const { code } = e;
  if (single) {
    code.tee(F3);
    code.op(Op.F32_DEMOTE_F64);
    code.op(Op.F64_PROMOTE_F32);
  }
  code.set(F2);
}

/** F2 to the lowest lane of the first operand; the others stay. */
export function writeF2(e: Emitter, single: boolean): void {
  const { code, insn } = e;
  getXmm(e, insn.dst);
  code.get(F2);
  if (single) code.op(Op.F32_DEMOTE_F64);
  code.simdLane(single ? Simd.F32X4_REPLACE : Simd.F64X2_REPLACE, 0);
  setXmm(e, insn.dst);
}

/** Pushes whether a local is not a normal number, or the smallest one. */
export function pushUnusual(e: Emitter, local: number, single: boolean): void {
  const { code } = e;
  const [first, count] = single ? SINGLE_EXPONENTS : DOUBLE_EXPONENTS;
  code.get(local);
  code.op(Op.I64_REINTERPRET_F64);
  code.i64(FRACTION);
  code.op(Op.I64_SHR_U);
  code.op(Op.I32_WRAP_I64);
  code.i32(EXPONENT);
  code.op(Op.I32_AND);
  code.i32(first);
  code.op(Op.I32_SUB);
  code.i32(count);
  code.op(Op.I32_GE_U);
}

/** Leaves the instruction to the interpreter when a flag other than PE may come of it. */
export function checkFlags(
  e: Emitter,
  kind: FloatKind,
  single: boolean,
  x: number = F0,
  y: number = F1,
  result: number = F2,
): void {
  const { code } = e;
  const locals = new Set([x, y]);
  if (kind !== FloatKind.PLAIN && kind !== FloatKind.ROOT) locals.add(result);
  let pushed = false;
  for (const local of locals) {
    pushUnusual(e, local, single);
    if (pushed) code.op(Op.I32_OR);
    pushed = true;
  }
  if (kind === FloatKind.ROOT) {
    code.get(y);
    code.f64(0);
    code.op(Op.F64_LT);
    code.op(Op.I32_OR);
  }
  e.openUnlikely();
  code.i32(kind + (single ? SINGLE : 0));
  code.get(x);
  code.get(y);
  code.get(result);
  code.call(Imported.FLOATS);
  e.bailIf();
  e.end();
}

/** Pushes whether the product of two doubles may have more than 53 bits. */
export function pushLongProduct(e: Emitter, x: () => void, y: () => void): void {
  const { code } = e;
  for (const push of [x, y]) {
    push();
    code.i64(0, 1 << FRACTION - 32);
    code.op(Op.I64_OR);
    code.op(Op.I64_CTZ);
  }
  code.op(Op.I64_ADD);
  code.i64(FRACTION + 1);
  code.op(Op.I64_LT_U);
}

/** Pushes a local's bits. */
export function bitsOf(e: Emitter, local: number): () => void {
  return () => {
    e.code.get(local);
    e.code.op(Op.I64_REINTERPRET_F64);
  };
}
