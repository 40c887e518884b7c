/** Memory for the arguments of ioctls: one small shim region, filled and read through one view. */

import { check, type MappedRegion, type Shim, type ShimSymbols } from "./shim.ts";

/** Room for the largest argument: a CPUID table of 256 entries of 40 bytes. */
const SCRATCH_BYTES = 16384;

/** Argument memory. Each call overwrites it, so nothing in it outlives the next call. */
export class Scratch implements Disposable {
  readonly region: MappedRegion;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly #symbols: ShimSymbols;

  constructor(shim: Shim) {
    this.#symbols = shim.symbols;
    this.region = shim.mapRegion(-1, SCRATCH_BYTES);
    this.view = new DataView(this.region.buffer);
    this.bytes = new Uint8Array(this.region.buffer);
  }

  /** Zeroes the first `length` bytes. */
  clear(length: number): void {
    this.bytes.fill(0, 0, length);
  }

  /**
   * An ioctl whose argument is the first `length` bytes; `what` completes "Cannot …".
   * @throws DenovisorError `kvm`
   */
  ioctl(fd: number, request: number, length: number, what: string): number {
    return check(this.tryIoctl(fd, request, length), what);
  }

  /** The same, with -errno for the caller to look at. */
  tryIoctl(fd: number, request: number, length: number): number {
    return this.#symbols.kvm_shim_ioctl_at(fd, request, this.region.id, 0, length);
  }

  /** An ioctl with an integer argument. */
  plainIoctl(fd: number, request: number, argument: number, what: string): number {
    return check(this.tryPlainIoctl(fd, request, argument), what);
  }

  tryPlainIoctl(fd: number, request: number, argument: number): number {
    return this.#symbols.kvm_shim_ioctl(fd, request, argument);
  }

  /** Opens a file. Returns its descriptor, or -errno. */
  tryOpen(path: string, flags: number): number {
    const text = new TextEncoder().encode(`${path}\0`);
    this.bytes.set(text);
    return this.#symbols.kvm_shim_open(this.region.id, 0, text.length, flags);
  }

  /** Reads from a descriptor into the whole memory. Returns the number of bytes, or -errno. */
  tryRead(fd: number): number {
    return this.#symbols.kvm_shim_read(fd, this.region.id, 0, SCRATCH_BYTES);
  }

  close(fd: number): void {
    this.#symbols.kvm_shim_close(fd);
  }

  [Symbol.dispose](): void {
    this.region[Symbol.dispose]();
  }
}
