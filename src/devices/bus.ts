/**
 * The two buses between the machine and its devices. What no device claims behaves as on a PC: reads
 * give all ones, writes are dropped; both are counted. Nothing here allocates once the devices are
 * attached.
 */

import { type Gpa, hex, TWO_52 } from "../base/u64.ts";
import type { AccessSize, MmioDevice, PortDevice } from "./device.ts";

/** Number of I/O ports (SDM 1 §19.3). */
export const PORT_COUNT = 65536;
/** Slots are bytes, and slot 0 is what nobody claims. */
const MAX_DEVICES = 255;

/** The all-ones value of `size` bytes: what a bus without a driver reads. */
export function allOnes(size: AccessSize): number {
  return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffff_ffff;
}

/** What the bus does with accesses that no device claims. */
class Unclaimed implements PortDevice, MmioDevice {
  readonly name = "unclaimed";
  reads = 0;
  writes = 0;

  readPort(_port: number, size: AccessSize): number {
    this.reads++;
    return allOnes(size);
  }
  writePort(): void {
    this.writes++;
  }
  readMmio(_offset: number, size: AccessSize): number {
    this.reads++;
    return allOnes(size);
  }
  writeMmio(): void {
    this.writes++;
  }
}

/** 65,536 ports, each of which belongs to at most one device. */
export class PortBus {
  readonly #unclaimed = new Unclaimed();
  /** Which of `#devices` each port belongs to. */
  readonly #slots = new Uint8Array(PORT_COUNT);
  readonly #devices: PortDevice[] = [this.#unclaimed];

  /** Accesses that no device claimed, or that reached beyond the device they began in. */
  get unclaimedReads(): number {
    return this.#unclaimed.reads;
  }
  get unclaimedWrites(): number {
    return this.#unclaimed.writes;
  }

  /**
   * Gives the `count` ports from `first` on to `device`; a device may have several ranges.
   * @throws RangeError when a port is out of range or already taken.
   */
  claim(first: number, count: number, device: PortDevice): void {
    if (!Number.isInteger(first) || first < 0 || count < 1 || first + count > PORT_COUNT) {
      throw new RangeError(
        `Cannot attach ${device.name}: ${count} ports from ${
          hex(first)
        } on, expected 0x0 to 0xffff`,
      );
    }
    const slot = this.#slotOf(device);
    for (let port = first; port < first + count; port++) {
      if (this.#slots[port] !== 0) {
        const owner = this.#devices[this.#slots[port]].name;
        throw new RangeError(
          `Cannot attach ${device.name} to port ${hex(port)}: it belongs to ${owner}`,
        );
      }
      this.#slots[port] = slot;
    }
  }

  /** The unsigned value of `size` bytes at `port`, 0 to 0xffff. */
  read(port: number, size: AccessSize): number {
    return this.#find(port, size).readPort(port, size);
  }

  /** Writes the low `size` bytes of `value` to `port`, 0 to 0xffff. */
  write(port: number, size: AccessSize, value: number): void {
    this.#find(port, size).writePort(port, size, value);
  }

  /** A string input: `count` reads of `port`, stored little-endian in `into` from `at` on. */
  readString(port: number, size: AccessSize, count: number, into: DataView, at: number): void {
    const device = this.#find(port, size);
    for (let i = 0; i < count; i++, at += size) {
      storeUint(into, at, size, device.readPort(port, size));
    }
  }

  /** A string output: `count` values, little-endian in `from` from `at` on, to `port`. */
  writeString(port: number, size: AccessSize, count: number, from: DataView, at: number): void {
    const device = this.#find(port, size);
    for (let i = 0; i < count; i++, at += size) {
      device.writePort(port, size, loadUint(from, at, size));
    }
  }

  /** The one device that all `size` ports from `port` on belong to. */
  #find(port: number, size: AccessSize): PortDevice {
    const slots = this.#slots;
    const slot = slots[port];
    // Beyond the last port the table reads undefined, which is no slot.
    if (size !== 1) {
      if (slots[port + 1] !== slot) return this.#unclaimed;
      if (size === 4 && (slots[port + 2] !== slot || slots[port + 3] !== slot)) {
        return this.#unclaimed;
      }
    }
    return this.#devices[slot];
  }

  #slotOf(device: PortDevice): number {
    const known = this.#devices.indexOf(device);
    if (known >= 0) return known;
    if (this.#devices.length > MAX_DEVICES) {
      throw new RangeError(`Cannot attach ${device.name}: the port bus has ${MAX_DEVICES} devices`);
    }
    return this.#devices.push(device) - 1;
  }
}

