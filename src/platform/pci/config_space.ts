/**
 * The configuration space of a PCI function (PCI Local Bus 3.0 §6.1): 256 bytes with a mask of the
 * bits that the guest may change.
 */

import type { AccessSize } from "../../devices/device.ts";

/** Bytes of a configuration space. */
export const CONFIG_BYTES = 256;

/** Offsets in the header (§6.1, figure 6-1). */
export const ConfigOffset = {
  VENDOR: 0x00,
  DEVICE: 0x02,
  COMMAND: 0x04,
  STATUS: 0x06,
  REVISION: 0x08,
  /** Programming interface, subclass and class, a byte each. */
  CLASS: 0x09,
  HEADER_TYPE: 0x0e,
  SUBSYSTEM_VENDOR: 0x2c,
  SUBSYSTEM: 0x2e,
} as const;

/** One function on the bus. Offsets are 0 to 255 and an access never crosses a dword. */
export interface PciFunction {
  readonly name: string;
  readConfig(offset: number, size: AccessSize): number;
  writeConfig(offset: number, size: AccessSize, value: number): void;
}

/** What names a function. */
export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  readonly subsystemVendor: number;
  readonly subsystem: number;
  /** Class, subclass and programming interface as one 24-bit number. */
  readonly classCode: number;
  readonly revision: number;
}

/** Configuration registers in plain memory. A device extends it to see writes. */
export class ConfigSpace implements PciFunction {
  readonly name: string;
  readonly #bytes = new Uint8Array(CONFIG_BYTES);
  readonly #writable = new Uint8Array(CONFIG_BYTES);

  constructor(name: string, identity: PciIdentity) {
    this.name = name;
    this.define(ConfigOffset.VENDOR, 2, identity.vendor);
    this.define(ConfigOffset.DEVICE, 2, identity.device);
    this.define(ConfigOffset.REVISION, 1, identity.revision);
    this.define(ConfigOffset.CLASS, 3, identity.classCode);
    this.define(ConfigOffset.SUBSYSTEM_VENDOR, 2, identity.subsystemVendor);
    this.define(ConfigOffset.SUBSYSTEM, 2, identity.subsystem);
  }

  /** Sets a little-endian register of `bytes` bytes, and which of its bits the guest may change. */
  define(offset: number, bytes: number, value: number, writable = 0): void {
    for (let i = 0; i < bytes; i++) {
      this.#bytes[offset + i] = (value >>> (8 * i)) & 0xff;
      this.#writable[offset + i] = (writable >>> (8 * i)) & 0xff;
    }
  }

  readConfig(offset: number, size: AccessSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.#bytes[offset + i] << (8 * i);
    return value >>> 0;
  }

  writeConfig(offset: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size; i++) {
      const mask = this.#writable[offset + i];
      const byte = (value >>> (8 * i)) & mask;
      this.#bytes[offset + i] = (this.#bytes[offset + i] & ~mask) | byte;
    }
  }
}
