/** Decides how large the page of a fault becomes. */

import type { Gfn } from "../base/u64.ts";
import type { MmuCore } from "./core.ts";
import type { Fault } from "./fault.ts";
import { type HostPage, PageKind } from "./host.ts";
import { FRAMES_AT, isCongruent as importedIsCongruent, Level, offsetInBlock } from "./level.ts";
import { maxLevel as importedMaxLevel } from "./max_level.ts";
import type { Memslot } from "./memslot.ts";

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
  const { page, gfn, pfn } = fault;
  let level: number = SIZE_4K;
  if (page.level !== SIZE_4K && pfn >= 0 && !page.reserved) {
    level = maxLevel(gfn, fault.maxLevel, fault.slot, page.level);
    // The host has the whole block, where it belongs, and is not taking any of it away.
    while (level > SIZE_4K && !isCongruent(gfn, pfn, level)) level--;
    if (core.notifier.count !== 0) level = largestLeftAlone(core, fault, level);
  }
  fault.requestedLevel = level;
  const disallowed = core.nxHugePages ? fault.fetch : false;
  fault.hugeDisallowed = disallowed;
  fault.goalLevel = disallowed ? SIZE_4K : level;
}

/** The largest level, `level` at most, at which no part of the block is being taken away. */
function largestLeftAlone(core: MmuCore, fault: Fault, level: number): number {
  const page = fault.slot!.hostPageOf(fault.gfn);
  let largest = level;
  while (largest > SIZE_4K) {
    const start = page - offsetInBlock(fault.gfn, largest);
    if (!core.notifier.overlaps(start, start + FRAMES_AT[largest])) break;
    largest--;
  }
  return largest;
}

/** True when the 4 KiB page at `gfn` could be part of a large one; `page` is the host's answer. */
export function couldBeLarge(core: MmuCore, slot: Memslot, gfn: Gfn, page: HostPage): boolean {
  core.host.getPage(slot.hostPageOf(gfn), false, false, page);
  if (page.kind !== PageKind.FRAME) return false;
  core.host.putPage(page.pfn);
  return !page.reserved && maxLevel(gfn, core.maxPageLevel, slot, page.level) > SIZE_4K;
}
