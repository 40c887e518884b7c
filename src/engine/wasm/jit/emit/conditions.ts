/** Conditions on the status flags: read off what the flags are made of, or asked of all of them. */

import type { Emitter, KnownFlags } from "../emitter.ts";
import { parity } from "../flag_rules.ts";
import { FlagKind } from "../layout.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import {
  CF,
  compareWithB,
  OF,
  PF,
  pushCarry,
  pushFlags,
  pushOperand,
  pushResult,
  SF,
  TO_32,
  ZF,
} from "./flags.ts";

/** Pushes whether condition `cc`, the opcode's low four bits, holds (i32; SDM 2B Jcc). */
export function pushCondition(e: Emitter, cc: number): void {
  const even = cc & ~1;
  if (e.known === undefined || !pushKnown(e, e.known, even)) pushGeneral(e, even);
  if ((cc & 1) !== 0) e.code.op(Op.I32_EQZ);
}

/** Conditions without their negations (SDM 2B Jcc). */
const Cc = { O: 0, B: 2, Z: 4, BE: 6, S: 8, P: 10, L: 12, LE: 14 } as const;

/** The condition read off operands and result; false: it has to be asked of all flags. */
function pushKnown(e: Emitter, known: KnownFlags, cc: number): boolean {
  const { kind, plain, carryApart, overflowApart } = known;
  if (cc === Cc.B) {
    pushCarry(e);
    return true;
  }
  if (kind === FlagKind.EXPLICIT || kind === FlagKind.UNCHANGED) return false;
  const isDifference = kind === FlagKind.DIFFERENCE || kind === FlagKind.COMPARISON ||
    kind === FlagKind.SUB && plain;
  const compares = isDifference && (cc === Cc.BE ? !carryApart : !overflowApart);
  const isLogic = kind === FlagKind.RESULT && (cc === Cc.BE ? !carryApart : !overflowApart);
  switch (cc) {
    case Cc.Z:
      if (kind === FlagKind.COMPARISON) compareWithB(e, known, pushOperand, Op.I64_EQ);
      else compareResult(e, known, Op.I64_EQZ);
      return true;
    case Cc.S:
      compareResult(e, known, Op.I64_LT_S);
      return true;
    case Cc.P:
      pushResult(e, known);
      parity(e.code);
      return true;
    case Cc.BE:
      if (compares) compareWithB(e, known, pushOperand, Op.I64_LE_U);
      else if (isLogic) compareResult(e, known, Op.I64_EQZ);
      else {
        pushCarry(e);
        orZero(e, known);
      }
      return true;
    case Cc.O:
      return pushOverflow(e, known);
    case Cc.L:
      if (!compares) return pushLess(e, known);
      compareWithB(e, known, pushOperand, Op.I64_LT_S);
      return true;
    default:
      if (compares) compareWithB(e, known, pushOperand, Op.I64_LE_S);
      else if (isLogic) compareResult(e, known, Op.I64_LE_S);
      else {
        if (!pushLess(e, known)) return false;
        orZero(e, known);
      }
      return true;
  }
}

/** Pops a condition (i32), and pushes whether it or ZF holds. */
function orZero(e: Emitter, known: KnownFlags): void {
  compareResult(e, known, Op.I64_EQZ);
  e.code.op(Op.I32_OR);
}

/** Pushes OF (i32, 0 or 1), where operands and result say it. */
function pushOverflow(e: Emitter, known: KnownFlags): boolean {
  const { code } = e;
  if (known.overflowApart) {
    code.get(Local.FLAG_KIND);
    code.i32(Math.log2(OF));
    code.op(Op.I32_SHR_U);
    code.i32(1);
    code.op(Op.I32_AND);
  } else if (known.kind === FlagKind.RESULT) code.i32(0);
  else {
    if (!pushOverflowSign(e, known)) return false;
    isNegative(e, known);
  }
  return true;
}

/** Pushes whether SF and OF differ (i32, 0 or 1), where operands and result say it. */
function pushLess(e: Emitter, known: KnownFlags): boolean {
  if (known.overflowApart) return false;
  if (known.kind === FlagKind.RESULT) compareResult(e, known, Op.I64_LT_S);
  else {
    if (!pushOverflowSign(e, known)) return false;
    pushResult(e, known);
    e.code.op(Op.I64_XOR);
    isNegative(e, known);
  }
  return true;
}

/** Pushes a number of the operands' size whose sign is OF (i64), if it is as simple as that. */
function pushOverflowSign(e: Emitter, known: KnownFlags): boolean {
  const { code } = e;
  switch (known.kind) {
    case FlagKind.RIGHT:
      differ(e, known);
      return true;
    case FlagKind.ADD:
    case FlagKind.SUM:
      differ(e, known);
      pushResult(e, known);
      break;
    case FlagKind.SUB:
    case FlagKind.DIFFERENCE:
    case FlagKind.COMPARISON:
      differ(e, known);
      pushOperand(e, known);
      break;
    default:
      return false;
  }
  code.get(Local.FLAG_B);
  code.op(Op.I64_XOR);
  code.op(Op.I64_AND);
  return true;
}

/** Pushes in which bits A and the result differ. */
function differ(e: Emitter, known: KnownFlags): void {
  pushOperand(e, known);
  pushResult(e, known);
  e.code.op(Op.I64_XOR);
}

/** Pops a number of the operands' size, and pushes whether it is below 0 (i32). */
function isNegative({ code }: Emitter, { low32 }: KnownFlags): void {
  if (low32) code.op(Op.I32_WRAP_I64);
  if (low32) code.i32(0);
  else code.i64(0);
  code.op(low32 ? Op.I32_LT_S : Op.I64_LT_S);
}

/** Pushes the comparison of the result with 0. */
function compareResult(e: Emitter, known: KnownFlags, op: Op): void {
  const { code } = e;
  const { low32 } = known;
  pushResult(e, known);
  if (low32) code.op(Op.I32_WRAP_I64);
  if (op !== Op.I64_EQZ) {
    if (low32) code.i32(0);
    else code.i64(0);
  }
  code.op((low32 ? op - TO_32 : op) as Op);
}

/** The condition asked of all flags. */
function pushGeneral(e: Emitter, cc: number): void {
  const { code, known } = e;
  if (known?.kind === FlagKind.EXPLICIT && !known.carryApart) {
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
