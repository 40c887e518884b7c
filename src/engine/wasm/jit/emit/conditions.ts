/** Conditions on the status flags: read off what the flags are made of, or asked of all of them. */

import type { Emitter, KnownFlags } from "../emitter.ts";
import { parityOf } from "../flag_rules.ts";
import { FlagKind } from "../layout.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import { CF, compare, OF, PF, pushCarry, pushFlags, SF, TO_32, ZF } from "./flags.ts";

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
  const { code } = e;
  if (known.kind === FlagKind.EXPLICIT) {
    if (cc !== Cc.B) return false;
    pushCarry(e);
    return true;
  }
  const isDifference = known.kind === FlagKind.SUB && known.plain;
  switch (cc) {
    case Cc.Z:
      compareResult(e, Op.I64_EQZ);
      return true;
    case Cc.S:
      compareResult(e, Op.I64_LT_S);
      return true;
    case Cc.P:
      parityOf(code, Local.FLAG_RESULT);
      return true;
    case Cc.B:
      pushCarry(e);
      return true;
    case Cc.BE:
      if (isDifference && !known.carryApart) compare(e, Local.FLAG_A, Local.FLAG_B, Op.I64_LE_U);
      else {
        if (known.kind === FlagKind.PRODUCT && !known.carryApart) return false;
        const isZero = known.kind === FlagKind.RESULT && !known.carryApart;
        if (!isZero) pushCarry(e);
        compareResult(e, Op.I64_EQZ);
        if (!isZero) code.op(Op.I32_OR);
      }
      return true;
    case Cc.O:
      return pushOverflow(e, known);
    case Cc.L:
      if (!isDifference || known.overflowApart) return pushLess(e, known);
      compare(e, Local.FLAG_A, Local.FLAG_B, Op.I64_LT_S);
      return true;
    default:
      if (isDifference && !known.overflowApart) {
        compare(e, Local.FLAG_A, Local.FLAG_B, Op.I64_LE_S);
        return true;
      }
      if (known.kind === FlagKind.RESULT && !known.overflowApart) {
        compareResult(e, Op.I64_LE_S);
        return true;
      }
      if (!pushLess(e, known)) return false;
      compareResult(e, Op.I64_EQZ);
      code.op(Op.I32_OR);
      return true;
  }
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
  const { code } = e;
  if (known.overflowApart) return false;
  if (known.kind === FlagKind.RESULT) compareResult(e, Op.I64_LT_S);
  else {
    if (!pushOverflowSign(e, known)) return false;
    code.get(Local.FLAG_RESULT);
    code.op(Op.I64_XOR);
    isNegative(e, known);
  }
  return true;
}

/** Pushes a number of the operands' size whose sign is OF (i64), if it is as simple as that. */
function pushOverflowSign({ code }: Emitter, { kind }: KnownFlags): boolean {
  const { FLAG_A, FLAG_B, FLAG_RESULT } = Local;
  const isSum = kind === FlagKind.ADD;
  const isDifference = kind === FlagKind.SUB;
  if (!isSum && !isDifference && kind !== FlagKind.RIGHT) return false;
  code.get(FLAG_A);
  code.get(FLAG_RESULT);
  code.op(Op.I64_XOR);
  if (isSum || isDifference) {
    code.get(isSum ? FLAG_RESULT : FLAG_A);
    code.get(FLAG_B);
    code.op(Op.I64_XOR);
    code.op(Op.I64_AND);
  }
  return true;
}

/** Pops a number of the operands' size, and pushes whether it is below 0 (i32). */
function isNegative({ code }: Emitter, { low32 }: KnownFlags): void {
  if (low32) code.op(Op.I32_WRAP_I64);
  if (low32) code.i32(0);
  else code.i64(0);
  code.op(low32 ? Op.I32_LT_S : Op.I64_LT_S);
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
