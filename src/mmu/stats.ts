/** Counters under the names that KVM gives them in debugfs. */

/** Names of the counters. */
export const STAT_NAMES = [
  "pf_fixed",
  "pf_guest",
  "invlpg",
  "tlb_flush",
  "mmio_exits",
  "insn_emulation",
  "insn_emulation_fail",
  "mmu_shadow_zapped",
  "mmu_pte_write",
  "mmu_pte_updated",
  "mmu_pde_zapped",
  "mmu_flooded",
  "mmu_recycled",
  "mmu_cache_miss",
  "mmu_unsync",
  "remote_tlb_flush",
  "lpages",
  "nx_lpage_splits",
  "max_mmu_page_hash_collisions",
] as const;

/** A counter's name. */
export type StatName = typeof STAT_NAMES[number];

/** The counters of one MMU: plain fields, which V8 counts up fastest. */
export class MmuStats implements Record<StatName, number> {
  pf_fixed = 0;
  pf_guest = 0;
  invlpg = 0;
  tlb_flush = 0;
  mmio_exits = 0;
  insn_emulation = 0;
  insn_emulation_fail = 0;
  mmu_shadow_zapped = 0;
  mmu_pte_write = 0;
  mmu_pte_updated = 0;
  mmu_pde_zapped = 0;
  mmu_flooded = 0;
  mmu_recycled = 0;
  mmu_cache_miss = 0;
  mmu_unsync = 0;
  remote_tlb_flush = 0;
  lpages = 0;
  nx_lpage_splits = 0;
  max_mmu_page_hash_collisions = 0;

  /** Stores the counters in the order of `STAT_NAMES`, without an allocation. */
  copyTo(into: Float64Array): void {
    into[0] = this.pf_fixed;
    into[1] = this.pf_guest;
    into[2] = this.invlpg;
    into[3] = this.tlb_flush;
    into[4] = this.mmio_exits;
    into[5] = this.insn_emulation;
    into[6] = this.insn_emulation_fail;
    into[7] = this.mmu_shadow_zapped;
    into[8] = this.mmu_pte_write;
    into[9] = this.mmu_pte_updated;
    into[10] = this.mmu_pde_zapped;
    into[11] = this.mmu_flooded;
    into[12] = this.mmu_recycled;
    into[13] = this.mmu_cache_miss;
    into[14] = this.mmu_unsync;
    into[15] = this.remote_tlb_flush;
    into[16] = this.lpages;
    into[17] = this.nx_lpage_splits;
    into[18] = this.max_mmu_page_hash_collisions;
  }

  /** A copy that no longer changes. */
  snapshot(): Record<StatName, number> {
    return { ...this };
  }
}
