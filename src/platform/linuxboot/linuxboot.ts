/**
 * The option ROM with which firmware boots a Linux kernel from fw_cfg: what happens when both a
 * BIOS and a kernel are given. Its source is linuxboot.s.
 */

import { decodeBase64 } from "../../base/base64.ts";
import { LINUXBOOT_ROM_BASE64 } from "./linuxboot_rom.gen.ts";

/** The fw_cfg file that holds the ROM: SeaBIOS runs what it finds under "genroms/". */
export const LINUXBOOT_ROM_FILE = "genroms/linuxboot.rom";

/** The ROM's line in the fw_cfg file "bootorder", which puts it before any disk. */
export const LINUXBOOT_BOOT_ORDER = "/rom@genroms/linuxboot.rom";

/** The ROM's bytes. */
export function linuxbootRom(): Uint8Array<ArrayBuffer> {
  return decodeBase64(LINUXBOOT_ROM_BASE64);
}
