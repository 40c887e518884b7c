/**
 * What a machine's thread is at, as a word in shared memory: the thread writes it wherever it turns to
 * something else, which costs a store, and another thread looks at it from time to time.
 */

/** Its values; an engine in the kernel writes none. */
export const Activity = {
  /** Before and behind the run. */
  NONE: 0,
  /** Guest code is decoded and interpreted, exceptions and interrupts are delivered. */
  INTERPRETER: 1,
  /** WebAssembly is made of guest code. */
  TRANSLATION: 2,
  /** V8 compiles that, as far as this thread has to wait for it. */
  COMPILATION: 3,
  /** Translated code runs. */
  TRANSLATED: 4,
  /** An address is translated that the TLB does not have. */
  MMU: 5,
  /** Devices, interrupt controllers and timers. */
  DEVICES: 6,
  /** All vCPUs wait. */
  IDLE: 7,
} as const;
export type Activity = typeof Activity[keyof typeof Activity];

/** The word, at index 0, for threads that share it. */
export function createActivity(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4));
}
