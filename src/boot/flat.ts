/**
 * Flat 16-bit images, which have no header: loaded at 0x7c00 and started as a BIOS starts a boot
 * sector, only with interrupts off, since there is no BIOS to serve them.
 */

import { realModeState } from "../cpu/modes.ts";
import { Reg } from "../cpu/state.ts";
import { Address } from "../platform/layout.ts";
import type { BootSource, Entry } from "./boot.ts";
import type { Image } from "./image.ts";
import type { LoadPlan } from "./load_plan.ts";

const LOAD_ADDRESS = 0x7c00;
/** Conventional memory from there on. */
const MAX_BYTES = Address.EBDA - LOAD_ADDRESS;
/** What a BIOS passes in DL: the drive that it booted from, here the first hard disk. */
const FIRST_HARD_DISK = 0x80;

/** Beginnings of files that are no boot sector, however small, and what they are. */
const OTHER_FORMATS: readonly (readonly [magic: readonly number[], is: string])[] = [
  [[0x1f, 0x8b], "a gzip file"],
  [[0x42, 0x5a, 0x68], "a bzip2 file"],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a], "an xz file"],
  [[0x28, 0xb5, 0x2f, 0xfd], "a zstd file"],
  [[0x02, 0x21, 0x4c, 0x18], "an lz4 file"],
  [[0x04, 0x22, 0x4d, 0x18], "an lz4 file"],
  [[0x50, 0x4b, 0x03, 0x04], "a zip file"],
  [[0x4d, 0x5a], "an EFI or DOS program"],
  [[0x30, 0x37, 0x30, 0x37, 0x30], "a cpio archive (an initrd)"],
  [[0x21, 0x3c, 0x61, 0x72, 0x63, 0x68, 0x3e], "a Debian package or ar archive"],
  [[0x51, 0x46, 0x49, 0xfb], "a qcow2 disk image"],
  [[0x23, 0x21], "a script"],
];
const EXPECTED = "expected a Linux bzImage, an ELF or Multiboot kernel or a flat 16-bit image";

/** Plans a file that is in no other format. */
export function loadFlat(plan: LoadPlan, image: Image, source: BootSource): Entry {
  if (image.sizeBytes === 0) throw image.error(`the file is empty, ${EXPECTED}`);
  const other = OTHER_FORMATS.find(([magic]) => image.startsWith(magic));
  if (other !== undefined) throw image.error(`it is ${other[1]}, ${EXPECTED}`);
  if (image.sizeBytes > MAX_BYTES) {
    throw image.error(
      `its format is unknown, and as a flat image its ${image.sizeBytes} bytes are too many: ` +
        `at most ${MAX_BYTES} fit`,
      { sizeBytes: image.sizeBytes, limit: MAX_BYTES },
    );
  }
  if ((source.initrds ?? []).length > 0 || (source.append ?? "") !== "") {
    throw image.error("it is a flat image, which takes no initrd and no command line");
  }
  plan.claim("the image", LOAD_ADDRESS, image.sizeBytes);
  plan.write(LOAD_ADDRESS, image.bytes);
  const state = realModeState({ cs: 0, ip: LOAD_ADDRESS, ds: 0, ss: 0, sp: LOAD_ADDRESS });
  state.setGpr(Reg.RDX, FIRST_HARD_DISK);
  return { state, description: "flat image at 0x7c00, 16-bit entry" };
}
