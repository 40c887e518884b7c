/**
 * The walk that most walks are.
 */

import type { Gfn } from "../../base/u64.ts";
import { FRAMES_BY_LEVEL, gpteTableGfn } from "./gpte.ts";
import type { GuestTables } from "./guest_tables.ts";
import { keyRefuses } from "./permissions.ts";
import { WalkFault, type WalkResult } from "./result.ts";
import type { WalkRules } from "./rules.ts";

/**
 * Walks 4-level tables in which every entry is present, valid and accessed and allows what is asked,
 * and fills `result`. On anything else it returns false, and the full walk finds out what it is.
 * Nothing is checked before the leaf has been read: that an invalid entry is followed on the way
 * does no harm, since `wordOf` takes any frame.
 *
 * Another thread may store an entry between the loads of its halves. The low half is therefore read
 * twice; while it is the same the halves belong together, unless it changed away and back.
 *
 * Written out level by level, since a loop takes half as long again, and with bits as numbers, since
 * V8 loads the fields of imported objects each time (bench/mmu.ts).
 */
export function fastWalk(
  rules: WalkRules,
  tables: GuestTables,
  result: WalkResult,
  root: Gfn,
  pkru: number,
  lo: number,
  hi: number,
  access: number,
): boolean {
  const { words } = tables;
  const { entries } = result;
  const dirty = 0x40; // Pte.DIRTY
  const large = 0x80; // Pte.LARGE
  const presentAndAccessed = 0x21; // Pte.PRESENT | Pte.ACCESSED
  const write = 2; // Access.WRITE, Acc.WRITE

  let base = tables.wordOf(root);
  if (base < 0) return false;
  let at = base + (hi >>> 7 & 511) * 2;
  const lo4 = words[at];
  const hi4 = words[at + 1];
  let torn = words[at] ^ lo4;
  entries[8] = lo4;
  entries[9] = hi4;

  base = tables.wordOf(gpteTableGfn(lo4, hi4));
  if (base < 0) return false;
  at = base + ((lo >>> 30 | hi << 2) & 511) * 2;
  let pteLo = words[at];
  let pteHi = words[at + 1];
  torn |= words[at] ^ pteLo;
  entries[6] = pteLo;
  entries[7] = pteHi;
  let all = lo4 & pteLo; // flags and rights that every entry has
  let any = hi4 | pteHi; // high halves: NX if any entry has it
  let level = 3;
  if ((pteLo & large) === 0) {
    base = tables.wordOf(gpteTableGfn(pteLo, pteHi));
    if (base < 0) return false;
    at = base + (lo >>> 21 & 511) * 2;
    pteLo = words[at];
    pteHi = words[at + 1];
    torn |= words[at] ^ pteLo;
    entries[4] = pteLo;
    entries[5] = pteHi;
    all &= pteLo;
    any |= pteHi;
    level = 2;
    if ((pteLo & large) === 0) {
      base = tables.wordOf(gpteTableGfn(pteLo, pteHi));
      if (base < 0) return false;
      at = base + (lo >>> 12 & 511) * 2;
      pteLo = words[at];
      pteHi = words[at + 1];
      torn |= words[at] ^ pteLo;
      entries[2] = pteLo;
      entries[3] = pteHi;
      all &= pteLo;
      any |= pteHi;
      level = 1;
    }
  }

  // Every level reserves the same bits of the high half; of the low half only large pages reserve
  // some, and the top level, which has none.
  const { reserved } = rules;
  let irregular = ~all & presentAndAccessed | torn | any & reserved.hi[2] | lo4 & reserved.lo[9];
  if (level > 1) irregular |= pteLo & reserved.lo[level * 2 + 1];
  if (irregular !== 0) return false;

  const acc = all & 6 | ~any >>> 31; // as gpteAccess
  if ((rules.permissions[access >>> 1 & 15] >>> acc & 1) !== 0) return false;
  if (rules.keys && keyRefuses(pkru, pteHi >>> 27 & 15, acc, access, rules.role.wp)) return false;
  let cacheAccess = acc;
  if ((pteLo & dirty) === 0) {
    if ((access & write) !== 0) return false;
    cacheAccess = acc & ~write;
  }
  let gfn = gpteTableGfn(pteLo, pteHi);
  if (level > 1) {
    const frames = FRAMES_BY_LEVEL[level];
    gfn = gfn - gfn % frames + (lo >>> 12 & frames - 1) as Gfn;
  }
  result.fault = WalkFault.NONE;
  result.level = level;
  result.gfn = gfn;
  result.access = acc;
  result.cacheAccess = cacheAccess;
  return true;
}
