/**
 * Reading what the options of a Vm name: paths, URLs and bytes.
 */

import type { NamedBytes } from "../boot/boot.ts";
import { DenovisorError } from "../base/errors.ts";
import { NamedPipe } from "./named_pipe.ts";
import type { FileSource } from "./options.ts";

/** What a file has to fit into. */
export interface Room {
  /** Completes "Cannot use the kernel: it has 3 bytes, …": "the guest's RAM". */
  readonly name: string;
  readonly bytes: number;
  /** An ELF file may be longer: its symbols are not loaded. */
  readonly exceptElf?: boolean;
}

/** Bounds for a file that is read. */
export interface ReadLimits {
  /** How long a server or a pipe may take. Default: for ever. */
  readonly timeoutMs?: number | undefined;
  /** Default: 4 GiB. */
  readonly room?: Room | undefined;
}

/** The longest file, in bytes: a bound for pipes and servers that never end. */
const MAX_FILE_BYTES = 4 * 1024 ** 3;
const ANY_ROOM: Room = { name: "the longest file that is read", bytes: MAX_FILE_BYTES };
/** The first bytes of an ELF file (System V ABI, "ELF Header"). */
const ELF_MAGIC = [0x7f, 0x45, 0x4c, 0x46];

/**
 * The bytes of `source`, in a buffer of their own. `role` is what messages call it: "kernel".
 * @throws DenovisorError `file` when it cannot be read, `fetch` when a server does not give it,
 * `image` when it is longer than its room, which is found out before a file is read.
 */
export async function readSource(
  role: string,
  source: FileSource,
  { timeoutMs, room = ANY_ROOM }: ReadLimits = {},
): Promise<NamedBytes> {
  if (source instanceof Uint8Array) return { name: role, bytes: source.slice() };
  if (source instanceof URL && source.protocol !== "file:") {
    return { name: source.href, bytes: await download(role, source, room, timeoutMs) };
  }
  const name = source instanceof URL ? decodeURIComponent(source.pathname) : source;
  return { name, bytes: await readPath(role, name, room, timeoutMs) };
}

async function readPath(
  role: string,
  path: string,
  room: Room,
  timeoutMs: number | undefined,
): Promise<Uint8Array> {
  try {
    const info = await Deno.stat(path);
    const kind = info.isDirectory ? "directory" : info.isCharDevice || info.isBlockDevice // some never end: /dev/zero, a terminal
      ? "device"
      : undefined;
    if (kind !== undefined) throw new Error(`it is a ${kind}`);
    const check = (length: number, start: Uint8Array, whole: boolean) => {
      if (!fits(length, start, room)) throw tooLong(role, path, room, whole ? length : undefined);
    };
    if (info.isFifo) {
      using pipe = new NamedPipe(path, timeoutMs);
      return await gather(pipe, 65536, (length, start) => check(length, start, false));
    }
    using file = await Deno.open(path);
    if (info.size > room.bytes) {
      const start = new Uint8Array(ELF_MAGIC.length);
      await file.read(start);
      check(info.size, start, true);
      await file.seek(0, Deno.SeekMode.Start);
    }
    // A regular file fills its buffer with one more read to see the end; those of /proc grow it.
    return await gather(file, info.size + 1, (length, start) => check(length, start, false));
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
  check: (length: number, start: Uint8Array) => void,
): Promise<Uint8Array> {
  let bytes = new Uint8Array(firstBytes);
  let length = 0;
  for (;;) {
    const more = await from.read(bytes.subarray(length));
    if (more === null) return bytes.subarray(0, length);
    length += more;
    check(length, bytes);
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
  room: Room,
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
      parts.push(part);
      if (!fits(length, parts[0], room)) throw tooLong(role, url.href, room);
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

/** Whether a file of so many bytes that starts so may be read. */
function fits(length: number, start: Uint8Array, room: Room): boolean {
  const isFree = room.exceptElf === true && ELF_MAGIC.every((byte, i) => start[i] === byte);
  return length <= (isFree ? MAX_FILE_BYTES : Math.min(room.bytes, MAX_FILE_BYTES));
}

/** `sizeBytes`: undefined while its end has not been seen. */
function tooLong(role: string, name: string, room: Room, sizeBytes?: number): DenovisorError {
  const found = sizeBytes ?? `more than ${room.bytes}`;
  return new DenovisorError(
    "image",
    `Cannot use the ${role} ${name}: it has ${found} bytes, ${room.name} has ${room.bytes}`,
    { name, found, roomBytes: room.bytes },
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
