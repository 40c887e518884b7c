/** Puts leaf SPTEs together. */

import { frameHi, frameLo, type Gfn, type Pfn } from "../base/u64.ts";
import type { MmuCore } from "./core.ts";
import type { Memslot } from "./memslot.ts";
import { Acc } from "./pferr.ts";
import { saveRights, SpteLo, withoutRights } from "./spte.ts";

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
   * @param speculative Nobody has accessed it yet.
   * @param hostWritable The host lets us write the frame.
   * @param written The access is a write: in a logged slot only that makes the entry writable (a
   *   clean one with PML), so that the log holds what was written and no more.
   * @param wasWritable The entry maps the same frame writable now: nothing needs to be asked again.
   * @param canUnsync Guest tables of level 1 may become writable and unsync.
   */
  leaf(
    slot: Memslot,
    gfn: Gfn,
    pfn: Pfn,
    level: number,
    access: number,
    speculative: boolean,
    hostWritable: boolean,
    written: boolean,
    wasWritable: boolean,
    canUnsync: boolean,
  ): void {
    const core = this.#core;
    const { format } = core;
    let lo = format.present | frameLo(pfn);
    let hi = format.kindHi | frameHi(pfn);
    this.writeProtected = false;
    if (!speculative) lo |= format.accessed;
    if ((access & Acc.EXEC) !== 0 && !(level > 1 && core.nxHugePages)) lo |= format.exec;
    else hi |= format.noExecHi;
    if ((access & Acc.USER) !== 0) lo |= format.user;
    if (level > 1) lo |= SpteLo.LARGE;
    if (hostWritable) {
      lo |= SpteLo.HOST_WRITEABLE;
      if ((access & Acc.WRITE) !== 0) {
        if (!wasWritable && this.#mustProtect(slot, gfn, level, canUnsync)) {
          this.writeProtected = true;
        } else {
          lo |= SpteLo.MMU_WRITEABLE;
          const logged = slot.dirty !== undefined;
          if (!logged || written || wasWritable || core.pml) {
            lo |= SpteLo.WRITE;
            // Under PML a clean entry has the hardware log the first write.
            if (!logged || written || !core.pml) lo |= format.dirty;
            if (written) slot.markDirty(gfn);
          }
        }
      }
    }
    if (speculative && format.accessTracking) {
      hi = saveRights(lo, hi);
      lo = withoutRights(lo);
    }
    this.lo = lo;
    this.hi = hi;
  }

  #mustProtect(slot: Memslot, gfn: Gfn, level: number, canUnsync: boolean): boolean {
    const { writeGuard } = this.#core;
    // A large leaf is only made where nothing in the block is tracked or a guest table.
    if (level > 1) return false;
    if (slot.isTracked(gfn)) return true;
    return writeGuard !== undefined && writeGuard.mustProtect(slot, gfn, canUnsync);
  }
}
