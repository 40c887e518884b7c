/** Delivery of exceptions and interrupts (SDM 3A chapter 6). */

import type { Cpu } from "./cpu.ts";
import { GUEST_EXCEPTION, VCPU_SHUTDOWN } from "./exception.ts";

/**
 * Delivers the exception that `Cpu.raise` has thrown, and what goes wrong in that, up to the double
 * fault. RIP is where the saved one shall point. A triple fault throws `VCPU_SHUTDOWN`.
 */
export function deliverException(cpu: Cpu): void {
  void cpu;
  throw VCPU_SHUTDOWN;
}

/**
 * Delivers an interrupt: an external one or an NMI, with whatever goes wrong in that; a software one
 * (INT n) raises its exceptions like any instruction.
 */
export function deliverInterrupt(cpu: Cpu, vector: number, soft: boolean): void {
  void cpu, vector, soft;
  throw GUEST_EXCEPTION;
}

/** Delivers the event that was in flight when the state was taken that `writeState` has set. */
export function deliverInjected(cpu: Cpu): void {
  void cpu;
}
