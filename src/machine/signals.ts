/**
 * What other threads tell a running machine: flags in shared memory. Whoever raises one kicks the
 * engine afterwards, so that the machine looks.
 */

/** Indices of the flags, 32 bits each; 1 is raised. */
export const Signal = {
  /** End the run. Stays raised. */
  STOP: 0,
  /** The console has new input. */
  INPUT: 1,
  /** A device's deadline has passed. */
  DEADLINE: 2,
  /** Find out whether the guest can ever run again: it has not exited for a while. */
  CHECK_HALT: 3,
} as const;
export type Signal = typeof Signal[keyof typeof Signal];

/** Index of the word that changes whenever a flag is raised. */
const BELL = 4;
const WORDS = 5;

/** The memory of the flags, all lowered. */
export function createSignals(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(WORDS * 4));
}

/** Raises a flag; true when it was not raised already: only then does the machine need a kick. */
export function raise(signals: Int32Array, signal: Signal): boolean {
  if (Atomics.exchange(signals, signal, 1) === 1) return false;
  Atomics.add(signals, BELL, 1);
  Atomics.notify(signals, BELL);
  return true;
}

/** Lowers a flag; true when it was raised. */
export function lower(signals: Int32Array, signal: Signal): boolean {
  return Atomics.exchange(signals, signal, 0) === 1;
}

/** True while a flag is raised. */
export function raised(signals: Int32Array, signal: Signal): boolean {
  return Atomics.load(signals, signal) === 1;
}

/** Blocks this thread until a flag is raised, or `timeoutMs` have passed. */
export function waitForSignal(signals: Int32Array, timeoutMs: number): void {
  const bell = Atomics.load(signals, BELL);
  for (let signal = 0; signal < BELL; signal++) {
    if (Atomics.load(signals, signal) === 1) return;
  }
  Atomics.wait(signals, BELL, bell, timeoutMs);
}
