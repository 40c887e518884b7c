/**
 * The initrd of a Linux kernel: all given files, one after the other.
 */

import { alignUp, hex, PAGE_SIZE, TWO_52 } from "../../base/u64.ts";
import type { BootSource, NamedBytes } from "../boot.ts";
import { imageError } from "../image.ts";
import type { LoadPlan } from "../load_plan.ts";
import { Address } from "../../platform/layout.ts";

/**
 * Each archive of an initramfs begins at a multiple of 4 bytes (Documentation/driver-api/
 * early-userspace/buffer-format.rst); zeros between archives are skipped.
 */
const ARCHIVE_ALIGN = 4;

/** Where the kernel takes an initrd. */
export interface InitrdLimits {
  /** Highest address that it may occupy. */
  readonly highest: number;
  /** Whether it may lie anywhere when it does not fit below that. */
  readonly anywhere: boolean;
  /** End of RAM as the command line's `mem=` has it. */
  readonly ramEnd: number;
}

/** Plans the initrd as high as it may lie; undefined when none is given. */
export function planInitrd(
  plan: LoadPlan,
  source: BootSource,
  limits: InitrdLimits,
): { start: number; sizeBytes: number } | undefined {
  const files = source.initrds ?? [];
  for (const file of files) {
    if (file.bytes.length === 0) throw imageError(file, "the file is empty, expected an initrd");
  }
  if (files.length === 0) return undefined;
  const offsets = archiveOffsets(files);
  const sizeBytes = offsets[files.length - 1] + files[files.length - 1].bytes.length;
  const to = Math.min(limits.highest + 1, limits.ramEnd);
  const within = (end: number) =>
    plan.highest(sizeBytes, { from: Address.HIGH_MEMORY, to: end, align: PAGE_SIZE });
  const start = within(to) ??
    (limits.anywhere ? within(Math.min(TWO_52, limits.ramEnd)) : undefined);
  const names = files.map((file) => file.name).join(", ");
  if (start === undefined) {
    const end = limits.anywhere ? limits.ramEnd : to;
    const room = plan.longestFree(Address.HIGH_MEMORY, end);
    const below = end === Infinity ? "" : ` below ${hex(end)}`;
    throw imageError(
      { name: names },
      `the initrd has ${sizeBytes} bytes, the guest has room for ${room}${below}`,
      { sizeBytes, room },
    );
  }
  plan.claim("the initrd", start, sizeBytes, { name: names, bytes: files[0].bytes });
  files.forEach(({ bytes }, index) => plan.write(start + offsets[index], bytes));
  return { start, sizeBytes };
}

/** All `files` as `planInitrd` lays them out, in one piece. */
export function joinInitrds(files: readonly NamedBytes[]): Uint8Array {
  const offsets = archiveOffsets(files);
  const ends = files.map(({ bytes }, index) => offsets[index] + bytes.length);
  const joined = new Uint8Array(Math.max(0, ...ends));
  files.forEach(({ bytes }, index) => joined.set(bytes, offsets[index]));
  return joined;
}

function archiveOffsets(files: readonly NamedBytes[]): number[] {
  let end = 0;
  return files.map(({ bytes }) => {
    const offset = alignUp(end, ARCHIVE_ALIGN);
    end = offset + bytes.length;
    return offset;
  });
}
