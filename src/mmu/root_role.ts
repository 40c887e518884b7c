/**
 * RootRole: what a shadow page is made for, in 32 bits. Two pages of the same frame with different
 * roles are different pages. KVM's layout (`kvm_mmu_page_role`), so that traces read alike.
 */

import { type CpuRole, PagingMode } from "./role.ts";
import { Acc } from "./pferr.ts";

declare const brand: unique symbol;
/** A packed role: an unsigned 32-bit integer, compared with `===`. */
export type RootRole = number & { readonly [brand]: "RootRole" };

/** The fields of a `RootRole`. */
export interface RootRoleFields {
  /** 1 for a table of 4 KiB leaves, up to 5. */
  readonly level: number;
  /** The guest's entries are 8 bytes wide; also for direct pages, which shadow none. */
  readonly gpte8: boolean;
  /** Which part of a 4-byte-entry guest table this page shadows: 0 or 1 at level 1, 0 to 3 at level 2. */
  readonly quadrant: number;
  /** Maps frames one after another, shadows no guest table. */
  readonly direct: boolean;
  /** Rights inherited from the levels above (`Acc`). */
  readonly access: number;
  /** Zapped while a root still pins it; it may not be found again. */
  readonly invalid: boolean;
  readonly nxe: boolean;
  readonly cr0Wp: boolean;
  /** SMEP and not CR0.WP: then a kernel-writable page of a user is not executable. */
  readonly smepAndNotWp: boolean;
  readonly smapAndNotWp: boolean;
  /** Accessed and dirty flags of the SPTEs are not used. */
  readonly adDisabled: boolean;
  readonly guestMode: boolean;
  readonly smm: boolean;
}

/** Bit positions of the fields. */
export const RoleShift = {
  LEVEL: 0,
  GPTE8: 4,
  QUADRANT: 5,
  DIRECT: 7,
  ACCESS: 8,
  INVALID: 11,
  NXE: 12,
  CR0_WP: 13,
  SMEP_AND_NOT_WP: 14,
  SMAP_AND_NOT_WP: 15,
  AD_DISABLED: 16,
  GUEST_MODE: 17,
  SMM: 24,
} as const;

/** Masks of the fields, in place. */
export const RoleMask = {
  LEVEL: 0xf << RoleShift.LEVEL,
  GPTE8: 1 << RoleShift.GPTE8,
  QUADRANT: 3 << RoleShift.QUADRANT,
  DIRECT: 1 << RoleShift.DIRECT,
  ACCESS: 7 << RoleShift.ACCESS,
  INVALID: 1 << RoleShift.INVALID,
  NXE: 1 << RoleShift.NXE,
  CR0_WP: 1 << RoleShift.CR0_WP,
  SMEP_AND_NOT_WP: 1 << RoleShift.SMEP_AND_NOT_WP,
  SMAP_AND_NOT_WP: 1 << RoleShift.SMAP_AND_NOT_WP,
  AD_DISABLED: 1 << RoleShift.AD_DISABLED,
  GUEST_MODE: 1 << RoleShift.GUEST_MODE,
  /** KVM gives the address-space number a byte; only bit 0 is used. */
  SMM: 1 << RoleShift.SMM,
} as const;

/** CR0.WP together with "SMAP and not WP" cannot be: it marks the shadow of a guest's EPT. */
const SHADOW_EPT = RoleMask.CR0_WP | RoleMask.SMAP_AND_NOT_WP;

export function packRootRole(fields: RootRoleFields): RootRole {
  return (fields.level << RoleShift.LEVEL |
    Number(fields.gpte8) << RoleShift.GPTE8 |
    fields.quadrant << RoleShift.QUADRANT |
    Number(fields.direct) << RoleShift.DIRECT |
    fields.access << RoleShift.ACCESS |
    Number(fields.invalid) << RoleShift.INVALID |
    Number(fields.nxe) << RoleShift.NXE |
    Number(fields.cr0Wp) << RoleShift.CR0_WP |
    Number(fields.smepAndNotWp) << RoleShift.SMEP_AND_NOT_WP |
    Number(fields.smapAndNotWp) << RoleShift.SMAP_AND_NOT_WP |
    Number(fields.adDisabled) << RoleShift.AD_DISABLED |
    Number(fields.guestMode) << RoleShift.GUEST_MODE |
    Number(fields.smm) << RoleShift.SMM) as RootRole;
}

