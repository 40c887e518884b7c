/** One file out of a tar stream. */

import { DenovisorError } from "../../base/errors.ts";

/** A regular file of an archive. */
export interface TarFile {
  /** Path without a leading "./". */
  readonly path: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** POSIX.1-2017, pax, "ustar Interchange Format": everything is in blocks of 512 bytes. */
const BLOCK_BYTES = 512;
/** No entry of a kernel package is larger; a size field beyond it is damage. */
const MAX_ENTRY_BYTES = 2 ** 32;

/**
 * Reads `archive` up to the first regular file whose path matches `pattern`; undefined when there
 * is none. Names over 100 bytes are not looked at. `source` names the archive in messages.
 * @throws DenovisorError `image` when the archive is malformed or the file is over `maxBytes`.
 */
export async function findInTar(
  archive: ReadableStream<Uint8Array>,
  source: string,
  pattern: RegExp,
  maxBytes: number,
): Promise<TarFile | undefined> {
  await using reader = new BlockReader(archive, source);
  for (;;) {
    const header = await reader.take(BLOCK_BYTES);
    if (header.every((byte) => byte === 0)) return undefined;
    const entry = parseHeader(header, source);
    const padded = Math.ceil(entry.sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
    if (!entry.regular || !pattern.test(entry.path)) {
      await reader.skip(padded);
      continue;
    }
    if (entry.sizeBytes > maxBytes) {
      throw malformed(
        source,
        `${entry.path} has ${entry.sizeBytes} bytes, expected at most ${maxBytes}`,
      );
    }
    return { path: entry.path, bytes: (await reader.take(padded)).subarray(0, entry.sizeBytes) };
  }
}

interface Entry {
  readonly path: string;
  readonly sizeBytes: number;
  readonly regular: boolean;
}

function parseHeader(header: Uint8Array, source: string): Entry {
  const text = (at: number, length: number): string =>
    new TextDecoder().decode(header.subarray(at, at + length)).replace(/\0.*$/s, "");
  const octal = (at: number, length: number): number => {
    const digits = text(at, length).trim();
    return /^[0-7]+$/.test(digits) ? parseInt(digits, 8) : NaN;
  };
  // The checksum counts its own eight bytes as spaces.
  const sum = header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte), 0);
  const sizeBytes = octal(124, 12);
  if (octal(148, 8) !== sum || !(sizeBytes <= MAX_ENTRY_BYTES)) {
    throw malformed(source, "found a bad tar header");
  }
  const type = String.fromCharCode(header[156]);
  return {
    path: text(0, 100).replace(/^\.\//, ""),
    sizeBytes,
    regular: type === "0" || type === "\0",
  };
}

/** Takes exact lengths out of a stream. */
class BlockReader implements AsyncDisposable {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #source: string;
  #rest: Uint8Array = new Uint8Array();

  constructor(stream: ReadableStream<Uint8Array>, source: string) {
    this.#reader = stream.getReader();
    this.#source = source;
  }

  async take(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const taken = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const part = await this.#next(length - at);
      taken.set(part, at);
      at += part.length;
    }
    return taken;
  }

  async skip(length: number): Promise<void> {
    while (length > 0) length -= (await this.#next(length)).length;
  }

  /** At least one byte, at most `most`. */
  async #next(most: number): Promise<Uint8Array> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) throw malformed(this.#source, "the archive ends early");
      this.#rest = value;
    }
    const part = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(part.length);
    return part;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel().catch(() => {}); // what is left is not wanted, errors in it neither
  }
}

function malformed(source: string, what: string): DenovisorError {
  return new DenovisorError("image", `Cannot unpack the archive of ${source}: ${what}`);
}
