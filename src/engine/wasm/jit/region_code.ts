/** A region's function: its blocks, and how control goes from one to the other. */

import type { Insn } from "../insn.ts";
import { type Access, groupAccesses } from "./accesses.ts";
import { Emitter, regionFunction } from "./emitter.ts";
import { emitBranch, isBranch, isConditional, isReturn, type Ways } from "./emit/branch.ts";
import { emissionOf, widthOf } from "./emit/table.ts";
import { Memory } from "./code_writer.ts";
import { FlagLiveness, wantedFlags } from "./flag_liveness.ts";
import { FETCHED_SITE, Status, TAIL_BYTES, TAIL_SITE, TAILS_AT } from "./layout.ts";
import { Local } from "./locals.ts";
import type { FunctionCode } from "./module_writer.ts";
import { Op } from "./opcodes.ts";
import { crosses, type PlannedBlock, positionsOf, successorsOf } from "./plan.ts";
import { exitToStep } from "./steps.ts";
import { NO_BLOCK, type Structure, structureOf } from "./structure.ts";

/** The depths, in WebAssembly blocks, of what is around all of a region's blocks. */
const EXIT = 1;
const BAIL = 2;
const AGAIN = 3;

/** Bits of all registers. */
const ALL = -1;

/** Bits of `Local.POINT` that hold the offset. */
const OFFSET_MASK = 0xffff;

/** Gives an instruction that is to be interpreted a number. */
export type SiteOf = (insn: Insn) => number;
/** Whether the accesses that an instruction begins with its own have crossed pages again and again. */
export type IsSplit = (insn: Insn) => boolean;
/** Gives an instruction that goes on in the next page a number; undefined: it is always interpreted. */
export type TailOf = (insn: Insn) => number | undefined;

/** A region's function, and where it can be entered. */
export interface RegionCode {
  readonly code: FunctionCode;
  /** Offsets of the blocks to begin at, in the order of the parameter's values. */
  readonly entries: readonly number[];
  /** How far from the page's beginning a direct branch leads at most, in bytes. */
  readonly reach: number;
  /** Ways out that have a link. */
  readonly links: number;
}

/**
 * The function of a region with these blocks, which are in the order of their offsets.
 * @param firstLink Number of its first link.
 */
export function regionCode(
  blocks: readonly PlannedBlock[],
  is64: boolean,
  index: number,
  siteOf: SiteOf,
  isSplit?: IsSplit,
  tailOf: TailOf = () => undefined,
  firstLink = 0,
): RegionCode {
  return new RegionWriter(blocks, is64, index, siteOf, isSplit, tailOf, firstLink).write();
}

/** Lays blocks out as `structureOf` says, a call from outside beginning with the function's switch. */
class RegionWriter implements Ways {
  readonly index: number;
  readonly #e: Emitter;
  readonly #blocks: readonly PlannedBlock[];
  readonly #isSplit: IsSplit | undefined;
  readonly #tailOf: TailOf;
  readonly #structure: Structure;
  readonly #positions: ReadonlyMap<number, number>;
  readonly #flags: FlagLiveness;
  /** By block that has a label or begins a loop: the label's depth, as long as it can be branched to. */
  readonly #labels: number[] = [];
  /** By block: registers whose variables have their values on all ways to it so far. */
  readonly #held: number[] = [];
  /** The block that is being written. */
  #current = NO_BLOCK;
  /** Depth of the outermost loop around it. */
  #loopDepth = 0;

