/**
 * Loads libkvm-shim and gives its memory regions a JavaScript face. The library is process-wide:
 * descriptors, region identifiers and addresses mean the same in every worker.
 */

import { DenovisorError } from "../../base/errors.ts";
import { errnoName } from "./errno.ts";

const LIBRARY = new URL("../../../shim/build/libkvm_shim.so", import.meta.url);
/** Must equal KVM_SHIM_ABI_VERSION of shim/kvm_shim.h. */
const ABI_VERSION = 2;

/** The functions of shim/kvm_shim.h; integers of 32 bits keep V8's fast calls (5 ns). */
const SYMBOLS = {
  kvm_shim_abi_version: { parameters: [], result: "i32" },
  kvm_shim_region_add: { parameters: ["buffer", "u64"], result: "i32" },
  kvm_shim_region_map: { parameters: ["i32", "u64", "u64"], result: "i32" },
  kvm_shim_region_overlay: { parameters: ["i32", "u64", "u64", "i32"], result: "i32" },
  kvm_shim_region_remove: { parameters: ["i32"], result: "i32" },
  kvm_shim_region_address: { parameters: ["i32", "u64", "u64"], result: "i64" },
  kvm_shim_open: { parameters: ["i32", "u32", "u32", "i32"], result: "i32" },
  kvm_shim_close: { parameters: ["i32"], result: "i32" },
  kvm_shim_ioctl: { parameters: ["i32", "u32", "u32"], result: "i32" },
  kvm_shim_ioctl_at: { parameters: ["i32", "u32", "i32", "u32", "u32"], result: "i32" },
  kvm_shim_read: { parameters: ["i32", "i32", "u32", "u32"], result: "i32" },
  kvm_shim_write: { parameters: ["i32", "i32", "u32", "u32"], result: "i32" },
  kvm_shim_poll: { parameters: ["i32", "i32", "i32"], result: "i32" },
  kvm_shim_madvise: { parameters: ["i32", "u64", "u64", "i32"], result: "i32" },
  kvm_shim_memfd: { parameters: ["u64"], result: "i32" },
  kvm_shim_userfaultfd: { parameters: ["i32"], result: "i32" },
  kvm_shim_eventfd: { parameters: ["u32", "i32"], result: "i32" },
  kvm_shim_thread_id: { parameters: [], result: "i32" },
  kvm_shim_kick: { parameters: ["i32", "i32", "u32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

type Library = Deno.DynamicLibrary<typeof SYMBOLS>;
/** The library's functions; each returns -errno on failure. */
export type ShimSymbols = Library["symbols"];

/** One library per isolate, so that call sites see one set of functions; closed with its last user. */
let library: Library | undefined;
let users = 0;

/** A reference to the loaded library. */
export class Shim implements Disposable {
  readonly symbols: ShimSymbols;
  #open = true;

  private constructor(symbols: ShimSymbols) {
    this.symbols = symbols;
  }

  /**
   * Loads the library, or shares it when this isolate has it already.
   * @throws DenovisorError `kvm-unavailable` when it is missing, may not be loaded or is of another version.
   */
  static open(): Shim {
    library ??= loadLibrary();
    users++;
    return new Shim(library.symbols);
  }

  /** A region over `bytes`, which must outlive it. */
  addRegion(bytes: Uint8Array): ShimRegion {
    const id = check(
      this.symbols.kvm_shim_region_add(bytes as Uint8Array<ArrayBuffer>, BigInt(bytes.byteLength)),
      "name a memory region",
    );
    return new ShimRegion(this.symbols, id, bytes.byteLength);
  }

  /** Maps `length` bytes of `fd` from its start on (shared), or zeroed memory when `fd` is -1. */
  mapRegion(fd: number, length: number): MappedRegion {
    const id = check(
      this.symbols.kvm_shim_region_map(fd, 0n, BigInt(length)),
      `map ${length} bytes`,
    );
    return new MappedRegion(this.symbols, id, length);
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    if (--users > 0) return;
    library?.close();
    library = undefined;
  }
}

/** A range of this process's memory that the shim knows by number. */
export class ShimRegion implements Disposable {
  readonly id: number;
  readonly sizeBytes: number;
  readonly #symbols: ShimSymbols;
  #open = true;

  constructor(symbols: ShimSymbols, id: number, sizeBytes: number) {
    this.#symbols = symbols;
    this.id = id;
    this.sizeBytes = sizeBytes;
  }

  /** The host address of `length` bytes at `offset`, checked. */
  address(offset: number, length: number): bigint {
    const address = this.#symbols.kvm_shim_region_address(
      this.id,
      BigInt(offset),
      BigInt(length),
    );
    check(address < 0n ? Number(address) : 0, `find ${length} bytes at ${offset} of a region`);
    return address;
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#symbols.kvm_shim_region_remove(this.id);
  }
}

/** A region that the shim mapped. Its buffers must not be touched after it is disposed. */
export class MappedRegion extends ShimRegion {
  readonly buffer: ArrayBuffer;

  constructor(symbols: ShimSymbols, id: number, sizeBytes: number) {
    super(symbols, id, sizeBytes);
    const pointer = Deno.UnsafePointer.create(this.address(0, sizeBytes));
    if (pointer === null) throw new DenovisorError("internal", "Cannot view a region at address 0");
    this.buffer = Deno.UnsafePointerView.getArrayBuffer(pointer, sizeBytes);
  }
}

/**
 * `result`, when it is not an error number.
 * @throws DenovisorError `kvm`: "Cannot `what`: EINVAL".
 */
export function check(result: number, what: string): number {
  if (result >= 0) return result;
  throw new DenovisorError("kvm", `Cannot ${what}: ${errnoName(-result)}`, { errno: -result });
}

/** Why the library cannot be used: `details.lacks` of the error, beside `details.reason`. */
export type ShimLack =
  | "ffi-permission"
  | "library"
  | "version"
  | "temporary-folder"
  | "executable-folder"
  | "other";

function loadLibrary(): Library {
  if (Deno.permissions.querySync({ name: "ffi", path: LIBRARY }).state !== "granted") {
    throw unavailable("ffi-permission", "no permission to load libkvm-shim: expected --allow-ffi");
  }
  let loaded: Library;
  try {
    loaded = Deno.dlopen(LIBRARY, SYMBOLS);
  } catch (cause) {
    throw loadError(cause);
  }
  const version = loaded.symbols.kvm_shim_abi_version();
  if (version !== ABI_VERSION) {
    loaded.close();
    const reason = `libkvm-shim has ABI version ${version}, expected ${ABI_VERSION}: ${BUILD}`;
    throw unavailable("version", reason);
  }
  return loaded;
}

const BUILD = "run `deno task shim`";

/** The dynamic loader has no error codes, only texts. */
function loadError(cause: unknown): DenovisorError {
  const text = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
  if (text.includes("No such file")) {
    const reason = `libkvm-shim is not built: ${BUILD}, which needs cc, gcc or clang`;
    return unavailable("library", reason, cause);
  }
  if (text.includes("Failed to write native addon")) {
    const reason = "libkvm-shim cannot be unpacked into the folder for temporary files: " +
      "set TMPDIR to another folder";
    return unavailable("temporary-folder", reason, cause);
  }
  if (text.includes("failed to map segment")) {
    const where = Deno.build.standalone ? "the folder for temporary files" : LIBRARY.pathname;
    const reason = `libkvm-shim may not run from ${where}, which is mounted noexec` +
      (Deno.build.standalone ? ": set TMPDIR to another folder" : "");
    return unavailable("executable-folder", reason, cause);
  }
  return unavailable("other", text, cause);
}

function unavailable(lacks: ShimLack, reason: string, cause?: unknown): DenovisorError {
  const details = { lacks, reason };
  return new DenovisorError("kvm-unavailable", `Cannot use KVM: ${reason}`, details, cause);
}
