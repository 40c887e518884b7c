/**
 * A userfaultfd over ranges of this process's memory: opening it, and its operations. Numbers only
 * on the paths that faults take: addresses of the process are below 2^53, lengths too.
 */

import { DenovisorError } from "../../../base/errors.ts";
import { offsetOf } from "../../../base/struct.ts";
import { hi32, join32, lo32 } from "../../../base/u64.ts";
import { Errno, errnoName } from "../errno.ts";
import { Uffdio, UFFDIO_MOVE } from "../ioctls.ts";
import { check, type MappedRegion, type Shim, type ShimSymbols } from "../shim.ts";
import * as abi from "../uffd_abi.ts";

/** fcntl(2): read returns EAGAIN when no fault waits, and poll works. */
const O_NONBLOCK = 0o4000;
/** Faults that one read takes. */
const MAX_MESSAGES = 32;
/** 32-bit words of a message, and of the largest argument; the messages come after it. */
const MESSAGE_WORDS = abi.UffdMsg.size / 4;
const ARGUMENT_WORDS = 16;
const ARGUMENT_BYTES = ARGUMENT_WORDS * 4;
const BUFFER_BYTES = ARGUMENT_BYTES + MAX_MESSAGES * abi.UffdMsg.size;

const wordOf = (name: string) => offsetOf(abi.UffdMsg, name) / 4;
const FLAGS = wordOf("arg.pagefault.flags");
const ADDRESS = wordOf("arg.pagefault.address");

/** Opens userfaultfds, and says why it cannot. */
export interface UserfaultfdHandle {
  readonly fd: number;
  /** UFFDIO_MOVE may be used. */
  readonly canMove: boolean;
  /** Shared memory may be registered: its faults and its write protection are reported. */
  readonly canShare: boolean;
}

const SHARING = abi.UFFD_FEATURE_MINOR_SHMEM | abi.UFFD_FEATURE_WP_HUGETLBFS_SHMEM;

/**
 * A userfaultfd that reports faults of the kernel too, such as KVM's. The descriptor is the caller's
 * to close.
 * @throws DenovisorError `pager`
 */
export function openUserfaultfd(shim: Shim): UserfaultfdHandle {
  using probe = new Userfaultfd(shim, { fd: open(shim), canMove: false, canShare: false });
  const offered = probe.agree(0);
  probe.closeFd();
  if ((offered & abi.UFFD_FEATURE_PAGEFAULT_FLAG_WP) === 0) {
    throw unavailable("the kernel cannot write-protect pages with userfaultfd: expected Linux 5.7");
  }
  const canMove = (offered & abi.UFFD_FEATURE_MOVE) !== 0;
  const canShare = (offered & SHARING) === SHARING;
  const handle = { fd: open(shim), canMove, canShare };
  using uffd = new Userfaultfd(shim, handle);
  const move = canMove ? abi.UFFD_FEATURE_MOVE : 0;
  uffd.agree(abi.UFFD_FEATURE_PAGEFAULT_FLAG_WP | move | (canShare ? SHARING : 0));
  return handle;
}

function open(shim: Shim): number {
  const fd = shim.symbols.kvm_shim_userfaultfd(O_NONBLOCK);
  if (fd >= 0) return fd;
  if (fd === -Errno.EPERM || fd === -Errno.EACCES) {
    throw unavailable(
      "no permission for a userfaultfd that sees KVM's faults: expected access to " +
        "/dev/userfaultfd, or `sudo sysctl vm.unprivileged_userfaultfd=1`",
    );
  }
  throw unavailable(`cannot make a userfaultfd: ${errnoName(-fd)}`);
}

function unavailable(reason: string): DenovisorError {
  return new DenovisorError("pager", `Cannot page guest memory: ${reason}`, { reason });
}

/** One thread's way to a userfaultfd. Does not own the descriptor. */
export class Userfaultfd implements Disposable {
  readonly fd: number;
  readonly canMove: boolean;
  readonly #symbols: ShimSymbols;
  readonly #buffer: MappedRegion;
  readonly #words: Uint32Array;

  constructor(shim: Shim, handle: UserfaultfdHandle) {
    this.fd = handle.fd;
    this.canMove = handle.canMove;
    this.#symbols = shim.symbols;
    this.#buffer = shim.mapRegion(-1, BUFFER_BYTES);
    this.#words = new Uint32Array(this.#buffer.buffer);
  }

