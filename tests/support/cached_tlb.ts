/** A TLB that keeps every translation until it is told to forget it: what is not flushed shows. */

import { type Gfn, hi32, join32, lo32 } from "../../src/base/u64.ts";
import type { Tlb } from "../../src/mmu/host.ts";

/** What a CPU has cached of one 4 KiB page. */
export interface Cached {
  readonly gfn: Gfn;
  readonly pfn: number;
  readonly writable: boolean;
  readonly executable: boolean;
}

/** The TLB of one vCPU, by page number. */
export class CachedTlb implements Tlb {
  readonly pages: Map<number, Cached> = new Map();

  flush(): void {
    this.pages.clear();
  }

  flushPage(lo: number, hi: number): void {
    this.pages.delete(Math.floor(join32(lo, hi) / 4096));
  }

  flushFrame(gfn: Gfn): void {
    for (const [page, cached] of this.pages) if (cached.gfn === gfn) this.pages.delete(page);
  }

  /** What an access to `address` would use. */
  at(address: number): Cached | undefined {
    return this.pages.get(Math.floor(join32(lo32(address), hi32(address)) / 4096));
  }
}
