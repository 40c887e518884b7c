/**
 * Reserved bits of paging-structure entries (SDM 3A §4.3 to §4.5, APM 2 §5.3; for EPT SDM 3C
 * §28.3.2), as masks by level and by bit 7, which makes a large page.
 */

import { type CpuRole, PagingMode } from "../role.ts";

/** Rows of the masks: two for each of levels 0 to 5; `level * 2 + 1` when the entry has bit 7 set. */
const ROWS = 12;

/** The reserved bits, in halves. */
export interface ReservedBits {
  readonly lo: Uint32Array;
  readonly hi: Uint32Array;
}

/**
 * The reserved bits of a role's entries. At level 1 both rows are the same: bit 7 is not "large".
 * Levels that the mode does not have reserve nothing.
 */
export function reservedBits(role: CpuRole): ReservedBits {
  const masks = { lo: new Uint32Array(ROWS), hi: new Uint32Array(ROWS) };
  switch (role.mode) {
    case PagingMode.NONE:
      break;
    case PagingMode.BITS32:
      reserve32(masks, role);
      break;
    case PagingMode.PAE:
      reservePae(masks, role);
      break;
    case PagingMode.LEVEL4:
    case PagingMode.LEVEL5:
      reserveLong(masks, role);
      break;
    default:
      reserveEpt(masks, role);
  }
  return masks;
}

/** Row of an entry without bit 7, and of one with it. */
const small = (level: number): number => level * 2;
const large = (level: number): number => level * 2 + 1;

/** Reserves bits `last` down to `first`; none when `last` is below `first`. */
function reserve(masks: ReservedBits, row: number, last: number, first: number): void {
  for (let bit = first; bit <= last; bit++) {
    if (bit < 32) masks.lo[row] |= 1 << bit;
    else masks.hi[row] |= 1 << (bit - 32);
  }
}

/** The same for an entry with and without bit 7. */
function reserveBoth(masks: ReservedBits, level: number, last: number, first: number): void {
  reserve(masks, small(level), last, first);
  reserve(masks, large(level), last, first);
}

/**
 * PSE-36 (SDM 3A §4.3, table 4-4): bits 20:13 of a 4 MiB page's entry are bits 39:32 of its address;
 * those above the physical address width, and bit 21, are reserved. Every CPU with long mode has
 * PSE-36. (KVM takes the width as 36 whatever it is.)
 */
function reserve32(masks: ReservedBits, role: CpuRole): void {
  if (role.pse) reserve(masks, large(2), 21, Math.min(role.maxPhyAddrBits, 40) - 19);
}

function reservePae(masks: ReservedBits, role: CpuRole): void {
  for (let level = 1; level <= 2; level++) {
    reserveBoth(masks, level, 62, role.maxPhyAddrBits);
    if (!role.nxe) reserveBoth(masks, level, 63, 63);
  }
  reserve(masks, large(2), 20, 13);
}

function reserveLong(masks: ReservedBits, role: CpuRole): void {
  const top = role.la57 ? 5 : 4;
  for (let level = 1; level <= top; level++) {
    reserveBoth(masks, level, 51, role.maxPhyAddrBits);
    if (!role.nxe) reserveBoth(masks, level, 63, 63);
  }
  for (let level = 4; level <= top; level++) {
    reserve(masks, large(level), 7, 7);
    if (role.amd) reserveBoth(masks, level, 8, 8);
  }
  if (role.gbPages) reserve(masks, large(3), 29, 13);
  else reserve(masks, large(3), 7, 7);
  reserve(masks, large(2), 20, 13);
}

function reserveEpt(masks: ReservedBits, role: CpuRole): void {
  const top = role.mode === PagingMode.EPT5 ? 5 : 4;
  for (let level = 1; level <= top; level++) reserveBoth(masks, level, 51, role.maxPhyAddrBits);
  for (let level = 2; level <= top; level++) reserve(masks, small(level), 6, 3);
  for (let level = 4; level <= top; level++) reserve(masks, large(level), 7, 3);
  if (role.gbPages) reserve(masks, large(3), 29, 12);
  else reserve(masks, large(3), 7, 7);
  reserve(masks, large(2), 20, 12);
}

/**
 * Misconfigured guest EPT entries (SDM 3C §28.3.3.1) by bits 5:0: bit n of the 64 is set when the
 * memory type (5:3) or the rights (2:0) of an entry with those bits cannot be.
 */
export function misconfiguredEpt(executeOnly: boolean): Uint32Array {
  const set = new Uint32Array(2);
  for (let bits = 0; bits < 64; bits++) {
    const type = bits >>> 3;
    const rights = bits & 7; // X W R
    const badType = type === 2 || type === 3 || type === 7;
    const badRights = rights === 0b010 || rights === 0b110 || rights === 0b100 && !executeOnly;
    if (badType || badRights) set[bits >>> 5] |= 1 << (bits & 31);
  }
  return set;
}
