/**
 * Access rights (SDM 3A §4.6, for EPT SDM 3C §28.3.3.2): one byte for each kind of access, one bit of
 * it for each combination of rights; the bit is set when that access to such a page faults.
 */

import { type CpuRole, PagingMode } from "../role.ts";
import { Acc, Access, Pferr } from "../pferr.ts";

/** Sets of combinations of rights: bit `UWX` is set when the right is among them. */
const EXECUTABLE = 0b1010_1010;
const WRITABLE = 0b1100_1100;
const USER = 0b1111_0000;

/** The permission bitmap of a role: 16 bytes, indexed by `access >> 1` (bits 4:1 of the error code). */
export function permissionBitmap(role: CpuRole): Uint8Array {
  const bitmap = new Uint8Array(16);
  const ept = role.mode === PagingMode.EPT4 || role.mode === PagingMode.EPT5;
  for (let index = 0; index < bitmap.length; index++) {
    const access = index << 1;
    if (role.mode === PagingMode.NONE) bitmap[index] = 0;
    else bitmap[index] = ept ? eptFaults(access) : faults(role, access);
  }
  return bitmap;
}

/** The combinations of rights at which `access` faults. */
function faults(role: CpuRole, access: number): number {
  const user = (access & Access.USER) !== 0;
  const fetch = (access & Access.FETCH) !== 0;
  const write = (access & Access.WRITE) !== 0;
  let set = 0;
  if (user) set |= ~USER;
  if (write && (user || role.wp)) set |= ~WRITABLE;
  if (fetch && role.nxe) set |= ~EXECUTABLE;
  if (!user && fetch && role.smep) set |= USER;
  if (!user && !fetch && role.smap && (access & Access.SMAP_SUSPENDED) === 0) set |= USER;
  return set & 0xff;
}

/** Guest EPT knows no user and supervisor; there the USER right says that a page can be read. */
function eptFaults(access: number): number {
  let set = 0;
  if ((access & Access.WRITE) !== 0) set |= ~WRITABLE;
  if ((access & Access.FETCH) !== 0) set |= ~EXECUTABLE;
  if ((access & (Access.WRITE | Access.FETCH)) === 0) set |= ~USER;
  return set & 0xff;
}

/**
 * True when protection key `pkey` refuses a data access to a user page (SDM 3A §4.6.2). The caller
 * has checked CR4.PKE and EFER.LMA.
 * @param acc Rights of the page (`Acc`).
 * @param wp CR0.WP, without which WD does not stop the supervisor.
 */
export function keyRefuses(
  pkru: number,
  pkey: number,
  acc: number,
  access: number,
  wp: boolean,
): boolean {
  if ((acc & Acc.USER) === 0 || (access & Access.FETCH) !== 0) return false;
  const rights = pkru >>> (pkey * 2);
  if ((rights & 1) !== 0) return true;
  return (rights & 2) !== 0 && (access & Access.WRITE) !== 0 &&
    (wp || (access & Access.USER) !== 0);
}

/**
 * The bits of the error code that the access itself decides (SDM 3A §4.7). A fetch shows only where
 * fetches can be refused; guest EPT has no users.
 */
export function accessBits(role: CpuRole, access: number): number {
  if (role.mode === PagingMode.EPT4 || role.mode === PagingMode.EPT5) {
    return access & (Pferr.WRITE | Pferr.FETCH);
  }
  return access & (Pferr.WRITE | Pferr.USER | (role.nxe || role.smep ? Pferr.FETCH : 0));
}
