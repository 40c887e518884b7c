/** A file out of a Debian package: an `ar` archive that holds a compressed `tar` archive. */

import { DenovisorError } from "../../base/errors.ts";
import { decompressor } from "./decompress.ts";
import { findInTar, type TarFile } from "./tar.ts";

/** deb(5): the archive's magic string, then members behind 60-byte headers, on even offsets. */
const AR_MAGIC = "!<arch>\n";
const AR_HEADER_BYTES = 60;

/** A member of an ar archive. */
interface Member {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * The first regular file of the package whose path (without "./") matches `pattern`. Unpacks no
 * further than that. `name` is the package's, for messages.
 * @throws DenovisorError `image` when the package is malformed or has no such file of at most
 *   `maxBytes`.
 */
export async function fileFromDeb(
  name: string,
  deb: Uint8Array<ArrayBuffer>,
  pattern: RegExp,
  maxBytes: number,
): Promise<TarFile> {
  const data = arMembers(name, deb).find((member) => member.name.startsWith("data.tar"));
  if (data === undefined) {
    throw malformed(name, "found no member data.tar, expected one");
  }
  const suffix = data.name.slice("data.tar".length);
  const unpacked = new Blob([data.bytes]).stream().pipeThrough(await decompressor(suffix, name));
  const found = await findInTar(unpacked, name, pattern, maxBytes);
  if (found === undefined) {
    throw malformed(name, `found no file that matches ${pattern.source}, expected one`);
  }
  return found;
}

function* arMembers(name: string, deb: Uint8Array<ArrayBuffer>): Generator<Member, void> {
  if (ascii(deb.subarray(0, AR_MAGIC.length)) !== AR_MAGIC) {
    throw malformed(name, "found no ar magic at its start, expected a Debian package");
  }
  for (let at = AR_MAGIC.length; at < deb.length;) {
    const header = ascii(deb.subarray(at, at + AR_HEADER_BYTES));
    const sizeBytes = Number(header.slice(48, 58).trim() || NaN);
    const start = at + AR_HEADER_BYTES;
    if (header.slice(58) !== "`\n" || !(sizeBytes >= 0 && sizeBytes <= deb.length - start)) {
      throw malformed(name, `found a bad ar header at byte ${at}`);
    }
    yield {
      name: header.slice(0, 16).trim().replace(/\/$/, ""),
      bytes: deb.subarray(start, start + sizeBytes),
    };
    at = start + sizeBytes + sizeBytes % 2;
  }
}

function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function malformed(name: string, what: string): DenovisorError {
  return new DenovisorError("image", `Cannot unpack the package ${name}: ${what}`);
}
