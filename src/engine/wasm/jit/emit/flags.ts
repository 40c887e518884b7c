/** Status flags in translated code: how an instruction leaves them, and conditions on them. */

import { type Emitter, Extend, FLAG_WORDS, Imported, type KnownFlags } from "../emitter.ts";
import { Memory } from "../code_writer.ts";
import { FlagKind, LOW_32 } from "../layout.ts";
import { Local } from "../locals.ts";
import { Op, Type } from "../opcodes.ts";
import { borrowOfDifference, carryOfSum, parityOf } from "../runtime.ts";

/** Places of the flags (SDM 1 §3.4.3.1). */
const CF = 1;
const PF = 4;
const ZF = 0x40;
const SF = 0x80;
const OF = 0x800;

/** The flags are of this kind from here on; what they are made of is in the variables. */
export function setFlagKind(e: Emitter, kind: FlagKind, plain = false, low32 = false): void {
  e.setsFlags = true;
  e.code.i32(low32 ? kind + LOW_32 : kind);
  e.code.set(Local.FLAG_KIND);
  e.known = { kind, plain, low32 };
}

/**
 * How operands are read for the flags of an operation on `width` bytes, whose kind gets `low32` for
 * 32 bits: so they need no extension.
 */
export function flagExtension(width: number): Extend {
  return width === 4 ? Extend.ANY : Extend.SIGN;
}

/** Pops the result of an instruction that clears CF, AF and OF: the variable has it too. */
export function setLogicFlags(e: Emitter, low32 = false): void {
  e.code.set(Local.FLAG_RESULT);
  e.code.i64(0);
  e.code.set(Local.FLAG_B);
  setFlagKind(e, FlagKind.RESULT, true, low32);
}

/** Makes sure that what the flags are made of is in the variables. */
function needFlags(e: Emitter): void {
  if (e.known !== undefined) return;
  const { code } = e;
  code.get(Local.FLAG_KIND);
  code.op(Op.I32_EQZ);
  e.openUnlikely();
  for (const [local, at, load] of FLAG_WORDS) {
    code.i32(0);
    code.access(load, Memory.PRIVATE, at);
    code.set(local);
  }
  e.end();
}

/** Pushes all status flags in their places (i32). */
export function pushFlags(e: Emitter): void {
  const { code } = e;
  needFlags(e);
  code.get(Local.FLAG_KIND);
  code.get(Local.FLAG_A);
  code.get(Local.FLAG_B);
  code.get(Local.FLAG_RESULT);
  code.call(Imported.FLAGS);
}

/** Pops all status flags in their places (i32). */
export function setExplicitFlags(e: Emitter): void {
  e.code.op(Op.I64_EXTEND_I32_U);
  e.code.set(Local.FLAG_B);
  setFlagKind(e, FlagKind.EXPLICIT);
}

/** Pushes CF (i32, 0 or 1). */
export function pushCarry(e: Emitter): void {
  const { code, known } = e;
  switch (known?.kind) {
    case FlagKind.ADD:
      if (known.plain) return compare(e, Local.FLAG_RESULT, Local.FLAG_A, Op.I64_LT_U);
      carryOfSum(code, Local.FLAG_A, Local.FLAG_B, Local.FLAG_RESULT, topOf(known));
      return;
    case FlagKind.SUB:
      if (known.plain) return compare(e, Local.FLAG_A, Local.FLAG_B, Op.I64_LT_U);
      borrowOfDifference(code, Local.FLAG_A, Local.FLAG_B, Local.FLAG_RESULT, topOf(known));
      return;
    case FlagKind.RESULT:
      if (known.plain) return code.i32(0);
      return testBits(e, CF);
    case FlagKind.EXPLICIT:
      return testBits(e, CF);
    default:
      // In loops that INC or DEC closes, it is where they have put it.
      needFlags(e);
      code.get(Local.FLAG_KIND);
      code.i32(LOW_32 - 1);
      code.op(Op.I32_AND);
      code.i32(FlagKind.RESULT);
      code.op(Op.I32_EQ);
      e.open(Op.IF, Type.I32);
      testBits(e, CF);
      e.else();
      pushFlags(e);
      code.i32(CF);
      code.op(Op.I32_AND);
      e.end();
  }
}

