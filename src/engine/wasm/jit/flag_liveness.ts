/**
 * Which instructions' flags can be seen: by another one that reads them, or where the region may be
 * left before others replace them. Most are replaced at once, and need not be kept.
 */

import type { Insn } from "../insn.ts";
import type { Access } from "./accesses.ts";
import { isBranch, targetOf } from "./emit/branch.ts";
import { emissionOf } from "./emit/table.ts";
import { crosses, type PlannedBlock } from "./plan.ts";
import type { Structure } from "./structure.ts";

/** What an instruction does about the flags there are before it. */
const Use = {
  /** It neither changes nor reads them, or changes some. */
  NONE: 0,
  /** It replaces all of them. */
  REPLACES: 1,
  /** It reads them, or may be left to the interpreter, or goes elsewhere. */
  READS: 2,
} as const;
type Use = typeof Use[keyof typeof Use];

/** @param bails Whether its memory operand may not be found. */
function useOf(insn: Insn, is64: boolean, bails: boolean): Use {
  const emission = isBranch(insn, is64) ? undefined : emissionOf(insn, is64);
  if (emission === undefined || bails || emission.bails === true) return Use.READS;
  if (crosses(insn)) return Use.READS;
  if (emission.replaces?.(insn) === true) return Use.REPLACES;
  if (emission.reads === true) return Use.READS;
  return emission.sets === "all" ? Use.REPLACES : Use.NONE;
}

/** Flags from block to block of a region. */
export class FlagLiveness {
  readonly #blocks: readonly PlannedBlock[];
  readonly #positions: ReadonlyMap<number, number>;
  readonly #structure: Structure;
  readonly #is64: boolean;
  /** By block: what has been found out about its beginning. */
  readonly #atStart: (boolean | undefined)[] = [];

  /** @param positions Positions of the blocks by their offsets. */
  constructor(
    blocks: readonly PlannedBlock[],
    positions: ReadonlyMap<number, number>,
    structure: Structure,
    is64: boolean,
  ) {
    this.#blocks = blocks;
    this.#positions = positions;
    this.#structure = structure;
    this.#is64 = is64;
  }

  /** Whether anybody may see the flags with which a block ends. */
  atEnd(position: number): boolean {
    const { insns, falls, steps } = this.#blocks[position];
    const last = insns[insns.length - 1];
    if (steps) return true;
    if (falls) return this.#behind(position, last.next);
    const { mnemonic, operands } = last.row!;
    return mnemonic !== "jmp" || !operands[0].startsWith("J") ||
      this.#behind(position, targetOf(last));
  }

  /**
   * The same where control goes on from a block at an offset. What leads out of the region, backward
   * or to a loop's beginning may leave the function at once.
   */
  #behind(from: number, offset: number): boolean {
    const { order, isLoop } = this.#structure;
    const to = this.#positions.get(offset);
    if (to === undefined || order[to] <= order[from] || isLoop[to]) return true;
    return this.#atStart[to] ??= this.#isLiveAt(to);
  }

  #isLiveAt(position: number): boolean {
    for (const insn of this.#blocks[position].insns) {
      // A block's first access is the first of its group.
      const use = useOf(insn, this.#is64, insn.isMem);
      if (use !== Use.NONE) return use === Use.READS;
    }
    return this.atEnd(position);
  }
}

/**
 * By instruction of a block, whether anybody may see its flags.
 * @param atEnd Whether somebody may see those at the block's end.
 */
export function wantedFlags(
  insns: readonly Insn[],
  accesses: readonly (Access | undefined)[],
  is64: boolean,
  atEnd: boolean,
): boolean[] {
  const wanted = new Array<boolean>(insns.length).fill(true);
  let live = atEnd;
  for (let i = insns.length - 1; i >= 0; i--) {
    wanted[i] = live;
    const insn = insns[i];
    // The first accesses of their groups alone can fail.
    const follows = accesses[i]?.first === false;
    const use = useOf(insn, is64, insn.isMem && !follows);
    if (use !== Use.NONE) live = use === Use.READS;
  }
  return wanted;
}
