/**
 * The host takes pages away while a fault looks them up without the lock. A fault remembers the
 * sequence number before its lookup; under the lock it is stale when an invalidation that covers its
 * page is under way, or when any has ended since.
 */

/** Host page numbers; all ranges are half-open. */
export class Notifier {
  #count = 0;
  #sequence = 0;
  /** Union of the ranges under way. */
  #start = 0;
  #end = 0;

  /** Invalidations under way. */
  get count(): number {
    return this.#count;
  }

  /** Changes whenever an invalidation ends. */
  get sequence(): number {
    return this.#sequence;
  }

  /** An invalidation of pages [start, end) begins. */
  begin(start: number, end: number): void {
    if (this.#count === 0) {
      this.#start = start;
      this.#end = end;
    } else {
      this.#start = Math.min(this.#start, start);
      this.#end = Math.max(this.#end, end);
    }
    this.#count++;
  }

  /**
   * An invalidation ends. The sequence number changes first: a fault that sees the count fall must
   * see that too.
   */
  end(): void {
    if (this.#count === 0) {
      throw new RangeError("Cannot end an invalidation: none is under way");
    }
    this.#sequence++;
    this.#count--;
  }

  /** A single change that begins and ends at once. */
  bump(): void {
    this.#sequence++;
  }

  /** True when nothing has been taken away since `sequence` was read, and nothing is just now. */
  isQuiet(sequence: number): boolean {
    return sequence === this.#sequence && this.#count === 0;
  }

  /** True when what was looked up at `page` under `sequence` may be gone. */
  isStale(page: number, sequence: number): boolean {
    return sequence !== this.#sequence ||
      (this.#count !== 0 && page >= this.#start && page < this.#end);
  }

  /** True when an invalidation under way covers `page`. */
  covers(page: number): boolean {
    return this.#count !== 0 && page >= this.#start && page < this.#end;
  }

  /** True when an invalidation under way covers one of the pages [start, end). */
  overlaps(start: number, end: number): boolean {
    return this.#count !== 0 && start < this.#end && end > this.#start;
  }
}
