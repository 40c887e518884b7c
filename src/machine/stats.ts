/**
 * What a machine counts while it runs. The counters lie in shared memory, one 64-bit float each, so
 * that the thread that owns the Vm reads them while the guest runs.
 */

/** Indices of the counters; the first ones are the exit codes of the engine seam, in their order. */
export const Counter = {
  PORT_IN: 0,
  PORT_OUT: 1,
  MMIO_READ: 2,
  MMIO_WRITE: 3,
  HALT: 4,
  SHUTDOWN: 5,
  BUDGET: 6,
  KICKED: 7,
  SYSTEM_EVENT: 8,
  FAILED: 9,
  /** Accesses to ports that no device has. */
  UNCLAIMED_PORT: 10,
  /** Accesses to guest physical addresses that neither RAM nor a device has. */
  UNCLAIMED_MMIO: 11,
  /** Milliseconds since the Unix epoch when the machine was ready to run; 0 before. */
  READY_EPOCH_MS: 12,
  /** Milliseconds since the Unix epoch just before the first guest instruction; 0 before. */
  STARTED_EPOCH_MS: 13,
  /** Milliseconds since the Unix epoch when the run ended; 0 before. */
  ENDED_EPOCH_MS: 14,
  /** Instructions retired by all vCPUs, where the engine counts them. */
  INSTRUCTIONS: 15,
  /** The guest's time in nanoseconds, where it is not the host's. */
  GUEST_NS: 16,
} as const;

/** Bytes of the counters. */
export const COUNTER_BYTES = 24 * 8;

/** Exits of the engine by kind, each a count. */
export interface ExitCounts {
  /**
   * Port reads: one for a string instruction's batch where the kernel makes one of it. On an engine
   * without a kernel everything is counted, the interrupt controllers' and timers' accesses too.
   */
  readonly portIn: number;
  /** Port writes, likewise. */
  readonly portOut: number;
  /** Reads outside RAM. */
  readonly mmioRead: number;
  /** Writes outside RAM. */
  readonly mmioWrite: number;
  /** Waits of all vCPUs for an interrupt, where the engine tells. */
  readonly halt: number;
  /** Times that another thread or a device wanted the machine. */
  readonly kicked: number;
  /** Slices that were run to their end, where the engine counts instructions. */
  readonly budget: number;
  /** Shutdown, system event or failure: the exit that ended the run. */
  readonly ending: number;
}

/** A machine's counters at one moment. */
export interface MachineStats {
  readonly exits: ExitCounts;
  readonly unclaimedPorts: number;
  readonly unclaimedMmio: number;
  /** Seconds of host time since the first guest instruction; 0 before it. */
  readonly wallSeconds: number;
  /** The guest's time in seconds, which is the host's on an engine in the kernel. */
  readonly guestSeconds: number;
  /** Instructions that all vCPUs have retired; 0 on an engine that does not count them. */
  readonly instructions: number;
}

/** Reads the counters of a machine, on any thread. */
export function readCounters(counters: Float64Array): MachineStats {
  const started = counters[Counter.STARTED_EPOCH_MS];
  const ended = counters[Counter.ENDED_EPOCH_MS] || epochMs();
  const wallSeconds = started === 0 ? 0 : (ended - started) / 1000;
  const instructions = counters[Counter.INSTRUCTIONS];
  return {
    exits: {
      portIn: counters[Counter.PORT_IN],
      portOut: counters[Counter.PORT_OUT],
      mmioRead: counters[Counter.MMIO_READ],
      mmioWrite: counters[Counter.MMIO_WRITE],
      halt: counters[Counter.HALT],
      kicked: counters[Counter.KICKED],
      budget: counters[Counter.BUDGET],
      ending: counters[Counter.SHUTDOWN] + counters[Counter.SYSTEM_EVENT] +
        counters[Counter.FAILED],
    },
    unclaimedPorts: counters[Counter.UNCLAIMED_PORT],
    unclaimedMmio: counters[Counter.UNCLAIMED_MMIO],
    wallSeconds,
    guestSeconds: instructions === 0 ? wallSeconds : counters[Counter.GUEST_NS] / 1e9,
    instructions,
  };
}

/** Milliseconds since the Unix epoch with the resolution of `performance.now`; the same on every thread. */
export function epochMs(): number {
  return performance.timeOrigin + performance.now();
}
