/**
 * Inner loops remember, for each of their accesses, the page of the last one: most go on in the same
 * page, and need not ask the TLB again. What a slot has stays true until the function is left: whoever
 * changes a translation has it left (`Attention.BLOCK`). Slots lie in the private memory, since V8 keeps
 * no more variables in registers than a loop's own.
 */

import { CodeWriter, Memory } from "./code_writer.ts";
import { SLOT_BYTES, SLOTS, SLOTS_AT } from "./layout.ts";
import { Op } from "./opcodes.ts";

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
  /** Those taken since the outermost loop has begun. */
  readonly #used = new Set<number>();
  #isOpen = false;

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
    this.#used.add(slot);
    return slot;
  }

  /** Code for the beginning of the outermost loop, which ends here: nothing is known there. */
  empty(): Uint8Array {
    const code = emptySlots(this.#used);
    this.#used.clear();
    return code;
  }
}

/** Code that empties slots. */
export function emptySlots(numbers: Iterable<number>): Uint8Array {
  const code = new CodeWriter();
  for (const slot of numbers) {
    code.i32(0);
    code.i64(0);
    code.access(Op.I64_STORE, Memory.PRIVATE, SLOTS_AT + slot * SLOT_BYTES);
  }
  return code.bytes;
}
