/** Error numbers of x86-64 Linux (<asm-generic/errno.h>) that the shim's callers meet. */

export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  ENOSYS: 38,
  EOPNOTSUPP: 95,
} as const;

/** The name of an error number, or the number itself. */
export function errnoName(errno: number): string {
  const found = Object.entries(Errno).find(([, value]) => value === errno);
  return found?.[0] ?? `errno ${errno}`;
}
