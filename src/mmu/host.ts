/** What the MMU asks of the host: the frames behind guest memory, memory types, TLBs. */

import type { Gfn, Pfn } from "../base/u64.ts";
import type { Level } from "./level.ts";

/** What the host has at a page. */
export const PageKind = {
  /** A frame; a reference to it has been taken. */
  FRAME: 0,
  /** Nothing yet, and bringing it in takes time; only when the caller did not want to wait. */
  MUST_WAIT: 1,
  /** The frame's memory is broken (machine check). */
  POISONED: 2,
  /** Nothing is mapped there, or not with the right that was asked. */
  BAD: 3,
} as const;
/** What the host has at a page. */
export type PageKind = typeof PageKind[keyof typeof PageKind];

/** The answer of `MmuHost.getPage`, filled again and again. */
export class HostPage {
  kind: PageKind = PageKind.BAD;
  pfn: Pfn = 0 as Pfn;
  /** The host lets the guest write the frame. */
  writable = false;
  /** A device's frame or one without a page structure: never part of a large mapping by accident. */
  reserved = false;
  /** Largest page that the host's mapping offers here: hugetlbfs and DAX by their page size, THP 2. */
  level: Level = 1;
}

/** The host's memory. Page numbers are host virtual addresses divided by 4096. */
export interface MmuHost {
  /**
   * Looks the page up and takes a reference to its frame.
   * @param write The guest wants to write: a copy-on-write page must be broken.
   * @param wait May take time. When false and the page is not there, the answer is `MUST_WAIT`.
   */
  getPage(page: number, write: boolean, wait: boolean, into: HostPage): void;
  /** Gives a reference back. */
  putPage(pfn: Pfn): void;
  /** The guest may have written the frame. */
  setDirty(pfn: Pfn): void;
  /** The guest has used the frame. */
  setAccessed(pfn: Pfn): void;
  /** The guest touched poisoned memory at `page`: tell whoever runs it. */
  signalPoison(page: number): void;
}

/** A vCPU's TLB, as far as the MMU must reach it. */
export interface Tlb {
  /** Forgets everything. */
  flush(): void;
  /** Forgets the translation of one address (of its page), given by halves. */
  flushPage(lo: number, hi: number): void;
  /** Forgets the translations that lead to a guest frame, be it as a part of a large page. */
  flushFrame(gfn: Gfn): void;
}
