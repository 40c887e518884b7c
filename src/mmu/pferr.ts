/**
 * Page-fault error codes, and the words that say what kind of access is checked and what a page
 * allows.
 */

/** Bits of a page-fault error code (SDM 3A §4.7, figure 4-12), but for SGX, which only hardware sets. */
export const Pferr = {
  /** The translation was there; its rights or reserved bits refused the access. */
  PRESENT: 1 << 0,
  WRITE: 1 << 1,
  /** A user-mode access: made at CPL 3 and not implicitly by the CPU. */
  USER: 1 << 2,
  /** A reserved bit was set in a paging-structure entry. */
  RSVD: 1 << 3,
  FETCH: 1 << 4,
  /** Protection keys refused the access. */
  PK: 1 << 5,
} as const;

/**
 * Bits 33:32 of a stage-2 fault's code (APM 2 §15.25.6, EXITINFO1), which travel in a word of their
 * own: was the guest physical address the end of a guest walk, or one of its tables?
 */
export const PferrHigh = { GUEST_FINAL: 1 << 0, GUEST_TABLE: 1 << 1 } as const;

/**
 * An access: the bits of the error code that it would raise, so that `access >> 1 & 15` is the index
 * of a permission bitmap. A read by the supervisor is 0.
 */
export const Access = {
  READ: 0,
  WRITE: Pferr.WRITE,
  USER: Pferr.USER,
  /**
   * In the place of RSVD, which no access raises by itself: SMAP is suspended, because this is an
   * explicit supervisor access with EFLAGS.AC = 1 (SDM 3A §4.6.1).
   */
  SMAP_SUSPENDED: Pferr.RSVD,
  FETCH: Pferr.FETCH,
} as const;

/**
 * The `Access` word of one access (SDM 3A §4.6).
 * @param kind `Access.READ`, `Access.WRITE` or `Access.FETCH`.
 * @param cpl Current privilege level, 0 to 3.
 * @param implicit Made by the CPU itself, of a descriptor table or a TSS: supervisor at every CPL.
 * @param ac EFLAGS.AC, which lets explicit supervisor accesses at CPL 0 to 2 pass SMAP.
 */
export function accessWord(kind: number, cpl: number, implicit: boolean, ac: boolean): number {
  if (implicit) return kind;
  if (cpl === 3) return kind | Access.USER;
  return ac ? kind | Access.SMAP_SUSPENDED : kind;
}

/** What a page allows: the index of a bit in a permission bitmap. For guest EPT, USER is "readable". */
export const Acc = { EXEC: 1, WRITE: 2, USER: 4, ALL: 7 } as const;
