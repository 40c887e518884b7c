/** Which pages of guest memory were written in a stretch of time. */

import { type Gpa, gpa, PAGE_SIZE } from "../base/u64.ts";

/** One region's part of a dirty log. */
export interface DirtyRegion {
  /** Where the region starts. */
  readonly gpa: Gpa;
  /** How long it is. */
  readonly sizeBytes: number;
  /** One bit for each 4 KiB page: page 0 in bit 0 of word 0. */
  readonly bitmap: Uint32Array;
}

/** The pages that were written, by the guest or by the machine for it. */
export class DirtyLog {
  /** In ascending order of gpa, one for each region of the memory. */
  readonly regions: readonly DirtyRegion[];

  /** A log over these regions. */
  constructor(regions: readonly DirtyRegion[]) {
    this.regions = regions;
  }

  /** Number of pages that were written. */
  get pageCount(): number {
    let count = 0;
    for (const { bitmap } of this.regions) {
      for (let bits of bitmap) for (; bits !== 0; bits &= bits - 1) count++;
    }
    return count;
  }

  /** True when the page that holds `address` was written. */
  has(address: Gpa): boolean {
    for (const region of this.regions) {
      const within = address - region.gpa;
      if (within < 0 || within >= region.sizeBytes) continue;
      return isSet(region.bitmap, Math.floor(within / PAGE_SIZE));
    }
    return false;
  }

  /** The first address of each page that was written, in ascending order. */
  *pages(): Generator<Gpa> {
    for (const region of this.regions) {
      for (let page = 0; page < region.sizeBytes / PAGE_SIZE; page++) {
        if (isSet(region.bitmap, page)) yield gpa(region.gpa + page * PAGE_SIZE);
      }
    }
  }
}

function isSet(bitmap: Uint32Array, page: number): boolean {
  return (bitmap[page >>> 5] >>> (page & 31) & 1) !== 0;
}
