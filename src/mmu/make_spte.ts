/** Puts leaf SPTEs together. */

import {
  frameHi as importedFrameHi,
  frameLo as importedFrameLo,
  type Gfn,
  type Pfn,
} from "../base/u64.ts";
import type { MmuCore } from "./core.ts";
import type { Memslot } from "./memslot.ts";
import { Acc, Pferr } from "./pferr.ts";
import { saveRights, SpteLo, withoutRights } from "./spte.ts";

// Imported functions are looked up at every call, a module's own are not: this is a hot path.
const frameHi = importedFrameHi;
const frameLo = importedFrameLo;

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { HOST_WRITEABLE, LARGE, MMU_WRITEABLE, WRITE } = SpteLo;
const { EXEC, USER } = Acc;
const WRITE_RIGHT = Acc.WRITE;

/** What else decides how a leaf looks; bits of `how`. */
export const LeafHow = {
  /** Nobody has accessed it yet. */
  SPECULATIVE: 1 << 0,
  /**
   * The access is a write. In a logged slot only that makes the entry writable (a clean one with PML),
   * so that the log holds what was written and no more. The same bit as in an error code.
   */
  WRITTEN: Pferr.WRITE,
  /** The host lets us write the frame. */
  HOST_WRITABLE: 1 << 2,
  /** The entry maps the same frame writable now: nothing needs to be asked again. */
  WAS_WRITABLE: 1 << 3,
  /** Guest tables of level 1 may become writable and unsync. */
  CAN_UNSYNC: 1 << 4,
  /** No guest table lies there: the write guard need not be asked. */
  UNGUARDED: 1 << 5,
} as const;

const { CAN_UNSYNC, HOST_WRITABLE, SPECULATIVE, UNGUARDED, WAS_WRITABLE, WRITTEN } = LeafHow;
/** What a leaf has that only the memslot may restrict. */
const PLAIN = HOST_WRITABLE | UNGUARDED;
const PLAIN_MASK = PLAIN | SPECULATIVE;
/** Which of the three kinds of page `SpteMaker` has prepared bits for; added to `Acc` bits. */
const SMALL = 0;
const LARGE_PAGE = 8;
const LARGE_NX = 16;

/** A leaf as it came out; one maker serves one MMU, its fields last until the next leaf. */
export class SpteMaker {
  lo = 0;
  hi = 0;
  /** The right to write was asked for and withheld: guest table or tracked page. */
  writeProtected = false;
  declare readonly core: MmuCore;
  /** Halves that the rights and the kind of page decide, as long as nobody else has a say. */
  readonly #plain: Int32Array = new Int32Array(2 * (LARGE_NX + Acc.ALL + 1));
  /** Bits of an entry that may be written and is. */
  readonly #written: number = 0;

  constructor(core: MmuCore) {
    this.core = core;
    const { format } = core;
    this.#written = HOST_WRITEABLE | MMU_WRITEABLE | WRITE | format.dirty;
    for (const kind of [SMALL, LARGE_PAGE, LARGE_NX]) {
      for (let access = 0; access <= Acc.ALL; access++) {
        const isExec = (access & EXEC) !== 0 && kind !== LARGE_NX;
        const at = 2 * (kind + access);
        this.#plain[at] = format.present | format.accessed |
          (kind === SMALL ? 0 : LARGE) | (isExec ? format.exec : 0) |
          ((access & USER) !== 0 ? format.user : 0) |
          ((access & WRITE_RIGHT) !== 0 ? this.#written : HOST_WRITEABLE);
        this.#plain[at + 1] = format.kindHi | (isExec ? 0 : format.noExecHi);
      }
    }
  }

  /**
   * Makes the leaf that maps `gfn` to `pfn` (both aligned to the level).
   * @param access Rights the guest has (`Acc`).
   * @param how `LeafHow` bits.
   */
  leaf(slot: Memslot, gfn: Gfn, pfn: Pfn, level: number, access: number, how: number): void {
    const { core } = this;
    const kind = access + (level === 1 ? SMALL : core.nxHugePages ? LARGE_NX : LARGE_PAGE);
    const plain = this.#plain;
    this.lo = plain[2 * kind] | frameLo(pfn);
    this.hi = plain[2 * kind + 1] | frameHi(pfn);
    this.writeProtected = false;
    if ((how & PLAIN_MASK) !== PLAIN || slot.isWatched(gfn)) {
      this.#restrict(slot, gfn, level, access, how);
    }
  }

  /** Takes from a leaf what it may not have. */
  #restrict(slot: Memslot, gfn: Gfn, level: number, access: number, how: number): void {
    this.lo &= ~this.#written;
    if ((how & HOST_WRITABLE) !== 0) {
      this.lo |= (access & WRITE_RIGHT) === 0
        ? HOST_WRITEABLE
        : this.#writeBits(slot, gfn, level, how);
    }
    if ((how & SPECULATIVE) !== 0) this.#makeUnused();
  }

  /** Bits of an entry that the host and the guest let be written: log and tracking have their say. */
  #writeBits(slot: Memslot, gfn: Gfn, level: number, how: number): number {
    const { format, pml } = this.core;
    if ((how & WAS_WRITABLE) === 0 && this.#mustProtect(slot, gfn, level, how)) {
      this.writeProtected = true;
      return HOST_WRITEABLE;
    }
    const isWritten = (how & WRITTEN) !== 0;
    if (isWritten) slot.markDirty(gfn);
    if (slot.dirty === undefined || isWritten) return this.#written;
    // Under PML a clean entry has the hardware log the first write.
    if (pml) return this.#written & ~format.dirty;
    return (how & WAS_WRITABLE) !== 0 ? this.#written : HOST_WRITEABLE | MMU_WRITEABLE;
  }

  #makeUnused(): void {
    const { format } = this.core;
    this.lo &= ~format.accessed;
    if (!format.accessTracking) return;
    this.hi = saveRights(this.lo, this.hi);
    this.lo = withoutRights(this.lo);
  }

  #mustProtect(slot: Memslot, gfn: Gfn, level: number, how: number): boolean {
    const { writeGuard } = this.core;
    // A large leaf is only made where nothing in the block is tracked or a guest table.
    if (level > 1) return false;
    if (slot.isTracked(gfn)) return true;
    return writeGuard !== undefined &&
      writeGuard.mustProtect(slot, gfn, (how & CAN_UNSYNC) !== 0);
  }
}
