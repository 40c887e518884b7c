/**
 * The container of .xz files (xz-file-format.txt 1.2.1), as far as it takes to remove a filter from
 * one: Linux compresses its kernel as one stream of one block, with the x86 filter before LZMA2.
 */

import { crc32 } from "node:zlib";
import { alignUp } from "../../base/u64.ts";

/** §2.1.1: magic bytes, stream flags, CRC32; the footer (§2.1.2) is as long. */
const STREAM_HEADER = 12;
const MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
/** Types of integrity check (§2.1.1.2) that are told apart here. */
const CHECK_NONE = 0;
const CHECK_CRC32 = 1;
/** Bytes of the check by its type. */
const CHECK_BYTES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];
/** Filter identifiers (§5.3). */
const FILTER_X86 = 0x04;
const FILTER_LZMA2 = 0x21;
/** Block flags (§3.1.2): whether the header has the two sizes. */
const HAS_PACKED_SIZE = 0x40;
const HAS_UNPACKED_SIZE = 0x80;

/** An archive whose block has LZMA2 as its only filter. */
export interface PlainArchive {
  readonly archive: Uint8Array;
  /** Checksum of what the x86 filter gives; undefined when the file has another kind, or none. */
  readonly crc32: number | undefined;
}

/**
 * The archive with its x86 filter and its check taken off; undefined when it has no such filter.
 * @throws Error when the file is damaged or has a shape that Linux' build does not give it.
 */
export function withoutX86Filter(file: Uint8Array): PlainArchive | undefined {
  if (file.length < 2 * STREAM_HEADER + 8) throw new Error(`it ends at byte ${file.length}`);
  const check = file[7] & 15;
  const headerBytes = (file[STREAM_HEADER] + 1) * 4;
  const filters = readFilters(file.subarray(STREAM_HEADER, STREAM_HEADER + headerBytes - 4));
  if (filters === undefined) return undefined;
  const { unpaddedBytes, unpackedBytes } = readIndex(file);
  const packedBytes = unpaddedBytes - headerBytes - CHECK_BYTES[check];
  const start = STREAM_HEADER + headerBytes;
  const checkAt = start + alignUp(packedBytes, 4);
  if (packedBytes <= 0 || checkAt + CHECK_BYTES[check] > file.length) {
    throw new Error(`its index names a block of ${unpaddedBytes} bytes, it has ${file.length}`);
  }
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  return {
    archive: build(file.subarray(start, start + packedBytes), filters.dictionary, unpackedBytes),
    crc32: check === CHECK_CRC32 ? view.getUint32(checkAt, true) : undefined,
  };
}

/** LZMA2's dictionary size byte when the filters are x86 and LZMA2; undefined for LZMA2 alone. */
function readFilters(header: Uint8Array): { dictionary: number } | undefined {
  const reader = new Reader(header, 1);
  const flags = reader.byte();
  if ((flags & HAS_PACKED_SIZE) !== 0) reader.integer();
  if ((flags & HAS_UNPACKED_SIZE) !== 0) reader.integer();
  const filters = Array.from({ length: (flags & 3) + 1 }, () => {
    const id = reader.integer();
    const sizeBytes = reader.integer();
    const properties = Array.from({ length: Math.min(sizeBytes, 4) }, () => reader.byte());
    return { id, sizeBytes, properties };
  });
  const [first, second] = filters;
  if (filters.length === 1 && first.id === FILTER_LZMA2) return undefined;
  const expected = filters.length === 2 && first.id === FILTER_X86 && first.sizeBytes === 0 &&
    second.id === FILTER_LZMA2 && second.sizeBytes === 1;
  if (expected) return { dictionary: second.properties[0] };
  throw new Error(
    `its filters are ${filters.map(({ id }) => id)}, expected x86 (4) and LZMA2 (33)`,
  );
}

/** The index's only record (§4). */
function readIndex(file: Uint8Array): { unpaddedBytes: number; unpackedBytes: number } {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const footer = file.length - STREAM_HEADER;
  const indexBytes = (view.getUint32(footer + 4, true) + 1) * 4;
  if (indexBytes > footer - STREAM_HEADER) throw new Error("its index does not fit");
  const reader = new Reader(file.subarray(footer - indexBytes, footer), 0);
  const indicator = reader.byte();
  const records = reader.integer();
  if (indicator !== 0 || records !== 1) throw new Error(`it has ${records} blocks, expected 1`);
  return { unpaddedBytes: reader.integer(), unpackedBytes: reader.integer() };
}

/** A stream of one block with LZMA2 data and no check. */
function build(packed: Uint8Array, dictionary: number, unpackedBytes: number): Uint8Array {
  const flags = [0, CHECK_NONE];
  const header = [2, 0, FILTER_LZMA2, 1, dictionary, 0, 0, 0];
  const blockHeader = [...header, ...checksum(header)];
  const index = [0, 1, ...integer(blockHeader.length + packed.length), ...integer(unpackedBytes)];
  while (index.length % 4 !== 0) index.push(0);
  const footer = [...littleEndian(index.length / 4), ...flags];
  const parts = [
    [...MAGIC, ...flags, ...checksum(flags), ...blockHeader],
    packed,
    new Uint8Array(alignUp(packed.length, 4) - packed.length),
    [...index, ...checksum(index), ...checksum(footer), ...footer, 0x59, 0x5a],
  ];
  const archive = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}

function checksum(bytes: readonly number[]): number[] {
  return littleEndian(crc32(Uint8Array.from(bytes)));
}

function littleEndian(value: number): number[] {
  return [value & 255, value >>> 8 & 255, value >>> 16 & 255, value >>> 24];
}

/** A variable-length integer (§1.2): seven bits a byte, the last one below 0x80. */
function integer(value: number): number[] {
  const bytes = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push(value % 0x80 + 0x80);
  return [...bytes, value];
}

/** Reads a header in order; behind its end there are zeros. */
class Reader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  byte(): number {
    return this.#bytes[this.#at++] ?? 0;
  }

  /** A variable-length integer of at most nine bytes. */
  integer(): number {
    let value = 0;
    for (let weight = 1, count = 0; count < 9; weight *= 0x80, count++) {
      const byte = this.byte();
      value += byte % 0x80 * weight;
      if (byte < 0x80) break;
    }
    return value;
  }
}
