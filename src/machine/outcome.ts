/**
 * How a run of a guest ends.
 */

/** How a machine's run ended. */
export type MachineOutcome =
  /** The guest powered itself off. */
  | { readonly kind: "power-off" }
  /** The guest reset itself; a run ends there (the semantics of QEMU's -no-reboot). */
  | { readonly kind: "reset" }
  /** The guest wrote `value`, of up to 32 bits, to the debug-exit port. */
  | { readonly kind: "debug-exit"; readonly value: number }
  /** Every vCPU halted with interrupts off: nothing can wake the guest. */
  | { readonly kind: "halted" }
  /** Triple fault; `reason` is one line that says so, with RIP and the last exception. */
  | { readonly kind: "triple-fault"; readonly reason: string }
  /** The engine or the machine could not go on; `reason` is one line. */
  | { readonly kind: "failed"; readonly reason: string }
  /** The owner stopped the run. */
  | { readonly kind: "stopped" };

/** One line for people: how the guest ended. Sentence case, no full stop. */
export function describeOutcome(outcome: MachineOutcome | { readonly kind: "timeout" }): string {
  switch (outcome.kind) {
    case "power-off":
      return "Guest powered off";
    case "reset":
      return "Guest reset itself";
    case "debug-exit":
      return `Guest left through the debug-exit port with value ${outcome.value}`;
    case "halted":
      return "Guest halted with interrupts off";
    case "triple-fault":
      return outcome.reason;
    case "failed":
      return `Guest run failed: ${outcome.reason}`;
    case "stopped":
      return "Guest stopped";
    case "timeout":
      return "Guest ran out of its time";
  }
}
