/** The guest's memory map as a PC's firmware reports it: one source for Linux, PVH and Multiboot. */

import type { GuestMemory } from "../memory/guest_memory.ts";
import { type MapEntry, type MapRange, MapType } from "../platform/e820.ts";
import { Address } from "../platform/layout.ts";

export { type MapEntry, type MapRange, MapType };

/** The guest's RAM, nothing carved out: what firmware, which makes its own map, wants to know. */
export function ramMap(memory: GuestMemory): MapEntry[] {
  return memory.regions.filter((region) => !region.readOnly).map(({ gpa, sizeBytes }) => ({
    start: gpa,
    sizeBytes,
    type: MapType.RAM,
  }));
}

/**
 * The map that an operating system gets: RAM without what is reserved, and the reserved ranges: the
 * EBDA and the BIOS area up to 1 MiB, firmware, and `reserved`. In ascending order, without
 * overlaps.
 */
export function memoryMap(memory: GuestMemory, reserved: readonly MapRange[] = []): MapEntry[] {
  const firmware = memory.regions.filter((region) => region.readOnly);
  const kept = union([
    { start: Address.EBDA, sizeBytes: Address.HIGH_MEMORY - Address.EBDA },
    ...firmware.map(({ gpa, sizeBytes }) => ({ start: gpa, sizeBytes })),
    ...reserved,
  ]);
  const entries: MapEntry[] = kept.map((range) => ({ ...range, type: MapType.RESERVED }));
  for (const ram of ramMap(memory)) {
    for (const free of subtract(ram, kept)) entries.push({ ...free, type: MapType.RAM });
  }
  return entries.sort((a, b) => a.start - b.start);
}

/** The same addresses in ascending order, in as few ranges as they take. */
function union(ranges: readonly MapRange[]): MapRange[] {
  const merged: { start: number; sizeBytes: number }[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    if (range.sizeBytes === 0) continue;
    const last = merged.at(-1);
    if (last !== undefined && range.start <= last.start + last.sizeBytes) {
      const end = Math.max(last.start + last.sizeBytes, range.start + range.sizeBytes);
      last.sizeBytes = end - last.start;
    } else {
      merged.push({ start: range.start, sizeBytes: range.sizeBytes });
    }
  }
  return merged;
}

/** `from` without `holes`, which are ascending and do not overlap. */
function subtract(from: MapRange, holes: readonly MapRange[]): MapRange[] {
  const left: MapRange[] = [];
  const end = from.start + from.sizeBytes;
  let start = from.start;
  for (const hole of holes) {
    if (hole.start > start && start < end) {
      left.push({ start, sizeBytes: Math.min(hole.start, end) - start });
    }
    start = Math.max(start, hole.start + hole.sizeBytes);
  }
  if (start < end) left.push({ start, sizeBytes: end - start });
  return left;
}
