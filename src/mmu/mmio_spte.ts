/**
 * MMIO SPTEs: entries that say "no memslot here", so that the next access to the hole exits at once.
 * They make the hardware report a reserved bit (or an EPT misconfiguration) and hold the frame, the
 * rights and 18 bits of the memslot generation at which they were made. A memslot update makes them
 * all stale without touching them.
 *
 *     63 62……54 53 52 51…………………12 11……3 2…0
 *      0 gen[17:9] 3   value and frame  gen[8:0] rights
 */

import type { Gfn } from "../base/u64.ts";
import { frameFrom, frameHi, frameLo } from "../base/u64.ts";
import { SpteKind } from "./spte.ts";

/** Generations that an entry can tell apart. */
export const MMIO_GENERATIONS = 2 ** 18;

const GEN_LOW_BITS = 9;
const GEN_LOW_MASK = 0x1ff;
const GEN_LOW_SHIFT = 3;
const GEN_HIGH_SHIFT = 54 - 32;
/** Bits 11:3 of the low half. */
const GEN_LOW_FIELD = GEN_LOW_MASK << GEN_LOW_SHIFT;
/** Bits 62:54 in the high half. */
const GEN_HIGH_FIELD = GEN_LOW_MASK << GEN_HIGH_SHIFT;
/** Bits of the frame that the L1TF rule moves. */
const L1TF_BITS = 5;

/** What all MMIO entries of one host have in common. */
export interface MmioFormat {
  /** Bits that make the hardware refuse the entry, by half. */
  readonly valueLo: number;
  readonly valueHi: number;
  /** Rights (bits 2:0) that an entry keeps. */
  readonly accessMask: number;
  /**
   * High half: address bits that are set in every entry, so that a CPU with the L1 terminal fault
   * speculates into no cached line; the frame's own values of them are kept 5 bits further up.
   */
  readonly l1tfHi: number;
}

/** EPT misconfiguration: W and X without R (SDM 3C §28.3.3.1). Keeps no rights. */
export const EPT_MMIO: MmioFormat = {
  valueLo: 6,
  valueHi: SpteKind.MMIO,
  accessMask: 0,
  l1tfHi: 0,
};

/**
 * MMIO entries in the long-mode format: present, with reserved address bit 51 set.
 * @param hostAddressBits Physical address width of the host. At 52 no bit is reserved: entries are
 * not present, and every access takes the slow path.
 * @param l1tf The host has the L1 terminal fault.
 */
export function longMmioFormat(hostAddressBits: number, l1tf: boolean): MmioFormat {
  const reserved = hostAddressBits < 52;
  const spread = l1tf && hostAddressBits < 52 - L1TF_BITS && hostAddressBits >= 32 + L1TF_BITS;
  return {
    valueLo: reserved ? 1 : 0,
    valueHi: SpteKind.MMIO | (reserved ? 1 << 51 - 32 : 0),
    accessMask: 6,
    l1tfHi: spread ? 0x1f << hostAddressBits - L1TF_BITS - 32 : 0,
  };
}

/** Low half of the MMIO entry for `gfn`. */
export function mmioLo(format: MmioFormat, gfn: Gfn, access: number, generation: number): number {
  return format.valueLo | access & format.accessMask | frameLo(gfn) |
    (generation & GEN_LOW_MASK) << GEN_LOW_SHIFT;
}

/** High half of the MMIO entry for `gfn`. */
export function mmioHi(format: MmioFormat, gfn: Gfn, generation: number): number {
  const high = frameHi(gfn);
  return format.valueHi | high | format.l1tfHi | (high & format.l1tfHi) << L1TF_BITS |
    (generation >>> GEN_LOW_BITS & GEN_LOW_MASK) << GEN_HIGH_SHIFT;
}

/** The frame that an MMIO entry was made for. */
export function mmioGfn(format: MmioFormat, lo: number, hi: number): Gfn {
  if (format.l1tfHi === 0) return frameFrom(lo, hi & ~format.valueHi) as Gfn;
  const below = (format.l1tfHi & -format.l1tfHi) - 1;
  return frameFrom(lo, hi & below | (hi >>> L1TF_BITS) & format.l1tfHi) as Gfn;
}

/** The rights that an MMIO entry was made with. */
export function mmioAccess(format: MmioFormat, lo: number): number {
  return lo & format.accessMask;
}

/** The generation, modulo `MMIO_GENERATIONS`, at which an MMIO entry was made. */
export function mmioGeneration(lo: number, hi: number): number {
  return (lo & GEN_LOW_FIELD) >>> GEN_LOW_SHIFT |
    (hi & GEN_HIGH_FIELD) >>> GEN_HIGH_SHIFT << GEN_LOW_BITS;
}