/** The fields of `role`, for people and tests; hot paths mask the integer. */
export function unpackRootRole(role: RootRole): RootRoleFields {
  return {
    level: roleLevel(role),
    gpte8: (role & RoleMask.GPTE8) !== 0,
    quadrant: (role & RoleMask.QUADRANT) >>> RoleShift.QUADRANT,
    direct: roleIsDirect(role),
    access: roleAccess(role),
    invalid: roleIsInvalid(role),
    nxe: (role & RoleMask.NXE) !== 0,
    cr0Wp: (role & RoleMask.CR0_WP) !== 0,
    smepAndNotWp: (role & RoleMask.SMEP_AND_NOT_WP) !== 0,
    smapAndNotWp: (role & RoleMask.SMAP_AND_NOT_WP) !== 0,
    adDisabled: (role & RoleMask.AD_DISABLED) !== 0,
    guestMode: (role & RoleMask.GUEST_MODE) !== 0,
    smm: (role & RoleMask.SMM) !== 0,
  };
}

export function roleLevel(role: RootRole): number {
  return role & RoleMask.LEVEL;
}

export function roleAccess(role: RootRole): number {
  return (role & RoleMask.ACCESS) >>> RoleShift.ACCESS;
}

export function roleIsDirect(role: RootRole): boolean {
  return (role & RoleMask.DIRECT) !== 0;
}

export function roleIsInvalid(role: RootRole): boolean {
  return (role & RoleMask.INVALID) !== 0;
}

/** The role of a page that shadows a guest's EPT table. */
export function roleIsShadowEpt(role: RootRole): boolean {
  return (role & SHADOW_EPT) === SHADOW_EPT;
}

/** The same role, found by nobody any more. */
export function invalidated(role: RootRole): RootRole {
  return (role | RoleMask.INVALID) as RootRole;
}

/**
 * Root of a stage-2 (TDP) tree. What the guest does with its own paging is not part of it.
 * @param level 4 or 5, or 3 for a PAE root.
 * @param adDisabled The host's entries have no accessed and dirty flags.
 */
export function directRootRole(cpu: CpuRole, level: number, adDisabled: boolean): RootRole {
  return (level | RoleMask.GPTE8 | RoleMask.DIRECT | Acc.ALL << RoleShift.ACCESS |
    Number(adDisabled) << RoleShift.AD_DISABLED | contextOf(cpu)) as RootRole;
}

/**
 * Root of the tree that stands for the guest's own paging, or of the direct tree when its paging is
 * off. 32-bit guests and those without paging get a PAE tree, which begins at level 3.
 */
export function shadowRootRole(cpu: CpuRole): RootRole {
  const { mode } = cpu;
  if (mode === PagingMode.EPT4 || mode === PagingMode.EPT5) {
    return ((mode === PagingMode.EPT5 ? 5 : 4) | RoleMask.GPTE8 | Acc.ALL << RoleShift.ACCESS |
      SHADOW_EPT | Number(!cpu.eptAccessedDirty) << RoleShift.AD_DISABLED |
      contextOf(cpu)) as RootRole;
  }
  const direct = mode === PagingMode.NONE;
  return ((cpu.la57 ? 5 : cpu.lma ? 4 : 3) |
    Number(mode !== PagingMode.BITS32) << RoleShift.GPTE8 |
    Number(direct) << RoleShift.DIRECT |
    Acc.ALL << RoleShift.ACCESS |
    Number(cpu.nxe) << RoleShift.NXE |
    Number(cpu.wp) << RoleShift.CR0_WP |
    Number(cpu.smep && !cpu.wp) << RoleShift.SMEP_AND_NOT_WP |
    Number(cpu.smap && !cpu.wp) << RoleShift.SMAP_AND_NOT_WP |
    contextOf(cpu)) as RootRole;
}

/**
 * The role of a page below one of role `parent`.
 * @param access Rights of all the entries above it, AND-ed.
 * @param quadrant For shadows of 4-byte-entry tables, `quadrantOf`; else 0.
 */
export function childRole(
  parent: RootRole,
  level: number,
  direct: boolean,
  access: number,
  quadrant: number,
): RootRole {
  const kept = parent &
    ~(RoleMask.LEVEL | RoleMask.QUADRANT | RoleMask.DIRECT | RoleMask.ACCESS | RoleMask.INVALID);
  return (kept | level | quadrant << RoleShift.QUADRANT | access << RoleShift.ACCESS |
    (direct ? RoleMask.DIRECT | RoleMask.GPTE8 : 0)) as RootRole;
}

/**
 * Which part of a guest's 4-byte-entry table of level `level` (1 or 2) the address is in: such a
 * table has 1024 entries, a shadow page 512, and at level 2 one guest entry takes two shadow entries.
 * @param lo Bits 31:0 of the linear address.
 */
export function quadrantOf(lo: number, level: number): number {
  return level === 1 ? lo >>> 21 & 1 : lo >>> 30;
}

function contextOf(cpu: CpuRole): number {
  return Number(cpu.smm) << RoleShift.SMM | Number(cpu.guestMode) << RoleShift.GUEST_MODE;
}
