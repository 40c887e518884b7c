/**
 * Port 0x80: power-on self-test codes. Firmware shows how far it is there, and Linux writes to it
 * only to pass the time of one bus cycle.
 */

import { ByteDevice } from "../devices/byte_device.ts";

/** Remembers the last code. */
export class PostPort extends ByteDevice {
  readonly name = "POST port";
  /** The last code written, 0 to 255. */
  code = 0;

  protected override readByte(): number {
    return this.code;
  }

  protected override writeByte(_port: number, value: number): void {
    this.code = value;
  }
}
