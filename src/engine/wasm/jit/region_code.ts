/** A region's function: its blocks, and how control goes from one to the other. */

import type { Insn } from "../insn.ts";
import { type Access, type Group, groupAccesses } from "./accesses.ts";
import { Emitter, regionFunction } from "./emitter.ts";
import { emitBranch, isBranch, isConditional, type Ways } from "./emit/branch.ts";
import { emissionOf, widthOf } from "./emit/table.ts";
import { Memory } from "./code_writer.ts";
import { FETCHED_SITE, Jit, Status } from "./layout.ts";
import { findLoops, type Loops, NO_LOOP } from "./loops.ts";
import { Local } from "./locals.ts";
import type { FunctionCode } from "./module_writer.ts";
import { Op } from "./opcodes.ts";
import { crosses, type PlannedBlock } from "./plan.ts";

/** The depths, in WebAssembly blocks, of what is around all of a region's blocks. */
const EXIT = 1;
const BAIL = 2;
const AGAIN = 3;

/** Bits of `Local.POINT` that hold the offset. */
const OFFSET_MASK = 0xffff;

/** Gives an instruction that is to be interpreted a number. */
export type SiteOf = (insn: Insn) => number;
/** Whether the accesses that an instruction begins with its own have crossed pages again and again. */
export type IsSplit = (insn: Insn) => boolean;

/** A region's function, and where it can be entered. */
export interface RegionCode {
  readonly code: FunctionCode;
  /** Offsets of the blocks to begin at, in the order of the parameter's values. */
  readonly entries: readonly number[];
  /** How far from the page's beginning a direct branch leads at most, in bytes. */
  readonly reach: number;
}

/** The function of a region with these blocks, which are in the order of their offsets. */
export function regionCode(
  blocks: readonly PlannedBlock[],
  is64: boolean,
  index: number,
  siteOf: SiteOf,
  isSplit: IsSplit = () => false,
): RegionCode {
  return new RegionWriter(blocks, is64, index, siteOf, isSplit).write();
}

/** A block, or a loop from its first to its last block. */
interface Item {
  readonly first: number;
  readonly last: number;
}

/**
 * Lays blocks out. Branches forward go to the end of a WebAssembly block that ends where the target
 * begins; branches backward to the beginning of a loop. A loop is entered at its first block only.
 * What else goes backward begins the function's switch again, as a call from outside does.
 */
class RegionWriter implements Ways {
  readonly index: number;
  readonly #e: Emitter;
  readonly #blocks: readonly PlannedBlock[];
  readonly #siteOf: SiteOf;
  readonly #isSplit: IsSplit;
  readonly #loops: Loops;
  readonly #positions: ReadonlyMap<number, number>;
  /** By block: depth of the label that leads to its beginning, as long as there is one. */
  readonly #labels = new Map<number, number>();
  /** The outermost loop around the block that is being written. */
  #around: Item | undefined = undefined;
  /** By block that the switch knows: its number there. */
  readonly #entries = new Map<number, number>();

  constructor(
    blocks: readonly PlannedBlock[],
    is64: boolean,
    index: number,
    siteOf: SiteOf,
    isSplit: IsSplit,
  ) {
    this.index = index;
    this.#e = new Emitter(is64);
    this.#blocks = blocks;
    this.#siteOf = siteOf;
    this.#isSplit = isSplit;
    this.#loops = findLoops(blocks);
    this.#positions = new Map(blocks.map(({ offset }, position) => [offset, position]));
  }

