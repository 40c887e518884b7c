/**
 * Which blocks of a region are loops that WebAssembly's own `loop` can be: runs of blocks that are
 * entered at the first one only. V8 keeps a loop's variables in registers, and leaves the rest alone.
 */

import { targetOf } from "./emit/branch.ts";
import type { PlannedBlock } from "./plan.ts";

/** No loop begins there. */
export const NO_LOOP = -1;

/** The loops of a region. */
export interface Loops {
  /** By block: the last block of the loop that begins there, or `NO_LOOP`. */
  readonly ends: readonly number[];
  /** There are branches backwards that belong to none of them. */
  readonly others: boolean;
}

/** Finds the loops of blocks in the order of their offsets. */
export function findLoops(blocks: readonly PlannedBlock[]): Loops {
  const successors = successorsOf(blocks);
  const ends = blocks.map((_, header) =>
    successors.findLastIndex((targets, from) => from >= header && targets.includes(header))
  );
  // Loops that overlap without one being in the other become one in the other.
  for (let header = blocks.length - 1; header >= 0; header--) {
    for (let inner = header + 1; inner <= ends[header]; inner++) {
      ends[header] = Math.max(ends[header], ends[inner]);
    }
  }
  const refused = blocks.map((_, header) => ends[header] !== NO_LOOP && !isClosed(header));
  // What is no loop makes those around it none: control could not come back inside of them.
  for (let header = 0; header < blocks.length; header++) {
    for (let inner = header + 1; inner <= ends[header]; inner++) {
      if (refused[inner]) refused[header] = true;
    }
  }
  return {
    ends: ends.map((end, header) => refused[header] ? NO_LOOP : end),
    others: refused.includes(true),
  };

  /** Whether the loop is entered at its first block only. */
  function isClosed(header: number): boolean {
    const end = ends[header];
    for (let block = header + 1; block <= end; block++) if (blocks[block].isEntry) return false;
    return successors.every((targets, from) =>
      (from >= header && from <= end) || targets.every((to) => to <= header || to > end)
    );
  }
}

/** By block: those to which it branches or falls through. */
function successorsOf(blocks: readonly PlannedBlock[]): number[][] {
  const positions = new Map(blocks.map(({ offset }, position) => [offset, position]));
  return blocks.map(({ insns, falls }) => {
    const offsets = insns.filter(({ row }) => row?.operands[0]?.startsWith("J")).map(targetOf);
    if (falls) offsets.push(insns[insns.length - 1].next);
    return offsets.map((offset) => positions.get(offset)).filter((to) => to !== undefined);
  });
}
