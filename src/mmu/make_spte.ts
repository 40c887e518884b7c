/** Puts leaf SPTEs together. */

import { frameHi, frameLo, type Gfn, type Pfn } from "../base/u64.ts";
import type { MmuCore } from "./core.ts";
import type { Memslot } from "./memslot.ts";
import { Acc } from "./pferr.ts";
import { saveRights, SpteLo, withoutRights } from "./spte.ts";

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { HOST_WRITEABLE, LARGE, MMU_WRITEABLE, WRITE } = SpteLo;
const { EXEC, USER } = Acc;
const WRITE_RIGHT = Acc.WRITE;

/** What else decides how a leaf looks; bits of `how`. */
export const LeafHow = {
  /** Nobody has accessed it yet. */
  SPECULATIVE: 1 << 0,
  /** The host lets us write the frame. */
  HOST_WRITABLE: 1 << 1,
  /**
   * The access is a write. In a logged slot only that makes the entry writable (a clean one with PML),
   * so that the log holds what was written and no more.
   */
  WRITTEN: 1 << 2,
  /** The entry maps the same frame writable now: nothing needs to be asked again. */
  WAS_WRITABLE: 1 << 3,
  /** Guest tables of level 1 may become writable and unsync. */
  CAN_UNSYNC: 1 << 4,
} as const;

const { CAN_UNSYNC, HOST_WRITABLE, SPECULATIVE, WAS_WRITABLE, WRITTEN } = LeafHow;
/** Either of these makes an entry of a logged slot writable. */
const KEEPS_WRITE = WRITTEN | WAS_WRITABLE;

/** A leaf as it came out; one maker serves one MMU, its fields last until the next leaf. */
export class SpteMaker {
  lo = 0;
  hi = 0;
  /** The right to write was asked for and withheld: guest table or tracked page. */
  writeProtected = false;
  readonly #core: MmuCore;

  constructor(core: MmuCore) {
    this.#core = core;
  }

  /**
   * Makes the leaf that maps `gfn` to `pfn` (both aligned to the level).
   * @param access Rights the guest has (`Acc`).
   * @param how `LeafHow` bits.
   */
  leaf(slot: Memslot, gfn: Gfn, pfn: Pfn, level: number, access: number, how: number): void {
    const core = this.#core;
    const { format } = core;
    let lo = format.present | frameLo(pfn);
    let hi = format.kindHi | frameHi(pfn);
    this.writeProtected = false;
    if ((how & SPECULATIVE) === 0) lo |= format.accessed;
    if ((access & EXEC) !== 0 && !(level > 1 && core.nxHugePages)) lo |= format.exec;
    else hi |= format.noExecHi;
    if ((access & USER) !== 0) lo |= format.user;
    if (level > 1) lo |= LARGE;
    if ((how & HOST_WRITABLE) !== 0) {
      lo |= HOST_WRITEABLE;
      if ((access & WRITE_RIGHT) !== 0) {
        if ((how & WAS_WRITABLE) === 0 && this.#mustProtect(slot, gfn, level, how)) {
          this.writeProtected = true;
        } else {
          lo |= MMU_WRITEABLE;
          const logged = slot.dirty !== undefined;
          if (!logged || (how & KEEPS_WRITE) !== 0 || core.pml) {
            lo |= WRITE;
            // Under PML a clean entry has the hardware log the first write.
            if (!logged || (how & WRITTEN) !== 0 || !core.pml) lo |= format.dirty;
            if ((how & WRITTEN) !== 0) slot.markDirty(gfn);
          }
        }
      }
    }
    if ((how & SPECULATIVE) !== 0 && format.accessTracking) {
      hi = saveRights(lo, hi);
      lo = withoutRights(lo);
    }
    this.lo = lo;
    this.hi = hi;
  }

  #mustProtect(slot: Memslot, gfn: Gfn, level: number, how: number): boolean {
    const { writeGuard } = this.#core;
    // A large leaf is only made where nothing in the block is tracked or a guest table.
    if (level > 1) return false;
    if (slot.isTracked(gfn)) return true;
    return writeGuard !== undefined &&
      writeGuard.mustProtect(slot, gfn, (how & CAN_UNSYNC) !== 0);
  }
}
