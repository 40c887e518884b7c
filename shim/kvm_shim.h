/*
 * libkvm-shim: the system calls that denovisor needs and JavaScript cannot make. No policy: every
 * function is one system call, or the checks in front of one.
 *
 * Memory is named by (region, offset, length): a region is a range of this process's memory that
 * was added or mapped before, and every use of it is checked against its bounds. Region identifiers
 * are process-wide, never 0, and not reused: one that has been removed stays invalid.
 *
 * Results: 0 or a positive value on success, -errno on failure. All functions may be called from
 * any thread.
 */
#ifndef KVM_SHIM_H
#define KVM_SHIM_H

#include <stdint.h>

/* Raised whenever a function is added, removed or changes its meaning. */
#define KVM_SHIM_ABI_VERSION 2

#define KVM_SHIM_API __attribute__((visibility("default")))

KVM_SHIM_API int32_t kvm_shim_abi_version(void);

/*
 * Names `length` bytes at `base`, which stay the caller's: they must outlive the region.
 * Returns the region, -EINVAL when the range is empty or wraps, -ENOSPC when the table is full.
 */
KVM_SHIM_API int32_t kvm_shim_region_add(void *base, uint64_t length);

/*
 * Maps `length` bytes and names them: shared, of `fd` from `file_offset` on, or zeroed private
 * memory when `fd` is -1. Unmapped by `kvm_shim_region_remove`.
 */
KVM_SHIM_API int32_t kvm_shim_region_map(int32_t fd, uint64_t file_offset, uint64_t length);

/*
 * Puts the first `length` bytes of `fd`, shared, in the place of whole pages of a region. Only of a
 * memory file that is sealed against shrinking: who touches a mapping beyond the end of its file is
 * killed. -EPERM for other files, -EINVAL when the file or the region is too short.
 */
KVM_SHIM_API int32_t kvm_shim_region_overlay(int32_t region, uint64_t offset, uint64_t length,
                                             int32_t fd);

/* Forgets a region, and unmaps it when it was mapped here. */
KVM_SHIM_API int32_t kvm_shim_region_remove(int32_t region);

/* The address of `length` bytes at `offset`, or -EINVAL when they are not all in the region. */
KVM_SHIM_API int64_t kvm_shim_region_address(int32_t region, uint64_t offset, uint64_t length);

/* open(2), close-on-exec; the path ends with a 0 byte within `length`. Returns the descriptor. */
KVM_SHIM_API int32_t kvm_shim_open(int32_t region, uint32_t offset, uint32_t length,
                                   int32_t flags);
KVM_SHIM_API int32_t kvm_shim_close(int32_t fd);

/* ioctl(2) with an integer argument; KVM_RUN comes this way. */
KVM_SHIM_API int32_t kvm_shim_ioctl(int32_t fd, uint32_t request, uint32_t argument);

/*
 * ioctl(2) with a pointer to `length` bytes. -EINVAL when that is less than the size encoded in
 * `request`.
 */
KVM_SHIM_API int32_t kvm_shim_ioctl_at(int32_t fd, uint32_t request, int32_t region,
                                       uint32_t offset, uint32_t length);

/* read(2) and write(2). Return the number of bytes. */
KVM_SHIM_API int32_t kvm_shim_read(int32_t fd, int32_t region, uint32_t offset, uint32_t length);
KVM_SHIM_API int32_t kvm_shim_write(int32_t fd, int32_t region, uint32_t offset, uint32_t length);

/*
 * Waits until `fd_a` (result bit 0) or `fd_b` (bit 1) can be read, or `timeout_ms` have passed
 * (result 0; -1 waits without end). A negative descriptor is left out.
 */
KVM_SHIM_API int32_t kvm_shim_poll(int32_t fd_a, int32_t fd_b, int32_t timeout_ms);

/* madvise(2) on part of a region. */
KVM_SHIM_API int32_t kvm_shim_madvise(int32_t region, uint64_t offset, uint64_t length,
                                      int32_t advice);

/* A new memory file of `length` bytes, close-on-exec, which cannot shrink. Returns the descriptor. */
KVM_SHIM_API int32_t kvm_shim_memfd(uint64_t length);

/*
 * A new userfaultfd, close-on-exec: from /dev/userfaultfd where it can be opened, else by the
 * system call. `flags` as for userfaultfd(2). Its operations are ioctls. Returns the descriptor.
 */
KVM_SHIM_API int32_t kvm_shim_userfaultfd(int32_t flags);

/* A new eventfd, close-on-exec; `flags` as for eventfd(2). Returns the descriptor. */
KVM_SHIM_API int32_t kvm_shim_eventfd(uint32_t initial, int32_t flags);

/* The kernel's identifier of the calling thread. */
KVM_SHIM_API int32_t kvm_shim_thread_id(void);

/*
 * Takes a thread out of KVM_RUN, or keeps it from entering: stores 1 into the byte at `offset` of
 * `region` (its kvm_run.immediate_exit), then interrupts the thread's system call by a signal whose
 * handler does nothing. Safe against a simultaneous `kvm_shim_region_remove`.
 */
KVM_SHIM_API int32_t kvm_shim_kick(int32_t thread_id, int32_t region, uint32_t offset);

#endif
