/** Counters under the names that KVM gives them in debugfs. */

/** Indices of the counters. */
export const Stat = {
  PF_FIXED: 0,
  PF_GUEST: 1,
  INVLPG: 2,
  TLB_FLUSH: 3,
  MMIO_EXITS: 4,
  INSN_EMULATION: 5,
  INSN_EMULATION_FAIL: 6,
  MMU_SHADOW_ZAPPED: 7,
  MMU_PTE_WRITE: 8,
  MMU_PTE_UPDATED: 9,
  MMU_PDE_ZAPPED: 10,
  MMU_FLOODED: 11,
  MMU_RECYCLED: 12,
  MMU_CACHE_MISS: 13,
  MMU_UNSYNC: 14,
  REMOTE_TLB_FLUSH: 15,
  LPAGES: 16,
  NX_LPAGE_SPLITS: 17,
  MAX_MMU_PAGE_HASH_COLLISIONS: 18,
} as const;

/** Names of the counters, in the order of `Stat`. */
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

/** All counters by name. */
export function statsByName(counters: Float64Array): Record<StatName, number> {
  const out: Partial<Record<StatName, number>> = {};
  for (let i = 0; i < STAT_NAMES.length; i++) out[STAT_NAMES[i]] = counters[i];
  return out as Record<StatName, number>;
}
