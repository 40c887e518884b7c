/** The devices that our guests ports, mmio and mmio_top look for. Attach them with `Machine`. */

import { type Gpa, gpa, hex, hi32, lo32 } from "../../src/base/u64.ts";
import type { AccessSize, MmioDevice, PortDevice } from "../../src/devices/device.ts";
import type { Pc } from "../../src/platform/pc.ts";

const FIFO_PORT = 0x5000;
const CONTROL_PORT = 0x5004;
const FIFO_BYTES = 8192;
const PORT_SIGNATURE = 0x5452_4f50; // "PORT"

/**
 * Guest ports: a FIFO of bytes at 0x5000, which takes and gives 1, 2 or 4 at a time, little-endian;
 * at 0x5004 a signature, and whatever is written there empties the FIFO.
 */
export class FifoPort implements PortDevice {
  readonly name = "test FIFO";
  readonly #bytes = new Uint8Array(FIFO_BYTES);
  #head = 0;
  #tail = 0;

  readPort(port: number, size: AccessSize): number {
    if (port >= CONTROL_PORT) return PORT_SIGNATURE;
    let value = 0;
    for (let i = 0; i < size; i++) {
      value += (this.#head < this.#tail ? this.#bytes[this.#head++ % FIFO_BYTES] : 0xff) * 256 ** i;
    }
    return value;
  }

  writePort(port: number, size: AccessSize, value: number): void {
    if (port >= CONTROL_PORT) this.#head = this.#tail = 0;
    else for (let i = 0; i < size; i++) this.#bytes[this.#tail++ % FIFO_BYTES] = value >>> 8 * i;
  }

  attach(pc: Pc): void {
    pc.ports.claim(FIFO_PORT, 8, this);
  }
}

const REGISTERS: Gpa = gpa(0xd000_0000);
const REGISTERS_BYTES = 0x1000;
/** Accesses below this offset are counted. */
const COUNTED_BYTES = 0x800;
const SIGNATURE_OFFSET = 0xff0;
const COUNT_OFFSET = 0xff8;

/** Guest mmio: 4 KiB at 0xd0000000 that keep what is stored; a signature, and a count of accesses. */
export class RegisterMmio implements MmioDevice {
  readonly name = "test registers";
  readonly #view = new DataView(new ArrayBuffer(REGISTERS_BYTES));

  constructor() {
    new TextEncoder().encodeInto(
      "DNVMMIO1",
      new Uint8Array(this.#view.buffer).subarray(SIGNATURE_OFFSET),
    );
  }

  readMmio(offset: number, size: AccessSize): number {
    this.#count(offset);
    if (size === 1) return this.#view.getUint8(offset);
    return size === 2 ? this.#view.getUint16(offset, true) : this.#view.getUint32(offset, true);
  }

  writeMmio(offset: number, size: AccessSize, value: number): void {
    this.#count(offset);
    if (size === 1) this.#view.setUint8(offset, value);
    else if (size === 2) this.#view.setUint16(offset, value, true);
    else this.#view.setUint32(offset, value, true);
  }

  attach(pc: Pc): void {
    pc.mmio.claim(REGISTERS, REGISTERS_BYTES, this);
  }

  #count(offset: number): void {
    if (offset >= COUNTED_BYTES) return;
    this.#view.setUint32(COUNT_OFFSET, this.#view.getUint32(COUNT_OFFSET, true) + 1, true);
  }
}

/** Physical addresses have 36 to 52 bits; the guest uses the upper half of what there is. */
const TOP_START: Gpa = gpa(2 ** 35);
const TOP_BYTES = 2 ** 52 - 2 ** 35;

/**
 * Guest mmio_top: everything from 2^35 on. Each aligned 8 bytes read as their own address with all
 * bits inverted; stores are kept as text, "0x800000400001 1 0x11": gpa, bytes, value.
 */
export class TopMmio implements MmioDevice {
  readonly name = "test top of memory";
  readonly stores: string[] = [];

  readMmio(offset: number, size: AccessSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) {
      const address = TOP_START + offset + i;
      const byte = address % 8;
      const aligned = address - byte;
      const half = byte < 4 ? lo32(aligned) : hi32(aligned);
      value += (~(half >>> 8 * (byte % 4)) & 0xff) * 256 ** i;
    }
    return value;
  }

  writeMmio(offset: number, size: AccessSize, value: number): void {
    this.stores.push(`${hex(TOP_START + offset)} ${size} ${hex(value)}`);
  }

  attach(pc: Pc): void {
    pc.mmio.claim(TOP_START, TOP_BYTES, this);
  }
}
