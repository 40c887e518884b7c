/**
 * userfaultfd: structures and requests of <linux/userfaultfd.h>. A test compares them with the C
 * compiler's; the meaning is in Linux Documentation/admin-guide/mm/userfaultfd.rst.
 */

import { type CType, packedStruct, struct, u16, u32, u64, u8, union } from "../../base/struct.ts";

/** The version that UFFDIO_API takes. */
export const UFFD_API = 0xaa;
/** uffd_msg.event of a page fault. */
export const UFFD_EVENT_PAGEFAULT = 0x12;
/**
 * uffdio_register.mode: deliver faults on missing pages, on write-protected ones, and on those that a
 * shared file has but nobody has mapped here.
 */
export const UFFDIO_REGISTER_MODE_MISSING = 1;
export const UFFDIO_REGISTER_MODE_WP = 2;
export const UFFDIO_REGISTER_MODE_MINOR = 4;
/** uffdio_copy.mode: the page comes write-protected. */
export const UFFDIO_COPY_MODE_WP = 2;
/** uffdio_continue.mode: the same (Linux 6.4); older headers do not have it. */
export const UFFDIO_CONTINUE_MODE_WP = 2;
/** uffdio_writeprotect.mode: protect; without it, take the protection away. */
export const UFFDIO_WRITEPROTECT_MODE_WP = 1;
/** uffd_msg.arg.pagefault.flags: a write; a protected page; one that the shared file has. */
export const UFFD_PAGEFAULT_FLAG_WRITE = 1;
export const UFFD_PAGEFAULT_FLAG_WP = 2;
export const UFFD_PAGEFAULT_FLAG_MINOR = 4;
/** uffdio_api.features: write protection (Linux 5.7). */
export const UFFD_FEATURE_PAGEFAULT_FLAG_WP = 1;
/** uffdio_api.features: minor faults on shared memory (Linux 5.14), its write protection (5.19). */
export const UFFD_FEATURE_MINOR_SHMEM = 1 << 10;
export const UFFD_FEATURE_WP_HUGETLBFS_SHMEM = 1 << 12;
/** uffdio_api.features: UFFDIO_MOVE (Linux 6.8); older headers do not have it. */
export const UFFD_FEATURE_MOVE = 1 << 16;

export const UffdioApi = struct({ api: u64, features: u64, ioctls: u64 });
export const UffdioRange = struct({ start: u64, len: u64 });
export const UffdioRegister = struct({ range: UffdioRange, mode: u64, ioctls: u64 });
export const UffdioCopy = struct({ dst: u64, src: u64, len: u64, mode: u64, copy: u64 });
export const UffdioZeropage = struct({ range: UffdioRange, mode: u64, zeropage: u64 });
export const UffdioWriteprotect = struct({ range: UffdioRange, mode: u64 });
export const UffdioContinue = struct({ range: UffdioRange, mode: u64, mapped: u64 });
/** Linux 6.8; older headers do not have it. */
export const UffdioMove = struct({ dst: u64, src: u64, len: u64, mode: u64, move: u64 });

/** What read(2) on a userfaultfd gives. */
export const UffdMsg = packedStruct({
  ...{ event: u8, reserved1: u8, reserved2: u16, reserved3: u32 },
  arg: union({ pagefault: struct({ flags: u64, address: u64, feat: struct({ ptid: u32 }) }) }),
});

/** Every structure here that older headers have too, by its C name, for the test. */
export const UFFD_STRUCTS: Readonly<Record<string, CType>> = {
  uffdio_api: UffdioApi,
  uffdio_range: UffdioRange,
  uffdio_register: UffdioRegister,
  uffdio_copy: UffdioCopy,
  uffdio_zeropage: UffdioZeropage,
  uffdio_writeprotect: UffdioWriteprotect,
  uffdio_continue: UffdioContinue,
  uffd_msg: UffdMsg,
};
