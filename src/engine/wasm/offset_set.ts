/** A set of offsets in a page. */

/** Words of 32 offsets in a page. */
const WORDS = 4096 / 32;
/** The words of an empty set. */
const NONE = new Uint32Array(WORDS);

/** See above. It takes memory only when it has something. */
export class OffsetSet {
  #bits = NONE;

  has(offset: number): boolean {
    return (this.#bits[offset >>> 5] >>> offset & 1) !== 0;
  }

  add(offset: number): void {
    if (this.#bits === NONE) this.#bits = new Uint32Array(WORDS);
    this.#bits[offset >>> 5] |= 1 << offset;
  }

  clear(): void {
    this.#bits = NONE;
  }
}
