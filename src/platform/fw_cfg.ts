/**
 * fw_cfg: how firmware and test kernels learn about the machine (QEMU docs/specs/fw_cfg). A selector
 * port names an item, a data port gives it byte by byte, and a DMA port copies it into guest memory.
 */

import { allOnes } from "../devices/bus.ts";
import type { AccessSize, PortDevice } from "../devices/device.ts";
import { type Gpa, join32 } from "../base/u64.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import type { FwCfgItems } from "./fw_cfg_items.ts";
import { Port } from "./layout.ts";

/** Ports of selector and data together, and of the DMA address. */
export const FW_CFG_PORTS = 2;
export const FW_CFG_DMA_PORTS = 8;
/** What the DMA address port reads as, so that a guest can tell it is there. */
const DMA_SIGNATURE = new TextEncoder().encode("QEMU CFG");

/** The control word of a DMA descriptor; its upper half is the item to select. */
const Control = { ERROR: 1, READ: 2, SKIP: 4, SELECT: 8, WRITE: 16 } as const;
/** Descriptor: control and length (32 bits each), address (64 bits), all big-endian. */
const DESCRIPTOR_BYTES = 16;
/** Zeros that one transfer may ask for beyond the end of an item: reading on is no way to clear RAM. */
const MAX_PADDING_BYTES = 1024 * 1024;
/** Key bits that ask for write access, which nothing has. */
const WRITE_KEY = 0x4000;
const NO_BYTES = new Uint8Array(0);

/** The device at its three ports. */
export class FwCfg implements PortDevice {
  readonly name = "fw_cfg";
  readonly #items: ReadonlyMap<number, Uint8Array>;
  readonly #memory: GuestMemory;
  #item: Uint8Array = NO_BYTES;
  #position = 0;
  #dmaHigh = 0;

  constructor(items: FwCfgItems, memory: GuestMemory) {
    this.#items = items.byKey();
    this.#memory = memory;
  }

  readPort(port: number, size: AccessSize): number {
    if (port === Port.FW_CFG_DATA && size === 1) return this.#next();
    const offset = port - Port.FW_CFG_DMA;
    if (offset < 0) return allOnes(size);
    let value = 0;
    for (let i = 0; i < size; i++) value |= DMA_SIGNATURE[offset + i] << (8 * i);
    return value >>> 0;
  }

  writePort(port: number, size: AccessSize, value: number): void {
    if (port === Port.FW_CFG_SELECTOR && size === 2) {
      this.#select(value);
    } else if (port === Port.FW_CFG_DMA && size === 4) {
      this.#dmaHigh = swap32(value);
    } else if (port === Port.FW_CFG_DMA + 4 && size === 4) {
      const address = join32(swap32(value), this.#dmaHigh);
      this.#dmaHigh = 0;
      this.#transfer(address);
    }
  }

  #select(key: number): void {
    this.#item = this.#items.get(key & ~WRITE_KEY) ?? NO_BYTES;
    this.#position = 0;
  }

  /** The next byte of the item; zeros after its end. */
  #next(): number {
    return this.#position < this.#item.length ? this.#item[this.#position++] : 0;
  }

  /** Works off the descriptor at `address`. One that is not in RAM has nowhere to report to. */
  #transfer(address: number): void {
    const memory = this.#memory;
    if (!memory.containsRam(address, DESCRIPTOR_BYTES)) return;
    const descriptor = address as Gpa;
    const control = swap32(memory.readU32(descriptor));
    const length = swap32(memory.readU32(address + 4 as Gpa));
    const target = join32(
      swap32(memory.readU32(address + 12 as Gpa)),
      swap32(memory.readU32(address + 8 as Gpa)),
    );
    const done = this.#execute(control, length, target);
    memory.writeU32(descriptor, swap32(done ? 0 : Control.ERROR));
  }

  /** False when the operation is refused or does not fit; read comes before skip, as published. */
  #execute(control: number, length: number, target: number): boolean {
    if ((control & Control.SELECT) !== 0) this.#select(control >>> 16);
    if ((control & Control.READ) !== 0) return this.#copy(length, target);
    if ((control & Control.SKIP) !== 0) {
      this.#position = Math.min(this.#position + length, this.#item.length);
      return true;
    }
    return (control & Control.WRITE) === 0;
  }

  #copy(length: number, target: number): boolean {
    const held = Math.min(length, this.#item.length - this.#position);
    const padding = length - held;
    if (length === 0) return true;
    if (padding > MAX_PADDING_BYTES || !this.#memory.containsRam(target, length)) return false;
    const end = this.#position + held;
    this.#memory.write(target as Gpa, this.#item.subarray(this.#position, end));
    if (padding > 0) this.#memory.fill(target + held as Gpa, padding, 0);
    this.#position = end;
    return true;
  }
}

/** The bytes of a 32-bit value in reverse. */
function swap32(value: number): number {
  return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>>
    0;
}
