/**
 * Memory maps in the form of a PC's firmware (INT 15h, E820h; ACPI 6.4 §15.1): one encoding for
 * Linux, Multiboot and fw_cfg.
 */

import { hi32, lo32 } from "../base/u64.ts";

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
