/** How large a page may be: one pure function over every limit. */

import type { Gfn } from "../base/u64.ts";
import { Level } from "./level.ts";
import type { Memslot } from "./memslot.ts";

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { SIZE_4K } = Level;

/**
 * The largest level at which `gfn` may be mapped.
 * @param limit What the caller allows: hardware, memory types, guest page size.
 * @param slot Undefined or invalid where there is no memory: always 4 KiB; logged writes too.
 * @param hostLevel Page size of the host's mapping. The result is clamped to it.
 */
export function maxLevel(
  gfn: Gfn,
  limit: number,
  slot: Memslot | undefined,
  hostLevel: number,
): number {
  let level = limit < hostLevel ? limit : hostLevel;
  if (level === SIZE_4K) return level;
  if (slot === undefined || slot.invalid || slot.dirty !== undefined) return SIZE_4K;
  while (level > SIZE_4K && !slot.large.allows(gfn, level)) level--;
  return level;
}
