/**
 * The last MMIO page of one vCPU: a second access to it exits without any walk. Every update of the
 * memslots empties it, as it begins and as it ends, so that what it holds is always current.
 */

import { frameHi, frameLo, type Gfn } from "../base/u64.ts";
import type { Memslots } from "./memslots.ts";

/** Low half of no page. */
const NO_PAGE = 1;

/** The last MMIO page of one vCPU. */
export class MmioCache {
  /** Halves of the guest physical address of the page, when faults carry such addresses. */
  #gpaLo = NO_PAGE;
  #gpaHi = 0;
  /** Halves of the linear address of the page; both 0 match nothing. */
  #gvaLo = 0;
  #gvaHi = 0;
  #gfn = 0 as Gfn;
  #access = 0;

  /** Rights of the cached page (`Acc`). */
  get access(): number {
    return this.#access;
  }

  get gfn(): Gfn {
    return this.#gfn;
  }

  /**
   * Remembers a page, unless an update of the memslots is under way or has been since it was found to
   * be in none.
   * @param generation Of the memslots at that time.
   * @param direct Faults carry guest physical addresses.
   * @param gvaLo Halves of the linear address; 0 when it is not known or means nothing.
   */
  fill(
    slots: Memslots,
    generation: number,
    direct: boolean,
    gvaLo: number,
    gvaHi: number,
    gfn: Gfn,
    access: number,
  ): void {
    if (slots.updating || generation !== slots.generation) return;
    this.#gpaLo = direct && gfn !== 0 ? frameLo(gfn) : NO_PAGE;
    this.#gpaHi = frameHi(gfn);
    this.#gvaLo = gvaLo & ~0xfff;
    this.#gvaHi = gvaHi | 0;
    this.#gfn = gfn;
    this.#access = access;
  }

  /** True for an address, guest physical by halves, in the page. Never for frame 0. */
  matchesGpa(lo: number, hi: number): boolean {
    return this.#gpaLo === (lo & ~0xfff) && this.#gpaHi === hi;
  }

  /** True for a linear address, by halves, in the page. Never for page 0. */
  matchesGva(lo: number, hi: number): boolean {
    return this.#gvaLo === (lo & ~0xfff) && this.#gvaHi === (hi | 0) && (lo >>> 12 | hi) !== 0;
  }

  /** Forgets a linear page. */
  clearGva(lo: number, hi: number): void {
    if (this.#gvaLo === (lo & ~0xfff) && this.#gvaHi === (hi | 0)) this.clear();
  }

  clear(): void {
    this.#gpaLo = NO_PAGE;
    this.#gpaHi = 0;
    this.#gvaLo = 0;
    this.#gvaHi = 0;
    this.#gfn = 0 as Gfn;
  }
}
