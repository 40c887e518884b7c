/** Where guest memory lies in this process, and what each part of it starts as. */

import { type Gpa, PAGE_SIZE } from "../../../base/u64.ts";
import { backedBytes, type FileBackingConfig } from "../../../memory/backing.ts";
import type { MemoryRegion } from "../../../memory/guest_memory.ts";
import { FRAMES_AT, Level } from "../../../mmu/level.ts";

const LARGE_BYTES = FRAMES_AT[Level.SIZE_2M] * PAGE_SIZE;

/**
 * From host virtual addresses to regions and files. A region's index is its memslot's number. Its
 * frames are counted in the WebAssembly.Memory, so that pages are as large as the guest's addresses
 * allow, wherever in the process V8 has put the memory.
 */
export class GuestMap {
  readonly regions: readonly MemoryRegion[];
  readonly #base: number;
  readonly #files: readonly FileBackingConfig[];

  /** @param base Host virtual address of the WebAssembly.Memory's first byte. */
  constructor(
    base: number,
    regions: readonly MemoryRegion[],
    files: readonly FileBackingConfig[],
  ) {
    this.#base = base;
    this.regions = regions;
    this.#files = files;
  }

  /** Host virtual address of region `index`. */
  hostAddress(index: number): number {
    return this.#base + this.regions[index].offset;
  }

  /** Number of the first page of region `index`, counted from the start of the memory. */
  firstPage(index: number): number {
    return this.regions[index].offset / PAGE_SIZE;
  }

  /** Host virtual address of the start of the block of `bytes` around `address`. */
  blockStart(address: number, bytes: number): number {
    return address - (address - this.#base) % bytes;
  }

  /** Index of the region that holds a host virtual address, or -1. */
  regionAt(address: number): number {
    const offset = address - this.#base;
    for (let i = 0; i < this.regions.length; i++) {
      const within = offset - this.regions[i].offset;
      if (within >= 0 && within < this.regions[i].sizeBytes) return i;
    }
    return -1;
  }

  /** The guest physical address of a host virtual address in region `index`. */
  gpaAt(address: number, index: number): Gpa {
    const region = this.regions[index];
    return region.gpa + (address - this.#base - region.offset) as Gpa;
  }

  /** Index of the file behind a host virtual address, or -1 where there are zeros. */
  fileAt(address: number): number {
    const offset = address - this.#base;
    for (let i = 0; i < this.#files.length; i++) {
      const within = offset - this.#files[i].offset;
      if (within >= 0 && within < backedBytes(this.#files[i])) return i;
    }
    return -1;
  }

  /** True when file `index` is shared memory, which is mapped, not read. */
  isShared(index: number): boolean {
    return index >= 0 && this.#files[index].shared === true;
  }

  /** Offset of a host virtual address in file `index`. */
  fileOffset(address: number, index: number): number {
    return address - this.#base - this.#files[index].offset;
  }

  /**
   * True when all 2 MiB around page `page` of the memory start as zeros, or as bytes of one file.
   * Pages of shared memory come one by one: some of them may be there.
   */
  isUniform(page: number): boolean {
    const at = page * PAGE_SIZE;
    const start = at - at % LARGE_BYTES;
    const end = start + LARGE_BYTES;
    for (const file of this.#files) {
      const fileEnd = file.offset + backedBytes(file);
      if (file.offset >= end || fileEnd <= start) continue;
      if (file.shared === true || file.offset > start || fileEnd < end) return false;
    }
    return true;
  }
}
