/** What the shadow engine keeps for each vCPU: its walker, its role, its roots. */

import type { Gfn } from "../../base/u64.ts";
import type { TableCache } from "../core.ts";
import { HostPage } from "../host.ts";
import { Acc, Pferr } from "../pferr.ts";
import type { CpuRole } from "../role.ts";
import { RoleMask, type RootRole, shadowRootRole } from "../root_role.ts";
import type { VcpuState } from "../vcpu_state.ts";
import type { GuestTables, Walker, WalkRules } from "../walk/mod.ts";
import type { ShadowState } from "./state.ts";

/** The exception that a guest is to get. */
export class GuestFault {
  /** True until the engine has taken it. */
  pending = false;
  /** Error code of the page fault. */
  errorCode = 0;
  /** Halves of CR2. */
  addressLo = 0;
  addressHi = 0;
}

/** Bits 31:21 of no address. */
const NO_KEY = -1;

/** One vCPU as the shadow engine sees it. */
export class ShadowContext implements TableCache {
  declare readonly vcpu: VcpuState;
  declare readonly shadow: ShadowState;
  declare readonly walker: Walker;
  declare readonly tables: GuestTables;
  readonly guestFault: GuestFault = new GuestFault();
  declare cpuRole: CpuRole;
  /** Role of the root page; pages below derive theirs from it. */
  declare rootRole: RootRole;
  cr3Lo = 0;
  cr3Hi = 0;
  /** Table of the root, or 0; for PAE and 32-bit guests the four of `paeRoots` stand instead. */
  root = 0;
  readonly paeRoots: Int32Array = new Int32Array(4);
  hasRoots = false;
  /**
   * The last-level table that the last walk of our tables came to, as a CPU's paging-structure caches
   * keep it (SDM 3A §4.10.3), and bits 63:21 of the addresses it is for. Whatever takes a table off
   * the way to it, or has guest tables above it be walked anew, empties this; so does who begins to
   * trace.
   */
  lastTable = 0;
  #lastLo = NO_KEY;
  #lastHi = 0;
  /** For pages that nobody has asked for. */
  readonly guess: HostPage = new HostPage();
  /** The last fault was a write to a table that the write itself is translated by. */
  writesOwnTable = false;

  constructor(
    vcpu: VcpuState,
    shadow: ShadowState,
    walker: Walker,
    tables: GuestTables,
    role: CpuRole,
  ) {
    this.vcpu = vcpu;
    this.shadow = shadow;
    this.walker = walker;
    this.tables = tables;
    this.cpuRole = role;
    this.rootRole = pageRole(role);
    walker.setRole(role);
  }

  /** Takes on another role. Its roots have been given up. */
  setRole(role: CpuRole): void {
    this.cpuRole = role;
    this.rootRole = pageRole(role);
    this.walker.setRole(role);
  }

  get rules(): WalkRules {
    return this.walker.rules;
  }

  /** True for guests of at most 32 bits of linear address: four roots of level 2. */
  get isPae(): boolean {
    return (this.rootRole & RoleMask.LEVEL) === 3;
  }

  /** Table in which the walk of our tables for an address with low half `lo` begins, or 0. */
  topTable(lo: number): number {
    return this.isPae ? this.paeRoots[lo >>> 30] : this.root;
  }

  /** Level of `topTable`. */
  get topLevel(): number {
    return this.isPae ? 2 : this.rootRole & RoleMask.LEVEL;
  }

  /** True when an access with error code `code` may write the page that the last walk came to. */
  mayWrite(code: number): boolean {
    return (this.walker.result.cacheAccess & Acc.WRITE) !== 0 || this.writesAnyway(code);
  }

  /** True for the supervisor with CR0.WP clear. */
  writesAnyway(code: number): boolean {
    return !this.rules.role.wp && (code & Pferr.USER) === 0;
  }

  /** Remembers the last-level table on the way to the address `hi:lo`. */
  keepTable(table: number, lo: number, hi: number): void {
    this.lastTable = table;
    this.#lastLo = lo >>> 21;
    this.#lastHi = hi;
  }

  /** True when `lastTable` is the last-level table for `hi:lo`. */
  isInTable(lo: number, hi: number): boolean {
    return (lo >>> 21 ^ this.#lastLo | hi ^ this.#lastHi) === 0;
  }

  forgetTables(): void {
    this.#lastLo = NO_KEY;
  }

  /** Index in `tables.words` of the guest entry that entry `index` of last-level page `table` shadows, or -1. */
  guestEntry(table: number, index: number): number {
    const role = this.shadow.role(table);
    const base = this.tables.wordOf(this.shadow.core.pool.gfn[table] as Gfn);
    if (base < 0) return -1;
    if ((role & RoleMask.GPTE8) !== 0) return base + index * 2;
    return base + ((role & RoleMask.QUADRANT) >>> 5) * 512 + index;
  }

  /** True when pages of this role have been made for the kind of paging this vCPU has now. */
  matches(role: RootRole): boolean {
    return ((role ^ this.rootRole) & ~PER_PAGE) === 0;
  }
}

/** Fields that differ between the pages of one tree. */
const PER_PAGE = RoleMask.LEVEL | RoleMask.ACCESS | RoleMask.QUADRANT | RoleMask.INVALID;

/**
 * CR4.PSE in a spare bit of the role. It decides whether a directory entry is a page or a table, so
 * pages made under the one must not be found under the other; KVM's role does not tell them apart.
 */
const ROLE_PSE = 1 << 18;

function pageRole(role: CpuRole): RootRole {
  return (shadowRootRole(role) | (role.pse ? ROLE_PSE : 0)) as RootRole;
}
