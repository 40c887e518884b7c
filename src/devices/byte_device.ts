/**
 * Devices that are eight bits wide, as those on the ISA bus are: a wider access to one is a row of
 * byte accesses at ascending ports, which is what the bus controller of a PC makes of it.
 */

import type { AccessSize, PortDevice } from "./device.ts";

/** A port device that is written in terms of single bytes. */
export abstract class ByteDevice implements PortDevice {
  abstract readonly name: string;
  /** The byte at `port`, 0 to 255. */
  protected abstract readByte(port: number): number;
  /** Stores `value`, 0 to 255, at `port`. */
  protected abstract writeByte(port: number, value: number): void;

  readPort(port: number, size: AccessSize): number {
    let value = this.readByte(port);
    for (let i = 1; i < size; i++) value |= this.readByte(port + i) << (8 * i);
    return value >>> 0;
  }

  writePort(port: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size; i++) this.writeByte(port + i, (value >>> (8 * i)) & 0xff);
  }
}
