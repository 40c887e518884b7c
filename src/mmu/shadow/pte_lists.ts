/**
 * Lists of SPTEs, as many as there are heads. A head is one 32-bit number: 0 for an empty list, the
 * SPTE itself for a list of one (an even number), else the number of a descriptor times 2, plus 1.
 * A descriptor holds three SPTEs and the next descriptor. Most lists have one element.
 */

/** Words of a descriptor: three SPTEs, then the next descriptor or 0. */
const WORDS = 4;
/** SPTEs in a descriptor. */
const SLOTS = 3;
const MIN_GROWTH = 256;

/** The empty list. */
export const EMPTY = 0;

/** Descriptors for lists of SPTEs. */
export class PteLists {
  #words: Int32Array = new Int32Array(0);
  #free = 0;
  #freeCount = 0;
  #capacity = 1; // descriptor 0 is none

  /** Bytes of all descriptors. */
  get bytes(): number {
    return this.#words.byteLength;
  }

  /** True when `count` descriptors cannot be had without growing. */
  lacks(count: number): boolean {
    return this.#freeCount < count;
  }

  /** Makes sure of `count` descriptors; false when the host has no memory. */
  reserve(count: number): boolean {
    if (!this.lacks(count)) return true;
    const capacity = this.#capacity + Math.max(count, MIN_GROWTH, this.#capacity >>> 2);
    try {
      const words = new Int32Array(capacity * WORDS);
      words.set(this.#words);
      this.#words = words;
    } catch (error) {
      if (error instanceof RangeError) return false;
      throw error;
    }
    for (let i = this.#capacity; i < capacity; i++) this.#release(i);
    this.#capacity = capacity;
    return true;
  }

  /** Adds an SPTE and returns the new head. Descriptors have been reserved. */
  add(head: number, sptep: number): number {
    if (head === EMPTY) return sptep;
    if ((head & 1) === 0) {
      const first = this.#take();
      this.#words[first * WORDS] = head;
      this.#words[first * WORDS + 1] = sptep;
      return first * 2 + 1;
    }
    // Only the first descriptor may have room.
    const at = (head >>> 1) * WORDS;
    for (let i = 1; i < SLOTS; i++) {
      if (this.#words[at + i] === EMPTY) {
        this.#words[at + i] = sptep;
        return head;
      }
    }
    const first = this.#take();
    this.#words[first * WORDS] = sptep;
    this.#words[first * WORDS + SLOTS] = head >>> 1;
    return first * 2 + 1;
  }

  /** Removes an SPTE and returns the new head. */
  remove(head: number, sptep: number): number {
    if (head === sptep) return EMPTY;
    const first = head >>> 1;
    for (let at = (head & 1) === 0 ? 0 : first; at !== 0; at = this.#words[at * WORDS + SLOTS]) {
      for (let i = 0; i < SLOTS; i++) {
        if (this.#words[at * WORDS + i] !== sptep) continue;
        // The last element of the first descriptor takes the place.
        const last = this.#lastOf(first);
        this.#words[at * WORDS + i] = this.#words[first * WORDS + last];
        this.#words[first * WORDS + last] = EMPTY;
        return last === 0 ? this.#dropFirst(first) : this.#shorten(head, first);
      }
    }
    throw new RangeError(`Cannot remove SPTE ${sptep} from a list: it is not in it`);
  }

  /** Number of SPTEs in the list. */
  count(head: number): number {
    if (head === EMPTY) return 0;
    if ((head & 1) === 0) return 1;
    let count = this.#lastOf(head >>> 1) + 1;
    for (let at = this.#next(head >>> 1); at !== 0; at = this.#next(at)) count += SLOTS;
    return count;
  }

  /** The SPTE at `index`, or 0 behind the end. */
  at(head: number, index: number): number {
    if ((head & 1) === 0) return index === 0 ? head : EMPTY;
    let descriptor = head >>> 1;
    const inFirst = this.#lastOf(descriptor) + 1;
    if (index < inFirst) return this.#words[descriptor * WORDS + index];
    let rest = index - inFirst;
    descriptor = this.#next(descriptor);
    for (; descriptor !== 0 && rest >= SLOTS; rest -= SLOTS) descriptor = this.#next(descriptor);
    return descriptor === 0 ? EMPTY : this.#words[descriptor * WORDS + rest];
  }

  /** Any one SPTE of the list, or 0. */
  first(head: number): number {
    return (head & 1) === 0 ? head : this.#words[(head >>> 1) * WORDS];
  }

  /** Frees a list whose SPTEs the caller has dealt with. */
  clear(head: number): void {
    if ((head & 1) === 0) return;
    let descriptor = head >>> 1;
    while (descriptor !== 0) {
      const next = this.#next(descriptor);
      this.#release(descriptor);
      descriptor = next;
    }
  }

  #next(descriptor: number): number {
    return this.#words[descriptor * WORDS + SLOTS];
  }

  #lastOf(descriptor: number): number {
    let last = SLOTS - 1;
    while (last > 0 && this.#words[descriptor * WORDS + last] === EMPTY) last--;
    return last;
  }

  /** The first descriptor has become empty. */
  #dropFirst(first: number): number {
    const next = this.#next(first);
    this.#release(first);
    if (next === 0) return EMPTY;
    return this.#shorten(next * 2 + 1, next);
  }

  /** A list of one needs no descriptor. */
  #shorten(head: number, first: number): number {
    if (this.#next(first) !== 0 || this.#lastOf(first) !== 0) return head;
    const only = this.#words[first * WORDS];
    this.#release(first);
    return only;
  }

  #take(): number {
    const descriptor = this.#free;
    if (descriptor === 0) throw new RangeError("Cannot add to a list of SPTEs: none was reserved");
    this.#free = this.#next(descriptor);
    this.#freeCount--;
    this.#words.fill(0, descriptor * WORDS, (descriptor + 1) * WORDS);
    return descriptor;
  }

  #release(descriptor: number): void {
    this.#words[descriptor * WORDS + SLOTS] = this.#free;
    this.#free = descriptor;
    this.#freeCount++;
  }
}
