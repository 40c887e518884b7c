/** The option `memory` of `Vm.boot`: how much, and how it is brought in. */

import { DenovisorError } from "../base/errors.ts";
import { alignUp, hex, PAGE_SIZE, TWO_32 } from "../base/u64.ts";
import { MAX_MEMORY_BYTES } from "../memory/guest_memory.ts";

/** Who brings guest memory in when it is first touched. */
export type Paging = "kernel" | "mmu";

/** Guest RAM, and what is special about it. */
export interface MemoryOptions {
  /** Guest RAM: bytes, or a number with K, M or G. Default "256M". */
  readonly size?: string | number | undefined;
  /**
   * "kernel" (default): the host's kernel, by itself: the fastest. "mmu": denovisor's pager, which can
   * log writes, read files when they are needed, and counts every fault.
   */
  readonly paging?: Paging | undefined;
  /** With paging "mmu": log writes for `vm.memory.dirtyLog()`. Default false. */
  readonly dirtyLog?: boolean | undefined;
  /**
   * With paging "mmu": the file that every event of the MMU is written to, one JSON object a line, or
   * "-" for stderr. It is whole when the run has ended; `denovisor mmu report` shows it.
   */
  readonly trace?: string | URL | undefined;
  /** With paging "mmu": files that guest memory starts as. */
  readonly regions?: readonly FileRegion[] | undefined;
}

/**
 * A file in guest memory. It is read where and when someone first touches it, and must not change
 * while the guest runs. What the guest writes stays in memory; the file is never written, unless it
 * is shared.
 */
export interface FileRegion {
  /**
   * Guest physical address of its first byte, a multiple of 4096: inside RAM, which then starts with
   * the file's bytes there, or outside of it: below 0xfe000000, or from 4 GiB on.
   */
  readonly gpa: number;
  /** Its path, or a file: URL. */
  readonly file: string | URL;
  /** Writes of the guest do not land; only outside of RAM. Default false. */
  readonly readOnly?: boolean | undefined;
  /**
   * The file itself is the memory: whatever guests and processes write to it, all who have it see. It
   * has to be memory that cannot shrink, as `SharedMemory.create` makes it. Default false.
   */
  readonly shared?: boolean | undefined;
}

/** Paging "mmu" after its checks. */
export interface CheckedPaging {
  readonly dirtyLog: boolean;
  /** A path, or "-" for stderr. */
  readonly trace: string | undefined;
  readonly regions: readonly CheckedRegion[];
}

/** A file region after its checks. */
export interface CheckedRegion {
  readonly gpa: number;
  readonly path: string;
  readonly readOnly: boolean;
  readonly shared: boolean;
}

/** The option after its checks. */
export interface CheckedMemory {
  readonly memoryBytes: number;
  /** Undefined when the kernel does the paging. */
  readonly paging: CheckedPaging | undefined;
}

/** The least RAM: the first megabyte holds the loaders' tables and firmware shadow. */
export const MIN_MEMORY_BYTES = 2 * 1024 ** 2;
/** Most file regions: each may become a memslot, and faults look through them. */
export const MAX_REGIONS = 16;
/** Devices and firmware lie from here to 4 GiB. */
export const DEVICE_START = 0xfe00_0000;
/** The highest address that four levels of tables map, the least that KVM uses. */
const GPA_END = 2 ** 47;

const NAMES = ["size", "paging", "dirtyLog", "trace", "regions"];
const REGION_NAMES = ["gpa", "file", "readOnly", "shared"];

/**
 * Checks the option and fills in its defaults.
 * @throws DenovisorError `usage` for the first thing that is wrong.
 */
export function checkMemory(given: string | number | MemoryOptions): CheckedMemory {
  if (typeof given !== "object") return { memoryBytes: parseMemory(given), paging: undefined };
  if (given === null) throw wrong("memory", given, "a size or an object");
  checkNames("memory", given, NAMES);
  const { size = "256M", paging = "kernel", dirtyLog = false, regions = [] } = given;
  const trace = given.trace === undefined ? undefined : pathOf("memory.trace", given.trace);
  const memoryBytes = parseMemory(size);
  if (paging !== "kernel" && paging !== "mmu") {
    throw wrong("memory.paging", paging, "kernel or mmu");
  }
  if (typeof dirtyLog !== "boolean") throw wrong("memory.dirtyLog", dirtyLog, "true or false");
  if (!Array.isArray(regions) || regions.length > MAX_REGIONS) {
    throw wrong("memory.regions", regions, `an array of at most ${MAX_REGIONS} regions`);
  }
  if (paging === "kernel") {
    const needs = 'memory.paging "mmu" with it';
    if (dirtyLog) throw wrong("memory.dirtyLog", dirtyLog, needs);
    if (trace !== undefined) throw wrong("memory.trace", trace, needs);
    if (regions.length > 0) throw wrong("memory.regions", `${regions.length} regions`, needs);
    return { memoryBytes, paging: undefined };
  }
  return { memoryBytes, paging: { dirtyLog, trace, regions: regions.map(checkRegion) } };
}

