/**
 * Reading what the options of a Vm name: paths, URLs and bytes.
 */

import type { NamedBytes } from "../boot/boot.ts";
import { DenovisorError } from "../base/errors.ts";
import type { FileSource } from "./options.ts";

/** The longest file, in bytes: a bound for pipes and servers that never end. */
const MAX_FILE_BYTES = 4 * 1024 ** 3;

/**
 * The bytes of `source`, in a buffer of their own. `role` is what messages call it: "kernel". A
 * server may take `timeoutMs`.
 * @throws DenovisorError `file` when it cannot be read, `fetch` when a server does not give it,
 * `image` when it is longer than 4 GiB.
 */
export async function readSource(
  role: string,
  source: FileSource,
  timeoutMs?: number,
): Promise<NamedBytes> {
  if (source instanceof Uint8Array) return { name: role, bytes: source.slice() };
  if (source instanceof URL && source.protocol !== "file:") {
    return { name: source.href, bytes: await download(role, source, timeoutMs) };
  }
  const name = source instanceof URL ? decodeURIComponent(source.pathname) : source;
  return { name, bytes: await readPath(role, name) };
}

async function readPath(role: string, path: string): Promise<Uint8Array> {
  try {
    using file = await Deno.open(path);
    const info = await file.stat();
    const kind = info.isDirectory ? "directory" : info.isCharDevice || info.isBlockDevice // some never end: /dev/zero, a terminal
      ? "device"
      : undefined;
    if (kind !== undefined) {
      throw new DenovisorError("file", `Cannot read the ${role} ${path}: it is a ${kind}`, {
        path,
      });
    }
    if (info.size > MAX_FILE_BYTES) throw tooLong(role, path);
    // A regular file fills its buffer with one more read to see the end; pipes grow it.
    return await gather(file, info.size + 1, () => tooLong(role, path));
  } catch (error) {
    if (error instanceof DenovisorError) throw error;
    throw new DenovisorError(
      "file",
      `Cannot read the ${role} ${path}: ${reason(error)}`,
      { path },
      error,
    );
  }
}

async function gather(
  from: { read(into: Uint8Array): Promise<number | null> },
  firstBytes: number,
  error: () => DenovisorError,
): Promise<Uint8Array> {
  let bytes = new Uint8Array(firstBytes);
  let length = 0;
  for (;;) {
    const more = await from.read(bytes.subarray(length));
    if (more === null) return bytes.subarray(0, length);
    length += more;
    if (length > MAX_FILE_BYTES) throw error();
    if (length === bytes.length) {
      const wider = new Uint8Array(Math.min(Math.max(length * 2, 65536), MAX_FILE_BYTES + 1));
      wider.set(bytes);
      bytes = wider;
    }
  }
}

async function download(
  role: string,
  url: URL,
  timeoutMs: number | undefined,
): Promise<Uint8Array> {
  try {
    const limit = timeoutMs === undefined ? {} : { signal: AbortSignal.timeout(timeoutMs) };
    const reply = await fetch(url, limit);
    if (!reply.ok || reply.body === null) {
      await reply.body?.cancel();
      throw new DenovisorError(
        "fetch",
        `Cannot fetch the ${role} ${url.href}: the server answered ${reply.status}, expected 200`,
        { url: url.href, status: reply.status },
      );
    }
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const part of reply.body) {
      length += part.length;
      if (length > MAX_FILE_BYTES) throw tooLong(role, url.href);
      parts.push(part);
    }
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  } catch (error) {
    if (error instanceof DenovisorError) throw error;
    throw new DenovisorError(
      "fetch",
      `Cannot fetch the ${role} ${url.href}: ${reason(error)}`,
      { url: url.href },
      error,
    );
  }
}

function tooLong(role: string, name: string): DenovisorError {
  return new DenovisorError(
    "image",
    `Cannot use the ${role} ${name}: it is longer than 4 GiB`,
    { name, limitBytes: MAX_FILE_BYTES },
  );
}

/** What went wrong, without the host's number and repetition of the path. */
function reason(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.NotCapable) return "deno was not given --allow-read for it";
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n")[0];
}
