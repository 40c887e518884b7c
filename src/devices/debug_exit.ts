/**
 * Debug exit, as QEMU's isa-debug-exit: a write of 1, 2 or 4 bytes ends the run and reports the
 * value. Reads give zero.
 */

import type { AccessSize, PortDevice, PowerSink } from "./device.ts";

/** Ports of the device: a dword. */
export const DEBUG_EXIT_PORTS = 4;

/** Ends the run with a value of the guest's choice. */
export class DebugExit implements PortDevice {
  readonly name = "debug exit";
  readonly #power: PowerSink;

  constructor(power: PowerSink) {
    this.#power = power;
  }

  readPort(): number {
    return 0;
  }

  /** A write to a port inside the device reports its value, not the dword it is part of. */
  writePort(_port: number, _size: AccessSize, value: number): void {
    this.#power({ kind: "debug-exit", value });
  }
}
