/**
 * The guest's memory map as a PC's firmware reports it (INT 15h, E820h; ACPI 6.4 §15.1): one source
 * for Linux, PVH, Multiboot and fw_cfg.
 */

import { hi32, lo32 } from "../base/u64.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { Address } from "../platform/layout.ts";

/** Address range types (ACPI 6.4 §15, table 15-374). */
export const MapType = { RAM: 1, RESERVED: 2 } as const;
/** One of the address range types. */
export type MapType = typeof MapType[keyof typeof MapType];

/** Guest physical addresses [start, start + sizeBytes). */
export interface MapRange {
  /** The first address. */
  readonly start: number;
  /** How many bytes follow from there. */
  readonly sizeBytes: number;
}

/** One entry of the map. */
export interface MapEntry extends MapRange {
  /** RAM or reserved. */
  readonly type: MapType;
}

/** Bytes of one encoded entry: base (8), length (8), type (4). */
export const MAP_ENTRY_BYTES = 20;

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

/** The entries as `struct boot_e820_entry`, and as fw_cfg's etc/e820, have them. */
export function encodeMap(entries: readonly MapEntry[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(entries.length * MAP_ENTRY_BYTES));
  entries.forEach((entry, index) => encodeMapEntry(view, index * MAP_ENTRY_BYTES, entry));
  return new Uint8Array(view.buffer);
}

/** Writes the MAP_ENTRY_BYTES of one entry at `offset`. */
export function encodeMapEntry(view: DataView, offset: number, entry: MapEntry): void {
  view.setUint32(offset, lo32(entry.start), true);
  view.setUint32(offset + 4, hi32(entry.start), true);
  view.setUint32(offset + 8, lo32(entry.sizeBytes), true);
  view.setUint32(offset + 12, hi32(entry.sizeBytes), true);
  view.setUint32(offset + 16, entry.type, true);
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
