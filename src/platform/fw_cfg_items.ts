/** The items of fw_cfg: numbered ones and named files, with the directory that lists the files. */

import { DenovisorError } from "../base/errors.ts";

/** Keys with a fixed meaning (QEMU include/standard-headers/linux/qemu_fw_cfg.h and hw/i386/fw_cfg.h). */
export const FwCfgKey = {
  SIGNATURE: 0x00,
  ID: 0x01,
  UUID: 0x02,
  RAM_SIZE: 0x03,
  NO_GRAPHIC: 0x04,
  CPUS: 0x05,
  KERNEL_ADDRESS: 0x07,
  KERNEL_SIZE: 0x08,
  INITRD_ADDRESS: 0x0a,
  INITRD_SIZE: 0x0b,
  NUMA: 0x0d,
  BOOT_MENU: 0x0e,
  MAX_CPUS: 0x0f,
  KERNEL_ENTRY: 0x10,
  KERNEL_DATA: 0x11,
  INITRD_DATA: 0x12,
  COMMAND_LINE_ADDRESS: 0x13,
  COMMAND_LINE_SIZE: 0x14,
  COMMAND_LINE_DATA: 0x15,
  SETUP_ADDRESS: 0x16,
  SETUP_SIZE: 0x17,
  SETUP_DATA: 0x18,
  FILE_DIRECTORY: 0x19,
  /** Files have consecutive keys from here on. */
  FIRST_FILE: 0x20,
  /** Architecture's own: whether IRQ 0 arrives as GSI 2, and reserved memory. */
  IRQ0_OVERRIDE: 0x8002,
  E820: 0x8003,
} as const;

/** Bytes of a file name with its NUL, and of a directory entry. */
const NAME_BYTES = 56;
const ENTRY_BYTES = 64;
/** Keys below the bit that asks for writing. */
const MAX_FILES = 0x4000 - FwCfgKey.FIRST_FILE;

/** Collects items before the machine starts. */
export class FwCfgItems {
  readonly #numbered = new Map<number, Uint8Array>();
  readonly #files = new Map<string, Uint8Array>();

  /** Sets item `key`. */
  setBytes(key: number, bytes: Uint8Array): void {
    this.#numbered.set(key, bytes);
  }

  /** Sets item `key` to a little-endian number of `sizeBytes` bytes. */
  setNumber(key: number, sizeBytes: 2 | 4 | 8, value: number): void {
    this.setBytes(key, littleEndian(value, sizeBytes));
  }

  /**
   * Adds a file, or replaces the one of that name.
   * @throws DenovisorError `usage` when the name has no 1 to 55 printable ASCII characters.
   */
  addFile(name: string, bytes: Uint8Array): void {
    if (!/^[\x21-\x7e]{1,55}$/.test(name)) {
      throw new DenovisorError(
        "usage",
        `Cannot add a fw_cfg file: name ${JSON.stringify(name)}, expected 1 to ${
          NAME_BYTES - 1
        } printable ASCII characters`,
        { name },
      );
    }
    if (this.#files.size === MAX_FILES && !this.#files.has(name)) {
      throw new DenovisorError(
        "usage",
        `Cannot add fw_cfg file ${name}: there are ${MAX_FILES} already`,
      );
    }
    this.#files.set(name, bytes);
  }

  /** Adds a file that holds a little-endian number of `sizeBytes` bytes. */
  addNumber(name: string, sizeBytes: 2 | 4 | 8, value: number): void {
    this.addFile(name, littleEndian(value, sizeBytes));
  }

  /** All items by key, with the files and their directory. */
  byKey(): ReadonlyMap<number, Uint8Array> {
    const items = new Map(this.#numbered);
    const directory = new Uint8Array(4 + this.#files.size * ENTRY_BYTES);
    const view = new DataView(directory.buffer);
    const encoder = new TextEncoder();
    view.setUint32(0, this.#files.size);
    let key: number = FwCfgKey.FIRST_FILE;
    let at = 4;
    for (const [name, bytes] of this.#files) {
      view.setUint32(at, bytes.length);
      view.setUint16(at + 4, key);
      encoder.encodeInto(name, directory.subarray(at + 8, at + 8 + NAME_BYTES - 1));
      items.set(key, bytes);
      key++;
      at += ENTRY_BYTES;
    }
    items.set(FwCfgKey.FILE_DIRECTORY, directory);
    return items;
  }
}

/** `value`, a safe integer, as `sizeBytes` bytes. */
function littleEndian(value: number, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes.subarray(0, sizeBytes);
}
