/**
 * Branches: see `isa/branches.ts`. Where they go inside of the region, the code around knows
 * (`Ways`); every one ends its block but a conditional branch that is not taken.
 */

import type { Insn } from "../../insn.ts";
import { type Emitter, Extend } from "../emitter.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import { canAddress } from "./emit.ts";
import { pushCondition } from "./flags.ts";
import { pushT0, release, stackWidth, topToT0 } from "./stack.ts";

const { RIP, T0, T1 } = Local;

/** How the region's function goes to an offset of the page: inside, or by leaving. */
export type GoTo = (offset: number) => void;

/** Target of a direct branch, as an offset from the page: any number. */
export function targetOf(insn: Insn): number {
  return insn.next + insn.immLo;
}

/** Mnemonics that this file emits. */
export function isBranch(insn: Insn, is64: boolean): boolean {
  const { row } = insn;
  if (row === undefined || insn.opSize !== (is64 ? 8 : 4)) return false;
  switch (row.mnemonic) {
    case "j":
    case "ret":
      return true;
    case "jmp":
    case "call":
      return row.operands[0].startsWith("J") ||
        row.operands[0] === "Ev" && canAddress(insn, is64);
    default:
      return false;
  }
}

/** A branch behind which control may go on. */
export function isConditional(insn: Insn): boolean {
  return insn.row!.mnemonic === "j";
}

/** Emits the branch. A conditional one leaves what follows to be emitted behind it. */
export function emitBranch(e: Emitter, goTo: GoTo): void {
  const { insn } = e;
  const indirect = insn.row!.operands[0] === "Ev";
  switch (insn.row!.mnemonic) {
    case "j":
      pushCondition(e, insn.imm2);
      e.open(Op.IF);
      e.refund();
      goTo(targetOf(insn));
      return e.end();
    case "jmp":
      return indirect ? jumpIndirect(e) : goTo(targetOf(insn));
    case "call":
      return indirect ? callIndirect(e) : call(e, goTo);
    default:
      return ret(e);
  }
}

/**
 * The target in T0 must be canonical; 57-bit addresses are left to the interpreter. That direct ones
 * are, `Region.reach` makes sure.
 */
function checkTarget(e: Emitter): void {
  if (!e.is64) return;
  const { code } = e;
  code.get(T0);
  code.i64(16);
  code.op(Op.I64_SHL);
  code.i64(16);
  code.op(Op.I64_SHR_S);
  code.get(T0);
  code.op(Op.I64_NE);
  e.bailIf();
}

function targetToT0(e: Emitter): void {
  e.readDestination(stackWidth(e), Extend.ZERO);
  e.code.set(T0);
  checkTarget(e);
}

function jumpIndirect(e: Emitter): void {
  targetToT0(e);
  e.code.get(T0);
  e.code.set(RIP);
  e.exitToRip();
}

function call(e: Emitter, goTo: GoTo): void {
  e.pushAddress(e.insn.next);
  e.code.set(T0);
  pushT0(e);
  goTo(targetOf(e.insn));
}

function callIndirect(e: Emitter): void {
  const { code } = e;
  targetToT0(e);
  code.get(T0);
  code.set(T1);
  e.pushAddress(e.insn.next);
  code.set(T0);
  pushT0(e);
  code.get(T1);
  code.set(RIP);
  e.exitToRip();
}

function ret(e: Emitter): void {
  const { code } = e;
  topToT0(e);
  checkTarget(e);
  release(e, stackWidth(e) + (e.insn.immLo & 0xffff));
  code.get(T0);
  code.set(RIP);
  e.exitToRip();
}