  /** Asks for `features`; to be done once. Returns bits 31:0 of those that the kernel has. */
  agree(features: number): number {
    this.#put(0, abi.UFFD_API);
    this.#put(2, features);
    this.#put(4, 0);
    check(this.#ioctl(Uffdio.API, abi.UffdioApi.size), "agree on userfaultfd's features");
    return this.#words[2];
  }

  /**
   * Has faults on missing and on write-protected pages of a range reported.
   * @param shared It is a mapping of shared memory: faults on pages that are only not mapped, too.
   * @throws DenovisorError `kvm`
   */
  register(start: number, bytes: number, shared = false): void {
    const minor = shared ? abi.UFFDIO_REGISTER_MODE_MINOR : 0;
    this.#put(0, start);
    this.#put(2, bytes);
    this.#put(4, abi.UFFDIO_REGISTER_MODE_MISSING | abi.UFFDIO_REGISTER_MODE_WP | minor);
    this.#put(6, 0);
    check(this.#ioctl(Uffdio.REGISTER, abi.UffdioRegister.size), `register ${bytes} bytes`);
  }

  /** Gives a range back to the kernel, which zero-fills what is missing, and wakes who waits. */
  unregister(start: number, bytes: number): void {
    this.#put(0, start);
    this.#put(2, bytes);
    this.#ioctl(Uffdio.UNREGISTER, abi.UffdioRange.size);
  }

  /** Takes faults that wait: how many, 0 when there are none, or -errno. */
  read(): number {
    const bytes = this.#symbols.kvm_shim_read(
      this.fd,
      this.#buffer.id,
      ARGUMENT_BYTES,
      MAX_MESSAGES * abi.UffdMsg.size,
    );
    if (bytes === -Errno.EAGAIN || bytes === -Errno.EINTR) return 0;
    return bytes < 0 ? bytes : bytes / abi.UffdMsg.size;
  }

  /** True when message `index` of the last read is a page fault; there is no other we ask for. */
  isFault(index: number): boolean {
    const word = this.#words[ARGUMENT_WORDS + index * MESSAGE_WORDS];
    return (word & 0xff) === abi.UFFD_EVENT_PAGEFAULT;
  }

  /** Host virtual address of fault `index` of the last read, in bytes. */
  address(index: number): number {
    const at = ARGUMENT_WORDS + index * MESSAGE_WORDS + ADDRESS;
    return join32(this.#words[at], this.#words[at + 1]);
  }

  /** `UFFD_PAGEFAULT_FLAG_*` of fault `index` of the last read. */
  flags(index: number): number {
    return this.#words[ARGUMENT_WORDS + index * MESSAGE_WORDS + FLAGS];
  }

  /** Fills missing pages from `src` and wakes who waits. Returns the bytes done, or -errno. */
  copy(dst: number, src: number, bytes: number, protect: boolean): number {
    this.#put(0, dst);
    this.#put(2, src);
    this.#put(4, bytes);
    this.#put(6, protect ? abi.UFFDIO_COPY_MODE_WP : 0);
    this.#put(8, 0);
    return this.#done(this.#ioctl(Uffdio.COPY, abi.UffdioCopy.size), 8, bytes);
  }

  /** Fills missing pages with the kernel's zero page and wakes who waits. Returns as `copy`. */
  zero(dst: number, bytes: number): number {
    this.#put(0, dst);
    this.#put(2, bytes);
    this.#put(4, 0);
    this.#put(6, 0);
    return this.#done(this.#ioctl(Uffdio.ZEROPAGE, abi.UffdioZeropage.size), 6, bytes);
  }

  /** Moves private pages from `src`, which is left missing, and wakes who waits. Returns as `copy`. */
  move(dst: number, src: number, bytes: number): number {
    this.#put(0, dst);
    this.#put(2, src);
    this.#put(4, bytes);
    this.#put(6, 0);
    this.#put(8, 0);
    return this.#done(this.#ioctl(UFFDIO_MOVE, abi.UffdioMove.size), 8, bytes);
  }

  /** Maps pages that the shared memory has and wakes who waits. Returns as `copy`. */
  map(start: number, bytes: number, protect: boolean): number {
    this.#put(0, start);
    this.#put(2, bytes);
    this.#put(4, protect ? abi.UFFDIO_CONTINUE_MODE_WP : 0);
    this.#put(6, 0);
    return this.#done(this.#ioctl(Uffdio.CONTINUE, abi.UffdioContinue.size), 6, bytes);
  }

  /** Protects present pages from writes, or allows them and wakes who waits. Returns 0 or -errno. */
  writeProtect(start: number, bytes: number, protect: boolean): number {
    this.#put(0, start);
    this.#put(2, bytes);
    this.#put(4, protect ? abi.UFFDIO_WRITEPROTECT_MODE_WP : 0);
    return this.#ioctl(Uffdio.WRITEPROTECT, abi.UffdioWriteprotect.size);
  }

  /** Lets whoever waits for a page of the range try again. */
  wake(start: number, bytes: number): void {
    this.#put(0, start);
    this.#put(2, bytes);
    this.#ioctl(Uffdio.WAKE, abi.UffdioRange.size);
  }

  /** Closes the descriptor, for its owner. */
  closeFd(): void {
    this.#symbols.kvm_shim_close(this.fd);
  }

  [Symbol.dispose](): void {
    this.#buffer[Symbol.dispose]();
  }

  #ioctl(request: number, bytes: number): number {
    return this.#symbols.kvm_shim_ioctl_at(this.fd, request, this.#buffer.id, 0, bytes);
  }

  /** Bytes that an operation did, which it writes into the field at `word`, also where it stopped. */
  #done(result: number, word: number, bytes: number): number {
    if (result === 0) return bytes;
    const done = this.#words[word] | 0; // at most 2 MiB, or -errno
    return done > 0 ? done : result;
  }

  /** Stores a 64-bit field; `word` counts in 32 bits. */
  #put(word: number, value: number): void {
    this.#words[word] = lo32(value);
    this.#words[word + 1] = hi32(value);
  }
}
