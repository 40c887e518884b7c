/**
 * Where a TLB of 4 KiB pages has parts of larger ones: INVLPG of one part is about all of them (SDM 3A
 * §4.10.4.1). It may forget more than it has to, so regions are remembered by a hash.
 */

/** log2 of the regions that are told apart: pages of 2 and 4 MiB, pages of 1 GiB. */
const REGION_BITS = [22, 30] as const;
const HASH_BITS = 14;

/** See above. */
export class LargePages {
  readonly #marks = new Uint8Array(1 << HASH_BITS);
  #hasAny = false;

  /** The TLB has a part of the page at `hi:lo`, whose entry is of this level (above 1). */
  note(lo: number, hi: number, level: number): void {
    this.#marks[markOf(lo, hi, REGION_BITS[level - 2])] = 1;
    this.#hasAny = true;
  }

  /** Whether the TLB may have parts of a large page at `hi:lo`. */
  has(lo: number, hi: number): boolean {
    if (!this.#hasAny) return false;
    const marks = this.#marks;
    return marks[markOf(lo, hi, REGION_BITS[0])] !== 0 ||
      marks[markOf(lo, hi, REGION_BITS[1])] !== 0;
  }

  /** The TLB is empty. */
  clear(): void {
    if (this.#hasAny) this.#marks.fill(0);
    this.#hasAny = false;
  }
}

function markOf(lo: number, hi: number, bits: number): number {
  const region = Math.imul(hi, 0x85eb_ca6b) ^ lo >>> bits ^ bits << 16;
  return Math.imul(region, 0x9e37_79b1) >>> 32 - HASH_BITS;
}
