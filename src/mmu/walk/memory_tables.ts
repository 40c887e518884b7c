/**
 * Guest tables in guest RAM.
 */

import { type Gfn, gpaOf, PAGE_SIZE } from "../../base/u64.ts";
import type { GuestMemory, MemoryRegion } from "../../memory/guest_memory.ts";
import type { GuestTables } from "./guest_tables.ts";

/** Which memory is behind each guest frame. Memslots are one; the regions of RAM another. */
export interface TableFrames {
  /** Byte offset of frame `gfn` in the WebAssembly.Memory, a multiple of 4096; -1 when it has none. */
  offsetOf(gfn: Gfn): number;
  /** False for read-only memory. */
  isWritable(gfn: Gfn): boolean;
  /** A byte of frame `gfn` has changed. */
  markDirty(gfn: Gfn): void;
}

/** Reads entries as aligned 32-bit words of the memory, and changes them with one locked exchange. */
export class MemoryTables implements GuestTables {
  readonly entry: Uint32Array = new Uint32Array(2);
  readonly #words: Uint32Array<SharedArrayBuffer>;
  readonly #frames: TableFrames;

  constructor(memory: WebAssembly.Memory, frames: TableFrames) {
    this.#words = new Uint32Array(memory.buffer as unknown as SharedArrayBuffer);
    this.#frames = frames;
  }

  read32(gfn: Gfn, index: number): boolean {
    const base = this.#frames.offsetOf(gfn);
    if (base < 0) return false;
    this.entry[0] = this.#words[base / 4 + index];
    return true;
  }

  /**
   * Another thread may store the entry between the two loads. The low half is therefore read again:
   * while it is the same, the halves belong together, unless it changed away and back.
   */
  read64(gfn: Gfn, index: number): boolean {
    const base = this.#frames.offsetOf(gfn);
    if (base < 0) return false;
    const words = this.#words;
    const at = base / 4 + index * 2;
    let lo = words[at];
    let hi = words[at + 1];
    for (let tries = 0; words[at] !== lo && tries < 16; tries++) {
      lo = words[at];
      hi = words[at + 1];
    }
    this.entry[0] = lo;
    this.entry[1] = hi;
    return true;
  }

  compareExchange32(gfn: Gfn, index: number, lo: number, newLo: number): boolean {
    const base = this.#frames.offsetOf(gfn);
    if (base < 0) return false;
    return Atomics.compareExchange(this.#words, base / 4 + index, lo, newLo) === lo;
  }

  compareExchange64(gfn: Gfn, index: number, lo: number, hi: number, newLo: number): boolean {
    const base = this.#frames.offsetOf(gfn);
    if (base < 0) return false;
    const at = base / 4 + index * 2;
    return Atomics.compareExchange(this.#words, at, lo, newLo) === lo &&
      Atomics.load(this.#words, at + 1) === hi;
  }

  isWritable(gfn: Gfn): boolean {
    return this.#frames.isWritable(gfn);
  }

  markDirty(gfn: Gfn): void {
    this.#frames.markDirty(gfn);
  }
}

/** The regions of a GuestMemory as they are, with nobody keeping a dirty log. */
export class RegionFrames implements TableFrames {
  readonly #regions: readonly MemoryRegion[];

  constructor(memory: GuestMemory) {
    this.#regions = memory.regions;
  }

  offsetOf(gfn: Gfn): number {
    const region = this.#find(gfn);
    return region === undefined ? -1 : region.offset + (gpaOf(gfn) - region.gpa);
  }

  isWritable(gfn: Gfn): boolean {
    const region = this.#find(gfn);
    return region !== undefined && !region.readOnly;
  }

  markDirty(_gfn: Gfn): void {}

  #find(gfn: Gfn): MemoryRegion | undefined {
    const address = gpaOf(gfn);
    for (let i = 0; i < this.#regions.length; i++) {
      const region = this.#regions[i];
      const within = address - region.gpa;
      if (within >= 0 && within <= region.sizeBytes - PAGE_SIZE) return region;
    }
    return undefined;
  }
}
