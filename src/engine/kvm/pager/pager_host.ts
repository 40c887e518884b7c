/**
 * The host of the pager's MMU: a frame is the page of the memory at the same number, and bringing one
 * in is what the pager does once the MMU has decided how.
 */

import type { Pfn } from "../../../base/u64.ts";
import { type HostPage, type MmuHost, PageKind, type Tlb } from "../../../mmu/host.ts";
import { Level } from "../../../mmu/level.ts";
import type { GuestMap } from "./guest_map.ts";

/** Memory of which every page can be had at any time, in blocks of 2 MiB where they are uniform. */
export class PagerHost implements MmuHost {
  readonly #map: GuestMap;

  constructor(map: GuestMap) {
    this.#map = map;
  }

  getPage(page: number, _write: boolean, _wait: boolean, into: HostPage): void {
    into.kind = PageKind.FRAME;
    into.pfn = page as Pfn;
    into.writable = true;
    into.reserved = false;
    into.level = this.#map.isUniform(page) ? Level.SIZE_2M : Level.SIZE_4K;
  }

  // Frames are not counted, and the kernel keeps what the CPU saw of them.
  putPage(): void {}
  setDirty(): void {}
  setAccessed(): void {}
  signalPoison(): void {}
}

/** The kernel flushes TLBs itself whenever userfaultfd changes a mapping. */
export const KERNEL_TLB: Tlb = {
  flush: () => {},
  flushPage: () => {},
  flushFrame: () => {},
};
