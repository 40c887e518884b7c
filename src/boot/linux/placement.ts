/**
 * Where a bzImage goes (boot.rst: loadflags, relocatable_kernel, kernel_alignment, min_alignment,
 * pref_address, init_size).
 */

import { hex, TWO_32 } from "../../base/u64.ts";
import { Address } from "../../platform/layout.ts";
import type { Image } from "../image.ts";
import type { LoadPlan } from "../load_plan.ts";
import { LoadFlag, type SetupHeader } from "./setup_header.ts";

/** Claims what the kernel needs before it reads its memory map; returns where its code goes. */
export function placeKernel(
  plan: LoadPlan,
  image: Image,
  header: SetupHeader,
): { start: number; align: number } {
  check(image, header);
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
  if (start <= runtime && runtime <= start + codeBytes) {
    plan.claim(what, start, runtime + sizeBytes - start);
  } else {
    plan.claim(what, start, codeBytes);
    plan.claim(what, runtime, sizeBytes);
  }
  return { start, align: header.kernelAlignment };
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
