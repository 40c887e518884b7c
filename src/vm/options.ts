/**
 * What `Vm.boot` takes, and its checks.
 */

import { DenovisorError } from "../base/errors.ts";
import { MAX_TIMER_MS } from "../base/timer.ts";
import { type CheckedPaging, checkMemory, type MemoryOptions } from "./memory_options.ts";

export { MIN_MEMORY_BYTES, parseMemory } from "./memory_options.ts";

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
  /** Guest RAM: bytes, or a number with K, M or G; or how much and how it is paged. Default "256M". */
  readonly memory?: string | number | MemoryOptions | undefined;
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
  /** Undefined when the host's kernel does the paging. */
  readonly paging: CheckedPaging | undefined;
  readonly cpus: number;
  readonly engine: EngineChoice;
  readonly debugExit: boolean;
  readonly timeoutMs: number | undefined;
}

/** Most vCPUs of one guest. */
export const MAX_CPUS = 64;
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
    ...checkMemory(options.memory ?? "256M"),
    cpus,
    engine,
    debugExit,
    timeoutMs,
  };
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
