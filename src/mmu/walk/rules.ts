/**
 * What a role means for a walk, worked out once for each role.
 */

import { CpuRole, PagingMode } from "../role.ts";
import { permissionBitmap } from "./permissions.ts";
import { misconfiguredEpt, type ReservedBits, reservedBits } from "./reserved.ts";

/** Flags of an ordinary entry, all in its low half (SDM 3A §4.5). */
export const Pte = {
  PRESENT: 1 << 0,
  WRITABLE: 1 << 1,
  USER: 1 << 2,
  ACCESSED: 1 << 5,
  DIRTY: 1 << 6,
  LARGE: 1 << 7,
  GLOBAL: 1 << 8,
} as const;

/** Flags of a guest EPT entry (SDM 3C §28.3.2). */
export const EptPte = {
  READ: 1 << 0,
  WRITE: 1 << 1,
  EXECUTE: 1 << 2,
  LARGE: 1 << 7,
  ACCESSED: 1 << 8,
  DIRTY: 1 << 9,
} as const;

/** The constants of a walk. */
export interface WalkRules {
  readonly role: CpuRole;
  /** Levels whose entries are read from memory: 0, 2 (also PAE, whose PDPTEs are cached), 4 or 5. */
  readonly levels: number;
  /** 4 or 8. */
  readonly entryBytes: number;
  readonly ept: boolean;
  /** 4-level paging, which `fastWalk` knows. */
  readonly fourLevel: boolean;
  /** PAE: the walk begins at a cached PDPTE. */
  readonly pae: boolean;
  /** Protection keys are on. */
  readonly keys: boolean;
  /** Bits 63:32 of addresses that have no translation; for guest EPT only, since linear addresses are canonical. */
  readonly beyondHi: number;
  /** Any of these makes an entry present. */
  readonly presentMask: number;
  /** 0 where there are no accessed and dirty flags. */
  readonly accessedMask: number;
  readonly dirtyMask: number;
  /** 0 when CR4.PGE is clear. */
  readonly globalMask: number;
  /** 1 when bit 7 can make a large page, 0 when it is ignored (32-bit paging without CR4.PSE). */
  readonly largeBit: number;
  readonly reserved: ReservedBits;
  /** For guest EPT, by bits 5:0 of an entry; else all clear. */
  readonly misconfigured: Uint32Array;
  readonly permissions: Uint8Array;
}

/** The role of a vCPU whose paging is off. */
export const NO_PAGING: CpuRole = CpuRole.fromRegisters(
  0,
  0,
  0,
  { maxPhyAddrBits: 52, gbPages: false, amd: false },
  false,
  false,
);

const rulesByRole = new Map<CpuRole, WalkRules>();

/** The rules of `role`; the same object every time. */
export function walkRules(role: CpuRole): WalkRules {
  let rules = rulesByRole.get(role);
  if (rules === undefined) {
    rules = makeRules(role);
    rulesByRole.set(role, rules);
  }
  return rules;
}

const LEVELS: Readonly<Record<PagingMode, number>> = {
  [PagingMode.NONE]: 0,
  [PagingMode.BITS32]: 2,
  [PagingMode.PAE]: 2,
  [PagingMode.LEVEL4]: 4,
  [PagingMode.LEVEL5]: 5,
  [PagingMode.EPT4]: 4,
  [PagingMode.EPT5]: 5,
};

function makeRules(role: CpuRole): WalkRules {
  const { mode } = role;
  const levels = LEVELS[mode];
  const ept = mode === PagingMode.EPT4 || mode === PagingMode.EPT5;
  const flags = ept ? role.eptAccessedDirty : levels > 0;
  return {
    role,
    levels,
    entryBytes: mode === PagingMode.BITS32 ? 4 : 8,
    ept,
    fourLevel: mode === PagingMode.LEVEL4,
    pae: mode === PagingMode.PAE,
    keys: role.pke,
    beyondHi: beyondHi(mode),
    presentMask: ept ? EptPte.READ | EptPte.WRITE | EptPte.EXECUTE : Pte.PRESENT,
    accessedMask: !flags ? 0 : ept ? EptPte.ACCESSED : Pte.ACCESSED,
    dirtyMask: !flags ? 0 : ept ? EptPte.DIRTY : Pte.DIRTY,
    globalMask: role.pge ? Pte.GLOBAL : 0,
    largeBit: Number(mode !== PagingMode.BITS32 || role.pse),
    reserved: reservedBits(role),
    misconfigured: ept ? misconfiguredEpt(role.eptExecuteOnly) : new Uint32Array(2),
    permissions: permissionBitmap(role),
  };
}

/** EPT translates 48 or 57 bits; a wider L2 address is an EPT violation (SDM 3C §28.3.2). */
function beyondHi(mode: PagingMode): number {
  if (mode === PagingMode.EPT4) return 0xffff_0000;
  return mode === PagingMode.EPT5 ? 0xfe00_0000 : 0;
}