  write(): RegionCode {
    const e = this.#e;
    const { code } = e;
    e.exitDepth = EXIT;
    e.bailDepth = BAIL;
    e.total = this.#blocks.reduce((total, { insns }) => total + insns.length, 0);
    e.open(Op.BLOCK);
    e.open(Op.BLOCK);
    e.open(this.#loops.others || this.#returns() ? Op.LOOP : Op.BLOCK);
    const items = this.#itemsOf(0, this.#blocks.length - 1);
    this.#openLabels(items);
    this.#checkBudget(() => e.exitWith(Status.BUDGET));
    items.forEach(({ first }, number) => this.#entries.set(first, number));
    code.get(Local.ENTRY);
    code.op(Op.BR_TABLE);
    code.unsigned(items.length - 1);
    for (let i = 0; i < items.length; i++) code.unsigned(i);
    for (const item of items) {
      this.#closeLabel(item);
      this.#writeItem(item);
    }
    e.end(); // AGAIN
    code.op(Op.UNREACHABLE);
    e.end(); // BAIL: an instruction cannot be finished
    bail(e);
    e.end(); // EXIT
    const entries = items.map(({ first }) => this.#blocks[first].offset);
    return { code: regionFunction(e), entries, reach: e.reach };
  }

  /** Blocks `first` to `last`, those of a loop together; `inside` of which loop they are already. */
  #itemsOf(first: number, last: number, inside = NO_LOOP): Item[] {
    const items: Item[] = [];
    for (let at = first; at <= last;) {
      const end = at === inside ? at : Math.max(at, this.#loops.ends[at]);
      items.push({ first: at, last: end });
      at = end + 1;
    }
    return items;
  }

  /** Opens what ends where each of the items begins. */
  #openLabels(items: readonly Item[]): void {
    for (const { first } of items.toReversed()) {
      this.#e.open(Op.BLOCK);
      this.#labels.set(first, this.#e.depth);
    }
  }

  #closeLabel({ first }: Item): void {
    this.#e.end();
    this.#labels.delete(first);
  }

  #writeItem(item: Item): void {
    if (this.#loops.ends[item.first] === NO_LOOP) this.#writeBlock(item.first);
    else if (this.#e.registers.isInLoop) this.#writeLoop(item);
    else this.#writeOuterLoop(item);
  }

  /** A loop, its registers in local variables, and the ways out of it on which they go back. */
  #writeOuterLoop(item: Item): void {
    const e = this.#e;
    const { registers, exitDepth, bailDepth } = e;
    e.open(Op.BLOCK);
    e.exitDepth = e.depth;
    e.open(Op.BLOCK);
    e.bailDepth = e.depth;
    registers.beginLoop();
    this.#around = item;
    this.#writeLoop(item);
    this.#around = undefined;
    e.end();
    registers.leaveLoop();
    e.branchTo(bailDepth);
    e.end();
    registers.leaveLoop();
    e.branchTo(exitDepth);
    registers.endLoop();
    e.exitDepth = exitDepth;
    e.bailDepth = bailDepth;
  }

  #writeLoop({ first, last }: Item): void {
    const e = this.#e;
    e.open(Op.LOOP);
    this.#labels.set(first, e.depth);
    this.#checkBudget(() => e.exitTo(this.#blocks[first].offset, Status.BUDGET));
    const [head, ...rest] = this.#itemsOf(first, last, first);
    this.#openLabels(rest);
    this.#writeBlock(head.first);
    for (const item of rest) {
      this.#closeLabel(item);
      this.#writeItem(item);
    }
    this.#labels.delete(first);
    e.end();
    e.code.op(Op.UNREACHABLE);
  }

