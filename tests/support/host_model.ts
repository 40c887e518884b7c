/** A host for tests of the MMU: memory page by page, with everything that can be said of a page. */

import type { Gfn, Pfn } from "../../src/base/u64.ts";
import { type HostPage, type MmuHost, PageKind, type Tlb } from "../../src/mmu/host.ts";
import type { Level } from "../../src/mmu/level.ts";

/** What a host page is like; what is not given is as the model's default says. */
export interface PageState {
  pfn?: number;
  level?: Level;
  writable?: boolean;
  mustWait?: boolean;
  poisoned?: boolean;
  reserved?: boolean;
  absent?: boolean;
}

/** First frame of the model: congruent with page 0 for every page size, and above 4 GiB. */
export const BASE_PFN = 2 ** 21;

/** Memory whose page `p` is frame BASE_PFN + p unless it says otherwise. */
export class HostModel implements MmuHost {
  readonly pages = new Map<number, PageState>();
  /** References by frame; balanced ones are gone. */
  readonly references = new Map<number, number>();
  readonly dirty = new Set<number>();
  readonly accessed = new Set<number>();
  readonly poisonSignals: number[] = [];
  lookups = 0;
  waits = 0;
  level: Level;

  /** @param level Page size of the host's mapping everywhere. */
  constructor(level: Level = 1) {
    this.level = level;
  }

  /** Changes what a page is like. */
  set(page: number, state: PageState): void {
    this.pages.set(page, { ...this.pages.get(page), ...state });
  }

  /** The page that a frame stands for now. */
  pageOf(pfn: number): number {
    for (const [page, state] of this.pages) if (state.pfn === pfn) return page;
    return pfn - BASE_PFN;
  }

  pfnOf(page: number): number {
    return this.pages.get(page)?.pfn ?? BASE_PFN + page;
  }

  getPage(page: number, write: boolean, wait: boolean, into: HostPage): void {
    const state = this.pages.get(page);
    this.lookups++;
    into.level = state?.level ?? this.level;
    into.reserved = state?.reserved ?? false;
    into.writable = state?.writable ?? true;
    into.pfn = this.pfnOf(page) as Pfn;
    if (state?.mustWait && !wait) into.kind = PageKind.MUST_WAIT;
    else if (state?.poisoned) into.kind = PageKind.POISONED;
    else if (state?.absent || (write && !into.writable)) into.kind = PageKind.BAD;
    else {
      into.kind = PageKind.FRAME;
      this.references.set(into.pfn, (this.references.get(into.pfn) ?? 0) + 1);
    }
    if (wait) this.waits++;
  }

  putPage(pfn: Pfn): void {
    const count = this.references.get(pfn) ?? 0;
    if (count === 0) throw new Error(`frame 0x${pfn.toString(16)} was given back but not taken`);
    if (count === 1) this.references.delete(pfn);
    else this.references.set(pfn, count - 1);
  }

  setDirty(pfn: Pfn): void {
    this.dirty.add(pfn);
  }

  setAccessed(pfn: Pfn): void {
    this.accessed.add(pfn);
  }

  signalPoison(page: number): void {
    this.poisonSignals.push(page);
  }
}

/** A TLB that only counts. */
export class TlbLog implements Tlb {
  flushes = 0;
  readonly pages: bigint[] = [];
  readonly frames: Gfn[] = [];

  flush(): void {
    this.flushes++;
  }

  flushPage(lo: number, hi: number): void {
    this.pages.push(BigInt(hi >>> 0) << 32n | BigInt(lo >>> 0));
  }
  flushFrame(gfn: Gfn): void {
    this.frames.push(gfn);
  }
}
