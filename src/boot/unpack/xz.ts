/**
 * xz, through the WebAssembly build of xz-embedded; Linux' x86 filter, which that build lacks, is
 * taken off first and undone afterwards.
 */

import { crc32 } from "node:zlib";
import xz from "npm:xz-decompress@0.2.3";
import { undoX86Filter } from "./bcj_x86.ts";
import { collect } from "./collect.ts";
import { withoutX86Filter } from "./xz_container.ts";

export async function unxz(packed: Uint8Array, sizeBytes: number): Promise<Uint8Array> {
  const plain = withoutX86Filter(packed);
  if (plain === undefined) return await unpack(packed, sizeBytes);
  const unpacked = await unpack(plain.archive, sizeBytes);
  undoX86Filter(unpacked);
  if (plain.crc32 !== undefined && crc32(unpacked) !== plain.crc32) {
    throw new Error("its checksum is wrong");
  }
  return unpacked;
}

function unpack(packed: Uint8Array, sizeBytes: number): Promise<Uint8Array> {
  const source = new Blob([packed as Uint8Array<ArrayBuffer>]).stream();
  return collect(new xz.XzReadableStream(source), sizeBytes);
}