  constructor(
    blocks: readonly PlannedBlock[],
    is64: boolean,
    index: number,
    siteOf: SiteOf,
    isSplit: IsSplit | undefined,
    tailOf: TailOf,
    firstLink: number,
  ) {
    this.index = index;
    this.#e = new Emitter(is64, siteOf, firstLink);
    this.#blocks = blocks;
    this.#isSplit = isSplit;
    this.#tailOf = tailOf;
    this.#positions = positionsOf(blocks);
    this.#structure = structureOf({
      successors: successorsOf(blocks, this.#positions),
      start: blocks.findIndex(({ isStart }) => isStart),
      wanted: [...blocks.keys()].filter((position) => blocks[position].isEntry),
    });
    this.#flags = new FlagLiveness(blocks, this.#positions, this.#structure, is64);
  }

  write(): RegionCode {
    const e = this.#e;
    const { code } = e;
    const { entries, top, again } = this.#structure;
    e.exitDepth = EXIT;
    e.bailDepth = BAIL;
    e.total = this.#blocks.reduce((total, { insns }) => total + insns.length, 0);
    e.open(Op.BLOCK);
    e.open(Op.BLOCK);
    e.open(again || this.#returns() ? Op.LOOP : Op.BLOCK);
    this.#openLabels(top);
    this.#checkBudget(() => e.exitWith(Status.BUDGET));
    code.get(Local.ENTRY);
    code.op(Op.BR_TABLE);
    code.unsigned(entries.length - 1);
    for (const entry of entries) {
      code.unsigned(e.depth - this.#labels[entry]);
      this.#held[entry] = 0;
    }
    this.#writeLabelled(top);
    e.end(); // AGAIN
    code.op(Op.UNREACHABLE);
    e.end(); // BAIL: an instruction cannot be finished
    bail(e);
    e.end(); // EXIT
    return {
      code: regionFunction(e),
      entries: entries.map((entry) => this.#blocks[entry].offset),
      reach: e.reach,
      links: e.links,
    };
  }

  /** Opens what ends where each of the blocks begins. */
  #openLabels(blocks: readonly number[]): void {
    for (const block of blocks.toReversed()) {
      this.#e.open(Op.BLOCK);
      this.#labels[block] = this.#e.depth;
      this.#held[block] = ALL;
    }
  }

  /** Writes the blocks, one behind the other. */
  #writeLabelled(blocks: readonly number[]): void {
    const e = this.#e;
    for (const block of blocks) {
      e.end();
      this.#labels[block] = 0;
      e.known = undefined;
      e.sseChecked = e.mxcsrChecked = false;
      e.registers.held = this.#held[block];
      this.#writeTree(block);
    }
  }

  /** Writes a block and what stands behind it. */
  #writeTree(block: number): void {
    const { isLoop, outside } = this.#structure;
    if (isLoop[block]) {
      this.#openLabels(outside[block]);
      if (this.#e.registers.isInLoop) this.#writeLoop(block);
      else this.#writeOuterLoop(block);
      this.#writeLabelled(outside[block]);
    } else this.#writeWithin(block);
  }

  /** Writes a block and what stands behind it, inside of its loop if it begins one. */
  #writeWithin(block: number): void {
    const behind = this.#structure.behind[block];
    this.#openLabels(behind);
    this.#writeBlock(block);
    this.#writeLabelled(behind);
  }

  /** A loop, its registers in local variables, and the ways out of it on which they go back. */
  #writeOuterLoop(block: number): void {
    const e = this.#e;
    const { registers, exitDepth, bailDepth } = e;
    e.open(Op.BLOCK);
    e.exitDepth = e.depth;
    e.open(Op.BLOCK);
    e.bailDepth = e.depth;
    registers.beginLoop();
    this.#loopDepth = e.depth + 1;
    this.#writeLoop(block);
    this.#loopDepth = 0;
    e.end();
    registers.leaveLoop();
    e.branchTo(bailDepth);
    e.end();
    registers.leaveLoop();
    e.branchTo(exitDepth);
    registers.endLoop(e.slots.empty());
    e.exitDepth = exitDepth;
    e.bailDepth = bailDepth;
  }

  #writeLoop(block: number): void {
    const e = this.#e;
    e.open(Op.LOOP);
    this.#labels[block] = e.depth;
    e.known = undefined;
    e.sseChecked = e.mxcsrChecked = false;
    this.#checkBudget(() => e.exitTo(this.#blocks[block].offset, Status.BUDGET));
    this.#writeWithin(block);
    this.#labels[block] = 0;
    e.end();
    e.code.op(Op.UNREACHABLE);
  }

  #writeBlock(position: number): void {
    const block = this.#blocks[position];
    const accesses = this.#isSplit !== undefined && block.insns.some(this.#isSplit)
      ? []
      : groupAccesses(block.insns, this.#e.is64);
    const before = this.#current;
    this.#current = position;
    const { slots } = this.#e;
    const { isOpen } = slots;
    const { isInner, isLoop } = this.#structure;
    if (isOpen !== isInner[position] || isLoop[position]) slots.isOpen = isInner[position];
    emitBlock(
      this.#e,
      block,
      accesses,
      this.#flags.atEnd(position),
      this.#tailOf,
      this,
    );
    if (isOpen !== isInner[position]) slots.isOpen = isOpen;
    this.#current = before;
  }

  goTo(offset: number): void {
    const e = this.#e;
    const { hasLabel, isLoop, order } = this.#structure;
    const to = this.#positions.get(offset);
    if (to === undefined || order[to] === NO_BLOCK) return e.exitTo(offset);
    const backward = order[to] <= order[this.#current];
    if (backward && !(isLoop[to] && this.#labels[to] > 0)) return this.#goAgain(to);
    if (!backward && !hasLabel[to]) return e.aside(() => this.#writeTree(to));
    const depth = this.#labels[to];
    const leaves = depth < this.#loopDepth;
    if (leaves) e.registers.leaveLoop();
    if (!backward) this.#held[to] &= e.registers.held;
    e.branchTo(depth);
  }

  /** Enters the switch again. */
  #goAgain(to: number): void {
    const e = this.#e;
    e.registers.leaveLoop();
    e.pushAddress(this.#blocks[to].offset);
    e.code.set(Local.RIP);
    e.code.i32(this.#structure.entries.indexOf(to));
    e.code.set(Local.ENTRY);
    e.branchTo(AGAIN);
  }

  returnTo(offset: number): { index: number; entry: number } | undefined {
    const { entries } = this.#structure;
    const entry = entries.indexOf(this.#positions.get(offset) ?? NO_BLOCK);
    return entry < 0 ? undefined : { index: this.index, entry };
  }

  enterAgain(): void {
    const e = this.#e;
    e.code.set(Local.ENTRY);
    e.registers.leaveLoop();
    e.branchTo(AGAIN);
  }

  /** Whether there are returns, which may lead to any entry. */
  #returns(): boolean {
    return this.#blocks.some(({ insns }) => insns.some(isReturn));
  }

  /** Leaves unless the budget suffices for all that can run before this is asked again. */
  #checkBudget(leave: () => void): void {
    const e = this.#e;
    e.code.get(Local.BUDGET);
    e.code.i32(e.total);
    e.code.op(Op.I32_LT_S);
    e.openUnlikely();
    leave();
    e.end();
  }
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

/** A block. @param flagsSeen Whether anybody may see the flags with which it ends. */
function emitBlock(
  e: Emitter,
  block: PlannedBlock,
  accesses: readonly (Access | undefined)[],
  flagsSeen: boolean,
  tailOf: TailOf,
  ways: Ways,
): void {
  const { insns, offset, steps } = block;
  e.counted = steps ? insns.length - 1 : insns.length;
  if (e.counted > 0) takeBudget(e, e.counted);
  const wanted = wantedFlags(insns, accesses, e.is64, flagsSeen);
  let next = offset;
  let ended = false;
  for (let i = 0; i < insns.length; i++) {
    const insn = insns[i];
    const emission = isBranch(insn, e.is64) ? undefined : emissionOf(insn, e.is64);
    e.insn = insn;
    e.done = i;
    e.flagsWanted = wanted[i];
    e.access = accesses[i];
    next = insn.next;
    const stepped = steps && i === insns.length - 1;
    if (crosses(insn) && !stepped) checkTail(e, tailOf(insn));
    if (stepped) {
      exitToStep(e, crosses(insn) ? FETCHED_SITE : e.siteOf(insn));
      ended = true;
    } else if (emission === undefined) {
      emitBranch(e, ways);
      ended = !isConditional(insn);
    } else emission.emit(e, widthOf(insn));
  }
  if (!ended) ways.goTo(next);
}

/**
 * Leaves the block's last instruction, which goes on in the next page, to the interpreter unless that
 * has just fetched the very same.
 */
function checkTail(e: Emitter, number: number | undefined): void {
  const { code } = e;
  if (number === undefined) code.i32(1);
  else {
    code.i32(0);
    code.access(Op.I64_LOAD, Memory.PRIVATE, TAILS_AT + number * TAIL_BYTES);
    code.get(Local.BASE);
    code.i64(1);
    code.op(Op.I64_OR);
    code.op(Op.I64_NE);
  }
  e.openUnlikely();
  takeBudget(e, -1);
  exitToStep(e, number === undefined ? FETCHED_SITE : TAIL_SITE - number);
  e.end();
}

/** Counts the block's instructions, all of them: who leaves before the end gives the rest back. */
function takeBudget(e: Emitter, count: number): void {
  const { code } = e;
  code.get(Local.BUDGET);
  code.i32(count);
  code.op(Op.I32_SUB);
  code.set(Local.BUDGET);
}
