/**
 * What a device is to the machine: handlers for ports or for a range of guest physical addresses.
 * Handlers are total: any guest-chosen port of the device, size and value gives a result and never
 * throws. Values are unsigned numbers of `size` bytes.
 */

/** Bytes of one access on a port or, after the bus has split wider ones, in memory. */
export type AccessSize = 1 | 2 | 4;

/** A device on the port bus. `port` is the absolute port number. */
export interface PortDevice {
  readonly name: string;
  readPort(port: number, size: AccessSize): number;
  writePort(port: number, size: AccessSize, value: number): void;
}

/** A device in guest physical memory. `offset` is in bytes from the start of its range. */
export interface MmioDevice {
  readonly name: string;
  readMmio(offset: number, size: AccessSize): number;
  writeMmio(offset: number, size: AccessSize, value: number): void;
}

/** An interrupt line into the machine's interrupt controller. Idempotent. */
export interface IrqLine {
  set(level: boolean): void;
}

/** How a guest ends its own run; devices report it to the machine. */
export type PowerEvent =
  | { readonly kind: "power-off" }
  | { readonly kind: "reset" }
  | { readonly kind: "debug-exit"; readonly value: number };

/** Takes a power event; the machine stops before the guest's next instruction. */
export type PowerSink = (event: PowerEvent) => void;

/** Time as the guest sees it. */
export interface Clock {
  /** Nanoseconds since the guest started, non-decreasing; a number, exact for 104 days. */
  nowNs(): number;
  /** Milliseconds since the Unix epoch, for the real-time clock. */
  wallMs(): number;
}
