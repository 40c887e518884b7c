/**
 * The option ROM with which firmware boots a Linux kernel from fw_cfg: what happens when both a
 * BIOS and a kernel are given. Its source is linuxboot.s.
 */

import { decodeBase64 } from "../../base/base64.ts";
import { LINUXBOOT_ROM_BASE64 } from "./linuxboot_rom.gen.ts";

/** SeaBIOS runs what it finds under "genroms/". */
const ROM_FILE = "genroms/linuxboot.rom";
/** What to boot, in order; the ROM comes before any disk. Ends with a NUL. */
const BOOT_ORDER = `/rom@${ROM_FILE}\0`;

/** The ROM's bytes. */
export function linuxbootRom(): Uint8Array<ArrayBuffer> {
  return decodeBase64(LINUXBOOT_ROM_BASE64);
}

/** The fw_cfg files with which firmware boots the kernel that fw_cfg holds, before any disk. */
export function linuxbootFiles(): { name: string; bytes: Uint8Array<ArrayBuffer> }[] {
  return [
    { name: ROM_FILE, bytes: linuxbootRom() },
    { name: "bootorder", bytes: new TextEncoder().encode(BOOT_ORDER) },
  ];
}
