/**
 * `struct boot_params`, the "zero page" that a loader hands to Linux
 * (Documentation/arch/x86/zero-page.rst).
 */

import { hi32, lo32, PAGE_SIZE } from "../../base/u64.ts";
import { imageError } from "../image.ts";
import type { NamedBytes } from "../boot.ts";
import { encodeMap, type MapEntry, MapType } from "../../platform/e820.ts";
import { Address } from "../../platform/layout.ts";
import { Field, HEADER_START } from "./setup_header.ts";

/** Offsets of the fields outside the setup header. */
const Param = {
  /** KiB above 1 MiB, 16 bits; the 32-bit field holds what does not fit. */
  EXT_MEM_K: 0x002,
  /** Command line of protocols before 2.02: magic number, and offset in the real-mode segment. */
  CMD_LINE_MAGIC: 0x020,
  CMD_LINE_OFFSET: 0x022,
  ACPI_RSDP_ADDR: 0x070,
  EXT_RAMDISK_IMAGE: 0x0c0,
  EXT_RAMDISK_SIZE: 0x0c4,
  EXT_CMD_LINE_PTR: 0x0c8,
  ALT_MEM_K: 0x1e0,
  E820_ENTRIES: 0x1e8,
  E820_TABLE: 0x2d0,
} as const;

const CMD_LINE_MAGIC = 0xa33f;
/** E820_MAX_ENTRIES_ZEROPAGE */
const E820_MAX = 128;

/** One page of boot parameters in the making; all that is not set is zero, as the protocol asks. */
export class BootParams {
  readonly bytes: Uint8Array = new Uint8Array(PAGE_SIZE);
  readonly #view = new DataView(this.bytes.buffer);

  /** Copies a setup header from the kernel's file. */
  setHeader(raw: Uint8Array): void {
    this.bytes.set(raw, HEADER_START);
  }

  set8(offset: number, value: number): void {
    this.#view.setUint8(offset, value);
  }
  set16(offset: number, value: number): void {
    this.#view.setUint16(offset, value, true);
  }
  set32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true);
  }
  set64(offset: number, value: number): void {
    this.set32(offset, lo32(value));
    this.set32(offset + 4, hi32(value));
  }

  /** The memory map, and the older fields for the RAM that follows on 1 MiB. */
  setMemoryMap(map: readonly MapEntry[], kernel: NamedBytes): void {
    if (map.length > E820_MAX) {
      throw imageError(
        kernel,
        `the memory map has ${map.length} entries, boot_params takes at most ${E820_MAX}`,
        { entries: map.length },
      );
    }
    this.set8(Param.E820_ENTRIES, map.length);
    this.bytes.set(encodeMap(map), Param.E820_TABLE);
    const above = map.find(({ start, type }) =>
      start === Address.HIGH_MEMORY && type === MapType.RAM
    );
    const kib = Math.floor((above?.sizeBytes ?? 0) / 1024);
    this.set16(Param.EXT_MEM_K, Math.min(kib, 0xffff));
    this.set32(Param.ALT_MEM_K, kib);
  }

  setInitrd(start: number, sizeBytes: number): void {
    this.set32(Field.RAMDISK_IMAGE, lo32(start));
    this.set32(Field.RAMDISK_SIZE, lo32(sizeBytes));
    this.set32(Param.EXT_RAMDISK_IMAGE, hi32(start));
    this.set32(Param.EXT_RAMDISK_SIZE, hi32(sizeBytes));
  }

  /** The command line for protocol 2.02 and later. */
  setCommandLine(start: number): void {
    this.set32(Field.CMD_LINE_PTR, lo32(start));
    this.set32(Param.EXT_CMD_LINE_PTR, hi32(start));
  }

  /** The command line for protocols 2.00 and 2.01, `offset` bytes after these parameters. */
  setOldCommandLine(offset: number, sizeBytes: number): void {
    this.set16(Param.CMD_LINE_MAGIC, CMD_LINE_MAGIC);
    this.set16(Param.CMD_LINE_OFFSET, offset);
    this.set16(Field.SETUP_MOVE_SIZE, offset + sizeBytes);
  }

  setRsdp(start: number): void {
    this.set64(Param.ACPI_RSDP_ADDR, start);
  }
}
