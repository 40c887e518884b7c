/**
 * Writes cpio archives in the "newc" format, which Linux unpacks as its initramfs (Linux,
 * Documentation/driver-api/early-userspace/buffer-format.rst).
 */

import { alignUp } from "../base/u64.ts";

/** What one path is. `mode` has the permission bits, 0o755 and the like; owners are root. */
export type CpioEntry =
  | { readonly kind: "file"; readonly path: string; readonly bytes: Uint8Array; mode?: number }
  | { readonly kind: "directory"; readonly path: string; mode?: number }
  | { readonly kind: "symlink"; readonly path: string; readonly target: string }
  | {
    readonly kind: "character-device" | "block-device";
    readonly path: string;
    readonly major: number;
    readonly minor: number;
    mode?: number;
  };

/** File type bits of a mode (POSIX <sys/stat.h>), and permissions when none are given. */
const KINDS = {
  file: { type: 0o100000, mode: 0o644 },
  directory: { type: 0o040000, mode: 0o755 },
  symlink: { type: 0o120000, mode: 0o777 },
  "character-device": { type: 0o020000, mode: 0o600 },
  "block-device": { type: 0o060000, mode: 0o600 },
} as const;

const MAGIC = "070701";
const HEADER_BYTES = 110;
const ALIGN = 4;
const TRAILER = "TRAILER!!!";
/** Header fields are 32-bit numbers. */
const FIELD_MAX = 0xffff_ffff;
const NOTHING = new Uint8Array();

/** One record: the header's fields and what follows it. */
interface Record {
  readonly name: Uint8Array;
  readonly mode: number;
  readonly links: number;
  readonly major: number;
  readonly minor: number;
  readonly data: Uint8Array;
}

/**
 * The archive of `entries`. Directories that lead to an entry and are not given come with mode
 * 0o755. The same entries give the same bytes: times are zero, inode numbers count.
 * @throws TypeError for a path that is empty, absolute, has `..` in it or is given twice;
 * RangeError for a number that its header field cannot hold.
 */
export function cpio(entries: readonly CpioEntry[]): Uint8Array {
  const records = [...withParents(entries)].map(toRecord);
  const name = nameBytes(TRAILER);
  records.push({ name, mode: 0, links: 1, major: 0, minor: 0, data: NOTHING });
  const archive = new Uint8Array(records.reduce((sum, record) => sum + recordBytes(record), 0));
  let at = 0;
  records.forEach((record, index) => {
    archive.set(header(record, index + 1), at);
    archive.set(record.name, at + HEADER_BYTES);
    archive.set(record.data, at + alignUp(HEADER_BYTES + record.name.length, ALIGN));
    at += recordBytes(record);
  });
  return archive;
}

/** The entries, each after the directories that lead to it: those given, or plain ones. */
function* withParents(entries: readonly CpioEntry[]): Generator<CpioEntry> {
  const given = new Map<string, CpioEntry>();
  for (const entry of entries) {
    checkPath(entry.path);
    if (given.has(entry.path)) throw new TypeError(`Cannot archive ${entry.path}: given twice`);
    given.set(entry.path, entry);
  }
  const written = new Set<string>();
  for (const path of given.keys()) {
    const parts = path.split("/");
    for (let depth = 1; depth <= parts.length; depth++) {
      const at = parts.slice(0, depth).join("/");
      if (written.has(at)) continue;
      written.add(at);
      yield given.get(at) ?? { kind: "directory", path: at };
    }
  }
}

function checkPath(path: string): void {
  const parts = path.split("/");
  if (parts.some((part) => part === "" || part === "." || part === "..") || path.includes("\0")) {
    throw new TypeError(`Cannot archive ${JSON.stringify(path)}: expected a relative path`);
  }
}

function toRecord(entry: CpioEntry): Record {
  const kind = KINDS[entry.kind];
  const mode = kind.type + ("mode" in entry ? entry.mode ?? kind.mode : kind.mode);
  const base = { name: nameBytes(entry.path), mode, links: 1, major: 0, minor: 0, data: NOTHING };
  switch (entry.kind) {
    case "file":
      return { ...base, data: entry.bytes };
    case "directory":
      return { ...base, links: 2 };
    case "symlink":
      return { ...base, data: new TextEncoder().encode(entry.target) };
    case "character-device":
    case "block-device":
      return { ...base, major: entry.major, minor: entry.minor };
  }
}

function nameBytes(path: string): Uint8Array {
  return new TextEncoder().encode(`${path}\0`);
}

function recordBytes({ name, data }: Record): number {
  return alignUp(alignUp(HEADER_BYTES + name.length, ALIGN) + data.length, ALIGN);
}

/** Magic and thirteen fields of eight hexadecimal digits. */
function header({ name, mode, links, major, minor, data }: Record, inode: number): Uint8Array {
  const owner = 0;
  const group = 0;
  const time = 0;
  const checksum = 0;
  const device = [0, 0];
  const fields = [inode, mode, owner, group, links, time, data.length, ...device, major, minor]
    .concat(name.length, checksum);
  const digits = fields.map((field) => {
    if (!Number.isInteger(field) || field < 0 || field > FIELD_MAX) {
      throw new RangeError(`Cannot write ${field} to a cpio header: expected 0 to ${FIELD_MAX}`);
    }
    return field.toString(16).padStart(8, "0");
  });
  return new TextEncoder().encode(MAGIC + digits.join(""));
}
