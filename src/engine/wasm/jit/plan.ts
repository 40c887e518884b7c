/**
 * What a region consists of: the hot blocks of one page that control reaches from one of them
 * without leaving the page.
 *
 * A region's block goes on behind a conditional branch that is not taken: it is entered at its
 * beginning only, and left at any branch. It may be longer than the interpreter's.
 */

import type { CodePage } from "../block.ts";
import type { Insn } from "../insn.ts";
import { hasTarget, isBranch, isConditional, targetOf } from "./emit/branch.ts";
import { emissionOf } from "./emit/table.ts";
import { Offsets } from "./offsets.ts";

/** Bytes of a page. */
const PAGE = 4096;
/** Blocks and instructions of a region at most: V8 takes more than linear time for a function. */
const MAX_BLOCKS = 64;
const MAX_INSNS = 1024;
/** Instructions of a block: the count of them shares a word with the offset (`Emitter.setPoint`). */
const MAX_BLOCK_INSNS = 256;

/** One block: instructions that follow each other in memory, the last perhaps one to be interpreted. */
export interface PlannedBlock {
  readonly offset: number;
  readonly insns: readonly Insn[];
  /** The last instruction is left to the interpreter. */
  readonly steps: boolean;
  /** Control goes on behind the last instruction. */
  readonly falls: boolean;
  /** Control comes from outside of the region: from a caller, a callee, or an interpreted instruction. */
  readonly isEntry: boolean;
  /** It is the one that the region is made for. */
  readonly isStart: boolean;
}

/** For one region after the other. */
const offsets = new Offsets();

/**
 * Blocks in the order of their offsets; undefined when the first one has gone.
 * @param ends Offsets that the region leaves to another one, unless it starts there.
 */
export function planRegion(
  page: CodePage,
  start: number,
  is64: boolean,
  isHot: (offset: number) => boolean,
  ends?: (offset: number) => boolean,
): PlannedBlock[] | undefined {
  const queue: number[] = [];
  let total = 0;
  const lead = (offset: number) => {
    if (offsets.isLeader(offset) || offsets.leaders.length >= MAX_BLOCKS) return;
    offsets.addLeader(offset);
    queue.push(offset);
  };
  const leadFromOutside = (offset: number) => {
    lead(offset);
    if (offsets.isLeader(offset)) offsets.addEntry(offset);
  };
  /** Takes over the decoded instructions at `offset`. */
  const take = (offset: number): boolean => {
    const block = page.at(offset);
    if (block === undefined) return false;
    for (const insn of block.insns) {
      if (ends !== undefined && insn.offset !== start && ends(insn.offset)) break;
      offsets.add(insn);
    }
    return offsets.at(offset) !== undefined;
  };
  offsets.clear();
  leadFromOutside(start);
  while (queue.length > 0 && total < MAX_INSNS) {
    let offset = queue.pop()!;
    take(offset);
    // The interpreter does not count the blocks behind STI: they begin in its shadow.
    let follows = false;
    for (let count = 0; count < MAX_BLOCK_INSNS; count++) {
      const insn = offsets.at(offset);
      if (insn === undefined) {
        if (!(follows || isHot(offset)) || !take(offset)) break;
        continue;
      }
      total++;
      const { next } = insn;
      if (isBranch(insn, is64)) {
        if (hasTarget(insn) && isHot(targetOf(insn))) {
          if (insn.row!.mnemonic === "call") leadFromOutside(targetOf(insn));
          else lead(targetOf(insn));
        }
        if (insn.row!.mnemonic === "call" && isHot(next)) leadFromOutside(next);
        if (!isConditional(insn)) break;
      } else if (emissionOf(insn, is64) === undefined) {
        // It is entered again behind the instruction that is interpreted.
        if (next < PAGE && (offsets.at(next) !== undefined || take(next))) leadFromOutside(next);
        break;
      }
      if (next >= PAGE || offsets.isLeader(next)) break;
      follows = insn.row!.mnemonic === "sti";
      offset = next;
    }
  }
  const blocks = offsets.leaders.sort((a, b) => a - b)
    .map((offset) => ({
      ...blockAt(offset, is64),
      isEntry: offsets.isEntry(offset),
      isStart: offset === start,
    }))
    .filter(({ insns }) => insns.length > 0);
  return blocks.some(({ isStart }) => isStart) ? blocks : undefined;
}

/** The block that begins at a leader. */
function blockAt(start: number, is64: boolean): Omit<PlannedBlock, "isEntry" | "isStart"> {
  const insns: Insn[] = [];
  for (let offset = start; insns.length < MAX_BLOCK_INSNS;) {
    const insn = offsets.at(offset);
    if (insn === undefined || (offset !== start && offsets.isLeader(offset))) break;
    insns.push(insn);
    if (isBranch(insn, is64)) {
      if (!isConditional(insn)) {
        return { offset: start, insns, steps: false, falls: false };
      }
    } else if (emissionOf(insn, is64) === undefined) {
      return { offset: start, insns, steps: true, falls: false };
    }
    offset = insn.next;
  }
  return { offset: start, insns, steps: false, falls: true };
}

/** Positions of blocks by their offsets. */
export function positionsOf(blocks: readonly PlannedBlock[]): Map<number, number> {
  const positions = new Map<number, number>();
  for (let i = 0; i < blocks.length; i++) positions.set(blocks[i].offset, i);
  return positions;
}

/** By block: where each of its branches within the region leads, and where it goes on, by position. */
export function successorsOf(
  blocks: readonly PlannedBlock[],
  positions: ReadonlyMap<number, number>,
): number[][] {
  return blocks.map(({ insns, falls, steps }) => {
    const found: number[] = [];
    const add = (offset: number) => {
      const to = positions.get(offset);
      if (to !== undefined) found.push(to);
    };
    const end = steps ? insns.length - 1 : insns.length;
    for (let i = 0; i < end; i++) if (hasTarget(insns[i])) add(targetOf(insns[i]));
    if (falls) add(insns[insns.length - 1].next);
    return found;
  });
}

/** Whether the instruction goes on in the next page, whose bytes may be others each time. */
export function crosses(insn: Insn): boolean {
  return insn.next > PAGE;
}
