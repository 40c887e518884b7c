/** From the files of the option `memory.regions` to guest memory that starts as them. */

import { DenovisorError } from "../base/errors.ts";
import { gpa, hex, PAGE_SIZE } from "../base/u64.ts";
import { backedBytes, backingFileBytes, type FileBackingConfig } from "../memory/backing.ts";
import { type ExtraRegion, type GuestMemory, LOW_RAM_END } from "../memory/guest_memory.ts";
import { type CheckedRegion, placeRegion } from "./memory_options.ts";

/** A file region and the length of its file. */
export interface SizedRegion extends CheckedRegion {
  readonly fileBytes: number;
}

/**
 * Looks at the files.
 * @throws DenovisorError `file`
 */
export async function measureRegions(regions: readonly CheckedRegion[]): Promise<SizedRegion[]> {
  return await Promise.all(regions.map(async (region) => {
    const fileBytes = await backingFileBytes(region.path);
    if (region.shared && fileBytes % PAGE_SIZE !== 0) {
      const { path } = region;
      const expected = `it has ${fileBytes} bytes, expected a multiple of ${PAGE_SIZE}`;
      throw new DenovisorError("file", `Cannot share ${path} as guest memory: ${expected}`, {
        path,
      });
    }
    return { ...region, fileBytes };
  }));
}

/**
 * The regions that lie outside of RAM, as memory to allocate.
 * @throws DenovisorError `usage` for one that lies where it may not.
 */
export function regionsOutsideRam(
  regions: readonly SizedRegion[],
  ramBytes: number,
): ExtraRegion[] {
  return regions.flatMap((region) => {
    if (placeRegion(region, region.fileBytes, ramBytes, LOW_RAM_END) === "in-ram") return [];
    const sizeBytes = backedBytes({ ...region, offset: 0 });
    return [{ gpa: gpa(region.gpa), sizeBytes, readOnly: region.readOnly }];
  });
}

/**
 * Where each file lies in `memory`.
 * @throws DenovisorError `usage` when two of them overlap.
 */
export function backingsOf(
  regions: readonly SizedRegion[],
  memory: GuestMemory,
): FileBackingConfig[] {
  const backings = regions.map(({ gpa, path, fileBytes, shared }) => {
    const region = memory.regions.find((r) => gpa >= r.gpa && gpa < r.gpa + r.sizeBytes);
    if (region === undefined) {
      throw new DenovisorError("internal", `Cannot find the memory at ${hex(gpa)}`);
    }
    return { offset: region.offset + (gpa - region.gpa), path, fileBytes, shared };
  });
  const ordered = backings.toSorted((a, b) => a.offset - b.offset);
  for (let i = 1; i < ordered.length; i++) {
    const [before, after] = [ordered[i - 1], ordered[i]];
    if (before.offset + backedBytes(before) > after.offset) {
      const found = `${after.path}, which overlaps ${before.path}`;
      throw new DenovisorError(
        "usage",
        `Cannot use the option memory.regions: found ${found}, expected regions apart`,
        { option: "memory.regions", found },
      );
    }
  }
  return backings;
}
