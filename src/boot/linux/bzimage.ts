/**
 * Linux bzImage (Documentation/arch/x86/boot.rst): the 64-bit entry where the kernel has one, else
 * the 32-bit entry.
 */

import { hex, TWO_32 } from "../../base/u64.ts";
import { Address } from "../../platform/layout.ts";
import type { BootPlatform, BootSource, Entry } from "../boot.ts";
import type { Image } from "../image.ts";
import type { LoadPlan } from "../load_plan.ts";
import { BootParams } from "./boot_params.ts";
import { videoMode } from "./options.ts";
import { Field, LoadFlag, readSetupHeader, type SetupHeader, XLoadFlag } from "./setup_header.ts";
import { startLinux } from "./start.ts";

/** "Undefined" in the list of boot loader identifiers. */
const LOADER_UNDEFINED = 0xff;
/** The 64-bit entry point, in bytes from the start of the protected-mode code. */
const ENTRY_64 = 0x200;

/** Plans a kernel that has a setup header. */
export function loadBzImage(
  plan: LoadPlan,
  image: Image,
  source: BootSource,
  platform: BootPlatform,
): Entry {
  const header = readSetupHeader(image);
  check(image, header);
  const { start, align } = placeKernel(plan, image, header);
  plan.write(start, header.code);
  const bits = (header.xloadflags & XLoadFlag.KERNEL_64) !== 0 ? 64 : 32;
  return startLinux(
    plan,
    {
      file: image,
      params: fillHeader(header, start, align, source.append ?? ""),
      entry: bits === 64 ? start + ENTRY_64 : start,
      bits,
      version: header.version,
      initrd: {
        highest: header.initrdAddrMax,
        anywhere: bits === 64 && (header.xloadflags & XLoadFlag.CAN_BE_LOADED_ABOVE_4G) !== 0,
      },
      cmdlineSize: header.cmdlineSize,
      description: `${`bzImage ${header.kernelVersion}`.trim()}, Linux ${bits}-bit entry`,
    },
    source,
    platform,
  );
}

function check(image: Image, header: SetupHeader): void {
  if ((header.loadflags & LoadFlag.LOADED_HIGH) === 0) {
    throw image.error("it is a zImage (loadflags has LOADED_HIGH clear), expected a bzImage", {
      loadflags: header.loadflags,
    });
  }
  const { kernelAlignment: align } = header;
  if (header.relocatable && (align === 0 || !Number.isInteger(Math.log2(align)))) {
    throw image.error(`its kernel_alignment is ${hex(align)}, expected a power of two`, { align });
  }
}

/** Claims what the kernel needs before it reads its memory map; returns where its code goes. */
function placeKernel(
  plan: LoadPlan,
  image: Image,
  header: SetupHeader,
): { start: number; align: number } {
  const what = "the kernel";
  const codeBytes = header.code.length;
  const sizeBytes = Math.max(header.initSize, codeBytes);
  if (header.relocatable) {
    const preferred = Math.max(header.prefAddress, Address.HIGH_MEMORY);
    // Lesser alignments cost the kernel speed: only where the preferred one does not fit. Lower
    // addresses than the preferred one would not do: Linux moves itself up to that before it unpacks.
    for (let align = header.kernelAlignment; align >= header.minAlignment; align /= 2) {
      const start = plan.lowest(sizeBytes, { from: preferred, to: TWO_32, align });
      if (start === undefined) continue;
      plan.claim(what, start, sizeBytes);
      return { start, align };
    }
    const room = plan.longestFree(preferred, TWO_32);
    throw image.error(
      `it needs ${sizeBytes} bytes of RAM between ${hex(preferred)} and 4 GiB, ` +
        `the guest has ${room} there`,
      { sizeBytes, room },
    );
  }
  // The code goes to 1 MiB, and the kernel moves itself to where it runs.
  const start = Address.HIGH_MEMORY;
  const runtime = header.prefAddress || start;
  const low = Math.min(start, runtime);
  const high = Math.max(start + codeBytes, runtime + sizeBytes);
  if (high - low <= codeBytes + sizeBytes) {
    plan.claim(what, low, high - low);
  } else {
    plan.claim(what, start, codeBytes);
    plan.claim(what, runtime, sizeBytes);
  }
  return { start, align: header.kernelAlignment };
}

/** The fields that the protocol asks a loader to write, as far as the kernel's version has them. */
function fillHeader(
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
