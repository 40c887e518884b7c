/** Decides how large the page of a fault becomes. */

import type { MmuCore } from "./core.ts";
import type { Fault } from "./fault.ts";
import { FRAMES_AT, isCongruent as importedIsCongruent, Level, offsetInBlock } from "./level.ts";
import { maxLevel as importedMaxLevel } from "./max_level.ts";

// Imported functions are looked up at every call, a module's own are not: this is a hot path.
const maxLevel = importedMaxLevel;
const isCongruent = importedIsCongruent;

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { SIZE_4K } = Level;

/**
 * Fills `requestedLevel` and `goalLevel` in. Under the lock, so that the limits of the slot still hold
 * when the leaf is set: KVM of 2019 chose earlier, and had to look again at each of them.
 */
export function decideLevel(core: MmuCore, fault: Fault): void {
  const { page } = fault;
  let level: number = SIZE_4K;
  if (page.level !== SIZE_4K && fault.pfn >= 0 && !page.reserved) {
    level = maxLevel(fault.gfn, fault.maxLevel, fault.slot, page.level);
    while (level > SIZE_4K && !isWhole(core, fault, level)) level--;
  }
  fault.requestedLevel = level;
  fault.hugeDisallowed = core.nxHugePages && fault.fetch;
  fault.goalLevel = fault.hugeDisallowed ? SIZE_4K : level;
}

/** True when the host has the whole block, where it belongs, and is not taking any of it away. */
function isWhole(core: MmuCore, fault: Fault, level: number): boolean {
  return isCongruent(fault.gfn, fault.pfn, level) &&
    (core.notifier.count === 0 || isLeftAlone(core, fault, level));
}

function isLeftAlone(core: MmuCore, fault: Fault, level: number): boolean {
  const start = fault.slot!.hostPageOf(fault.gfn) - offsetInBlock(fault.gfn, level);
  return !core.notifier.overlaps(start, start + FRAMES_AT[level]);
}
