/** Status flags in translated code: how an instruction leaves them, and CF. */

import { type Emitter, Extend, FLAG_WORDS, Imported, type KnownFlags } from "../emitter.ts";
import { Memory } from "../code_writer.ts";
import { borrowOfDifference, carryOfShift, carryOfSum } from "../flag_rules.ts";
import { CARRY_APART, FlagKind, LOW_32, OVERFLOW_APART } from "../layout.ts";
import { Local } from "../locals.ts";
import { Op, Type } from "../opcodes.ts";

/** Places of the flags (SDM 1 §3.4.3.1). */
export const CF = 1;
export const PF = 4;
export const ZF = 0x40;
export const SF = 0x80;
export const OF = 0x800;

/** In `Emitter.known`: they are in the variables, and it is not known how. */
const ANY_KIND = FlagKind.UNCHANGED;

/** The flags are of this kind from here on; what they are made of is in the variables. */
export function setFlagKind(e: Emitter, kind: FlagKind, plain = false, low32 = false): void {
  e.setsFlags = true;
  e.code.i32(wordOf(kind, low32));
  e.code.set(Local.FLAG_KIND);
  e.known = { kind, plain, low32, carryApart: false, overflowApart: false };
}

/** The variable of the flags' kind, without the flags that it may hold itself. */
function wordOf(kind: FlagKind, low32: boolean): number {
  return low32 ? kind + LOW_32 : kind;
}

/**
 * The flags are of this kind from here on, of operands with no carry, but CF is the one from before:
 * to be called before what that is made of changes.
 */
export function setFlagKindKeepingCarry(e: Emitter, kind: FlagKind, low32: boolean): void {
  const { code, known } = e;
  const isThere = known?.carryApart === true && !known.overflowApart &&
    known.kind === kind && known.low32 === low32;
  if (!isThere) {
    const hasNone = known?.kind === FlagKind.RESULT && !known.carryApart;
    if (!hasNone) pushCarry(e);
    code.i32(wordOf(kind, low32) | CARRY_APART);
    if (!hasNone) code.op(Op.I32_OR);
    code.set(Local.FLAG_KIND);
  }
  e.setsFlags = true;
  e.known = { kind, plain: true, low32, carryApart: true, overflowApart: false };
}

/** Of flags that are of whatever kind, CF becomes what `push` pushes (i32, 0 or 1). */
export function replaceCarry(e: Emitter, push: () => void): void {
  replaceFlags(e, CF, CARRY_APART, push);
}

/** The same of CF and OF, in their places. */
export function replaceCarryAndOverflow(e: Emitter, push: () => void): void {
  replaceFlags(e, CF | OF, CARRY_APART | OVERFLOW_APART, push);
}

function replaceFlags(e: Emitter, flags: number, apart: number, push: () => void): void {
  const { code } = e;
  needFlags(e);
  e.setsFlags = true;
  const { known } = e;
  const both = (apart & OVERFLOW_APART) !== 0;
  push();
  if (known === undefined || known.kind === ANY_KIND || known.overflowApart && !both) {
    code.get(Local.FLAG_KIND);
    code.i32(~flags);
    code.op(Op.I32_AND);
    code.i32(apart);
    code.op(Op.I32_OR);
  } else code.i32(wordOf(known.kind, known.low32) | apart);
  code.op(Op.I32_OR);
  code.set(Local.FLAG_KIND);
  e.known = {
    kind: known?.kind ?? ANY_KIND,
    plain: known?.plain === true,
    low32: known?.low32 === true,
    carryApart: true,
    overflowApart: both || known?.overflowApart === true,
  };
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
  if (known?.carryApart) return carryInKind(e);
  switch (known?.kind) {
    case FlagKind.SUM:
      return compareWithB(e, known, pushResult, Op.I64_LT_U);
    case FlagKind.DIFFERENCE:
    case FlagKind.COMPARISON:
      return compareWithB(e, known, pushOperand, Op.I64_LT_U);
    case FlagKind.ADD:
      if (known.plain) return compareWithB(e, known, pushResult, Op.I64_LT_U);
      return carryOfSum(code, Local.FLAG_A, Local.FLAG_B, Local.FLAG_RESULT, topOf(known));
    case FlagKind.SUB:
      if (known.plain) return compareWithB(e, known, pushOperand, Op.I64_LT_U);
      return borrowOfDifference(code, Local.FLAG_A, Local.FLAG_B, Local.FLAG_RESULT, topOf(known));
    case FlagKind.RESULT:
      return code.i32(0);
    case FlagKind.RIGHT:
    case FlagKind.LEFT:
      return carryOfShift(code, Local.FLAG_A, Local.FLAG_B);
    case FlagKind.HIGH:
      code.get(Local.FLAG_B);
      code.op(Op.I64_EQZ);
      return code.op(Op.I32_EQZ);
    case FlagKind.EXPLICIT:
      return testBits(e, CF);
    case FlagKind.PRODUCT:
      return carryOfAll(e);
    default:
      // In loops that INC or DEC closes, it is where they have put it.
      needFlags(e);
      code.get(Local.FLAG_KIND);
      code.i32(CARRY_APART);
      code.op(Op.I32_AND);
      e.open(Op.IF, Type.I32);
      carryInKind(e);
      e.else();
      carryOfAll(e);
      e.end();
  }
}

/** Pushes the CF that the kind's variable holds itself. */
function carryInKind({ code }: Emitter): void {
  code.get(Local.FLAG_KIND);
  code.i32(CF);
  code.op(Op.I32_AND);
}

/** Pushes CF of all flags. */
function carryOfAll(e: Emitter): void {
  pushFlags(e);
  e.code.i32(CF);
  e.code.op(Op.I32_AND);
}

/** Position of the top bit that counts. */
function topOf(known: KnownFlags): number {
  return known.low32 ? 31 : 63;
}

/** From a comparison of 64 bits to the one of 32. */
export const TO_32 = Op.I64_EQZ - Op.I32_EQZ;

/** Pushes what A is or would be. */
export function pushOperand({ code }: Emitter, { kind }: KnownFlags): void {
  const isThere = kind !== FlagKind.SUM && kind !== FlagKind.DIFFERENCE;
  code.get(isThere ? Local.FLAG_A : Local.FLAG_RESULT);
  if (isThere) return;
  code.get(Local.FLAG_B);
  code.op(kind === FlagKind.SUM ? Op.I64_SUB : Op.I64_ADD);
}

/** Pushes the result. */
export function pushResult({ code }: Emitter, { kind }: KnownFlags): void {
  if (kind !== FlagKind.COMPARISON) return code.get(Local.FLAG_RESULT);
  code.get(Local.FLAG_A);
  code.get(Local.FLAG_B);
  code.op(Op.I64_SUB);
}

/** Pushes the comparison of what `push` pushes with B, in as many bits as count. */
export function compareWithB(
  e: Emitter,
  known: KnownFlags,
  push: (e: Emitter, known: KnownFlags) => void,
  op: Op,
): void {
  const { code } = e;
  const { low32 } = known;
  push(e, known);
  if (low32) code.op(Op.I32_WRAP_I64);
  code.get(Local.FLAG_B);
  if (low32) code.op(Op.I32_WRAP_I64);
  code.op((low32 ? op - TO_32 : op) as Op);
}

/** Pushes bits of `FLAG_B` (i32). */
function testBits(e: Emitter, bits: number): void {
  e.code.get(Local.FLAG_B);
  e.code.op(Op.I32_WRAP_I64);
  e.code.i32(bits);
  e.code.op(Op.I32_AND);
}