  #writeBlock(position: number): void {
    const block = this.#blocks[position];
    const accesses = block.insns.some(this.#isSplit)
      ? []
      : groupAccesses(block.insns, this.#e.is64);
    emitBlock(this.#e, block, accesses, this.#siteOf, this);
  }

  goTo(offset: number): void {
    const e = this.#e;
    const to = this.#positions.get(offset);
    const label = to === undefined ? undefined : this.#labels.get(to);
    if (label !== undefined) {
      if (!this.#isAround(to!)) e.registers.leaveLoop();
      return e.branchTo(label);
    }
    const entry = to === undefined ? undefined : this.#entries.get(to);
    if (entry === undefined) return e.exitTo(offset);
    e.registers.leaveLoop();
    e.pushAddress(offset);
    e.code.set(Local.RIP);
    e.code.i32(entry);
    e.code.set(Local.ENTRY);
    e.branchTo(AGAIN);
  }

  returnTo(offset: number): { index: number; entry: number } | undefined {
    const entry = this.#entries.get(this.#positions.get(offset) ?? -1);
    return entry === undefined ? undefined : { index: this.index, entry };
  }

  enterAgain(): void {
    const e = this.#e;
    e.code.set(Local.ENTRY);
    e.registers.leaveLoop();
    e.branchTo(AGAIN);
  }

  /** Whether there are returns, which may lead to any entry. */
  #returns(): boolean {
    return this.#blocks.some(({ insns }) => insns.some(({ row }) => row?.mnemonic === "ret"));
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

  /** Whether the loop around the current block is also around another one. */
  #isAround(block: number): boolean {
    const around = this.#around;
    return around !== undefined && block >= around.first && block <= around.last;
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

/** A block. */
function emitBlock(
  e: Emitter,
  block: PlannedBlock,
  accesses: readonly (Access | undefined)[],
  siteOf: SiteOf,
  ways: Ways,
): void {
  const { code } = e;
  const { insns, offset, steps } = block;
  e.known = undefined;
  e.registers.beginBlock();
  e.sseChecked = e.mxcsrChecked = false;
  e.counted = steps ? insns.length - 1 : insns.length;
  if (e.counted > 0) takeBudget(e);
  const wanted = wantedFlags(insns, accesses, e.is64);
  let next = offset;
  let ended = false;
  for (let i = 0; i < insns.length; i++) {
    const insn = insns[i];
    e.insn = insn;
    e.done = i;
    e.flagsWanted = wanted[i];
    e.access = accesses[i];
    next = insn.next;
    if (steps && i === insns.length - 1) {
      code.i32(0);
      code.i32(crosses(insn) ? FETCHED_SITE : siteOf(insn));
      code.access(Op.I32_STORE, Memory.PRIVATE, Jit.SITE);
      e.exitTo(insn.offset, Status.STEP);
      ended = true;
    } else if (isBranch(insn, e.is64)) {
      emitBranch(e, ways);
      ended = !isConditional(insn);
    } else emissionOf(insn, e.is64)!.emit(e, widthOf(insn));
  }
  if (!ended) ways.goTo(next);
}

/** Counts the block's instructions, all of them: who leaves before the end gives the rest back. */
function takeBudget(e: Emitter): void {
  const { code } = e;
  code.get(Local.BUDGET);
  code.i32(e.counted);
  code.op(Op.I32_SUB);
  code.set(Local.BUDGET);
}

/**
 * By instruction, whether its flags can be seen: by another one that reads them, or where the block
 * may be left before others replace them.
 */
function wantedFlags(
  insns: readonly Insn[],
  accesses: readonly (Access | undefined)[],
  is64: boolean,
): boolean[] {
  const wanted = new Array<boolean>(insns.length).fill(true);
  const firsts = firstsOf(accesses);
  let live = true;
  for (let i = insns.length - 1; i >= 0; i--) {
    wanted[i] = live;
    const insn = insns[i];
    const emission = isBranch(insn, is64) ? undefined : emissionOf(insn, is64);
    if (emission === undefined) live = true;
    else {
      if (emission.sets === "all") live = false;
      const follows = accesses[i] !== undefined && !firsts.has(accesses[i]!);
      const bails = (emission.bails === true || insn.isMem) && !follows;
      if (emission.reads === true || bails) live = true;
    }
  }
  return wanted;
}

/** The first accesses of their groups, which alone can fail. */
function firstsOf(accesses: readonly (Access | undefined)[]): Set<Access> {
  const groups = new Set<Group>();
  const firsts = new Set<Access>();
  for (const access of accesses) {
    if (access === undefined || groups.has(access.group)) continue;
    groups.add(access.group);
    firsts.add(access);
  }
  return firsts;
}
