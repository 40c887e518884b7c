/**
 * What a Vm counted, for `vm.stats()` and `--stats`.
 */

import type { VmProfile } from "./profile.ts";
import { Counter, type ExitCounts, readCounters } from "../machine/stats.ts";

/** A Vm's counters at one moment. */
export interface VmStats {
  /** What ran the guest. */
  readonly engine: "kvm" | "wasm";
  /** Host seconds since the first guest instruction; they stop with the run. */
  readonly wallSeconds: number;
  /** The same in the guest's time. */
  readonly guestSeconds: number;
  /** Instructions that all vCPUs have retired; 0 with KVM, which does not count them. */
  readonly instructions: number;
  /** Exits from the guest to the machine, by kind. */
  readonly exits: ExitCounts;
  /** Accesses to ports that no device has. */
  readonly unclaimedPorts: number;
  /** Accesses to guest physical addresses that neither RAM nor a device has. */
  readonly unclaimedMmio: number;
  /** How long it took to get there. */
  readonly startup: {
    /** Milliseconds from the start of the process to the machine with its guest loaded. */
    readonly readyMs: number;
    /** Milliseconds from the start of the process to the first guest instruction; 0 before. */
    readonly firstInstructionMs: number;
  };
  /** Where the wasm engine's time went, as far as that was looked at: with the option `profile`. */
  readonly profile: VmProfile | undefined;
  /** The engine's own counters, by its names; empty until the run has ended. */
  readonly engineCounters: Readonly<Record<string, number>>;
  /**
   * With paging "mmu": faults on guest memory (`pager_…`), and the counters of the MMU that served
   * them under KVM's names; else empty.
   */
  readonly mmuCounters: Readonly<Record<string, number>>;
}

/** Puts together what the machine's thread counted. */
export function collectStats(
  engine: "kvm" | "wasm",
  counters: Float64Array,
  engineCounters: Readonly<Record<string, number>>,
  mmuCounters: Readonly<Record<string, number>>,
  profile: VmProfile | undefined,
): VmStats {
  return {
    engine,
    ...readCounters(counters),
    startup: {
      readyMs: sinceStart(counters[Counter.READY_EPOCH_MS]),
      firstInstructionMs: sinceStart(counters[Counter.STARTED_EPOCH_MS]),
    },
    profile,
    engineCounters,
    mmuCounters,
  };
}

/** Milliseconds from the start of this process; 0 for what has not happened. */
function sinceStart(epochMs: number): number {
  return epochMs === 0 ? 0 : epochMs - performance.timeOrigin;
}
