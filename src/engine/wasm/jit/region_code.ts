/** A region's function: its blocks, and how control goes from one to the other. */

import type { Insn } from "../insn.ts";
import { Emitter, Local, regionFunction } from "./emitter.ts";
import { emitBranch, isBranch } from "./emit/branch.ts";
import { emissionOf, widthOf } from "./emit/table.ts";
import { Memory } from "./code_writer.ts";
import { Jit, Status } from "./layout.ts";
import type { FunctionCode } from "./module_writer.ts";
import { Op } from "./opcodes.ts";
import type { PlannedBlock } from "./plan.ts";

/** The depths, in WebAssembly blocks, of a region's labels. */
const EXIT = 1;
const BAIL = 2;
const LOOP = 3;
/** The first block's label is the innermost of as many as there are blocks. */
const FIRST = LOOP + 1;

/** Bits of `Local.POINT` that hold the offset. */
const OFFSET_MASK = 0xffff;

/** Gives an instruction that is to be interpreted a number. */
export type SiteOf = (insn: Insn) => number;

/** The function of a region with these blocks, which are in the order of their offsets. */
export function regionCode(
  blocks: readonly PlannedBlock[],
  is64: boolean,
  siteOf: SiteOf,
): FunctionCode {
  const e = new Emitter(is64);
  const { code } = e;
  const count = blocks.length;
  const positions = new Map(blocks.map(({ offset }, position) => [offset, position]));
  e.exitDepth = EXIT;
  e.bailDepth = BAIL;
  e.open(Op.BLOCK);
  e.open(Op.BLOCK);
  e.open(Op.LOOP);
  for (let i = 0; i < count; i++) e.open(Op.BLOCK);
  code.get(Local.ENTRY);
  code.op(Op.BR_TABLE);
  code.unsigned(count - 1);
  for (let i = 0; i < count; i++) code.unsigned(i);
  for (let i = 0; i < count; i++) {
    e.end(); // the label of block i
    emitBlock(e, blocks[i], siteOf, (offset) => {
      const to = positions.get(offset);
      if (to === undefined) e.exitTo(offset);
      else if (to === i) e.branchTo(e.depthOfSelf);
      else if (to > i) e.branchTo(FIRST + count - 1 - to);
      else {
        code.i32(to);
        code.set(Local.ENTRY);
        e.branchTo(LOOP);
      }
    });
  }
  e.end(); // LOOP
  code.op(Op.UNREACHABLE);
  e.end(); // BAIL: an instruction cannot be finished
  bail(e);
  e.end(); // EXIT
  return regionFunction(e);
}

/** Restores the budget for what has not run, and names the instruction. */
function bail(e: Emitter): void {
  const { code } = e;
  code.get(Local.BUDGET);
  code.get(Local.POINT);
  code.i32(16);
  code.op(Op.I32_SHR_U);
  code.op(Op.I32_ADD);
  code.set(Local.BUDGET);
  code.get(Local.BASE);
  code.get(Local.POINT);
  code.i32(OFFSET_MASK);
  code.op(Op.I32_AND);
  code.op(Op.I64_EXTEND_I32_U);
  code.op(Op.I64_ADD);
  code.set(Local.RIP);
  code.i32(Status.BAIL);
  code.set(Local.STATUS);
}

/** A block, in a loop of its own: it may go back to its beginning. */
function emitBlock(
  e: Emitter,
  block: PlannedBlock,
  siteOf: SiteOf,
  goTo: (offset: number) => void,
): void {
  const { code } = e;
  const { insns, offset, steps } = block;
  e.open(Op.LOOP);
  e.depthOfSelf = e.depth;
  e.known = undefined;
  e.sseChecked = e.mxcsrChecked = false;
  e.counted = steps ? insns.length - 1 : insns.length;
  if (e.counted > 0) takeBudget(e, offset);
  const wanted = wantedFlags(insns, e.is64);
  let next = offset;
  let ended = false;
  for (let i = 0; i < insns.length; i++) {
    const insn = insns[i];
    e.insn = insn;
    e.done = i;
    e.flagsWanted = wanted[i];
    next = insn.next;
    if (steps && i === insns.length - 1) {
      code.i32(0);
      code.i32(siteOf(insn));
      code.access(Op.I32_STORE, Memory.PRIVATE, Jit.SITE);
      e.exitTo(insn.offset, Status.STEP);
      ended = true;
    } else if (isBranch(insn, e.is64)) {
      emitBranch(e, goTo);
      ended = insn.row!.mnemonic !== "j";
    } else emissionOf(insn, e.is64)!.emit(e, widthOf(insn));
  }
  if (!ended) goTo(next);
  e.end();
  code.op(Op.UNREACHABLE);
}

/** Counts the block's instructions, or leaves when they are too many. */
function takeBudget(e: Emitter, offset: number): void {
  const { code } = e;
  code.get(Local.BUDGET);
  code.i32(e.counted);
  code.op(Op.I32_LT_S);
  e.open(Op.IF);
  e.exitTo(offset, Status.BUDGET);
  e.end();
  code.get(Local.BUDGET);
  code.i32(e.counted);
  code.op(Op.I32_SUB);
  code.set(Local.BUDGET);
}

/**
 * By instruction, whether its flags can be seen: by another one that reads them, or where the block
 * may be left before others replace them.
 */
function wantedFlags(insns: readonly Insn[], is64: boolean): boolean[] {
  const wanted = new Array<boolean>(insns.length).fill(true);
  let live = true;
  for (let i = insns.length - 1; i >= 0; i--) {
    wanted[i] = live;
    const insn = insns[i];
    const emission = isBranch(insn, is64) ? undefined : emissionOf(insn, is64);
    if (emission === undefined) live = true;
    else {
      if (emission.sets === "all") live = false;
      if (emission.reads === true || emission.bails === true || insn.isMem) live = true;
    }
  }
  return wanted;
}
