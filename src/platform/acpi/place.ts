/** ACPI tables at an address of the machine's choice. */

import { alignUp } from "../../base/u64.ts";
import { type AcpiBlob, TABLES_ALIGNMENT } from "./blob.ts";

/**
 * The bytes to write at guest physical address `base`, a multiple of 64 below 4 GiB: the RSDP first,
 * then the tables.
 */
export function placeAcpi(blob: AcpiBlob, base: number): Uint8Array {
  const tablesAt = alignUp(blob.rsdp.length, TABLES_ALIGNMENT);
  const image = new Uint8Array(tablesAt + blob.tables.length);
  image.set(blob.rsdp);
  image.set(blob.tables, tablesAt);
  const view = new DataView(image.buffer);
  for (const pointer of blob.pointers) {
    const at = pointer.offset + (pointer.part === "tables" ? tablesAt : 0);
    // The upper half of a 64-bit pointer stays zero.
    view.setUint32(at, view.getUint32(at, true) + base + tablesAt, true);
  }
  for (const checksum of blob.checksums) {
    const from = checksum.part === "tables" ? tablesAt : 0;
    const covered = image.subarray(from + checksum.start, from + checksum.start + checksum.length);
    image[from + checksum.offset] -= covered.reduce((sum, byte) => sum + byte, 0);
  }
  return image;
}
