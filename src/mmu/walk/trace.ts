/**
 * What a walker tells someone who watches it: KVM's tracepoints of the guest walk, by their names.
 */

import type { Gpa } from "../../base/u64.ts";

/** Called in the order in which things happen; `null` in place of one costs next to nothing. */
export interface WalkTrace {
  /** kvm_mmu_pagetable_walk: a walk for `hi:lo` begins; `access` is an `Access` word. */
  pagetableWalk(lo: number, hi: number, access: number): void;
  /** kvm_mmu_paging_element: an entry has been read. */
  pagingElement(lo: number, hi: number, level: number): void;
  /** kvm_mmu_set_accessed_bit: of the entry at `gpa`. */
  setAccessedBit(gpa: Gpa): void;
  /** kvm_mmu_set_dirty_bit: of the entry at `gpa`. */
  setDirtyBit(gpa: Gpa): void;
  /** kvm_mmu_walker_error: the walk ends with this error code. */
  walkerError(errorCode: number): void;
}
