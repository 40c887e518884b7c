/** Debian packages made for tests: an ar archive that holds a tar archive. */

/** An entry of an archive; a path that ends in a slash is a directory. */
export interface PackageFile {
  readonly path: string;
  /** Contents. */
  readonly text: string | Uint8Array;
}

/** Text as UTF-8. */
export function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** The bytes of `parts` in one array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A package of `files`, its data compressed by gzip. */
export async function deb(files: readonly PackageFile[]): Promise<Uint8Array<ArrayBuffer>> {
  return ar([
    ["debian-binary", encode("2.0\n")],
    ["control.tar.gz", encode("odd")],
    ["data.tar.gz", await gzip(tar(files))],
  ]);
}

/** deb(5), ar(5): a magic string, then members behind 60-byte headers, on even offsets. */
export function ar(
  members: readonly (readonly [name: string, bytes: Uint8Array])[],
): Uint8Array<ArrayBuffer> {
  const parts = [encode("!<arch>\n")];
  for (const [name, bytes] of members) {
    const fields = [name.padEnd(16), "0".padEnd(12), "0".padEnd(6), "0".padEnd(6)];
    const header = [...fields, "100644".padEnd(8), String(bytes.length).padEnd(10), "`\n"].join("");
    parts.push(encode(header), bytes.slice(), encode(bytes.length % 2 === 1 ? "\n" : ""));
  }
  return concat(...parts);
}

/** POSIX.1-2017, pax, "ustar Interchange Format". */
export function tar(files: readonly PackageFile[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (const { path, text } of files) {
    const bytes = typeof text === "string" ? encode(text) : text;
    const header = new Uint8Array(512);
    const put = (at: number, field: string) => header.set(encode(field), at);
    put(0, path);
    put(100, "0000644\0");
    put(124, bytes.length.toString(8).padStart(11, "0") + "\0");
    put(148, " ".repeat(8));
    put(156, path.endsWith("/") ? "5" : "0");
    put(257, "ustar\x0000");
    put(148, header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0") + "\0 ");
    parts.push(header, bytes, new Uint8Array(-bytes.length & 511));
  }
  return concat(...parts, new Uint8Array(1024));
}

/** `bytes` compressed by gzip. */
export async function gzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}
