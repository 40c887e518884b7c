/**
 * The walk that most walks are.
 */

import type { Gfn } from "../../base/u64.ts";
import { Acc, Access } from "../pferr.ts";
import { FRAMES_BY_LEVEL, gpteTableGfn } from "./gpte.ts";
import type { GuestTables } from "./guest_tables.ts";
import { keyRefuses } from "./permissions.ts";
import { WalkFault, type WalkResult } from "./result.ts";
import { Pte, type WalkRules } from "./rules.ts";

/**
 * Walks tables of 8-byte entries in which every entry is present, valid and accessed and allows what
 * is asked, and fills `result`. On anything else it returns false, and the full walk finds out what
 * it is. Nothing is checked before the leaf has been read: that an invalid entry is followed on the
 * way does no harm, since `wordOf` takes any frame.
 *
 * Another thread may store an entry between the loads of its halves. The low half is therefore read
 * twice; while it is the same the halves belong together, unless it changed away and back.
 *
 * Written out level by level, since a loop takes half as long again (bench/mmu.ts).
 * @param root Frame of the top table, for PAE of the page directory.
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
  let table = root;
  let all = ~0; // low halves, AND-ed
  let any = 0; // high halves, OR-ed
  let torn = 0;
  let level = 1;
  let base = 0;
  let at = 0;
  let pteLo = 0;
  let pteHi = 0;
  if (rules.levels >= 4) {
    if (rules.levels === 5) {
      base = tables.wordOf(table);
      if (base < 0) return false;
      at = base + (hi >>> 16 & 511) * 2;
      pteLo = words[at];
      pteHi = words[at + 1];
      torn |= words[at] ^ pteLo;
      all &= pteLo;
      any |= pteHi;
      entries[10] = pteLo;
      entries[11] = pteHi;
      table = gpteTableGfn(pteLo, pteHi);
    }
    base = tables.wordOf(table);
    if (base < 0) return false;
    at = base + (hi >>> 7 & 511) * 2;
    pteLo = words[at];
    pteHi = words[at + 1];
    torn |= words[at] ^ pteLo;
    all &= pteLo;
    any |= pteHi;
    entries[8] = pteLo;
    entries[9] = pteHi;
    table = gpteTableGfn(pteLo, pteHi);
    base = tables.wordOf(table);
    if (base < 0) return false;
    at = base + ((lo >>> 30 | hi << 2) & 511) * 2;
    pteLo = words[at];
    pteHi = words[at + 1];
    torn |= words[at] ^ pteLo;
    all &= pteLo;
    any |= pteHi;
    entries[6] = pteLo;
    entries[7] = pteHi;
    table = gpteTableGfn(pteLo, pteHi);
    if ((pteLo & Pte.LARGE) !== 0) level = 3;
  }
  if (level === 1) {
    base = tables.wordOf(table);
    if (base < 0) return false;
    at = base + (lo >>> 21 & 511) * 2;
    pteLo = words[at];
    pteHi = words[at + 1];
    torn |= words[at] ^ pteLo;
    all &= pteLo;
    any |= pteHi;
    entries[4] = pteLo;
    entries[5] = pteHi;
    table = gpteTableGfn(pteLo, pteHi);
    if ((pteLo & Pte.LARGE) !== 0) level = 2;
    else {
      base = tables.wordOf(table);
      if (base < 0) return false;
      at = base + (lo >>> 12 & 511) * 2;
      pteLo = words[at];
      pteHi = words[at + 1];
      torn |= words[at] ^ pteLo;
      all &= pteLo;
      any |= pteHi;
      entries[2] = pteLo;
      entries[3] = pteHi;
      table = gpteTableGfn(pteLo, pteHi);
    }
  }

  // Every level reserves the same bits of the high half. In the low half only large pages do, and
  // entries of levels 4 and 5 (bit 7 among them), whose masks are empty in modes without those levels.
  const { reserved } = rules;
  const row = level * 2 + Number(level > 1);
  const irregular = ~all & (Pte.PRESENT | Pte.ACCESSED) | torn | any & reserved.hi[row] |
    pteLo & reserved.lo[row] | entries[8] & reserved.lo[9] | entries[10] & reserved.lo[11];
  if (irregular !== 0) return false;
  const acc = all & (Acc.WRITE | Acc.USER) | ~any >>> 31;
  if ((rules.permissions[access >>> 1 & 15] >>> acc & 1) !== 0) return false;
  if (rules.keys && keyRefuses(pkru, pteHi >>> 27 & 15, acc, access, rules.role.wp)) return false;
  let cacheAccess = acc;
  if ((pteLo & Pte.DIRTY) === 0) {
    if ((access & Access.WRITE) !== 0) return false;
    cacheAccess = acc & ~Acc.WRITE;
  }
  if (level > 1) {
    const frames = FRAMES_BY_LEVEL[level];
    table = table - table % frames + (lo >>> 12 & frames - 1) as Gfn;
  }
  result.fault = WalkFault.NONE;
  result.level = level;
  result.gfn = table;
  result.access = acc;
  result.cacheAccess = cacheAccess;
  return true;
}
