/**
 * The ELF kernel inside a bzImage (boot.rst, `payload_offset` and `payload_length`). Decompressors
 * are imported when they are needed: booting does without them.
 */

import type { DenovisorError } from "../../base/errors.ts";
import type { NamedBytes } from "../boot.ts";
import { isElf } from "../elf.ts";
import { Image } from "../image.ts";
import { Field, hasSetupHeader, readSetupHeader } from "../linux/setup_header.ts";

/** Unpacks `packed` into exactly `sizeBytes` bytes. What it throws says what is wrong with it. */
type Decompress = (packed: Uint8Array, sizeBytes: number) => Promise<Uint8Array>;

interface Format {
  readonly name: string;
  /** What boot.rst lists for `payload_offset`. */
  readonly magic: readonly number[];
  /** Bytes at the payload's end that hold the unpacked size and are not for the decompressor. */
  readonly sizeFieldBytes: number;
  readonly load?: () => Promise<Decompress>;
}

/** Linux' build appends the unpacked size; a gzip file has had it as its end all along. */
const FORMATS: readonly Format[] = [
  {
    name: "gzip",
    magic: [0x1f, 0x8b],
    sizeFieldBytes: 0,
    load: async () => (await import("./gzip.ts")).gunzip,
  },
  {
    name: "lz4",
    magic: [0x02, 0x21, 0x4c, 0x18],
    sizeFieldBytes: 4,
    load: async () => (await import("./lz4.ts")).unlz4,
  },
  {
    name: "zstd",
    magic: [0x28, 0xb5, 0x2f, 0xfd],
    sizeFieldBytes: 4,
    load: async () => (await import("./zstd.ts")).unzstd,
  },
  {
    name: "xz",
    magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
    sizeFieldBytes: 4,
    load: async () => (await import("./xz.ts")).unxz,
  },
  { name: "bzip2", magic: [0x42, 0x5a, 0x68], sizeFieldBytes: 4 },
  { name: "lzma", magic: [0x5d, 0x00, 0x00], sizeFieldBytes: 4 },
  { name: "lzo", magic: [0x89, 0x4c, 0x5a, 0x4f], sizeFieldBytes: 4 },
];

/** KERNEL_IMAGE_SIZE: no kernel for x86 is larger (arch/x86/include/asm/page_64_types.h). */
const MAX_BYTES = 2 ** 30;

/**
 * The ELF kernel inside a bzImage of protocol 2.08 or later.
 * @throws DenovisorError `image` when the file is no such bzImage, is damaged, or is compressed in
 * a format other than gzip, lz4, zstd and xz.
 */
export async function unpackKernel(bzImage: NamedBytes): Promise<Uint8Array> {
  const image = new Image(bzImage, "unpack");
  const payload = findPayload(image);
  if (isElf(payload)) return payload.bytes;
  const format = FORMATS.find(({ magic }) => payload.startsWith(magic));
  if (format?.load === undefined) throw unknownFormat(image, payload, format?.name);
  const packedBytes = payload.sizeBytes - format.sizeFieldBytes;
  const sizeBytes = payload.u32(payload.sizeBytes - 4, "the unpacked size");
  if (packedBytes < format.magic.length || sizeBytes === 0 || sizeBytes > MAX_BYTES) {
    throw image.error(
      `its payload of ${packedBytes} bytes unpacks to ${sizeBytes}, expected 1 to ${MAX_BYTES}`,
      { packedBytes, sizeBytes },
    );
  }
  const decompress = await format.load();
  const kernel = await decompress(payload.bytes.subarray(0, packedBytes), sizeBytes)
    .catch((cause) => {
      throw image.error(`its ${format.name} payload is damaged: ${textOf(cause)}`);
    });
  if (!isElf(new Image({ name: bzImage.name, bytes: kernel }))) {
    throw image.error(`its ${format.name} payload is not an ELF file`);
  }
  return kernel;
}

function findPayload(image: Image): Image {
  if (!hasSetupHeader(image)) throw image.error("it is not a Linux bzImage");
  const { code, payloadOffset, payloadLength, version } = readSetupHeader(image);
  if (payloadOffset === 0 || payloadLength < 8) {
    throw image.error(
      `its setup header (protocol version 0x${version.toString(16)}) names no payload: ` +
        `offset ${payloadOffset}, length ${payloadLength}`,
      { version, payloadOffset, payloadLength },
    );
  }
  if (payloadOffset + payloadLength > code.length) {
    throw image.error(
      `its payload has ${payloadLength} bytes at offset ${payloadOffset} ` +
        `(field at ${Field.PAYLOAD_OFFSET}), its code only ${code.length}`,
      { payloadOffset, payloadLength, codeBytes: code.length },
    );
  }
  const bytes = code.subarray(payloadOffset, payloadOffset + payloadLength);
  return new Image({ name: image.name, bytes }, "unpack");
}

function unknownFormat(image: Image, payload: Image, name: string | undefined): DenovisorError {
  const found = name ??
    Array.from(payload.bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, "0")).join(
      " ",
    );
  return image.error(`its payload is ${found}, expected gzip, lz4, zstd or xz`, { found });
}

function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
