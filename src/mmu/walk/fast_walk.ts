/**
 * The walk that most walks are.
 */

import type { Gfn } from "../../base/u64.ts";
import { FRAMES_BY_LEVEL, gpteTableGfn as importedGpteTableGfn } from "./gpte.ts";
import type { GuestTables } from "./guest_tables.ts";
import { WalkFault, type WalkResult } from "./result.ts";
import type { WalkRules } from "./rules.ts";

// Imported functions are looked up at every call, a module's own are not: this is a hot path.
const gpteTableGfn = importedGpteTableGfn;

/** V8 loads the fields of imported objects each time. */
const NO_FAULT = WalkFault.NONE;

/**
 * Walks 4-level tables in which every entry is present, valid and accessed and allows what is asked.
 * Protection keys are left to the caller. What a walk needs lies in fields of this one object: each
 * further parameter, and each step from object to object, takes time that shows (bench/mmu.ts).
 */
export class FastWalk {
  /** Frame of the top table. */
  rootGfn = 0 as Gfn;
  /** False when the rules are not those of 4-level tables. */
  usable = false;
  /** Protection keys are on: the caller has to ask them. */
  keys = false;

  declare readonly tables: GuestTables;
  declare readonly words: Uint32Array;
  declare readonly result: WalkResult;
  declare readonly entries: Uint32Array;
  declare readonly positions: Int32Array;
  #permissions: Uint8Array = new Uint8Array(16);
  /** Reserved bits of any high half, then of the low halves of a top entry and of large leaves. */
  #reservedHi = 0;
  #reservedTop = 0;
  #reserved1G = 0;
  #reserved2M = 0;

  /** @param result Filled by each walk. */
  constructor(tables: GuestTables, result: WalkResult) {
    this.tables = tables;
    this.words = tables.words;
    this.result = result;
    this.entries = result.entries;
    this.positions = result.positions;
  }

  /** Takes on the rules of a role. */
  setRules({ fourLevel, keys, permissions, reserved }: WalkRules): void {
    this.usable = fourLevel;
    this.keys = keys;
    this.#permissions = permissions;
    // Every level reserves the same high bits; of the low ones only large pages and the top level do.
    this.#reservedHi = reserved.hi[2] | 0;
    this.#reservedTop = reserved.lo[9] | 0;
    this.#reserved1G = reserved.lo[7] | 0;
    this.#reserved2M = reserved.lo[5] | 0;
  }

  /**
   * Walks for `hi:lo` and fills the result. False when something else is met than this knows: then the
   * full walk finds out what it is. Nothing is checked before the leaf has been read: that an invalid
   * entry is followed on the way does no harm, since `wordOf` takes any frame.
   *
   * Another thread may store an entry between the loads of its halves. The low half is therefore read
   * twice; while it is the same the halves belong together, unless it changed away and back.
   *
   * Written out level by level, since a loop takes half as long again.
   */
  walk(lo: number, hi: number, access: number): boolean {
    const tables = this.tables;
    const words = this.words;
    const entries = this.entries;
    const positions = this.positions;
    const dirty = 0x40; // Pte.DIRTY
    const large = 0x80; // Pte.LARGE
    const presentAndAccessed = 0x21; // Pte.PRESENT | Pte.ACCESSED
    const write = 2; // Access.WRITE, Acc.WRITE

    // Tables are aligned: `|` adds an index without a carry, two words to an entry.
    let base = tables.wordOf(this.rootGfn);
    if (base < 0) return false;
    let at = base | hi >>> 6 & 1022;
    const lo4 = words[at];
    const hi4 = words[at | 1];
    let torn = words[at] ^ lo4;
    entries[8] = lo4;
    entries[9] = hi4;
    positions[4] = at;

    base = tables.wordOf(gpteTableGfn(lo4, hi4));
    if (base < 0) return false;
    at = base | (lo >>> 29 | hi << 3) & 1022;
    let pteLo = words[at];
    let pteHi = words[at | 1];
    torn |= words[at] ^ pteLo;
    entries[6] = pteLo;
    entries[7] = pteHi;
    positions[3] = at;
    let all = lo4 & pteLo; // flags and rights that every entry has
    let any = hi4 | pteHi; // high halves: NX if any entry has it
    let level = 3;
    let reserved = this.#reserved1G;
    if ((pteLo & large) === 0) {
      base = tables.wordOf(gpteTableGfn(pteLo, pteHi));
      if (base < 0) return false;
      at = base | lo >>> 20 & 1022;
      pteLo = words[at];
      pteHi = words[at | 1];
      torn |= words[at] ^ pteLo;
      entries[4] = pteLo;
      entries[5] = pteHi;
      positions[2] = at;
      all &= pteLo;
      any |= pteHi;
      level = 2;
      reserved = this.#reserved2M;
      if ((pteLo & large) === 0) {
        base = tables.wordOf(gpteTableGfn(pteLo, pteHi));
        if (base < 0) return false;
        at = base | lo >>> 11 & 1022;
        pteLo = words[at];
        pteHi = words[at | 1];
        torn |= words[at] ^ pteLo;
        entries[2] = pteLo;
        entries[3] = pteHi;
        positions[1] = at;
        all &= pteLo;
        any |= pteHi;
        level = 1;
        reserved = 0;
      }
    }

    const irregular = ~all & presentAndAccessed | torn | any & this.#reservedHi |
      lo4 & this.#reservedTop | pteLo & reserved;
    if (irregular !== 0) return false;

    const acc = all & 6 | ~any >>> 31; // as gpteAccess
    if ((this.#permissions[access >>> 1 & 15] >>> acc & 1) !== 0) return false;
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
    const result = this.result;
    result.fault = NO_FAULT;
    result.level = level;
    result.gfn = gfn;
    result.access = acc;
    result.cacheAccess = cacheAccess;
    return true;
  }

  /** True when the entries of the last walk, four of them, still stand in the tables. */
  unchanged(): boolean {
    const words = this.words;
    const entries = this.entries;
    const positions = this.positions;
    const at4 = positions[4];
    const at3 = positions[3];
    const at2 = positions[2];
    const at1 = positions[1];
    return (words[at4] ^ entries[8] | words[at4 | 1] ^ entries[9] |
      words[at3] ^ entries[6] | words[at3 | 1] ^ entries[7] |
      words[at2] ^ entries[4] | words[at2 | 1] ^ entries[5] |
      words[at1] ^ entries[2] | words[at1 | 1] ^ entries[3]) === 0;
  }
}
