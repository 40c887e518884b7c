/**
 * An ELF Linux kernel (vmlinux) without a PVH note: its entry point takes boot_params as that of a
 * bzImage does, in 64-bit mode for a 64-bit kernel, in 32-bit mode for a 32-bit one (boot.rst,
 * "64-bit Boot Protocol" and "32-bit Boot Protocol").
 */

import { Buffer } from "node:buffer";
import type { BootPlatform, BootSource, Entry, NamedBytes } from "../boot.ts";
import { type Elf, planElf } from "../elf.ts";
import type { Image } from "../image.ts";
import type { LoadPlan } from "../load_plan.ts";
import { BootParams } from "./boot_params.ts";
import { videoMode } from "./options.ts";
import { Field, LoadFlag } from "./setup_header.ts";
import { startLinux } from "./start.ts";

/** What a vmlinux, which has no setup header, takes: the constants of its source. */
export const VMLINUX_LIMITS = {
  /** COMMAND_LINE_SIZE is 2048 with the terminating zero (arch/x86/include/asm/setup.h). */
  cmdlineSize: 2047,
  /** initrd_addr_max as setup headers have it (arch/x86/boot/header.S). */
  initrd: { highest: 0x7fff_ffff, anywhere: true },
} as const;

/** The protocol version whose fields are filled in: the newest that needs nothing of the header. */
const VERSION = 0x20c;
const LOADER_UNDEFINED = 0xff;

/** True when the file has Linux' banner in it. */
export function isLinux(image: NamedBytes): boolean {
  const { buffer, byteOffset, length } = image.bytes;
  return Buffer.from(buffer, byteOffset, length).includes("Linux version ");
}

/** Plans an ELF kernel to be entered as Linux. */
export function loadVmlinux(
  plan: LoadPlan,
  image: Image,
  elf: Elf,
  source: BootSource,
  platform: BootPlatform,
): Entry {
  const entry = planElf(plan, image, elf, elf.entry);
  const params = new BootParams();
  params.set16(Field.BOOT_FLAG, 0xaa55);
  params.set32(Field.HEADER, 0x5372_6448); // "HdrS"
  params.set16(Field.VERSION, VERSION);
  params.set8(Field.TYPE_OF_LOADER, LOADER_UNDEFINED);
  params.set8(Field.LOADFLAGS, LoadFlag.LOADED_HIGH);
  params.set16(Field.VID_MODE, videoMode(source.append ?? ""));
  params.set32(Field.CMDLINE_SIZE, VMLINUX_LIMITS.cmdlineSize);
  params.set32(Field.INITRD_ADDR_MAX, VMLINUX_LIMITS.initrd.highest);
  return startLinux(
    plan,
    {
      file: image,
      params,
      entry,
      bits: elf.bits,
      version: VERSION,
      initrd: VMLINUX_LIMITS.initrd,
      cmdlineSize: VMLINUX_LIMITS.cmdlineSize,
      description: `ELF${elf.bits}, Linux ${elf.bits}-bit entry`,
    },
    source,
    platform,
  );
}