/**
 * Bytes of guest RAM from "256M", "2G", "65536K" or a number of bytes.
 * @throws DenovisorError `usage` when it is malformed, out of range, or no multiple of 4096.
 */
export function parseMemory(given: string | number): number {
  const expected = `a number of bytes or a number with K, M or G, from 2M to ` +
    `${MAX_MEMORY_BYTES / 1024 ** 3}G, in multiples of 4K`;
  const bytes = typeof given === "number" ? given : bytesOf(given);
  if (
    !Number.isInteger(bytes) || bytes < MIN_MEMORY_BYTES || bytes > MAX_MEMORY_BYTES ||
    bytes % PAGE_SIZE !== 0
  ) {
    throw wrong("memory", given, expected);
  }
  return bytes;
}

/** Where a region of so many bytes of file lies in relation to RAM. */
export function placeRegion(
  { gpa, path, readOnly }: CheckedRegion,
  fileBytes: number,
  ramBytes: number,
  lowRamEnd: number,
): "in-ram" | "outside" {
  const end = gpa + alignUp(fileBytes, PAGE_SIZE);
  const where = `${path} at ${hex(gpa)} to ${hex(end - 1)}`;
  const low = Math.min(ramBytes, lowRamEnd);
  const ram = [[0, low], [TWO_32, TWO_32 + ramBytes - low]];
  for (const [from, to] of ram) {
    if (gpa >= to || end <= from) continue;
    if (gpa < from || end > to) {
      const found = `${where}, which lies partly in RAM`;
      throw wrong("memory.regions", found, "a region inside or outside of RAM");
    }
    if (readOnly) {
      throw wrong("memory.regions", `${where}, in RAM`, "read-only regions outside of it");
    }
    return "in-ram";
  }
  if (end > GPA_END || (gpa < TWO_32 && end > DEVICE_START)) {
    const expected = `an end at or below ${hex(DEVICE_START)}, or from 4 GiB on below 2^47`;
    throw wrong("memory.regions", where, expected);
  }
  return "outside";
}

function checkRegion(region: FileRegion, index: number): CheckedRegion {
  const name = `memory.regions[${index}]`;
  if (typeof region !== "object" || region === null) throw wrong(name, region, "an object");
  checkNames(name, region, REGION_NAMES);
  const { gpa, file, readOnly = false, shared = false } = region;
  if (!Number.isSafeInteger(gpa) || gpa < 0 || gpa % PAGE_SIZE !== 0 || gpa >= GPA_END) {
    throw wrong(`${name}.gpa`, gpa, "a multiple of 4096 from 0 to 2^47");
  }
  if (typeof readOnly !== "boolean") throw wrong(`${name}.readOnly`, readOnly, "true or false");
  if (typeof shared !== "boolean") throw wrong(`${name}.shared`, shared, "true or false");
  return { gpa, path: pathOf(`${name}.file`, file), readOnly, shared };
}

/** @throws DenovisorError `usage` when it is no path of a file. */
export function pathOf(name: string, file: string | URL): string {
  if (typeof file === "string" && file !== "" && !file.includes("\0")) return file;
  if (file instanceof URL && file.protocol === "file:") return decodeURIComponent(file.pathname);
  throw wrong(name, file, "a path or a file: URL");
}

function checkNames(option: string, given: object, names: readonly string[]): void {
  for (const name of Object.keys(given)) {
    if (!names.includes(name)) {
      throw wrong(`${option}.${name}`, "unknown option", `one of ${names.join(", ")}`);
    }
  }
}

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

export function bytesOf(text: string): number {
  const parts = /^([0-9]{1,15})([KMG]?)$/i.exec(text);
  return parts === null ? NaN : Number(parts[1]) * UNITS[parts[2].toUpperCase()];
}

export function wrong(option: string, found: unknown, expected: string): DenovisorError {
  return new DenovisorError(
    "usage",
    `Cannot use the option ${option}: found ${String(found)}, expected ${expected}`,
    { option, found: String(found) },
  );
}
