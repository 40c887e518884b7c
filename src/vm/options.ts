/**
 * What `Vm.boot` takes, and its checks.
 */

import { DenovisorError } from "../base/errors.ts";
import { MAX_MEMORY_BYTES } from "../memory/guest_memory.ts";
import { MAX_TIMER_MS } from "../base/timer.ts";
import { PAGE_SIZE } from "../base/u64.ts";

/** A file: its path, a file: or http(s): URL, or its bytes. */
export type FileSource = string | URL | Uint8Array;

/** Which engine runs the guest. */
export type EngineChoice = "auto" | "kvm";

/** What to boot, and on what machine. Everything has a default. */
export interface VmOptions {
  /** bzImage, ELF, Multiboot or flat image: detected. Without it and `bios`: the built-in guest. */
  readonly kernel?: FileSource | undefined;
  /** One initrd or several: concatenated for Linux, one module each for Multiboot. */
  readonly initrd?: FileSource | readonly FileSource[] | undefined;
  /** Firmware image, mapped so that it ends at 4 GiB. */
  readonly bios?: FileSource | undefined;
  /** Kernel command line. Default "". */
  readonly append?: string | undefined;
  /** Guest RAM: bytes, or a number with K, M or G. Default "256M". */
  readonly memory?: string | number | undefined;
  /** Number of vCPUs, 1 to 64. Default 1. */
  readonly cpus?: number | undefined;
  /** Default "auto". */
  readonly engine?: EngineChoice | undefined;
  /** Put the debug-exit device at port 0xf4. Default false. */
  readonly debugExit?: boolean | undefined;
  /** The run ends with the outcome "timeout" after so many milliseconds from the start of `boot`. */
  readonly timeoutMs?: number | undefined;
}

/** Options after their checks, with every default filled in. */
export interface CheckedOptions {
  readonly kernel: FileSource | undefined;
  readonly initrds: readonly FileSource[];
  readonly bios: FileSource | undefined;
  readonly append: string;
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly engine: EngineChoice;
  readonly debugExit: boolean;
  readonly timeoutMs: number | undefined;
}

/** Most vCPUs of one guest. */
export const MAX_CPUS = 64;
/** The least RAM: the first megabyte holds the loaders' tables and firmware shadow. */
export const MIN_MEMORY_BYTES = 2 * 1024 ** 2;
/** The longest `timeoutMs`. */
export const MAX_TIMEOUT_MS = MAX_TIMER_MS;

const NAMES = [
  "kernel",
  "initrd",
  "bios",
  "append",
  "memory",
  "cpus",
  "engine",
  "debugExit",
  "timeoutMs",
];

/**
 * Checks `options` and fills in defaults.
 * @throws DenovisorError `usage` for the first option that is wrong.
 */
export function checkOptions(options: VmOptions): CheckedOptions {
  for (const name of Object.keys(options)) {
    if (!NAMES.includes(name)) throw wrong(name, "unknown option", `one of ${NAMES.join(", ")}`);
  }
  const {
    kernel,
    initrd,
    bios,
    append = "",
    cpus = 1,
    engine = "auto",
    debugExit = false,
    timeoutMs,
  } = options;
  const initrds: readonly FileSource[] = initrd === undefined
    ? []
    : isFileSource(initrd)
    ? [initrd]
    : initrd;
  if (kernel !== undefined) checkFile("kernel", kernel);
  if (bios !== undefined) checkFile("bios", bios);
  if (!Array.isArray(initrds)) checkFile("initrd", initrds);
  for (const file of initrds) checkFile("initrd", file);
  if (initrds.length > 0 && kernel === undefined) {
    throw wrong("initrd", "no kernel to give it to", "the option kernel with it");
  }
  if (typeof append !== "string") throw wrong("append", append, "a string");
  if (append.includes("\0")) throw wrong("append", "a NUL character", "text without NUL");
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > MAX_CPUS) {
    throw wrong("cpus", cpus, `an integer from 1 to ${MAX_CPUS}`);
  }
  if (engine !== "auto" && engine !== "kvm") throw wrong("engine", engine, "auto or kvm");
  if (typeof debugExit !== "boolean") throw wrong("debugExit", debugExit, "true or false");
  if (
    timeoutMs !== undefined && !(timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS)
  ) {
    throw wrong("timeoutMs", timeoutMs, `milliseconds, above 0, at most ${MAX_TIMEOUT_MS}`);
  }
  return {
    kernel,
    initrds,
    bios,
    append,
    memoryBytes: parseMemory(options.memory ?? "256M"),
    cpus,
    engine,
    debugExit,
    timeoutMs,
  };
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

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

function bytesOf(text: string): number {
  const parts = /^([0-9]{1,15})([KMG]?)$/i.exec(text);
  return parts === null ? NaN : Number(parts[1]) * UNITS[parts[2].toUpperCase()];
}

function isFileSource(value: unknown): value is FileSource {
  return typeof value === "string" || value instanceof URL || value instanceof Uint8Array;
}

function checkFile(name: string, value: unknown): void {
  if (!isFileSource(value)) throw wrong(name, typeof value, "a path, a URL or a Uint8Array");
  if (value === "") throw wrong(name, '""', "a path, a URL or a Uint8Array");
}

function wrong(option: string, found: unknown, expected: string): DenovisorError {
  return new DenovisorError(
    "usage",
    `Cannot use the option ${option}: found ${String(found)}, expected ${expected}`,
    { option, found: String(found) },
  );
}
