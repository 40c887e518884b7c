/**
 * The guest page-table walk: a linear address (for guest EPT, an L2 guest physical address) to a
 * frame and its rights, or to a page fault, with the accessed and dirty flags that a CPU would set
 * (SDM 3A §4.3 to §4.8). One walker serves one vCPU; a walk allocates nothing.
 */

import { type Gfn, type Gpa, gpaOf } from "../../base/u64.ts";
import { Acc, Access, Pferr } from "../pferr.ts";
import { CpuRole } from "../role.ts";
import {
  gpteAccess,
  gpteFrames,
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
import { type WalkRules, walkRules } from "./rules.ts";
import type { WalkTrace } from "./trace.ts";

/** Walks that lost a race for an entry this many times in a row end as `WalkFault.CONTENDED`. */
export const MAX_RESTARTS = 64;

/** How one attempt ended. */
const Attempt = { FAULT: 0, DONE: 1, RESTART: 2 } as const;
type Attempt = typeof Attempt[keyof typeof Attempt];

/** A role for the time before `setRole`. */
const NO_PAGING = CpuRole.fromRegisters(
  0,
  0,
  0,
  { maxPhyAddrBits: 52, gbPages: false, amd: false },
  false,
  false,
);

/** Walks the page tables of one vCPU. */
export class Walker {
  /** What the last walk found. */
  readonly result: WalkResult = new WalkResult();
  /** PAE: the four PDPTEs that `loadPdptrs` cached, low and high halves by turns. */
  readonly pdptrs: Uint32Array = new Uint32Array(8);
  /** The PKRU register; used when CR4.PKE is set. */
  pkru = 0;
  /** Told of each walk, entry and flag. */
  trace: WalkTrace | null = null;
  /** For tests: called between the reading of an entry and the setting of its flags. */
  beforeUpdate: ((level: number) => void) | null = null;

  readonly #tables: GuestTables;
  readonly #nested: NestedTranslation | null;
  #rules: WalkRules = walkRules(NO_PAGING);
  #rootGfn = 0 as Gfn;
  /** PDPTEs on their way into `pdptrs`. */
  readonly #loading: Uint32Array = new Uint32Array(8);

  /** @param nested The second translation, when the tables are those of a nested guest. */
  constructor(tables: GuestTables, nested: NestedTranslation | null = null) {
    this.#tables = tables;
    this.#nested = nested;
  }

  /** The rules in force, for `gpte.ts`. */
  get rules(): WalkRules {
    return this.#rules;
  }

  /** Takes on a role; the root and the PDPTEs stay. */
  setRole(role: CpuRole): void {
    if (role !== this.#rules.role) this.#rules = walkRules(role);
  }

  /** Sets the root from CR3 (or an EPT pointer) `hi:lo`. PAE needs `loadPdptrs` besides. */
  setRoot(lo: number, hi: number): void {
    this.#rootGfn = gpteTableGfn(lo, hi);
  }

  /**
   * Reads and caches the four PDPTEs that bits 31:5 of CR3 point to, as MOV to CR3 does in PAE
   * paging (SDM 3A §4.4.1). Translations use what is cached until the next load, whatever the guest
   * writes to the table.
   * @returns false, with the old ones still cached, when a present one has reserved bits set or the
   *   table is outside RAM: the instruction then ends with #GP(0). With `WalkFault.NESTED` in
   *   `result.fault` it is a fault of the second translation instead.
   */
  loadPdptrs(cr3Lo: number): boolean {
    const { result } = this;
    const { entry } = this.#tables;
    const index = (cr3Lo >>> 5 & 0x7f) * 4;
    const table = this.#tableFrame(cr3Lo >>> 12 as Gfn, index * 8, Access.READ);
    if (table < 0) return false;
    for (let i = 0; i < 8; i += 2) {
      if (!this.#tables.read64(table as Gfn, index + i / 2)) {
        result.fault = WalkFault.OUTSIDE_RAM;
        return false;
      }
      if (!pdpteIsValid(entry[0], entry[1], this.#rules.role.maxPhyAddrBits)) {
        result.fault = WalkFault.RESERVED;
        return false;
      }
      this.#loading[i] = entry[0];
      this.#loading[i + 1] = entry[1];
    }
    this.pdptrs.set(this.#loading);
    result.fault = WalkFault.NONE;
    return true;
  }

  /**
   * Translates `hi:lo` for an access (`accessWord`). A 48- or 57-bit address must be canonical; the
   * modes of 32-bit addresses ignore `hi`.
   * @returns true when `result` has the frame; false when `result.fault` says why not.
   */
  walk(lo: number, hi: number, access: number): boolean {
    const { result, trace } = this;
    if (trace !== null) trace.pagetableWalk(lo, hi, access);
    for (let tries = 0; tries <= MAX_RESTARTS; tries++) {
      const attempt = this.#attempt(lo, hi, access);
      if (attempt === Attempt.DONE) return true;
      if (attempt === Attempt.FAULT) {
        if (trace !== null) trace.walkerError(result.errorCode);
        return false;
      }
    }
    result.fault = WalkFault.CONTENDED;
    result.errorCode = 0;
    return false;
  }

  /** The rights (`Acc`) of the last walk's entries from the top down to and with `level`. */
  accessAt(level: number): number {
    const { pteLo, pteHi, topLevel } = this.result;
    let lo = ~0;
    let hi = 0;
    for (let at = topLevel; at >= level; at--) {
      lo &= pteLo[at];
      hi |= pteHi[at];
    }
    return gpteAccess(this.#rules, lo, hi);
  }

  /** Where the last walk read the entry of `level`, after the second translation. */
  pteGpa(level: number): Gpa {
    const { tableGfn, index } = this.result;
    return gpaOf(tableGfn[level] as Gfn) + index[level] * this.#rules.entryBytes as Gpa;
  }

  /** True when the entry of `level` still is what the last walk saw, or made of it. */
  entryUnchanged(level: number): boolean {
    const { tableGfn, index, pteLo, pteHi } = this.result;
    const { entry } = this.#tables;
    if (this.#rules.entryBytes === 4) {
      return this.#tables.read32(tableGfn[level] as Gfn, index[level]) && entry[0] === pteLo[level];
    }
    return this.#tables.read64(tableGfn[level] as Gfn, index[level]) &&
      entry[0] === pteLo[level] && entry[1] === pteHi[level];
  }

  #attempt(lo: number, hi: number, access: number): Attempt {
    const rules = this.#rules;
    const tables = this.#tables;
    const { result, trace } = this;
    const wide = rules.entryBytes === 8;
    let level = rules.levels;
    let table = this.#rootGfn as number;
    result.topLevel = level;
    if (level === 0) return this.#identity(lo, access);
    if ((hi & rules.beyondHi) !== 0) return this.#fail(WalkFault.NOT_PRESENT, 0, level, access);
    if (rules.pae) {
      const at = lo >>> 30 << 1;
      const pdpte = this.pdptrs[at];
      result.pteLo[3] = pdpte;
      result.pteHi[3] = this.pdptrs[at + 1];
      if (trace !== null) trace.pagingElement(pdpte, this.pdptrs[at + 1], 3);
      if ((pdpte & 1) === 0) return this.#fail(WalkFault.NOT_PRESENT, 0, 3, access);
      table = gpteTableGfn(pdpte, this.pdptrs[at + 1]);
    }
    let allLo = ~0; // rights and flags that every entry has
    let anyHi = 0; // NX if any entry has it
    let pteLo = 0;
    let pteHi = 0;
    for (;; level--) {
      const index = wide ? index64(lo, hi, level) : index32(lo, level);
      if (this.#nested !== null) {
        table = this.#tableFrame(table as Gfn, index * rules.entryBytes, Access.READ);
        if (table < 0) return Attempt.FAULT;
      }
      result.tableGfn[level] = table;
      result.index[level] = index;
      if (!(wide ? tables.read64(table as Gfn, index) : tables.read32(table as Gfn, index))) {
        return this.#fail(WalkFault.OUTSIDE_RAM, 0, level, access);
      }
      pteLo = tables.entry[0];
      pteHi = wide ? tables.entry[1] : 0;
      result.pteLo[level] = pteLo;
      result.pteHi[level] = pteHi;
      if (trace !== null) trace.pagingElement(pteLo, pteHi, level);
      allLo &= pteLo;
      anyHi |= pteHi;
      if (!gpteIsPresent(rules, pteLo)) return this.#fail(WalkFault.NOT_PRESENT, 0, level, access);
      if (gpteIsReserved(rules, pteLo, pteHi, level)) {
        return this.#fail(WalkFault.RESERVED, Pferr.PRESENT | Pferr.RSVD, level, access);
      }
      if (gpteIsLeaf(rules, pteLo, level)) break;
      table = gpteTableGfn(pteLo, pteHi);
    }

    const acc = gpteAccess(rules, allLo, anyHi);
    result.level = level;
    result.access = acc;
    result.pkey = rules.keys ? pteHi >>> 27 & 15 : 0;
    result.global = (pteLo & rules.globalMask) !== 0;
    const refused = this.#permission(acc, result.pkey, access);
    if (refused !== 0) return this.#fail(WalkFault.PERMISSION, refused, level, access);

    const frame = lo >>> 12 & gpteFrames(rules, level) - 1;
    result.guestGfn = gpteLeafGfn(rules, pteLo, pteHi, level) + frame as Gfn;
    result.gfn = result.guestGfn;
    if (this.#nested !== null && !this.#translatePage(lo, access)) return Attempt.FAULT;

    const write = (access & Access.WRITE) !== 0;
    const clean = (pteLo & rules.dirtyMask) !== rules.dirtyMask;
    result.cacheAccess = clean && !write ? acc & ~Acc.WRITE : acc;
    result.fault = WalkFault.NONE;
    result.errorCode = 0;
    if ((allLo & rules.accessedMask) === rules.accessedMask && !(clean && write)) {
      return Attempt.DONE;
    }
    return this.#setFlags(write);
  }

  /** Paging off: linear addresses are physical, and everything is allowed. */
  #identity(lo: number, access: number): Attempt {
    const { result } = this;
    result.level = 1;
    result.access = Acc.ALL;
    result.cacheAccess = Acc.ALL;
    result.pkey = 0;
    result.global = false;
    result.guestGfn = lo >>> 12 as Gfn;
    result.gfn = result.guestGfn;
    if (this.#nested !== null && !this.#translatePage(lo, access)) return Attempt.FAULT;
    result.fault = WalkFault.NONE;
    result.errorCode = 0;
    return Attempt.DONE;
  }

  /** 0, or the bits of the error code that say why a page of these rights refuses the access. */
  #permission(acc: number, pkey: number, access: number): number {
    const rules = this.#rules;
    if (rules.keys && keyRefuses(this.pkru, pkey, acc, access, rules.role.wp)) {
      return Pferr.PRESENT | Pferr.PK;
    }
    return (rules.permissions[access >>> 1 & 15] >>> acc & 1) * Pferr.PRESENT;
  }

  /**
   * Sets the accessed flag of every entry and, for a write, the dirty flag of the leaf. An entry that
   * has changed since it was read makes the walk start again. Read-only memory keeps what it has.
   */
  #setFlags(write: boolean): Attempt {
    const { accessedMask, dirtyMask, entryBytes } = this.#rules;
    const tables = this.#tables;
    const { result, trace } = this;
    for (let level = result.topLevel; level >= result.level; level--) {
      const lo = result.pteLo[level];
      const dirtying = write && level === result.level ? dirtyMask & ~lo : 0;
      const accessing = accessedMask & ~lo;
      if ((accessing | dirtying) === 0) continue;
      const gfn = result.tableGfn[level] as Gfn;
      const index = result.index[level];
      if (this.#nested !== null && !this.#mayWriteTable(level)) return Attempt.FAULT;
      if (!tables.isWritable(gfn)) continue;
      if (trace !== null && accessing !== 0) trace.setAccessedBit(this.pteGpa(level));
      if (trace !== null && dirtying !== 0) trace.setDirtyBit(this.pteGpa(level));
      if (this.beforeUpdate !== null) this.beforeUpdate(level);
      const newLo = (lo | accessing | dirtying) >>> 0;
      const done = entryBytes === 8
        ? tables.compareExchange64(gfn, index, lo, result.pteHi[level], newLo)
        : tables.compareExchange32(gfn, index, lo, newLo);
      if (!done) return Attempt.RESTART;
      tables.markDirty(gfn);
      result.pteLo[level] = newLo;
    }
    return Attempt.DONE;
  }

  #fail(fault: WalkFault, why: number, level: number, access: number): Attempt {
    const { result } = this;
    result.fault = fault;
    result.errorCode = why | accessBits(this.#rules.role, access);
    result.level = level;
    return Attempt.FAULT;
  }

  /** The L1 frame of a table, or -1 when the second translation refuses the entry at `offset` bytes. */
  #tableFrame(gfn: Gfn, offset: number, access: number): number {
    const nested = this.#nested;
    if (nested === null) return gfn;
    const kind = nested.tablesAreWritten ? Access.WRITE : access;
    const frame = nested.translate(gfn, kind | Access.USER);
    if (frame < 0) this.#failNested(gpaOf(gfn) + offset as Gpa, true);
    return frame;
  }

  /** Asks the second translation whether the entry of `level` may be written, where reading it did not. */
  #mayWriteTable(level: number): boolean {
    if (this.#nested!.tablesAreWritten) return true;
    const { pteLo, pteHi, topLevel, index } = this.result;
    const gfn = level === topLevel && !this.#rules.pae
      ? this.#rootGfn
      : gpteTableGfn(pteLo[level + 1], pteHi[level + 1]);
    return this.#tableFrame(gfn, index[level] * this.#rules.entryBytes, Access.WRITE) >= 0;
  }

  /** Takes the frame found through the second translation. */
  #translatePage(lo: number, access: number): boolean {
    const { result } = this;
    const frame = this.#nested!.translate(result.guestGfn, access);
    if (frame < 0) {
      this.#failNested(gpaOf(result.guestGfn) + (lo & 0xfff) as Gpa, false);
      return false;
    }
    result.gfn = frame as Gfn;
    return true;
  }

  #failNested(gpa: Gpa, table: boolean): void {
    const { result } = this;
    result.fault = WalkFault.NESTED;
    result.errorCode = 0;
    result.nestedGpa = gpa;
    result.nestedTable = table;
  }
}

/** Index in a table of 512 entries (SDM 3A §4.5, figure 4-8). */
function index64(lo: number, hi: number, level: number): number {
  switch (level) {
    case 1:
      return lo >>> 12 & 511;
    case 2:
      return lo >>> 21 & 511;
    case 3:
      return (lo >>> 30 | hi << 2) & 511;
    case 4:
      return hi >>> 7 & 511;
    default:
      return hi >>> 16 & 511;
  }
}

/** Index in a table of 1024 entries (SDM 3A §4.3, figure 4-2). */
function index32(lo: number, level: number): number {
  return level === 1 ? lo >>> 12 & 1023 : lo >>> 22;
}
