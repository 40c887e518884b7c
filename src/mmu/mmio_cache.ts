/** The last MMIO address of one vCPU: a second access to the same page exits without any walk. */

import type { Gfn } from "../base/u64.ts";
import type { Memslots } from "./memslots.ts";

/** No generation: matches none. */
const NONE = -1;

/** The last MMIO page of one vCPU. */
export class MmioCache {
  /** Never matched while 0. */
  #gfn = 0 as Gfn;
  /** Halves of the linear page; never matched while both are 0. */
  #gvaLo = 0;
  #gvaHi = 0;
  #access = 0;
  #generation = NONE;

  /** Rights of the cached page (`Acc`). */
  get access(): number {
    return this.#access;
  }

  get gfn(): Gfn {
    return this.#gfn;
  }

  /**
   * Remembers a page, unless an update of the memslots is under way.
   * @param generation Of the memslots when the page was found to be in none.
   * @param gvaLo Halves of the linear address; 0 when it is not known or means nothing.
   */
  fill(
    slots: Memslots,
    generation: number,
    gvaLo: number,
    gvaHi: number,
    gfn: Gfn,
    access: number,
  ): void {
    if (slots.updating) return;
    this.#gvaLo = gvaLo & ~0xfff;
    this.#gvaHi = gvaHi | 0;
    this.#gfn = gfn;
    this.#access = access;
    this.#generation = generation;
  }

  matchesGfn(slots: Memslots, gfn: Gfn): boolean {
    return this.#generation === slots.generation && !slots.updating && this.#gfn === gfn &&
      gfn !== 0;
  }

  /** Of a linear address, given by halves. */
  matchesGva(slots: Memslots, lo: number, hi: number): boolean {
    return this.#generation === slots.generation && !slots.updating &&
      (this.#gvaLo | this.#gvaHi) !== 0 && this.#gvaLo === (lo & ~0xfff) &&
      this.#gvaHi === (hi | 0);
  }

  /** Forgets a linear page. */
  clearGva(lo: number, hi: number): void {
    if (this.#gvaLo === (lo & ~0xfff) && this.#gvaHi === (hi | 0)) this.clear();
  }

  clear(): void {
    this.#gvaLo = 0;
    this.#gvaHi = 0;
    this.#gfn = 0 as Gfn;
    this.#generation = NONE;
  }
}
