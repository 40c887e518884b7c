/**
 * What `Vm.boot` takes, and its checks.
 */

import { DenovisorError } from "../base/errors.ts";
import { MAX_TIMER_MS } from "../base/timer.ts";
import { TWO_32 } from "../base/u64.ts";
import { parseJitMemory } from "./jit_memory.ts";
import { type CheckedPaging, checkMemory, type MemoryOptions, pathOf } from "./memory_options.ts";

export { MIN_MEMORY_BYTES, parseMemory } from "./memory_options.ts";

/** A file: its path, a file: or http(s): URL, or its bytes. */
export type FileSource = string | URL | Uint8Array;

/** Which engine runs the guest. */
export type EngineChoice = "auto" | "kvm" | "wasm";
/** How the wasm engine translates guest addresses: in one dimension by shadow tables, or in two. */
export type MmuChoice = "tdp" | "shadow";
/** The guest's time: the host's, or made by the guest's instructions. */
export type ClockChoice = "real" | "virtual";

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
  /** Number of vCPUs, 1 to 64, with the wasm engine 1 to 8. Default 1. */
  readonly cpus?: number | undefined;
  /** Default "auto". */
  readonly engine?: EngineChoice | undefined;
  /** With the wasm engine: by which half of the MMU. The results are the same. Default "tdp". */
  readonly mmu?: MmuChoice | undefined;
  /**
   * With the wasm engine: the guest's time. By the virtual clock (default) an instruction takes a
   * nanosecond, an access to a device a microsecond, a guest that waits is at its next timer at
   * once, and its wall clock starts on 2026-01-01 at 00:00:00 UTC: a run is a function of its
   * inputs.
   */
  readonly clock?: ClockChoice | undefined;
  /**
   * With the wasm engine: how much WebAssembly may be made of the guest's hot code: bytes, or a number
   * with K, M or G; 0: everything is interpreted. The results are the same. Default "256M".
   */
  readonly jitMemory?: string | number | undefined;
  /** With the wasm engine: a file for a line of JSON about each translation; "-" is stderr. */
  readonly jitTrace?: string | URL | undefined;
  /** With the wasm engine: find out where the time goes, for `stats`. Default false. */
  readonly profile?: boolean | undefined;
  /**
   * With KVM: complete instructions that the host's KVM does not know by the wasm engine's
   * interpreter. Default true; otherwise the first of them ends the run.
   */
  readonly assist?: boolean | undefined;
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
  /** Undefined: not given. */
  readonly mmu: MmuChoice | undefined;
  readonly clock: ClockChoice | undefined;
  /** In bytes. */
  readonly jitMemory: number | undefined;
  /** Path, or "-". */
  readonly jitTrace: string | undefined;
  readonly profile: boolean;
  readonly assist: boolean;
  readonly debugExit: boolean;
  readonly timeoutMs: number | undefined;
}

/** Most vCPUs of one guest. */
export const MAX_CPUS = 64;
/** Most vCPUs with the wasm engine. */
export const WASM_MAX_CPUS = 8;
/** Most bytes of RAM and firmware with the wasm engine: what a 32-bit memory has. */
export const WASM_MEMORY_BYTES = TWO_32;
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
  "mmu",
  "clock",
  "jitMemory",
  "jitTrace",
  "profile",
  "assist",
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
    mmu,
    clock,
    jitMemory,
    jitTrace,
    profile = false,
    assist = true,
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
  if (engine !== "auto" && engine !== "kvm" && engine !== "wasm") {
    throw wrong("engine", engine, "auto, kvm or wasm");
  }
  if (mmu !== undefined && mmu !== "tdp" && mmu !== "shadow") {
    throw wrong("mmu", mmu, "tdp or shadow");
  }
  if (clock !== undefined && clock !== "real" && clock !== "virtual") {
    throw wrong("clock", clock, "real or virtual");
  }
  if (typeof profile !== "boolean") throw wrong("profile", profile, "true or false");
  if (typeof assist !== "boolean") throw wrong("assist", assist, "true or false");
  if (typeof debugExit !== "boolean") throw wrong("debugExit", debugExit, "true or false");
  if (
    timeoutMs !== undefined && !(timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS)
  ) {
    throw wrong("timeoutMs", timeoutMs, `milliseconds, above 0, at most ${MAX_TIMEOUT_MS}`);
  }
  const checked = {
    kernel,
    initrds,
    bios,
    append,
    ...checkMemory(options.memory ?? "256M"),
    cpus,
    engine,
    mmu,
    clock,
    jitMemory: jitMemory === undefined ? undefined : parseJitMemory(jitMemory),
    jitTrace: jitTrace === undefined ? undefined : pathOf("jitTrace", jitTrace),
    profile,
    assist,
    debugExit,
    timeoutMs,
  };
  checkEngine(checked);
  return checked;
}

/** Options that only the wasm engine has. */
export const WASM_OPTIONS = ["mmu", "clock", "jitMemory", "jitTrace"] as const;

/** The options that only one engine has, where one was asked for. */
function checkEngine(checked: CheckedOptions): void {
  const { engine, cpus, memoryBytes, paging } = checked;
  if (engine === "kvm") {
    const option = WASM_OPTIONS.find((name) => checked[name] !== undefined);
    if (option !== undefined) {
      throw wrong(option, `${checked[option]} with the engine kvm`, "the engine wasm with it");
    }
  }
  if (engine === "wasm") {
    if (paging !== undefined) {
      throw wrong("memory.paging", "mmu with the engine wasm", "the engine kvm with it");
    }
    checkWasmMemory(memoryBytes, 0);
    if (cpus > WASM_MAX_CPUS) {
      throw wrong("cpus", `${cpus} with the engine wasm`, `an integer from 1 to ${WASM_MAX_CPUS}`);
    }
  }
}

/**
 * Checks that a guest's memory is not too much for the wasm engine.
 * @throws DenovisorError `usage`
 */
export function checkWasmMemory(ramBytes: number, firmwareBytes: number): void {
  if (ramBytes + firmwareBytes <= WASM_MEMORY_BYTES) return;
  const found = `${ramBytes} bytes` +
    (firmwareBytes > 0 ? ` and ${firmwareBytes} of firmware` : "");
  throw wrong("memory", `${found} with the engine wasm`, `at most ${WASM_MEMORY_BYTES} in all`);
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
