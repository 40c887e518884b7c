/**
 * System control port A, port 0x92 (IBM PS/2 Hardware Interface Technical Reference, "System Control
 * Port A"): fast reset and the gate of address line 20, which is always on here.
 */

import { ByteDevice } from "../devices/byte_device.ts";
import type { PowerSink } from "../devices/device.ts";

const FAST_RESET = 0x01;
const A20 = 0x02;

/** Port 0x92. */
export class SystemControlA extends ByteDevice {
  readonly name = "system control port A";
  readonly #power: PowerSink;
  #value: number = A20;

  constructor(power: PowerSink) {
    super();
    this.#power = power;
  }

  protected override readByte(): number {
    return this.#value;
  }

  /** The reset happens when its bit goes from 0 to 1. */
  protected override writeByte(_port: number, value: number): void {
    const resets = (value & ~this.#value & FAST_RESET) !== 0;
    this.#value = value;
    if (resets) this.#power({ kind: "reset" });
  }
}
