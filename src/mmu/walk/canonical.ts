/**
 * Canonical addresses (SDM 1 §3.3.7.1). The check comes before the walk and fails with #GP or #SS,
 * not with a page fault; the walker itself ignores the bits above its width.
 */

import { type CpuRole, PagingMode } from "../role.ts";

/** True when bits 63 down to `bits` - 1 of `hi:lo` are all equal; `bits` is 48 or 57. */
export function isCanonical(hi: number, bits: number): boolean {
  const top = (hi | 0) >> (bits - 33);
  return top === 0 || top === -1;
}

/** Bits of a linear address in the role's mode: 32, 48 or 57. */
export function linearAddressBits(role: CpuRole): number {
  if (role.mode === PagingMode.LEVEL5) return 57;
  return role.mode === PagingMode.LEVEL4 ? 48 : 32;
}
