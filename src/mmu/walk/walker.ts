/**
 * The guest page-table walk: a linear address (for guest EPT, an L2 guest physical address) to a
 * frame and its rights, or to a page fault, with the accessed and dirty flags that a CPU would set
 * (SDM 3A §4.3 to §4.8). One walker serves one vCPU; a walk allocates nothing.
 */

import { frameHi, frameLo, type Gfn, type Gpa, gpaOf } from "../../base/u64.ts";
import { blockStart } from "../level.ts";
import { Acc, Access, Pferr } from "../pferr.ts";
import type { CpuRole } from "../role.ts";
import { FastWalk } from "./fast_walk.ts";
import {
  gpteAccess,
  gpteFrames,
  gpteIndex,
  gpteIsLeaf,
  gpteIsPresent,
  gpteIsReserved,
  gpteLeafGfn,
  gpteTableGfn,
} from "./gpte.ts";
import type { GuestTables, NestedTranslation } from "./guest_tables.ts";
import { pdpteIsValid } from "./pdptrs.ts";
import { accessBits, keyRefuses } from "./permissions.ts";
import { WalkFault, WalkResult } from "./result.ts";
import { NO_PAGING, Pte, type WalkRules, walkRules } from "./rules.ts";
import type { WalkTrace } from "./trace.ts";

/** A walk that loses the race for an entry more often than this ends as `WalkFault.CONTENDED`. */
export const MAX_RESTARTS = 64;

/** 32-bit words in a frame, to which `GuestTables.wordOf` is aligned. */
const FRAME_WORDS = 1024;
/** Bits of an address that one level of 8-byte entries translates. */
const BITS_A_LEVEL = 9;

/** Walks the page tables of one vCPU. */
export class Walker {
  /** What the last walk found. */
  readonly result: WalkResult = new WalkResult();
  /** PAE: the four cached PDPTEs, low and high halves by turns. */
  readonly pdptrs: Uint32Array = new Uint32Array(8);
  /** The PKRU register; used when CR4.PKE is set. */
  pkru = 0;
  /** Told of each walk, entry and flag. */
  trace: WalkTrace | null = null;
  /** For tests: called after an entry has been read and before its flags are set. */
  beforeUpdate: ((level: number) => void) | null = null;

  readonly #tables: GuestTables;
  declare readonly words: Uint32Array;
  readonly #nested: NestedTranslation | null;
  declare readonly fast: FastWalk;
  #rules: WalkRules = walkRules(NO_PAGING);
  /** By level: frame of the table after the second translation. Full walks only. */
  readonly #tableGfns = new Float64Array(6);
  /** The entries of the last full walk: low halves AND-ed, high halves OR-ed. */
  #allLo = 0;
  #anyHi = 0;
  /** PDPTEs on their way into `pdptrs`. */
  readonly #loading = new Uint32Array(8);

  /** @param nested The second translation, when the tables are those of a nested guest. */
  constructor(tables: GuestTables, nested: NestedTranslation | null = null) {
    this.#tables = tables;
    this.words = tables.words;
    this.#nested = nested;
    this.fast = new FastWalk(tables, this.result);
  }

  /** The rules in force, for `gpte.ts`. */
  get rules(): WalkRules {
    return this.#rules;
  }