/** A device's range of guest physical addresses. */
interface MmioRange {
  readonly base: number;
  readonly sizeBytes: number;
  readonly device: MmioDevice;
}

/** Few ranges anywhere in the 52-bit guest physical address space. */
export class MmioBus {
  readonly #unclaimed = new Unclaimed();
  readonly #ranges: MmioRange[] = [];
  /** The range of the last hit: drivers stay with one device for a while. */
  #recent = 0;

  /** Accesses (or parts of split ones) that lie not whole in a device's range. */
  get unclaimedReads(): number {
    return this.#unclaimed.reads;
  }
  get unclaimedWrites(): number {
    return this.#unclaimed.writes;
  }

  /**
   * Gives `sizeBytes` bytes from `base` on to `device`.
   * @throws RangeError when the range is empty, reaches beyond 2^52 or overlaps another.
   */
  claim(base: Gpa, sizeBytes: number, device: MmioDevice): void {
    if (!Number.isInteger(sizeBytes) || sizeBytes < 1 || base + sizeBytes > TWO_52) {
      throw new RangeError(
        `Cannot attach ${device.name}: ${sizeBytes} bytes at ${
          hex(base)
        }, expected a range below 2^52`,
      );
    }
    for (const other of this.#ranges) {
      if (base < other.base + other.sizeBytes && other.base < base + sizeBytes) {
        throw new RangeError(
          `Cannot attach ${device.name} at ${hex(base)}: the range belongs to ${other.device.name}`,
        );
      }
    }
    this.#ranges.push({ base, sizeBytes, device });
  }

  /**
   * Reads `size` bytes, 1 to 8, at `address` and stores them little-endian in `into` from `at` on.
   * Sizes that are not an access of their own are made of the largest ones that fit: 8 of 4 and 4,
   * 7 of 4, 2 and 1.
   */
  read(address: number, size: number, into: DataView, at: number): void {
    while (size > 0) {
      const part: AccessSize = size >= 4 ? 4 : size >= 2 ? 2 : 1;
      const range = this.#find(address, part);
      const value = range === undefined
        ? this.#unclaimed.readMmio(0, part)
        : range.device.readMmio(address - range.base, part);
      storeUint(into, at, part, value);
      address += part;
      at += part;
      size -= part;
    }
  }

  /** Writes `size` bytes, 1 to 8, little-endian in `from` from `at` on, split as `read` does. */
  write(address: number, size: number, from: DataView, at: number): void {
    while (size > 0) {
      const part: AccessSize = size >= 4 ? 4 : size >= 2 ? 2 : 1;
      const range = this.#find(address, part);
      if (range === undefined) this.#unclaimed.writeMmio();
      else range.device.writeMmio(address - range.base, part, loadUint(from, at, part));
      address += part;
      at += part;
      size -= part;
    }
  }

  #find(address: number, size: number): MmioRange | undefined {
    const ranges = this.#ranges;
    const recent = ranges[this.#recent];
    if (recent !== undefined && holds(recent, address, size)) return recent;
    for (let i = 0; i < ranges.length; i++) {
      if (holds(ranges[i], address, size)) {
        this.#recent = i;
        return ranges[i];
      }
    }
    return undefined;
  }
}

function holds(range: MmioRange, address: number, size: number): boolean {
  const within = address - range.base;
  return within >= 0 && within + size <= range.sizeBytes;
}

function loadUint(from: DataView, at: number, size: AccessSize): number {
  if (size === 1) return from.getUint8(at);
  return size === 2 ? from.getUint16(at, true) : from.getUint32(at, true);
}

function storeUint(into: DataView, at: number, size: AccessSize, value: number): void {
  if (size === 1) into.setUint8(at, value);
  else if (size === 2) into.setUint16(at, value, true);
  else into.setUint32(at, value, true);
}
