/**
 * Guest RAM: one shared WebAssembly.Memory that is at once what every worker sees, the linear
 * memory that translated code addresses, and what KVM gets as its memslots. This module is the only
 * one that touches guest bytes; an access outside a region throws instead of being dropped.
 */

import { DenovisorError } from "../base/errors.ts";
import { alignUp, type Gpa, gpa, hex, join32, PAGE_SIZE, TWO_32 } from "../base/u64.ts";
import { WriteLog } from "./write_log.ts";

/** End of RAM below the 32-bit hole (devices, APICs and firmware live from here to 4 GiB). */
export const LOW_RAM_END = 0xc000_0000;
/** WebAssembly.Memory grows in pages of this size, in bytes. */
const WASM_PAGE = 65536;
/** V8's limit for a 64-bit memory, in bytes. */
export const MAX_MEMORY_BYTES = 16 * 1024 ** 3;

/** A run of guest physical addresses backed by bytes of the memory. */
export interface MemoryRegion {
  /** Where it starts. */
  readonly gpa: Gpa;
  /** How long it is. */
  readonly sizeBytes: number;
  /** Where the region's first byte lies in the WebAssembly.Memory. */
  readonly offset: number;
  /** Firmware: the guest's stores do not land. Host-side accessors may still write. */
  readonly readOnly: boolean;
}

/** What a worker needs to see the same memory; survives structured cloning. */
export interface GuestMemoryHandle {
  /** The memory itself, shared. */
  readonly wasm: WebAssembly.Memory;
  /** Of `GuestMemory.regions`. */
  readonly regions: readonly MemoryRegion[];
  /** Of the `WriteLog`. */
  readonly writes: Int32Array<SharedArrayBuffer>;
}

/** Memory beside RAM and firmware. */
export type ExtraRegion = Omit<MemoryRegion, "offset">;

/** The largest page that such a region can be mapped with, in bytes: it is placed to fit. */
const LARGE_PAGE = 2 * 1024 ** 2;

/** Guest RAM (and firmware ROM) with checked access by guest physical address. */
export class GuestMemory {
  /** The memory itself: RAM first, then firmware; see `MemoryRegion.offset`. */
  readonly wasm: WebAssembly.Memory;
  /** In ascending order of gpa; never overlapping. */
  readonly regions: readonly MemoryRegion[];
  /** RAM in bytes, without firmware. */
  readonly ramBytes: number;
  #onWrite: ((offset: number, length: number) => void) | undefined = undefined;
  readonly #writes: WriteLog;
  readonly #pageWritten = (page: number) => this.#onWrite?.(page * PAGE_SIZE, PAGE_SIZE);
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #view: DataView<SharedArrayBuffer>;

  /** The memory of a handle; `attach` says so. */
  protected constructor(handle: GuestMemoryHandle) {
    this.wasm = handle.wasm;
    this.regions = handle.regions;
    this.ramBytes = handle.regions.reduce((sum, r) => r.readOnly ? sum : sum + r.sizeBytes, 0);
    const buffer = handle.wasm.buffer as unknown as SharedArrayBuffer;
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
    this.#writes = new WriteLog(handle.writes);
  }

  /**
   * Allocates zeroed RAM of `ramBytes` (a multiple of 4096), split around the hole below 4 GiB,
   * `romBytes` of firmware that end at 4 GiB, and `extra` regions at other addresses.
   * @throws DenovisorError `memory-size` when the host cannot give that much, `memslot` when a region
   * is not in pages or overlaps another.
   */
  static allocate(ramBytes: number, romBytes = 0, extra: readonly ExtraRegion[] = []): GuestMemory {
    const placed = placeAfter(ramBytes + romBytes, extra);
    const end = placed.reduce((_, region) => region.offset + region.sizeBytes, ramBytes + romBytes);
    const total = alignUp(end, WASM_PAGE);
    if (
      !Number.isSafeInteger(ramBytes) || ramBytes < PAGE_SIZE || ramBytes % PAGE_SIZE !== 0 ||
      romBytes % PAGE_SIZE !== 0 || romBytes > TWO_32 - LOW_RAM_END || total > MAX_MEMORY_BYTES
    ) {
      throw new DenovisorError(
        "memory-size",
        `Cannot allocate guest memory: ${ramBytes} bytes of RAM and ${
          end - ramBytes
        } of firmware ` +
          `and regions asked, expected multiples of 4096, together at most ${MAX_MEMORY_BYTES} bytes`,
        { ramBytes, romBytes },
      );
    }
    const low = Math.min(ramBytes, LOW_RAM_END);
    const regions: MemoryRegion[] = [
      { gpa: gpa(0), sizeBytes: low, offset: 0, readOnly: false },
    ];
    if (romBytes > 0) {
      regions.push({
        gpa: gpa(TWO_32 - romBytes),
        sizeBytes: romBytes,
        offset: ramBytes,
        readOnly: true,
      });
    }
    if (ramBytes > low) {
      regions.push({ gpa: gpa(TWO_32), sizeBytes: ramBytes - low, offset: low, readOnly: false });
    }
    regions.push(...placed);
    regions.sort((a, b) => a.gpa - b.gpa);
    checkRegions(regions);
    const { words } = WriteLog.create(total);
    return new GuestMemory({ wasm: allocateWasm(total), regions, writes: words });
  }

