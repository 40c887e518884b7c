/**
 * Branches: see `isa/branches.ts`. Where they go inside of the region, the code around knows
 * (`Ways`); every one ends its block but a conditional branch that is not taken.
 */

import type { Insn } from "../../insn.ts";
import { perRow } from "../../isa/row.ts";
import { Memory } from "../code_writer.ts";
import { type Emitter, Extend } from "../emitter.ts";
import { Jit, JUMP_BYTES, RETURNS_AT } from "../layout.ts";
import { Local } from "../locals.ts";
import { Op } from "../opcodes.ts";
import { pushReturnsTop, pushTag } from "../runtime.ts";
import { canAddress } from "./emit.ts";
import { pushCondition } from "./conditions.ts";
import { checkCanonical } from "./privilege.ts";
import { pushT0, release, stackWidth, topToT0 } from "./stack.ts";

const { BASE, I0, RIP, T0, T1 } = Local;
const PAGE_MASK = -4096;

/** How control goes on from a branch. */
export interface Ways {
  /** Goes to an offset of the page: inside of the region, or by leaving. */
  goTo(offset: number): void;
  /** What the ring of returns needs to lead to an offset of the page: a region and its entry. */
  returnTo(offset: number): { readonly index: number; readonly entry: number } | undefined;
  /** Goes to the entry on the stack, in the region at its place now, `Local.RIP`. */
  enterAgain(): void;
  /** The region's own index. */
  readonly index: number;
}

/** Target of a direct branch, as an offset from the page: any number. */
export function targetOf(insn: Insn): number {
  return insn.next + insn.immLo;
}

/** The branches that this file emits. */
const Branch = { NONE: 0, CONDITIONAL: 1, RETURN: 2, DIRECT: 3, INDIRECT: 4 } as const;

const branchOf = perRow(({ mnemonic, operands }) => {
  switch (mnemonic) {
    case "j":
      return Branch.CONDITIONAL;
    case "ret":
      return Branch.RETURN;
    case "jmp":
    case "call":
      if (operands[0].startsWith("J")) return Branch.DIRECT;
      return operands[0] === "Ev" ? Branch.INDIRECT : Branch.NONE;
    default:
      return Branch.NONE;
  }
});

const isRelative = perRow(({ operands }) => operands[0]?.startsWith("J") === true);

/** Whether the instruction has a target, whether it is emitted here or not. */
export function hasTarget({ row }: Insn): boolean {
  return row !== undefined && isRelative(row);
}

/** Whether this file emits the instruction. */
export function isBranch(insn: Insn, is64: boolean): boolean {
  const { row } = insn;
  if (row === undefined || insn.opSize !== (is64 ? 8 : 4)) return false;
  const branch = branchOf(row);
  return branch !== Branch.NONE && (branch !== Branch.INDIRECT || canAddress(insn, is64));
}

/** A branch behind which control may go on. */
export function isConditional(insn: Insn): boolean {
  return branchOf(insn.row!) === Branch.CONDITIONAL;
}

/** Whether it may lead to any entry. */
export function isReturn({ row }: Insn): boolean {
  return row !== undefined && branchOf(row) === Branch.RETURN;
}

/** Emits the branch. A conditional one leaves what follows to be emitted behind it. */
export function emitBranch(e: Emitter, ways: Ways): void {
  const { insn } = e;
  const indirect = insn.row!.operands[0] === "Ev";
  switch (insn.row!.mnemonic) {
    case "j":
      pushCondition(e, insn.imm2);
      e.open(Op.IF);
      e.refund();
      ways.goTo(targetOf(insn));
      return e.end();
    case "jmp":
      return indirect ? jumpIndirect(e) : ways.goTo(targetOf(insn));
    case "call":
      return indirect ? callIndirect(e, ways) : call(e, ways);
    default:
      return ret(e, ways);
  }
}

/**
 * The target in T0 must be canonical; 57-bit addresses are left to the interpreter. That direct ones
 * are, `Region.reach` makes sure.
 */
function checkTarget(e: Emitter): void {
  if (e.is64) checkCanonical(e, T0);
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

function call(e: Emitter, ways: Ways): void {
  e.pushAddress(e.insn.next);
  e.code.set(T0);
  pushT0(e);
  noteReturn(e, ways);
  ways.goTo(targetOf(e.insn));
}

/** Enters the call whose return address is T0 into the ring. */
function noteReturn(e: Emitter, ways: Ways): void {
  const { code } = e;
  const to = ways.returnTo(e.insn.next);
  code.i32(0);
  pushReturnsTop(code, JUMP_BYTES);
  code.tee(I0);
  code.access(Op.I32_STORE, Memory.PRIVATE, Jit.RETURNS_TOP);
  code.get(I0);
  if (to === undefined) code.i64(0);
  else pushTag(code, T0);
  code.access(Op.I64_STORE, Memory.PRIVATE, RETURNS_AT);
  if (to === undefined) return;
  code.get(I0);
  code.i64(to.index, to.entry);
  code.access(Op.I64_STORE, Memory.PRIVATE, RETURNS_AT + 8);
}

function callIndirect(e: Emitter, ways: Ways): void {
  const { code } = e;
  targetToT0(e);
  code.get(T0);
  code.set(T1);
  e.pushAddress(e.insn.next);
  code.set(T0);
  pushT0(e);
  noteReturn(e, ways);
  code.get(T1);
  code.set(RIP);
  e.exitToRip();
}

/** Returns where the last call is from, which is cheap, or anywhere else. */
function ret(e: Emitter, ways: Ways): void {
  const { code } = e;
  topToT0(e);
  checkTarget(e);
  release(e, stackWidth(e) + (e.insn.immLo & 0xffff));
  code.get(T0);
  code.set(RIP);
  code.i32(0);
  pushReturnsTop(code, 0);
  code.tee(I0);
  code.i32(JUMP_BYTES);
  code.op(Op.I32_SUB);
  code.access(Op.I32_STORE, Memory.PRIVATE, Jit.RETURNS_TOP);
  code.get(I0);
  code.access(Op.I64_LOAD, Memory.PRIVATE, RETURNS_AT);
  pushTag(code, T0);
  code.op(Op.I64_EQ);
  e.open(Op.IF);
  code.get(I0);
  code.access(Op.I32_LOAD, Memory.PRIVATE, RETURNS_AT + 8);
  code.i32(ways.index);
  code.op(Op.I32_EQ);
  // The same code may be at another address.
  code.get(T0);
  code.i64(PAGE_MASK);
  code.op(Op.I64_AND);
  code.get(BASE);
  code.op(Op.I64_EQ);
  code.op(Op.I32_AND);
  e.open(Op.IF);
  code.get(I0);
  code.access(Op.I32_LOAD, Memory.PRIVATE, RETURNS_AT + 12);
  ways.enterAgain();
  e.end();
  e.exitToRip(() => {
    code.get(I0);
    code.i32(RETURNS_AT);
    code.op(Op.I32_ADD);
  });
  e.end();
  e.exitToRip();
}
