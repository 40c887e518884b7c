/**
 * Memory files that guests share: their pages are those of the kernel's page cache, for every guest and
 * every process that maps the file.
 */

import { DenovisorError } from "../../../base/errors.ts";
import { alignUp, PAGE_SIZE } from "../../../base/u64.ts";
import type { FileBackingConfig } from "../../../memory/backing.ts";
import { Errno, errnoName } from "../errno.ts";
import { Scratch } from "../scratch.ts";
import { check, Shim, type ShimRegion } from "../shim.ts";

const O_RDWR = 2;

/** Memory without a name in any file system, which lasts as long as someone has it open or mapped. */
export class SharedMemory implements Disposable {
  /** Its length, in bytes: whole pages. */
  readonly sizeBytes: number;
  /** Its path, for `memory.regions` and for files of Deno's, here and in other processes of the user. */
  readonly path: string;
  readonly #shim: Shim;
  readonly #fd: number;
  #open = true;

  private constructor(shim: Shim, fd: number, sizeBytes: number) {
    this.#shim = shim;
    this.#fd = fd;
    this.sizeBytes = sizeBytes;
    this.path = `/proc/${Deno.pid}/fd/${fd}`;
  }

  /**
   * Zeros, in whole pages of 4 KiB, that cannot shrink.
   * @throws DenovisorError `usage` for a size that cannot be, `kvm`, `kvm-unavailable`
   */
  static create(sizeBytes: number): SharedMemory {
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 1) {
      const text = `Cannot make shared memory of ${sizeBytes} bytes: expected at least one byte`;
      throw new DenovisorError("usage", text, { sizeBytes });
    }
    using undo = new DisposableStack();
    const shim = undo.use(Shim.open());
    const bytes = alignUp(sizeBytes, PAGE_SIZE);
    const fd = check(shim.symbols.kvm_shim_memfd(BigInt(bytes)), `make ${bytes} bytes of memory`);
    undo.move();
    return new SharedMemory(shim, fd, bytes);
  }

  /** Closes it here. Guests that have it keep it. */
  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#shim.symbols.kvm_shim_close(this.#fd);
    this.#shim[Symbol.dispose]();
  }
}

/**
 * Puts shared files in the place of parts of guest memory, which stay mapped until V8 frees it.
 * @param canShare The kernel reports faults on shared memory.
 * @throws DenovisorError `file` for one that cannot be, `pager`
 */
export function mapSharedFiles(
  shim: Shim,
  host: ShimRegion,
  files: readonly FileBackingConfig[],
  canShare: boolean,
): void {
  if (files.length > 0 && !canShare) {
    const reason = "the kernel cannot report faults on shared memory: expected Linux 5.19";
    throw new DenovisorError("pager", `Cannot page guest memory: ${reason}`, { reason });
  }
  using scratch = new Scratch(shim);
  for (const file of files) mapOne(shim, scratch, host, file);
}

function mapOne(shim: Shim, scratch: Scratch, host: ShimRegion, file: FileBackingConfig): void {
  const { path, offset, fileBytes } = file;
  const fd = scratch.tryOpen(path, O_RDWR);
  if (fd < 0) throw unshareable(path, errnoName(-fd));
  const { symbols } = shim;
  const result = symbols.kvm_shim_region_overlay(host.id, BigInt(offset), BigInt(fileBytes), fd);
  symbols.kvm_shim_close(fd);
  if (result === -Errno.EPERM) {
    throw unshareable(
      path,
      "it may shrink, expected memory of SharedMemory.create or a sealed memfd",
    );
  }
  if (result < 0) throw unshareable(path, errnoName(-result));
}

function unshareable(path: string, reason: string): DenovisorError {
  return new DenovisorError("file", `Cannot share ${path} as guest memory: ${reason}`, { path });
}
