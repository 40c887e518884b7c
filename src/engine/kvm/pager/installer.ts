/** Puts pages into guest memory: zeros or bytes of a file, 4 KiB or 2 MiB, writable or not. */

import { DenovisorError } from "../../../base/errors.ts";
import { alignUp, hex, PAGE_SIZE } from "../../../base/u64.ts";
import { FRAMES_AT, Level } from "../../../mmu/level.ts";
import { Errno, errnoName } from "../errno.ts";
import type { MappedRegion, Shim } from "../shim.ts";
import type { Userfaultfd } from "./userfaultfd.ts";

const LARGE_BYTES = FRAMES_AT[Level.SIZE_2M] * PAGE_SIZE;
/** madvise(2): transparent huge pages. */
export const MADV_HUGEPAGE = 14;
/** Times in a row that the kernel may ask to try again. */
const MAX_TRIES = 1000;

/** Instead of the address of contents: the kernel's one page of zeros, until someone writes. */
const KERNEL_ZEROS = -1;

/** Installs pages through one userfaultfd. */
export class Installer implements Disposable {
  readonly #uffd: Userfaultfd;
  /** 2 MiB, aligned, where contents are put together. Moving it away leaves it missing. */
  readonly #staging: Uint8Array;
  readonly #stagingPage: Uint8Array;
  readonly #stagingAddress: number;
  /** 2 MiB of zeros. */
  readonly #zerosAddress: number;
  readonly #resources: DisposableStack;

  constructor(shim: Shim, uffd: Userfaultfd) {
    using undo = new DisposableStack();
    this.#uffd = uffd;
    const staging = undo.use(shim.mapRegion(-1, 2 * LARGE_BYTES));
    const at = alignedOffset(staging);
    this.#staging = new Uint8Array(staging.buffer, at, LARGE_BYTES);
    this.#stagingPage = this.#staging.subarray(0, PAGE_SIZE);
    this.#stagingAddress = Number(staging.address(at, LARGE_BYTES));
    // Refused by kernels without huge pages: nothing is lost but speed.
    shim.symbols.kvm_shim_madvise(staging.id, BigInt(at), BigInt(LARGE_BYTES), MADV_HUGEPAGE);
    const zeros = undo.use(shim.mapRegion(-1, LARGE_BYTES));
    this.#zerosAddress = Number(zeros.address(0, LARGE_BYTES));
    this.#resources = undo.move();
  }

  /** Room for `bytes` (4 KiB or 2 MiB) of contents, to be filled before `fill` is called. */
  staging(bytes: number): Uint8Array {
    return bytes === LARGE_BYTES ? this.#staging : this.#stagingPage;
  }

  /** Puts what stands in the staging memory into missing pages, which become writable or not. */
  fill(address: number, bytes: number, writable: boolean): void {
    if (bytes === LARGE_BYTES && writable && this.#moveStaging(address)) return;
    this.#pieces(address, this.#stagingAddress, bytes, writable);
  }

  /** Puts zeros into missing pages. @param written They are about to be written. */
  zero(address: number, bytes: number, written: boolean, writable: boolean): void {
    if (!writable || bytes === PAGE_SIZE && written) {
      return this.#pieces(address, this.#zerosAddress, bytes, writable);
    }
    if (!written) return this.#pieces(address, KERNEL_ZEROS, bytes, writable);
    if (this.#canMoveTo(address)) this.#populateStaging();
    if (!this.#moveStaging(address)) this.#pieces(address, this.#zerosAddress, bytes, writable);
  }

  /**
   * Maps a page of shared memory, which others may have brought in or taken away meanwhile: the one
   * that the memory has, or zeros where it has none.
   * @param isThere The fault said that it has one.
   */
  share(address: number, isThere: boolean, writable: boolean): void {
    let wanted = isThere;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const result = wanted
        ? this.#uffd.map(address, PAGE_SIZE, !writable)
        : this.#uffd.copy(address, this.#zerosAddress, PAGE_SIZE, !writable);
      if (result > 0) return;
      if (result === -Errno.EEXIST && wanted) return this.#settle(address, writable);
      if (result === -Errno.EEXIST) wanted = true;
      else if (result === -Errno.EFAULT && wanted) wanted = false;
      else if (result !== -Errno.EAGAIN) throw refused(address, PAGE_SIZE, result);
    }
    throw refused(address, PAGE_SIZE, -Errno.EAGAIN);
  }

  /** Lets writes to present pages through, or stops them. */
  protect(address: number, bytes: number, on: boolean): void {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const result = this.#uffd.writeProtect(address, bytes, on);
      if (result === 0) return;
      if (result !== -Errno.EAGAIN) throw refused(address, bytes, result);
    }
    throw refused(address, bytes, -Errno.EAGAIN);
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  /** Gives every page of the staging memory a frame: one large one where the kernel has it. */
  #populateStaging(): void {
    for (let at = 0; at < LARGE_BYTES; at += PAGE_SIZE) this.#staging[at] = 0;
  }

  #canMoveTo(address: number): boolean {
    return this.#uffd.canMove && address % LARGE_BYTES === 0;
  }

  /**
   * Moves the staging memory's frames to the guest instead of copying them: true when all 2 MiB are
   * there. A large frame stays whole, so that KVM maps it as such.
   */
  #moveStaging(address: number): boolean {
    return this.#canMoveTo(address) &&
      this.#uffd.move(address, this.#stagingAddress, LARGE_BYTES) === LARGE_BYTES;
  }

  /** A page is there already, because two threads met the same fault: it gets its rights. */
  #settle(address: number, writable: boolean): void {
    if (writable) this.protect(address, PAGE_SIZE, false);
    else this.#uffd.wake(address, PAGE_SIZE);
  }

  /**
   * Fills [address, address + bytes) from `source`, which the kernel may do in parts. Pages that are
   * there already are left, but get the rights they should have.
   */
  #pieces(address: number, source: number, bytes: number, writable: boolean): void {
    let tries = 0;
    for (let done = 0; done < bytes;) {
      const at = address + done;
      const result = source === KERNEL_ZEROS
        ? this.#uffd.zero(at, bytes - done)
        : this.#uffd.copy(at, source + done, bytes - done, !writable);
      if (result > 0) {
        done += result;
        tries = 0;
      } else if (result === -Errno.EEXIST) {
        this.#settle(at, writable);
        done += PAGE_SIZE;
        tries = 0;
      } else if (result !== -Errno.EAGAIN || ++tries === MAX_TRIES) {
        throw refused(at, bytes - done, result);
      }
    }
  }
}

/** Offset of the first 2 MiB boundary in a region. */
function alignedOffset(region: MappedRegion): number {
  const start = Number(region.address(0, LARGE_BYTES));
  return alignUp(start, LARGE_BYTES) - start;
}

function refused(address: number, bytes: number, result: number): DenovisorError {
  return new DenovisorError(
    "pager",
    `Cannot put ${bytes} bytes at host address ${hex(address)}: the kernel answered ` +
      errnoName(-result),
    { address, bytes, errno: -result },
  );
}
