/**
 * CpuRole: everything about a vCPU that decides how its page tables are walked. What a shadow page
 * is keyed by is a different thing: `RootRole`, in root_role.ts.
 */

import { Cr0, Cr4, Efer } from "../cpu/modes.ts";

/** How linear addresses (for EPT: L2 guest physical addresses) are translated (SDM 3A §4.1.1). */
export const PagingMode = {
  NONE: 0,
  /** Two levels of 4-byte entries. */
  BITS32: 1,
  /** Four cached PDPTEs, then two levels of 8-byte entries. */
  PAE: 2,
  LEVEL4: 3,
  LEVEL5: 4,
  EPT4: 5,
  EPT5: 6,
} as const;
export type PagingMode = typeof PagingMode[keyof typeof PagingMode];

/** What CPUID says about paging; fixed for the life of a VM. */
export interface PagingFeatures {
  /** MAXPHYADDR in bits, 32 to 52 (CPUID 8000_0008h EAX[7:0]). */
  readonly maxPhyAddrBits: number;
  /** 1 GiB pages (CPUID 8000_0001h EDX[26]; for EPT, IA32_VMX_EPT_VPID_CAP[17]). */
  readonly gbPages: boolean;
  /** The vendor reserves bit 8 of PML4 and PML5 entries (APM 2 §5.3.3), as AMD does. */
  readonly amd: boolean;
}

/** The fields of a role. Those that the mode makes void are false in a `CpuRole`. */
export interface CpuRoleFields extends PagingFeatures {
  readonly mode: PagingMode;
  /** CR0.WP. */
  readonly wp: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  /** CR4.PKE with EFER.LMA. */
  readonly pke: boolean;
  /** CR4.PSE; void outside 32-bit paging, where large pages need no leave. */
  readonly pse: boolean;
  readonly pge: boolean;
  /** EFER.NXE; void in 32-bit paging, whose entries have no bit for it. */
  readonly nxe: boolean;
  /** EPTP bit 6: accessed and dirty flags. */
  readonly eptAccessedDirty: boolean;
  /** IA32_VMX_EPT_VPID_CAP[0]: execute-only entries. */
  readonly eptExecuteOnly: boolean;
  readonly smm: boolean;
  /** The vCPU runs a nested guest. */
  readonly guestMode: boolean;
}

/** Bit positions in `CpuRole.word`. */
const Shift = {
  MODE: 0,
  WP: 3,
  SMEP: 4,
  SMAP: 5,
  PKE: 6,
  PSE: 7,
  PGE: 8,
  NXE: 9,
  LMA: 10,
  LA57: 11,
  GB_PAGES: 12,
  AMD: 13,
  EPT_ACCESSED_DIRTY: 14,
  EPT_EXECUTE_ONLY: 15,
  SMM: 16,
  GUEST_MODE: 17,
  MAX_PHY_ADDR: 18,
} as const;

/**
 * An immutable role. There is one object for each combination, so roles compare with `===`: the same
 * object means that nothing about the walk has changed and need be set up again.
 */
export class CpuRole implements CpuRoleFields {
  /**
   * All of it in 24 bits. KVM's word of 2019 had neither LMA nor a filled LA57, so that under TDP,
   * where the root's level is the host's, a step from PAE to 4-level or 5-level paging left the
   * word unchanged and the old walker in place.
   */
  readonly word: number;
  readonly mode: PagingMode;
  readonly wp: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  readonly pke: boolean;
  readonly pse: boolean;
  readonly pge: boolean;
  readonly nxe: boolean;
  /** EFER.LMA: IA-32e mode, 4- or 5-level paging. */
  readonly lma: boolean;
  /** CR4.LA57 in IA-32e mode. */
  readonly la57: boolean;
  readonly gbPages: boolean;
  readonly amd: boolean;
  readonly eptAccessedDirty: boolean;
  readonly eptExecuteOnly: boolean;
  readonly smm: boolean;
  readonly guestMode: boolean;
  readonly maxPhyAddrBits: number;

  static readonly #known = new Map<number, CpuRole>();

  private constructor(word: number) {
    const bit = (shift: number) => (word >>> shift & 1) === 1;
    this.word = word;
    this.mode = (word & 7) as PagingMode;
    this.wp = bit(Shift.WP);
    this.smep = bit(Shift.SMEP);
    this.smap = bit(Shift.SMAP);
    this.pke = bit(Shift.PKE);
    this.pse = bit(Shift.PSE);
    this.pge = bit(Shift.PGE);
    this.nxe = bit(Shift.NXE);
    this.lma = bit(Shift.LMA);
    this.la57 = bit(Shift.LA57);
    this.gbPages = bit(Shift.GB_PAGES);
    this.amd = bit(Shift.AMD);
    this.eptAccessedDirty = bit(Shift.EPT_ACCESSED_DIRTY);
    this.eptExecuteOnly = bit(Shift.EPT_EXECUTE_ONLY);
    this.smm = bit(Shift.SMM);
    this.guestMode = bit(Shift.GUEST_MODE);
    this.maxPhyAddrBits = word >>> Shift.MAX_PHY_ADDR;
  }

