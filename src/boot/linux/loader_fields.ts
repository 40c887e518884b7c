/**
 * The fields of a setup header that a loader writes (boot.rst, "Details of Header Fields").
 */

import { BootParams } from "./boot_params.ts";
import { videoMode } from "./options.ts";
import { Field, LoadFlag, type SetupHeader } from "./setup_header.ts";

/** "Undefined" in the list of boot loader identifiers. */
const LOADER_UNDEFINED = 0xff;

/** The fields that the protocol asks a loader to write, as far as the kernel's version has them. */
export function fillHeader(
  header: SetupHeader,
  start: number,
  align: number,
  append: string,
): BootParams {
  const { version } = header;
  const params = new BootParams();
  params.setHeader(header.raw);
  params.set16(Field.VID_MODE, videoMode(append));
  params.set8(Field.TYPE_OF_LOADER, LOADER_UNDEFINED);
  params.set32(Field.RAMDISK_IMAGE, 0);
  params.set32(Field.RAMDISK_SIZE, 0);
  if (version >= 0x201) {
    // End of the real-mode heap, less 0x200, by boot.rst's "Sample Boot Configuration".
    params.set16(Field.HEAP_END_PTR, (version >= 0x202 ? 0xe000 : 0x9800) - 0x200);
    params.set8(Field.LOADFLAGS, header.loadflags | LoadFlag.CAN_USE_HEAP);
  }
  if (header.relocatable) params.set32(Field.CODE32_START, start);
  if (header.relocatable && version >= 0x20a) params.set32(Field.KERNEL_ALIGNMENT, align);
  if (version >= 0x207) params.set32(Field.HARDWARE_SUBARCH, 0);
  if (version >= 0x209) params.set64(Field.SETUP_DATA, 0);
  return params;
}
