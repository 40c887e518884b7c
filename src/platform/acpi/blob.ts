/**
 * ACPI tables before anyone has decided where they go: bytes in which every pointer holds an offset
 * into the tables, with the list of the pointers and of the checksums. The machine places them at a
 * fixed address (place.ts), or firmware does (loader.ts): both from the same blob.
 */

/** The two pieces: firmware must put the RSDP below 1 MiB, and the rest where it likes. */
export type AcpiPart = "rsdp" | "tables";

/** A little-endian pointer of `sizeBytes` at `offset` of a part, to a place in the tables. */
export interface AcpiPointer {
  readonly part: AcpiPart;
  readonly offset: number;
  readonly sizeBytes: 4 | 8;
}

/** A byte at `offset` that brings the sum of `length` bytes from `start` on to zero. */
export interface AcpiChecksum {
  readonly part: AcpiPart;
  readonly offset: number;
  readonly start: number;
  readonly length: number;
}

/** Tables that want placing. Checksum bytes are zero so far. */
export interface AcpiBlob {
  readonly rsdp: Uint8Array;
  readonly tables: Uint8Array;
  readonly pointers: readonly AcpiPointer[];
  /** In the order in which they have to be computed. */
  readonly checksums: readonly AcpiChecksum[];
}

/** Alignment of the tables in bytes: the FACS, which comes first, asks for it (ACPI 6.4 §5.2.10). */
export const TABLES_ALIGNMENT = 64;
/** Alignment of the RSDP in bytes, by which it is searched for (§5.2.5.1). */
export const RSDP_ALIGNMENT = 16;
