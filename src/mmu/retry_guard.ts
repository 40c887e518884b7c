/**
 * Whether an instruction that faulted on a write-protected guest table may run again once the table
 * is unprotected, instead of being emulated. The same instruction at the same address is let go only
 * once: the second time it has to be emulated. Addresses are compared in all 64 bits; KVM kept them
 * in the host's natural width, so that on a 32-bit host no address above 4 GiB was ever recognised.
 */

/** Remembers the last instruction that was let go. */
export class RetryGuard {
  #known = false;
  #ripLo = 0;
  #ripHi = 0;
  #lo = 0;
  #hi = 0;

  /** True when the instruction at `rip` that faulted at `hi:lo` may run again. */
  allows(ripLo: number, ripHi: number, lo: number, hi: number): boolean {
    if (
      this.#known && this.#ripLo === (ripLo | 0) && this.#ripHi === (ripHi | 0) &&
      this.#lo === (lo | 0) && this.#hi === (hi | 0)
    ) return false;
    this.#known = true;
    this.#ripLo = ripLo | 0;
    this.#ripHi = ripHi | 0;
    this.#lo = lo | 0;
    this.#hi = hi | 0;
    return true;
  }
}
