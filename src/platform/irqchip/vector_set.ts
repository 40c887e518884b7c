/** A set of interrupt vectors whose highest member is always known. */
export class VectorSet {
  /** The highest member; -1 when there is none. */
  highest = -1;
  readonly #words = new Uint32Array(8);

  /** Members 32 * `index` to 32 * `index` + 31, a bit each. */
  word(index: number): number {
    return this.#words[index];
  }

  has(vector: number): boolean {
    return (this.#words[vector >>> 5] & (1 << (vector & 31))) !== 0;
  }

  add(vector: number): void {
    this.#words[vector >>> 5] |= 1 << (vector & 31);
    if (vector > this.highest) this.highest = vector;
  }

  delete(vector: number): void {
    this.#words[vector >>> 5] &= ~(1 << (vector & 31));
    if (vector === this.highest) this.highest = this.#highestUpTo(vector >>> 5);
  }

  clear(): void {
    this.#words.fill(0);
    this.highest = -1;
  }

  #highestUpTo(index: number): number {
    for (; index >= 0; index--) {
      const word = this.#words[index];
      if (word !== 0) return index * 32 + 31 - Math.clz32(word);
    }
    return -1;
  }
}