  /** The role of these fields; what their mode makes void is cleared. */
  static of(fields: CpuRoleFields): CpuRole {
    const { mode } = fields;
    const ept = mode === PagingMode.EPT4 || mode === PagingMode.EPT5;
    const lma = mode === PagingMode.LEVEL4 || mode === PagingMode.LEVEL5;
    const paging = lma || mode === PagingMode.BITS32 || mode === PagingMode.PAE;
    return CpuRole.#intern(
      mode << Shift.MODE |
        Number(paging && fields.wp) << Shift.WP |
        Number(paging && fields.smep) << Shift.SMEP |
        Number(paging && fields.smap) << Shift.SMAP |
        Number(lma && fields.pke) << Shift.PKE |
        Number(mode === PagingMode.BITS32 && fields.pse) << Shift.PSE |
        Number(paging && fields.pge) << Shift.PGE |
        Number((lma || mode === PagingMode.PAE) && fields.nxe) << Shift.NXE |
        Number(lma) << Shift.LMA |
        Number(mode === PagingMode.LEVEL5) << Shift.LA57 |
        Number((lma || ept) && fields.gbPages) << Shift.GB_PAGES |
        Number(lma && fields.amd) << Shift.AMD |
        Number(ept && fields.eptAccessedDirty) << Shift.EPT_ACCESSED_DIRTY |
        Number(ept && fields.eptExecuteOnly) << Shift.EPT_EXECUTE_ONLY |
        Number(fields.smm) << Shift.SMM |
        Number(fields.guestMode) << Shift.GUEST_MODE |
        checkedWidth(fields.maxPhyAddrBits) << Shift.MAX_PHY_ADDR,
    );
  }

  /**
   * The role that the control registers ask for; allocates only the first time a combination comes.
   * @param cr0 Bits 31:0 of CR0, and so with `cr4` and `efer`; LMA in `efer` must be the CPU's own.
   */
  static fromRegisters(
    cr0: number,
    cr4: number,
    efer: number,
    features: PagingFeatures,
    smm: boolean,
    guestMode: boolean,
  ): CpuRole {
    let word = checkedWidth(features.maxPhyAddrBits) << Shift.MAX_PHY_ADDR |
      Number(smm) << Shift.SMM | Number(guestMode) << Shift.GUEST_MODE;
    if ((cr0 & Cr0.PG) !== 0) {
      const lma = (efer & Efer.LMA) !== 0;
      const pae = lma || (cr4 & Cr4.PAE) !== 0;
      word |= Number((cr0 & Cr0.WP) !== 0) << Shift.WP |
        Number((cr4 & Cr4.SMEP) !== 0) << Shift.SMEP |
        Number((cr4 & Cr4.SMAP) !== 0) << Shift.SMAP |
        Number((cr4 & Cr4.PGE) !== 0) << Shift.PGE;
      if (pae) word |= Number((efer & Efer.NXE) !== 0) << Shift.NXE;
      else word |= PagingMode.BITS32 | Number((cr4 & Cr4.PSE) !== 0) << Shift.PSE;
      if (lma) {
        const la57 = (cr4 & Cr4.LA57) !== 0;
        word |= la57 ? PagingMode.LEVEL5 : PagingMode.LEVEL4;
        word |= 1 << Shift.LMA | Number(la57) << Shift.LA57 |
          Number((cr4 & Cr4.PKE) !== 0) << Shift.PKE |
          Number(features.gbPages) << Shift.GB_PAGES | Number(features.amd) << Shift.AMD;
      } else if (pae) word |= PagingMode.PAE;
    }
    return CpuRole.#intern(word);
  }

  static #intern(word: number): CpuRole {
    let role = CpuRole.#known.get(word);
    if (role === undefined) {
      role = new CpuRole(word);
      CpuRole.#known.set(word, role);
    }
    return role;
  }
}

/** MAXPHYADDR as CPUID may report it. */
function checkedWidth(bits: number): number {
  if (!Number.isInteger(bits) || bits < 32 || bits > 52) {
    throw new RangeError(`Cannot use ${bits} bits as MAXPHYADDR: expected 32 to 52`);
  }
  return bits;
}