  /** Takes on a role; the root and the PDPTEs stay. */
  setRole(role: CpuRole): void {
    if (role === this.#rules.role) return;
    this.#rules = walkRules(role);
    if (this.#nested === null) this.fast.setRules(this.#rules);
  }

  /** Sets the root from bits 51:12 of CR3 (or of an EPT pointer) `hi:lo`. PAE needs `loadPdptrs` besides. */
  setRoot(lo: number, hi: number): void {
    this.fast.rootGfn = gpteTableGfn(lo, hi);
  }

  /**
   * Reads and caches the four PDPTEs that bits 31:5 of CR3 point to, as MOV to CR3 does in PAE
   * paging (SDM 3A §4.4.1). Translations use what is cached until the next load, whatever the guest
   * writes to the table.
   * @returns false, with the old ones still cached, when a present one has reserved bits set or the
   *   table is outside RAM: the instruction then ends with #GP(0). With `WalkFault.NESTED` in
   *   `result.fault` it ends with that fault of the second translation instead, for which loads of
   *   PDPTEs are reads (SDM 3C §28.3.3.2).
   */
  loadPdptrs(cr3Lo: number): boolean {
    const { result } = this;
    const { words } = this.#tables;
    const first = (cr3Lo & 0xfe0) / 4;
    const frame = this.#tableFrame(cr3Lo >>> 12 as Gfn, first * 4, Access.READ);
    if (frame < 0) return false;
    const base = this.#tables.wordOf(frame as Gfn);
    result.fault = base < 0 ? WalkFault.OUTSIDE_RAM : WalkFault.NONE;
    for (let i = 0; i < 8 && result.fault === WalkFault.NONE; i += 2) {
      const lo = words[base + first + i];
      const hi = words[base + first + i + 1];
      if (!pdpteIsValid(lo, hi, this.#rules.role.maxPhyAddrBits)) result.fault = WalkFault.RESERVED;
      this.#loading[i] = lo;
      this.#loading[i + 1] = hi;
    }
    if (result.fault !== WalkFault.NONE) return false;
    this.pdptrs.set(this.#loading);
    return true;
  }

  /**
   * Translates `hi:lo` for an access (`accessWord`). A 48- or 57-bit address must be canonical; the
   * modes of 32-bit addresses ignore `hi`.
   * @returns true when `result` has the frame; false when `result.fault` says why not.
   */
  walk(lo: number, hi: number, access: number): boolean {
    const fast = this.fast;
    if (
      fast.usable && this.trace === null && fast.walk(lo, hi, access) &&
      (!fast.keys || !this.#keyRefuses(this.result.access, access))
    ) return true;
    return this.#fullWalk(lo, hi, access);
  }

  /** Level of the topmost entry that walks read from memory: 5, 4 or 2; 0 when paging is off. */
  get topLevel(): number {
    return this.#rules.levels;
  }

  /** The rights (`Acc`) of the last walk's entries from the top down to and with `level`. */
  accessAt(level: number): number {
    const { entries } = this.result;
    let lo = ~0;
    let hi = 0;
    for (let at = this.topLevel; at >= level; at--) {
      lo &= entries[at * 2];
      hi |= entries[at * 2 + 1];
    }
    return gpteAccess(this.#rules, lo, hi);
  }

  /** Protection key of the last walk's leaf; 0 when protection keys are off. */
  get pkey(): number {
    const { level, entries } = this.result;
    return this.#rules.keys ? entries[level * 2 + 1] >>> 27 & 15 : 0;
  }

  /** True when the last walk's leaf is global, and CR4.PGE is set. */
  get isGlobal(): boolean {
    const { level, entries } = this.result;
    return (entries[level * 2] & this.#rules.globalMask) !== 0;
  }

  /** Frame of the table in which the last walk read its entry of `level`, after the second translation. */
  tableGfn(level: number): Gfn {
    return this.#nested === null ? this.#tableName(level) : this.#tableGfns[level] as Gfn;
  }

  /** Where the last walk read its entry of `level`, after the second translation. */
  pteGpa(level: number): Gpa {
    return gpaOf(this.tableGfn(level)) + this.#index(level) * this.#rules.entryBytes as Gpa;
  }

  /** True when the entry of `level` still is what the last walk saw, or made of it. */
  entryUnchanged(level: number): boolean {
    const { entries, positions } = this.result;
    const words = this.words;
    const at = positions[level];
    return words[at] === entries[level * 2] &&
      (this.#rules.entryBytes === 4 || words[at + 1] === entries[level * 2 + 1]);
  }

  /** `entryUnchanged` of every level from the top down to and with `lowest`. */
  unchangedDownTo(lowest: number): boolean {
    return lowest === 1 && this.fast.usable ? this.fast.unchanged() : this.#areUnchanged(lowest);
  }

  #areUnchanged(lowest: number): boolean {
    const { entries, positions } = this.result;
    const { levels, entryBytes } = this.#rules;
    const words = this.words;
    for (let level = levels; level >= lowest; level--) {
      const at = positions[level];
      if (words[at] !== entries[level * 2]) return false;
      if (entryBytes === 8 && words[at + 1] !== entries[level * 2 + 1]) return false;
    }
    return true;
  }

  /**
   * True when one of the tables in which the last walk read an entry, of the leaf's level and above,
   * lies in the block of `size` (a level) around `gfn`.
   */
  hasTableIn(gfn: Gfn, size: number): boolean {
    const { level: leaf, entries } = this.result;
    const { pae, levels } = this.#rules;
    if (this.#nested !== null) return this.#hasNestedTableIn(gfn, size);
    const lo = frameLo(gfn);
    const hi = frameHi(gfn);
    const shift = size * BITS_A_LEVEL + 3;
    for (let level = pae ? levels + 1 : levels; level > leaf; level--) {
      const apart = (entries[level * 2] ^ lo) >>> shift | (entries[level * 2 + 1] ^ hi) & 0xf_ffff;
      if (apart === 0) return true;
    }
    return !pae && blockStart(this.fast.rootGfn, size) === blockStart(gfn, size);
  }

  #fullWalk(lo: number, hi: number, access: number): boolean {
    const { result, trace } = this;
    if (trace !== null) trace.pagetableWalk(lo, hi, access);
    let fault: WalkFault = WalkFault.CONTENDED;
    for (let tries = 0; tries <= MAX_RESTARTS && fault === WalkFault.CONTENDED; tries++) {
      fault = this.#attempt(lo, hi, access);
    }
    result.fault = fault;
    if (fault === WalkFault.NONE) return true;
    result.errorCode = this.#errorCode(fault, access);
    if (trace !== null) trace.walkerError(result.errorCode);
    return false;
  }

  /** One walk from the top. `CONTENDED` when an entry changed before its flags were set. */
  #attempt(lo: number, hi: number, access: number): WalkFault {
    const { result } = this;
    const { permissions, accessedMask, dirtyMask } = this.#rules;
    const fault = this.#descend(lo, hi);
    if (fault !== WalkFault.NONE) return fault;
    const { level } = result;
    const acc = level === 0 ? Acc.ALL : gpteAccess(this.#rules, this.#allLo, this.#anyHi);
    result.access = acc;
    if ((permissions[access >>> 1 & 15] >>> acc & 1) !== 0 || this.#keyRefuses(acc, access)) {
      return WalkFault.PERMISSION;
    }
    if (!this.#takeFrame(lo, access)) return WalkFault.NESTED;
    const write = (access & Access.WRITE) !== 0;
    const clean = (result.entries[level * 2] & dirtyMask) !== dirtyMask;
    result.cacheAccess = clean && !write ? acc & ~Acc.WRITE : acc;
    const accessed = (this.#allLo & accessedMask) === accessedMask;
    return accessed && !(clean && write) ? WalkFault.NONE : this.#setFlags(write);
  }

  /** Reads entries from the top down to the leaf or to the one at fault, whose level it leaves. */
  #descend(lo: number, hi: number): WalkFault {
    const rules = this.#rules;
    const { result, trace } = this;
    const { entries } = result;
    const { entryBytes } = rules;
    let table = this.fast.rootGfn;
    let allLo = ~0;
    let anyHi = 0;
    result.level = rules.levels;
    if ((hi & rules.beyondHi) !== 0) return WalkFault.NOT_PRESENT;
    if (rules.pae) {
      const at = lo >>> 30 << 1;
      entries[6] = this.pdptrs[at];
      entries[7] = this.pdptrs[at + 1];
      if (trace !== null) trace.pagingElement(entries[6], entries[7], 3);
      if ((entries[6] & Pte.PRESENT) === 0) {
        result.level = 3;
        return WalkFault.NOT_PRESENT;
      }
      table = gpteTableGfn(entries[6], entries[7]);
    }
    for (let level = rules.levels; level > 0; level--) {
      result.level = level;
      const index = gpteIndex(rules, lo, hi, level);
      const frame = this.#nested === null
        ? table
        : this.#tableFrame(table, index * entryBytes, this.#tableAccess());
      if (frame < 0) return WalkFault.NESTED;
      this.#tableGfns[level] = frame;
      const base = this.#tables.wordOf(frame as Gfn);
      if (base < 0) return WalkFault.OUTSIDE_RAM;
      const at = base + index * (entryBytes / 4);
      result.positions[level] = at;
      this.#readEntry(at, level);
      const pteLo = entries[level * 2];
      const pteHi = entries[level * 2 + 1];
      if (trace !== null) trace.pagingElement(pteLo, pteHi, level);
      if (!gpteIsPresent(rules, pteLo)) return WalkFault.NOT_PRESENT;
      if (gpteIsReserved(rules, pteLo, pteHi, level)) return WalkFault.RESERVED;
      allLo &= pteLo;
      anyHi |= pteHi;
      if (gpteIsLeaf(rules, pteLo, level)) break;
      table = gpteTableGfn(pteLo, pteHi);
    }
    this.#allLo = allLo;
    this.#anyHi = anyHi;
    return WalkFault.NONE;
  }

  /** Reads the entry at word `at`; on entries that change while they are read, see `FastWalk`. */
  #readEntry(at: number, level: number): void {
    const { entries } = this.result;
    const { words } = this.#tables;
    const wide = this.#rules.entryBytes === 8;
    let tries = 16;
    do {
      entries[level * 2] = words[at];
      entries[level * 2 + 1] = wide ? words[at + 1] : 0;
    } while (words[at] !== entries[level * 2] && --tries > 0);
  }

  /** Finds the frame of the address in the page that the leaf maps; false when it is refused. */
  #takeFrame(lo: number, access: number): boolean {
    const rules = this.#rules;
    const { result } = this;
    const { level, entries } = result;
    const pteLo = entries[level * 2];
    const gfn = level === 0 ? lo >>> 12 : gpteLeafGfn(rules, pteLo, entries[level * 2 + 1], level) +
      (lo >>> 12 & gpteFrames(rules, level) - 1);
    const frame = this.#nested === null ? gfn : this.#nested.translate(gfn as Gfn, access);
    if (frame < 0) {
      result.nestedGpa = gpaOf(gfn as Gfn) + (lo & 0xfff) as Gpa;
      result.nestedTable = false;
    }
    result.gfn = frame as Gfn;
    return frame >= 0;
  }

  /**
   * Sets the accessed flag of every entry and, for a write, the dirty flag of the leaf, as an atomic
   * change of the low half. An entry that has changed since it was read makes the walk start again.
   * If only its high half has, it has got the flags of an access that raced with the change, as from
   * a CPU, and the walk starts again too. Read-only memory keeps what it has.
   */
  #setFlags(write: boolean): WalkFault {
    const { accessedMask, dirtyMask, entryBytes } = this.#rules;
    const tables = this.#tables;
    const { words } = tables;
    const { result, trace } = this;
    for (let level = this.topLevel; level >= result.level; level--) {
      const lo = result.entries[level * 2];
      const accessing = accessedMask & ~lo;
      const dirtying = write && level === result.level ? dirtyMask & ~lo : 0;
      if ((accessing | dirtying) === 0) continue;
      if (!this.#mayWriteTable(level)) return WalkFault.NESTED;
      const gfn = this.#tableGfns[level] as Gfn;
      if (!tables.isWritable(gfn)) continue;
      if (trace !== null && accessing !== 0) trace.setAccessedBit(this.pteGpa(level));
      if (trace !== null && dirtying !== 0) trace.setDirtyBit(this.pteGpa(level));
      if (this.beforeUpdate !== null) this.beforeUpdate(level);
      const base = tables.wordOf(gfn);
      if (base < 0) return WalkFault.CONTENDED;
      const at = base + this.#index(level) * (entryBytes / 4);
      const newLo = (lo | accessing | dirtying) >>> 0;
      if (Atomics.compareExchange(words, at, lo, newLo) !== lo) return WalkFault.CONTENDED;
      tables.markDirty(gfn);
      if (entryBytes === 8 && Atomics.load(words, at + 1) !== result.entries[level * 2 + 1]) {
        return WalkFault.CONTENDED;
      }
      result.entries[level * 2] = newLo;
    }
    return WalkFault.NONE;
  }

  #keyRefuses(acc: number, access: number): boolean {
    const { keys, role } = this.#rules;
    return keys && keyRefuses(this.pkru, this.pkey, acc, access, role.wp);
  }

  /** The error code of a fault (SDM 3A §4.7). */
  #errorCode(fault: WalkFault, access: number): number {
    const bits = accessBits(this.#rules.role, access);
    switch (fault) {
      case WalkFault.NOT_PRESENT:
      case WalkFault.OUTSIDE_RAM:
        return bits;
      case WalkFault.RESERVED:
        return bits | Pferr.PRESENT | Pferr.RSVD;
      case WalkFault.PERMISSION:
        return bits | Pferr.PRESENT |
          (this.#keyRefuses(this.result.access, access) ? Pferr.PK : 0);
      default:
        return 0;
    }
  }

  /** Index in its table of the entry of `level` that the last walk read. */
  #index(level: number): number {
    return (this.result.positions[level] & FRAME_WORDS - 1) / (this.#rules.entryBytes / 4);
  }

  /** Frame of the table of `level` as the entry above it, or the root, names it. */
  #tableName(level: number): Gfn {
    if (level === this.topLevel && !this.#rules.pae) return this.fast.rootGfn;
    const { entries } = this.result;
    return gpteTableGfn(entries[level * 2 + 2], entries[level * 2 + 3]);
  }

  #hasNestedTableIn(gfn: Gfn, size: number): boolean {
    const start = blockStart(gfn, size);
    for (let level = this.topLevel; level >= this.result.level; level--) {
      if (blockStart(this.tableGfn(level), size) === start) return true;
    }
    return false;
  }

  /** As what the second translation sees the reading of an entry. */
  #tableAccess(): number {
    return this.#nested !== null && this.#nested.tablesAreWritten ? Access.WRITE : Access.READ;
  }

  /** The L1 frame of a table, or -1 when the second translation refuses the entry at `offset` bytes. */
  #tableFrame(gfn: Gfn, offset: number, access: number): number {
    const nested = this.#nested;
    if (nested === null) return gfn;
    const frame = nested.translate(gfn, access | Access.USER);
    if (frame < 0) {
      this.result.fault = WalkFault.NESTED;
      this.result.nestedGpa = gpaOf(gfn) + offset as Gpa;
      this.result.nestedTable = true;
    }
    return frame;
  }

  /** Asks the second translation whether flags may be set in the table of `level`, if it was only read so far. */
  #mayWriteTable(level: number): boolean {
    if (this.#nested === null || this.#nested.tablesAreWritten) return true;
    const offset = this.#index(level) * this.#rules.entryBytes;
    return this.#tableFrame(this.#tableName(level), offset, Access.WRITE) >= 0;
  }
}
