/**
 * Inner loops remember, for each of their accesses, the page of the last one: most go on in the same
 * page, and need not ask the TLB again. What a slot has stays true until the function is left: whoever
 * changes a translation has it left (`Attention.BLOCK`).
 */

import { SLOTS } from "./locals.ts";

/** What a slot is for. */
interface Slot {
  readonly write: boolean;
  /** Accesses of so many bytes, aligned; 1: any. */
  readonly align: number;
}

/** The slots of one function. */
export class PageSlots {
  readonly #slots: Slot[] = [];
  readonly #taken = new Set<number>();
  #isOpen = false;

  /** How many there are. */
  get count(): number {
    return this.#slots.length;
  }

  /** What follows is in an inner loop, or no more. */
  set isOpen(isOpen: boolean) {
    this.#isOpen = isOpen;
    this.#taken.clear();
  }
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** A slot for one more access of the loop; undefined: it gets none. */
  take(write: boolean, align: number): number | undefined {
    if (!this.#isOpen) return undefined;
    let slot = this.#slots.findIndex((one, number) =>
      one.write === write && one.align === align && !this.#taken.has(number)
    );
    if (slot < 0) {
      if (this.#slots.length === SLOTS) return undefined;
      slot = this.#slots.push({ write, align }) - 1;
    }
    this.#taken.add(slot);
    return slot;
  }
}
