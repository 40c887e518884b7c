/**
 * Guest tables straight in the regions of guest RAM, for whoever has no memslots.
 */

import { type Gfn, gfnOf, PAGE_SIZE } from "../../base/u64.ts";
import type { GuestMemory } from "../../memory/guest_memory.ts";
import type { GuestTables } from "./guest_tables.ts";

/** 32-bit words in a frame. */
const FRAME_WORDS = PAGE_SIZE / 4;

/** A region counted in frames and words. */
interface Run {
  readonly firstGfn: number;
  readonly frames: number;
  readonly firstWord: number;
  readonly writable: boolean;
}

/** The regions of a GuestMemory; firmware is read-only. */
export class RegionTables implements GuestTables {
  declare readonly words: Uint32Array;
  readonly #runs: readonly Run[] = [];
  /** Frames of the region that begins at gfn 0 and at word 0, and holds nearly every table. */
  readonly #lowFrames: number = 0;
  readonly #onDirty: ((gfn: Gfn) => void) | undefined;

  /** @param onDirty Told of each frame in which the walker has set a flag. */
  constructor(memory: GuestMemory, onDirty?: (gfn: Gfn) => void) {
    this.words = new Uint32Array(memory.wasm.buffer);
    this.#runs = memory.regions.map((region) => ({
      firstGfn: gfnOf(region.gpa),
      frames: Math.floor(region.sizeBytes / PAGE_SIZE),
      firstWord: region.offset / 4,
      writable: !region.readOnly,
    }));
    const low = this.#runs.find(({ firstGfn, firstWord }) => firstGfn === 0 && firstWord === 0);
    this.#lowFrames = low === undefined ? 0 : low.frames;
    this.#onDirty = onDirty;
  }

  wordOf(gfn: Gfn): number {
    if (gfn < this.#lowFrames) return gfn * FRAME_WORDS;
    const run = this.#find(gfn);
    return run === undefined ? -1 : run.firstWord + (gfn - run.firstGfn) * FRAME_WORDS;
  }

  isWritable(gfn: Gfn): boolean {
    return this.#find(gfn)?.writable ?? false;
  }

  markDirty(gfn: Gfn): void {
    if (this.#onDirty !== undefined) this.#onDirty(gfn);
  }

  #find(gfn: Gfn): Run | undefined {
    for (let i = 0; i < this.#runs.length; i++) {
      const run = this.#runs[i];
      if (gfn >= run.firstGfn && gfn < run.firstGfn + run.frames) return run;
    }
    return undefined;
  }
}
