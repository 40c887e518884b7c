/** The memslots of one address space, in order of address, with their generation. */

import { DenovisorError } from "../base/errors.ts";
import { type Gfn, gpaOf, hex } from "../base/u64.ts";
import { Memslot, type MemslotConfig } from "./memslot.ts";

/** Address spaces: of the guest, and of its system management mode. */
export const ADDRESS_SPACES = 2;
/** Longest slot in frames; frame offsets must stay in 31 bits. */
const MAX_FRAMES = 2 ** 31 - 1;

/** The memslots of one address space. */
export class Memslots {
  declare readonly addressSpace: number;
  /** Counts updates, in steps that keep the generations of all address spaces apart. */
  declare generation: number;
  /** An update is under way: nothing learnt now may be cached. */
  updating = false;
  #slots: readonly Memslot[] = [];
  #last: Memslot | undefined = undefined;

  constructor(addressSpace: number) {
    this.addressSpace = addressSpace;
    this.generation = addressSpace;
  }

  /** All slots, in order of address. */
  get all(): readonly Memslot[] {
    return this.#slots;
  }

  /** The slot that holds `gfn`; it may be `invalid`. */
  find(gfn: Gfn): Memslot | undefined {
    const last = this.#last;
    if (last !== undefined && gfn >= last.baseGfn && gfn < last.endGfn) return last;
    return this.#search(gfn);
  }

  /** The slot that holds `gfn` and may be mapped. */
  visible(gfn: Gfn): Memslot | undefined {
    const slot = this.find(gfn);
    return slot === undefined || slot.invalid ? undefined : slot;
  }

  /** The slot numbered `id`. */
  byId(id: number): Memslot | undefined {
    return this.#slots.find((slot) => slot.id === id);
  }

  /** Replaces all slots. */
  replace(slots: readonly Memslot[]): void {
    this.#slots = [...slots].sort((a, b) => a.baseGfn - b.baseGfn);
    this.#last = undefined;
  }

  /** Ends an update: what was cached before it is stale. */
  nextGeneration(): void {
    this.generation += ADDRESS_SPACES;
  }

  #search(gfn: Gfn): Memslot | undefined {
    const slots = this.#slots;
    let low = 0;
    let high = slots.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (slots[middle].baseGfn <= gfn) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return undefined;
    const slot = slots[low - 1];
    if (gfn >= slot.endGfn) return undefined;
    this.#last = slot;
    return slot;
  }
}

/**
 * Checks a slot against the address width and the other slots.
 * @param others The slots it must not overlap.
 * @throws DenovisorError `memslot` that names the slot and the value.
 */
export function checkMemslot(
  config: MemslotConfig,
  others: readonly Memslot[],
  maxPhyAddrBits: number,
): void {
  const { id, baseGfn, frames, hostPage } = config;
  const limit = 2 ** (maxPhyAddrBits - 12);
  const fail = (found: string): never => {
    throw new DenovisorError("memslot", `Cannot set memslot ${id}: ${found}`, { id });
  };
  if (!Number.isSafeInteger(id) || id < 0) fail(`its number is ${id}, expected 0 or more`);
  if (!Number.isSafeInteger(baseGfn) || baseGfn < 0) {
    fail(`it begins at frame ${baseGfn}, expected a whole number: slots are aligned to 4096 bytes`);
  }
  if (!Number.isSafeInteger(frames) || frames < 1 || frames > MAX_FRAMES) {
    fail(`it has ${frames} frames, expected 1 to ${MAX_FRAMES} whole ones`);
  }
  if (!Number.isSafeInteger(hostPage) || hostPage < 0 || !Number.isSafeInteger(hostPage + frames)) {
    fail(
      `its host page is ${hostPage}, expected a whole number of 0 or more, below 2^53 to its end`,
    );
  }
  if (baseGfn + frames > limit) {
    fail(
      `it ends at ${hex(gpaOf(baseGfn + frames as Gfn))}, expected at most ` +
        `${hex(2 ** maxPhyAddrBits)}, the end of ${maxPhyAddrBits}-bit addresses`,
    );
  }
  for (const other of others) {
    if (baseGfn < other.endGfn && other.baseGfn < baseGfn + frames) {
      fail(
        `${hex(gpaOf(baseGfn))} to ${hex(gpaOf(baseGfn + frames as Gfn))} overlaps memslot ` +
          `${other.id} at ${hex(gpaOf(other.baseGfn))} to ${hex(gpaOf(other.endGfn))}`,
      );
    }
  }
}
