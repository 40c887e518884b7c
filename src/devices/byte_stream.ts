/**
 * Bytes on their way to and from a serial line. Both ends are synchronous and allocate nothing; what
 * stands behind them (a ring on shared memory, a string in a test) is the machine's business.
 */

/** What `take` gives for a break: the line held low for longer than a character. */
export const BREAK = 0x100;
/** What `take` gives when nothing waits. */
export const NO_BYTE = -1;

/** Where a device gets its input. What the device does not take stays with the source. */
export interface ByteSource {
  /** Removes and returns the next byte, 0 to 255, or `BREAK`; `NO_BYTE` when nothing waits. */
  take(): number;
}

/** Where a device puts its output. */
export interface ByteSink {
  /** Takes one byte, 0 to 255. A sink that is full blocks or drops: the device does not ask. */
  put(byte: number): void;
}