  /** The same memory in another worker. */
  static attach(handle: GuestMemoryHandle): GuestMemory {
    return new GuestMemory(handle);
  }

  /** What `attach` needs. */
  get handle(): GuestMemoryHandle {
    return { wasm: this.wasm, regions: this.regions, writes: this.#writes.words };
  }

  /**
   * `report` is told of `length` bytes from `offset` on in the WebAssembly.Memory: at once after each
   * write by the methods of this object, in whole pages when `takeWrites` finds writes by those of
   * others on the same memory. What runs guest code here keeps things that such writes make stale.
   */
  watchWrites(report: (offset: number, length: number) => void): void {
    this.#onWrite = report;
    this.#writes.want();
  }

  /** Reports what other threads have written since the last call to the watcher. Cheap. */
  takeWrites(): void {
    this.#writes.take(this.#pageWritten);
  }

  /** True when all of [address, address + length) is in one region. */
  contains(address: number, length: number): boolean {
    return this.#find(address, length) >= 0;
  }

  /** True when all of [address, address + length) is RAM: a device may store there. */
  containsRam(address: number, length: number): boolean {
    for (let i = 0; i < this.regions.length; i++) {
      const region = this.regions[i];
      const within = address - region.gpa;
      if (within >= 0 && length <= region.sizeBytes - within) return !region.readOnly;
    }
    return false;
  }

  /** Reads 8 bits; all reads and writes throw DenovisorError `memory-bounds` outside RAM and firmware. */
  readU8(address: Gpa): number {
    return this.#view.getUint8(this.#at(address, 1));
  }
  /** Reads 16 bits, little-endian. */
  readU16(address: Gpa): number {
    return this.#view.getUint16(this.#at(address, 2), true);
  }
  /** Reads 32 bits, little-endian. */
  readU32(address: Gpa): number {
    return this.#view.getUint32(this.#at(address, 4), true);
  }
  /** Reads 64 bits, little-endian. */
  readU64(address: Gpa): bigint {
    return this.#view.getBigUint64(this.#at(address, 8), true);
  }
  /** A 64-bit value as a number; exact below 2^53. */
  readU53(address: Gpa): number {
    const at = this.#at(address, 8);
    return join32(this.#view.getUint32(at, true), this.#view.getUint32(at + 4, true));
  }
  /** Writes 8 bits. */
  writeU8(address: Gpa, value: number): void {
    const at = this.#at(address, 1);
    this.#view.setUint8(at, value);
    this.#wrote(at, 1);
  }
  /** Writes 16 bits, little-endian. */
  writeU16(address: Gpa, value: number): void {
    const at = this.#at(address, 2);
    this.#view.setUint16(at, value, true);
    this.#wrote(at, 2);
  }
  /** Writes 32 bits, little-endian. */
  writeU32(address: Gpa, value: number): void {
    const at = this.#at(address, 4);
    this.#view.setUint32(at, value, true);
    this.#wrote(at, 4);
  }
  /** Writes the low 64 bits of `value`, little-endian. */
  writeU64(address: Gpa, value: bigint | number): void {
    const at = this.#at(address, 8);
    this.#view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
    this.#wrote(at, 8);
  }

  /** Copies guest bytes out: all of `into`, from `address` on. */
  read(address: Gpa, into: Uint8Array): void {
    const at = this.#at(address, into.length);
    into.set(this.#bytes.subarray(at, at + into.length));
  }

  /**
   * Copies `bytes` to `address`. A guest that runs elsewhere executes what any of the writing methods
   * has written from its next slice on, which is milliseconds away.
   */
  write(address: Gpa, bytes: Uint8Array): void {
    const at = this.#at(address, bytes.length);
    this.#bytes.set(bytes, at);
    this.#wrote(at, bytes.length);
  }

  /** Sets `length` bytes from `address` on to `value`. */
  fill(address: Gpa, length: number, value: number): void {
    const at = this.#at(address, length);
    this.#bytes.fill(value, at, at + length);
    this.#wrote(at, length);
  }

  /**
   * A live view of `length` bytes: writes through it reach the guest's data. An engine that keeps code
   * in another form does not hear of them: code is written with `write` and its like.
   */
  view(address: Gpa, length: number): Uint8Array<SharedArrayBuffer> {
    const at = this.#at(address, length);
    return this.#bytes.subarray(at, at + length);
  }

  /**
   * The lowest address at or above `from` where `needle` (1 byte or more) lies whole in one
   * region and below `to`; undefined when there is none.
   */
  find(needle: Uint8Array, from: Gpa = gpa(0), to: number = Infinity): Gpa | undefined {
    if (needle.length === 0) {
      throw new RangeError("Cannot find an empty byte string in guest memory");
    }
    for (const region of this.regions) {
      const start = Math.max(from, region.gpa);
      const end = Math.min(to, region.gpa + region.sizeBytes);
      if (end - start < needle.length) continue;
      const base = region.offset + (start - region.gpa);
      const hit = findBytes(this.#bytes.subarray(base, base + (end - start)), needle);
      if (hit >= 0) return gpa(start + hit);
    }
    return undefined;
  }

  #wrote(at: number, length: number): void {
    if (this.#onWrite !== undefined) this.#onWrite(at, length);
    else this.#writes.mark(at, length);
  }

  #at(address: number, length: number): number {
    const at = this.#find(address, length);
    if (at < 0) throw outOfRam(address, length);
    return at;
  }

  /** Offset in the memory, or -1. */
  #find(address: number, length: number): number {
    for (let i = 0; i < this.regions.length; i++) {
      const region = this.regions[i];
      const within = address - region.gpa;
      if (within >= 0 && length <= region.sizeBytes - within) return region.offset + within;
    }
    return -1;
  }
}

/** Gives each region a place from `offset` on where large pages can map it. */
function placeAfter(offset: number, regions: readonly ExtraRegion[]): MemoryRegion[] {
  let end = offset;
  return regions.map((region) => {
    const at = alignUp(end, LARGE_PAGE) + region.gpa % LARGE_PAGE;
    end = at + region.sizeBytes;
    return { ...region, offset: at };
  });
}

/** Regions in ascending order of gpa. */
function checkRegions(regions: readonly MemoryRegion[]): void {
  let end = 0;
  for (const { gpa, sizeBytes } of regions) {
    const inPages = gpa % PAGE_SIZE === 0 && sizeBytes % PAGE_SIZE === 0 && sizeBytes > 0;
    if (!inPages || gpa < end) {
      throw new DenovisorError(
        "memslot",
        `Cannot place ${sizeBytes} bytes of memory at ${hex(gpa)}: expected whole pages from ` +
          `${hex(end)} on, where the region before ends`,
        { gpa, sizeBytes },
      );
    }
    end = gpa + sizeBytes;
  }
}

function outOfRam(address: number, length: number): DenovisorError {
  return new DenovisorError(
    "memory-bounds",
    `Cannot access ${length} bytes at guest physical address ${hex(address)}: not all of it is RAM`,
    { address, length },
  );
}

/** Index of the first `needle` in `hay`, or -1. */
function findBytes(hay: Uint8Array, needle: Uint8Array): number {
  const last = hay.length - needle.length;
  for (
    let at = hay.indexOf(needle[0]);
    at >= 0 && at <= last;
    at = hay.indexOf(needle[0], at + 1)
  ) {
    let i = 1;
    while (i < needle.length && hay[at + i] === needle[i]) i++;
    if (i === needle.length) return at;
  }
  return -1;
}

/** Memory of up to 4 GiB is 32-bit (guard pages, no bounds checks in translated code), else 64-bit. */
function allocateWasm(bytes: number): WebAssembly.Memory {
  const pages = bytes / WASM_PAGE;
  try {
    if (bytes <= TWO_32) {
      return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    }
    // The 64-bit form counts pages in bigint; TypeScript's library does not know it yet.
    const wide = { address: "i64", initial: BigInt(pages), maximum: BigInt(pages), shared: true };
    return new WebAssembly.Memory(wide as unknown as WebAssembly.MemoryDescriptor);
  } catch (cause) {
    throw new DenovisorError(
      "memory-size",
      `Cannot allocate guest memory: the host refused ${bytes} bytes of address space`,
      { bytes },
      cause,
    );
  }
}
