/**
 * CMOS memory: an MC146818's 128 bytes behind an index and a data port. The first fourteen are the
 * clock's (rtc.ts); the rest is memory in which firmware finds how much RAM and how many processors
 * there are.
 */

import { ByteDevice } from "../devices/byte_device.ts";
import type { Clock, IrqLine } from "../devices/device.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { TWO_32 } from "../base/u64.ts";
import { Port } from "./layout.ts";
import { Rtc, RtcRegister } from "./rtc.ts";

/** Bytes of the memory, with the clock's. */
const CMOS_BYTES = 128;
/** Bit 7 of the index port masks the NMI and is not part of the index. */
const INDEX_MASK = 0x7f;

/** Bytes beyond the clock's, where PC firmware keeps them (Ralf Brown's CMOS list; SeaBIOS). */
const Offset = {
  EQUIPMENT: 0x14,
  /** KiB below 640 KiB, 16 bits. */
  BASE_MEMORY: 0x15,
  /** KiB from 1 MiB on, 16 bits, twice: as set and as found. */
  EXTENDED_MEMORY: 0x17,
  EXTENDED_MEMORY_FOUND: 0x30,
  /** 64 KiB units from 16 MiB to 4 GiB, 16 bits. */
  MEMORY_ABOVE_16M: 0x34,
  /** 64 KiB units from 4 GiB on, 24 bits. */
  MEMORY_ABOVE_4G: 0x5b,
  /** Processors besides the first. */
  CPUS: 0x5f,
  /** Sum of bytes 0x10 to 0x2d, 16 bits, high byte first. */
  CHECKSUM: 0x2e,
} as const;

/** Equipment: a floating-point unit; no display adapter, no diskette. */
const EQUIPMENT_FPU = 0x02;
const MIB = 1024 * 1024;

/** Where CMOS gets its contents. */
export interface CmosOptions {
  readonly clock: Clock;
  readonly irq: IrqLine;
  readonly memory: GuestMemory;
  /** Processors, 1 to 256. */
  readonly cpus: number;
}

/** Index and data port. */
export class Cmos extends ByteDevice {
  readonly name = "CMOS";
  readonly rtc: Rtc;
  readonly #bytes = new Uint8Array(CMOS_BYTES);
  #index = 0;

  constructor(options: CmosOptions) {
    super();
    this.rtc = new Rtc(options.clock, options.irq);
    this.#describe(options.memory, options.cpus);
  }

  /** The index port cannot be read on a PC. */
  protected override readByte(port: number): number {
    if (port !== Port.CMOS_DATA) return 0xff;
    return ofClock(this.#index) ? this.rtc.read(this.#index) : this.#bytes[this.#index];
  }

  protected override writeByte(port: number, value: number): void {
    if (port !== Port.CMOS_DATA) this.#index = value & INDEX_MASK;
    else if (ofClock(this.#index)) this.rtc.write(this.#index, value);
    else this.#bytes[this.#index] = value;
  }

  #describe(memory: GuestMemory, cpus: number): void {
    const low = ramBetween(memory, 0, TWO_32);
    const extendedKib = Math.min(Math.max(low - MIB, 0) / 1024, 0xffff);
    this.#bytes[Offset.EQUIPMENT] = EQUIPMENT_FPU;
    this.#store(Offset.BASE_MEMORY, 2, Math.min(low / 1024, 640));
    this.#store(Offset.EXTENDED_MEMORY, 2, extendedKib);
    this.#store(Offset.EXTENDED_MEMORY_FOUND, 2, extendedKib);
    this.#store(Offset.MEMORY_ABOVE_16M, 2, Math.max(low - 16 * MIB, 0) / 65_536);
    this.#store(Offset.MEMORY_ABOVE_4G, 3, ramBetween(memory, TWO_32, Infinity) / 65_536);
    this.#bytes[Offset.CPUS] = cpus - 1;
    let sum = 0;
    for (let at = 0x10; at < Offset.CHECKSUM; at++) sum += this.#bytes[at];
    this.#bytes[Offset.CHECKSUM] = sum >>> 8;
    this.#bytes[Offset.CHECKSUM + 1] = sum & 0xff;
  }

  #store(offset: number, bytes: number, value: number): void {
    for (let i = 0; i < bytes; i++) this.#bytes[offset + i] = (value >>> (8 * i)) & 0xff;
  }
}

function ofClock(index: number): boolean {
  return index <= RtcRegister.D || index === RtcRegister.CENTURY;
}

/** Bytes of RAM in the regions that begin from `from` up to `to`. */
function ramBetween(memory: GuestMemory, from: number, to: number): number {
  let bytes = 0;
  for (const region of memory.regions) {
    if (!region.readOnly && region.gpa >= from && region.gpa < to) bytes += region.sizeBytes;
  }
  return bytes;
}
