/**
 * Boot modules of PVH and Multiboot kernels: files that lie in RAM for the kernel to find.
 */

import { hex, PAGE_SIZE, TWO_32 } from "../base/u64.ts";
import { Address } from "../platform/layout.ts";
import type { BootModule } from "./boot.ts";
import { imageError } from "./image.ts";
import type { LoadPlan } from "./load_plan.ts";

/** A module that is planned. */
export interface Module {
  readonly start: number;
  readonly sizeBytes: number;
  /** The string that goes with it. */
  readonly commandLine: string;
}

/** Plans `files` in their order, each on pages of its own, above the kernel and below 4 GiB. */
export function planModules(plan: LoadPlan, files: readonly BootModule[]): readonly Module[] {
  const from = Math.max(Address.HIGH_MEMORY, plan.claimedEnd(TWO_32));
  return files.map((file) => {
    const sizeBytes = file.bytes.length;
    if (sizeBytes === 0) throw imageError(file, "the file is empty, expected a module");
    const start = plan.lowest(sizeBytes, { from, to: TWO_32, align: PAGE_SIZE });
    if (start === undefined) {
      const room = plan.longestFree(from, TWO_32);
      throw imageError(
        file,
        `the module has ${sizeBytes} bytes, the guest has room for ${room} above ${hex(from)}`,
        { sizeBytes, room },
      );
    }
    plan.claim(`module ${file.name}`, start, sizeBytes, file);
    plan.write(start, file.bytes);
    return { start, sizeBytes, commandLine: file.commandLine ?? file.name };
  });
}
