/** Faults by why the CPU raised them, as their error codes tell (SDM 3A §4.7). */

import { Pferr } from "../../mmu/pferr.ts";
import { SIZES } from "./sizes.ts";

/** Causes in the order of the page. */
export const CAUSES = [
  "Read, not mapped",
  "Write, not mapped",
  "Fetch, not mapped",
  "Read, not allowed",
  "Write, not allowed",
  "Fetch, not allowed",
  "Known MMIO",
] as const;

/** Index in `CAUSES` of accesses to an MMIO entry. */
export const KNOWN_MMIO = 6;

/** Index in `CAUSES`. @param code Error code, of which the low 6 bits count. */
export function causeOf(code: number): number {
  // Entries of MMIO pages have a reserved bit set, so that each access to them faults.
  if ((code & Pferr.RSVD) !== 0) return KNOWN_MMIO;
  const access = (code & Pferr.FETCH) !== 0 ? 2 : (code & Pferr.WRITE) !== 0 ? 1 : 0;
  return access + ((code & Pferr.PRESENT) !== 0 ? 3 : 0);
}

/** Counts of faults by cause and by what they mapped. */
export class FaultCounts {
  readonly #counts = new Float64Array(CAUSES.length * SIZES.length);

  add(cause: number, size: number): void {
    this.#counts[cause * SIZES.length + size]++;
  }

  count(cause: number, size: number): number {
    return this.#counts[cause * SIZES.length + size];
  }

  ofCause(cause: number): number {
    return SIZES.reduce((sum, _, size) => sum + this.count(cause, size), 0);
  }

  ofSize(size: number): number {
    return CAUSES.reduce((sum, _, cause) => sum + this.count(cause, size), 0);
  }

  get total(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }
}
