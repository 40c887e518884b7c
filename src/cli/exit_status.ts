/** The exit status of `denovisor boot`. Scripts depend on these numbers: they never change. */

import type { VmOutcome } from "../vm/vm.ts";

/** Statuses that the guest's own end does not decide. */
export const Status = {
  OK: 0,
  FAILED: 1,
  TRIPLE_FAULT: 3,
  /** As of timeout(1). */
  TIMEOUT: 124,
  /** A shell's status for a program that signal n ended is 128 + n. */
  SIGNAL_BASE: 128,
} as const;

/** Numbers of the signals that end a run (signal(7)). */
export const SIGNAL_NUMBER = { SIGHUP: 1, SIGINT: 2, SIGPIPE: 13, SIGTERM: 15 } as const;
/** A signal that ends a run; SIGPIPE stands for output that nobody reads any more. */
export type EndingSignal = keyof typeof SIGNAL_NUMBER;

/** Why denovisor itself stopped a guest. */
export type StopCause = "quit" | EndingSignal;

/** The status for how the run ended; `stoppedBy` says why when denovisor itself stopped it. */
export function exitStatus(outcome: VmOutcome, stoppedBy: StopCause | undefined): number {
  switch (outcome.kind) {
    case "power-off":
    case "reset":
      return Status.OK;
    case "debug-exit":
      // As QEMU's isa-debug-exit: odd, so that it is never the status of a success.
      return (outcome.value << 1 | 1) & 0xff;
    case "timeout":
      return Status.TIMEOUT;
    case "triple-fault":
      return Status.TRIPLE_FAULT;
    case "halted":
    case "failed":
      return Status.FAILED;
    case "stopped":
      if (stoppedBy === undefined) return Status.FAILED;
      return stoppedBy === "quit" ? Status.OK : Status.SIGNAL_BASE + SIGNAL_NUMBER[stoppedBy];
  }
}
