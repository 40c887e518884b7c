/** The dirty log of a memslot: which frames were written since the last look. */

import { DenovisorError } from "../base/errors.ts";
import type { Gfn } from "../base/u64.ts";
import type { MmuCore } from "./core.ts";
import { RangeOp } from "./mapping_engine.ts";
import type { Memslot } from "./memslot.ts";
import { forRange } from "./slot_updates.ts";

/**
 * Takes the log and starts a new one: each written frame is protected again (or its dirty flag
 * cleared), so that the next write to it is seen. TLBs are flushed before this returns.
 * @param into One bit a frame, frame 0 in bit 0 of word 0; as many words as the slot needs. Must be
 *   zero where the caller does not want bits of before.
 * @returns How many frames were written.
 */
export function takeDirtyLog(core: MmuCore, slot: Memslot, into: Uint32Array): number {
  const { dirty } = slot;
  if (dirty === undefined) {
    throw new DenovisorError(
      "memslot",
      `Cannot read the dirty log of memslot ${slot.id}: its writes are not logged`,
      { id: slot.id },
    );
  }
  if (into.length < dirty.length) {
    throw new DenovisorError(
      "memslot",
      `Cannot read the dirty log of memslot ${slot.id}: room for ${into.length} words, expected ` +
        `${dirty.length}`,
      { id: slot.id },
    );
  }
  const op = core.pml ? RangeOp.CLEAR_DIRTY : RangeOp.PROTECT_FOR_LOG;
  let count = 0;
  for (let word = 0; word < dirty.length; word++) {
    let bits = dirty[word];
    if (bits === 0) continue;
    dirty[word] = 0;
    into[word] |= bits;
    while (bits !== 0) {
      const first = 31 - Math.clz32(bits & -bits);
      // A run of written frames is protected in one go.
      const run = onesFrom(bits, first);
      const start = slot.baseGfn + word * 32 + first as Gfn;
      forRange(core, slot, start, start + run as Gfn, op);
      count += run;
      bits &= run === 32 ? 0 : ~(((1 << run) - 1) << first);
    }
  }
  // Even where no entry lost a right: ageing may have taken it and left it in the TLBs.
  if (count > 0) core.flushAll();
  return count;
}

/** How many bits from `first` on are set without a gap. */
function onesFrom(bits: number, first: number): number {
  const zeros = ~(bits >> first);
  const length = zeros === 0 ? 32 : 31 - Math.clz32(zeros & -zeros);
  return Math.min(length, 32 - first);
}
