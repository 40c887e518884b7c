/**
 * The progress guard: every retried fault must be explained by a recorded cause, and the same fault
 * may not come back without end while nothing changes. A lost address bit, a flush forgotten or a
 * cached entry too old shows here as an error that names the fault, instead of a guest that hangs.
 */

import { bigFrom32, hex } from "../base/u64.ts";
import { Cause, CAUSE_NAMES, type Fault } from "./fault.ts";

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { GUEST_EXCEPTION, NONE, POISON } = Cause;

/** Identical faults in a row after which a vCPU is stuck, unless the options say otherwise. */
export const PROGRESS_LIMIT = 100;

/** Watches the faults of one vCPU. */
export class ProgressGuard {
  readonly #limit: number;
  #addressLo = 0;
  #addressHi = 0;
  #ripLo = 0;
  #ripHi = 0;
  #code = 0;
  #changes = -1;
  #repeats = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Identical faults in a row. */
  get repeats(): number {
    return this.#repeats;
  }

  /**
   * True when the guest may try again.
   * @param changes Counts changes of any SPTE; one between two faults makes them different.
   * @param ripLo Halves of the faulting instruction's address.
   */
  allows(fault: Fault, changes: number, ripLo: number, ripHi: number): boolean {
    return this.sawChange(fault, changes) ||
      (fault.cause !== NONE && this.#isNew(fault, ripLo, ripHi));
  }

  /**
   * True when something has changed since the last fault, so that the guest may try again, as nearly
   * always: which fault it was matters only once nothing changes.
   */
  sawChange(fault: Fault, changes: number): boolean {
    if (changes === this.#changes || fault.cause === NONE) return false;
    this.#changes = changes;
    this.#repeats = 0;
    return true;
  }

  /** Nothing has changed since the last fault: counts how often it is the same. */
  #isNew(fault: Fault, ripLo: number, ripHi: number): boolean {
    if (
      fault.addressLo !== this.#addressLo || fault.addressHi !== this.#addressHi ||
      fault.code !== this.#code || ripLo !== this.#ripLo || ripHi !== this.#ripHi
    ) {
      this.#addressLo = fault.addressLo;
      this.#addressHi = fault.addressHi;
      this.#code = fault.code;
      this.#ripLo = ripLo;
      this.#ripHi = ripHi;
      this.#repeats = 0;
      return true;
    }
    // The guest that faults on its own tables for ever, or on poison, does what it was made to do.
    if (fault.cause === GUEST_EXCEPTION || fault.cause === POISON) return true;
    this.#repeats++;
    return this.#repeats < this.#limit;
  }

  /** One line about the fault that is stuck. */
  describe(fault: Fault): string {
    const address = hex(bigFrom32(fault.addressLo, fault.addressHi));
    const rip = hex(bigFrom32(this.#ripLo, this.#ripHi));
    return `Cannot resolve the fault at ${address}: it came ${this.#repeats + 1} times from rip ` +
      `${rip} with error code ${hex(fault.code)} and nothing changed (${CAUSE_NAMES[fault.cause]})`;
  }
}