/** Position of the top bit that counts. */
function topOf(known: KnownFlags): number {
  return known.low32 ? 31 : 63;
}

/** From a comparison of 64 bits to the one of 32. */
const TO_32 = Op.I64_EQZ - Op.I32_EQZ;

/** Pushes the comparison of two variables, in as many bits as count. */
function compare(e: Emitter, a: number, b: number, op: Op): void {
  const { code } = e;
  const low32 = e.known!.low32;
  code.get(a);
  if (low32) code.op(Op.I32_WRAP_I64);
  code.get(b);
  if (low32) code.op(Op.I32_WRAP_I64);
  code.op((low32 ? op - TO_32 : op) as Op);
}

/** Pushes the comparison of the result with 0. */
function compareResult(e: Emitter, op: Op): void {
  const { code } = e;
  const low32 = e.known!.low32;
  code.get(Local.FLAG_RESULT);
  if (low32) code.op(Op.I32_WRAP_I64);
  if (op !== Op.I64_EQZ) {
    if (low32) code.i32(0);
    else code.i64(0);
  }
  code.op((low32 ? op - TO_32 : op) as Op);
}

/** Pushes bits of `FLAG_B` (i32). */
function testBits(e: Emitter, bits: number): void {
  e.code.get(Local.FLAG_B);
  e.code.op(Op.I32_WRAP_I64);
  e.code.i32(bits);
  e.code.op(Op.I32_AND);
}

/** Pushes whether condition `cc`, the opcode's low four bits, holds (i32; SDM 2B Jcc). */
export function pushCondition(e: Emitter, cc: number): void {
  const even = cc & ~1;
  if (!pushKnown(e, even)) pushGeneral(e, even);
  if ((cc & 1) !== 0) e.code.op(Op.I32_EQZ);
}

/** The condition read off operands and result; false: it has to be asked of all flags. */
function pushKnown(e: Emitter, cc: number): boolean {
  const { code, known } = e;
  if (known === undefined || known.kind === FlagKind.EXPLICIT) return false;
  switch (cc) {
    case 4:
      compareResult(e, Op.I64_EQZ);
      return true;
    case 8:
      compareResult(e, Op.I64_LT_S);
      return true;
    case 10:
      parityOf(code, Local.FLAG_RESULT);
      return true;
    case 2:
      pushCarry(e);
      return true;
  }
  if (known.plain && known.kind === FlagKind.SUB) {
    const op = cc === 6
      ? Op.I64_LE_U
      : cc === 12
      ? Op.I64_LT_S
      : cc === 14
      ? Op.I64_LE_S
      : undefined;
    if (op === undefined) return false;
    compare(e, Local.FLAG_A, Local.FLAG_B, op);
    return true;
  }
  if (known.plain && known.kind === FlagKind.RESULT) {
    if (cc === 0) code.i32(0);
    else compareResult(e, cc === 6 ? Op.I64_EQZ : cc === 12 ? Op.I64_LT_S : Op.I64_LE_S);
    return true;
  }
  return false;
}

/** The condition asked of all flags. */
function pushGeneral(e: Emitter, cc: number): void {
  const { code } = e;
  if (e.known?.kind === FlagKind.EXPLICIT) {
    code.get(Local.FLAG_B);
    code.op(Op.I32_WRAP_I64);
  } else pushFlags(e);
  const masks: Record<number, number> = { 0: OF, 2: CF, 4: ZF, 6: CF | ZF, 8: SF, 10: PF };
  if (masks[cc] !== undefined) {
    code.i32(masks[cc]);
    code.op(Op.I32_AND);
    code.i32(0);
    return code.op(Op.I32_NE);
  }
  // SF and OF differ: OF is four places above SF. For "less or equal" ZF counts, too.
  code.tee(Local.I0);
  code.get(Local.I0);
  code.i32(4);
  code.op(Op.I32_SHR_U);
  code.op(Op.I32_XOR);
  code.i32(SF);
  code.op(Op.I32_AND);
  if (cc === 14) {
    code.get(Local.I0);
    code.i32(ZF);
    code.op(Op.I32_AND);
    code.op(Op.I32_OR);
  }
  code.i32(0);
  code.op(Op.I32_NE);
}
