/** The 16-byte receive FIFO of a 16550A (datasheet PC16550D §8.4). */

import { BREAK, NO_BYTE } from "./byte_stream.ts";

/** Characters the FIFO holds. */
export const FIFO_DEPTH = 16;

/** A ring of characters, each with its break mark. */
export class UartFifo {
  readonly #entries = new Uint16Array(FIFO_DEPTH);
  #head = 0;
  /** Characters held, 0 to 16. */
  count = 0;
  /** How many of them are breaks. */
  breaks = 0;

  /** Appends a byte or `BREAK`; the caller has checked that there is room. */
  put(entry: number): void {
    this.#entries[(this.#head + this.count) % FIFO_DEPTH] = entry;
    this.count++;
    if ((entry & BREAK) !== 0) this.breaks++;
  }

  /** Removes and returns the oldest entry, or `NO_BYTE`. */
  take(): number {
    if (this.count === 0) return NO_BYTE;
    const entry = this.#entries[this.#head];
    this.#head = (this.#head + 1) % FIFO_DEPTH;
    this.count--;
    if ((entry & BREAK) !== 0) this.breaks--;
    return entry;
  }

  /** Takes the break mark off the oldest entry; true when it had one. */
  unmarkOldest(): boolean {
    if (this.count === 0 || (this.#entries[this.#head] & BREAK) === 0) return false;
    this.#entries[this.#head] &= 0xff;
    this.breaks--;
    return true;
  }

  clear(): void {
    this.count = 0;
    this.breaks = 0;
  }
}
