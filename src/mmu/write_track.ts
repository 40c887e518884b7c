/**
 * Write tracking: a user of the MMU (the shadow engine, a translator of guest code) sees every write
 * to a frame, because the frame is mapped read-only and in no large page.
 */

import type { Gfn } from "../base/u64.ts";
import type { MmuCore } from "./core.ts";
import { RangeOp } from "./mapping_engine.ts";
import type { Memslot } from "./memslot.ts";
import { forRange } from "./slot_updates.ts";

/** Told of a guest's write to a tracked frame, after it has been carried out. */
export type WriteListener = (gpaLo: number, gpaHi: number, sizeBytes: number) => void;

/** Write tracking of one MMU. */
export class WriteTracking {
  readonly #core: MmuCore;
  readonly #listeners: WriteListener[] = [];
  /** Set by the shadow engine: zaps what shadows a frame. */
  unprotect: (gfn: Gfn) => boolean = () => false;

  constructor(core: MmuCore) {
    this.#core = core;
  }

  /** Begins to track a frame; uses are counted. */
  track(slot: Memslot, gfn: Gfn): void {
    slot.changeTracking(gfn, 1);
    slot.large.disallow(gfn);
    this.#core.changes++;
    const core = this.#core;
    if (forRange(core, slot, gfn, gfn + 1 as Gfn, RangeOp.PROTECT)) core.flushFrame(gfn);
  }

  /** Ends one use; the next write fault makes the frame writable when it was the last. */
  untrack(slot: Memslot, gfn: Gfn): void {
    slot.changeTracking(gfn, -1);
    slot.large.allow(gfn);
    this.#core.changes++;
  }

  /** Has `listener` called for each write that `notify` reports. */
  listen(listener: WriteListener): void {
    this.#listeners.push(listener);
  }

  /** The guest has written `sizeBytes` bytes at `hi:lo`, all in one page. */
  notify(gpaLo: number, gpaHi: number, sizeBytes: number): void {
    for (let i = 0; i < this.#listeners.length; i++) this.#listeners[i](gpaLo, gpaHi, sizeBytes);
  }
}
