/**
 * Linux bzImage (Documentation/arch/x86/boot.rst): the 64-bit entry where the kernel has one, else
 * the 32-bit entry.
 */

import type { BootPlatform, BootSource, Entry } from "../boot.ts";
import type { Image } from "../image.ts";
import type { LoadPlan } from "../load_plan.ts";
import { fillHeader } from "./loader_fields.ts";
import { placeKernel } from "./placement.ts";
import { readSetupHeader, XLoadFlag } from "./setup_header.ts";
import { startLinux } from "./start.ts";

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
  // Every Linux has an alignment since there is a field for it. Boot loaders in the guise of a kernel
  // (iPXE, wimboot) have none, nor code that could be entered in protected mode.
  if (header.version >= 0x205 && header.kernelAlignment === 0) {
    throw image.error(
      "it starts in real mode only (its kernel_alignment is 0), which takes firmware (--bios)",
    );
  }
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
