/**
 * What must hold of an MMU after any sequence of operations: the invariants of §4 of its
 * specification, and that what it maps is contained in what guest and host say together.
 */

import type { Gfn } from "../../src/base/u64.ts";
import { LargePageInfo } from "../../src/mmu/large_page_info.ts";
import { FRAMES_AT } from "../../src/mmu/level.ts";
import type { Memslot } from "../../src/mmu/memslot.ts";
import { MMIO_GENERATIONS, mmioGeneration, mmioGfn } from "../../src/mmu/mmio_spte.ts";
import type { Mmu } from "../../src/mmu/mmu.ts";
import { type RootRole, type RootRoleFields, unpackRootRole } from "../../src/mmu/root_role.ts";
import { rmapHeads } from "../../src/mmu/shadow/rmap.ts";
import { isLeaf, isMmio, isPresent, pfnOf, SpteLo } from "../../src/mmu/spte.ts";
import { TABLE_WORDS, TableFlag } from "../../src/mmu/table_pool.ts";
import type { HostModel } from "./host_model.ts";

/** What the checker has to know besides the MMU. */
export interface World {
  readonly host: HostModel;
  /** Guest memory, for an MMU that shadows tables. */
  readonly memory?: Uint32Array;
  /** Uses of write tracking by the test itself, by frame, in address space 0. */
  readonly tracked?: ReadonlyMap<number, number>;
  /** True for a page that the host is taking away. */
  readonly isTaken?: (page: number) => boolean;
}

/** Throws when an invariant does not hold; `when` says what went before. */
export function checkInvariants(mmu: Mmu, world: World, when: string): void {
  new Checker(mmu, world, when).run();
}

interface Leaf {
  readonly table: number;
  readonly sptep: number;
  readonly level: number;
  readonly lo: number;
  readonly hi: number;
  readonly gfn: Gfn;
  readonly slot: Memslot;
}

class Checker {
  readonly #mmu: Mmu;
  readonly #world: World;
  readonly #when: string;
  readonly #roles = new Map<number, RootRoleFields>();
  readonly #leaves: Leaf[] = [];
  /** SPTEs that point to each table. */
  readonly #parents = new Map<number, number[]>();

  constructor(mmu: Mmu, world: World, when: string) {
    this.#mmu = mmu;
    this.#world = world;
    this.#when = when;
  }

  run(): void {
    this.#tables();
    for (const [table, role] of this.#roles) this.#entries(table, role);
    for (const table of this.#roles.keys()) this.#parentsOf(table);
    this.#counters();
    this.#reverseMaps();
    this.#limits();
    if (this.#world.memory !== undefined) {
      for (const [table, role] of this.#roles) this.#containment(table, role);
    }
  }

  #fail(text: string): never {
    throw new Error(`${this.#when}: ${text}`);
  }

  /** The list of active tables and the pinned ones off it are all tables in use. */
  #tables(): void {
    const { pool } = this.#mmu.core;
    for (let table = pool.newest; table !== 0; table = pool.next[table]) {
      if (this.#roles.has(table)) this.#fail(`table ${table} is twice in the list`);
      if ((pool.flags[table] & TableFlag.INVALID) !== 0) this.#fail(`table ${table} is invalid`);
      this.#roles.set(table, unpackRootRole(pool.role[table] as RootRole));
    }
    const pins = new Map<number, number>();
    const pin = (table: number) => {
      if (table !== 0) pins.set(table, (pins.get(table) ?? 0) + 1);
    };
    for (const { state, shadow, roots } of this.#mmu.vcpus) {
      pin(state.root);
      if (shadow !== undefined) [shadow.root, ...shadow.paeRoots].forEach(pin);
      roots?.previous.forEach(pin);
    }
    let invalid = 0;
    for (const [table, count] of pins) {
      if (pool.rootCount[table] !== count) {
        this.#fail(`root ${table} counts ${pool.rootCount[table]} pins, vCPUs have ${count}`);
      }
      if (this.#roles.has(table)) continue;
      if ((pool.flags[table] & TableFlag.INVALID) === 0) this.#fail(`root ${table} is lost`);
      invalid++;
    }
    for (const table of this.#roles.keys()) {
      if (pool.rootCount[table] !== (pins.get(table) ?? 0)) this.#fail(`table ${table}: stray pin`);
    }
    if (pool.used !== this.#roles.size + invalid) {
      this.#fail(`${pool.used} tables are used, ${this.#roles.size} + ${invalid} are there`);
    }
    if (pool.used > this.#mmu.core.quota + 8) this.#fail(`${pool.used} tables exceed the quota`);
  }

  #entries(table: number, role: RootRoleFields): void {
    const { pool, mmio, spaces } = this.#mmu.core;
    const isShadow = (pool.flags[table] & TableFlag.SHADOW) !== 0;
    for (let i = 0; i < 512; i++) {
      const sptep = table * TABLE_WORDS + i * 2;
      const lo = pool.words[sptep];
      const hi = pool.words[sptep + 1];
      if ((lo | hi) === 0) continue;
      const at = `entry ${i} of table ${table}, level ${role.level}`;
      if (isMmio(hi)) {
        if (role.level !== 1) this.#fail(`${at} is for MMIO`);
        const space = spaces[role.smm ? 1 : 0];
        const isCurrent = mmioGeneration(lo, hi) === space.generation % MMIO_GENERATIONS;
        const slot = space.find(mmioGfn(mmio, lo, hi));
        if (isCurrent && slot !== undefined) this.#fail(`${at}: MMIO where memory is`);
        continue;
      }
      if (!isPresent(lo, hi)) this.#fail(`${at} is neither present nor MMIO`);
      if (!isLeaf(lo, role.level)) {
        const child = pfnOf(lo, hi);
        const childLevel = this.#roles.get(child)?.level;
        if (childLevel !== role.level - 1) this.#fail(`${at} points to table ${child}`);
        this.#parents.set(child, [...this.#parents.get(child) ?? [], sptep]);
        continue;
      }
      const gfn = isShadow
        ? this.#mmu.shadow!.state.gfnOfEntry(sptep)
        : pool.gfn[table] + i * FRAMES_AT[role.level] as Gfn;
      const slot = spaces[role.smm ? 1 : 0].find(gfn);
      if (slot === undefined || slot.invalid) this.#fail(`${at} maps ${gfn}, which has no memslot`);
      this.#leaves.push({ table, sptep, level: role.level, lo, hi, gfn, slot });
    }
  }

  #parentsOf(table: number): void {
    const { pool } = this.#mmu.core;
    const found = this.#parents.get(table) ?? [];
    if ((pool.flags[table] & TableFlag.SHADOW) === 0) {
      const expected = pool.parent[table] < 0 ? [] : [pool.parent[table]];
      if (found.join() !== expected.join()) this.#fail(`table ${table}: parents ${found}`);
      return;
    }
    const listed: number[] = [];
    const { lists } = this.#mmu.shadow!.state;
    for (let i = 0;; i++) {
      const sptep = lists.at(pool.parent[table], i);
      if (sptep === 0) break;
      listed.push(sptep);
    }
    if (lists.count(pool.parent[table]) !== listed.length) this.#fail(`table ${table}: count`);
    if (listed.sort().join() !== found.sort().join()) {
      this.#fail(`table ${table}: parents ${found}, listed ${listed}`);
    }
  }

  #counters(): void {
    const { pool, stats } = this.#mmu.core;
    const large = this.#leaves.filter((leaf) => leaf.level > 1).length;
    if (stats.lpages !== large) {
      this.#fail(`lpages ${stats.lpages}, there are ${large}`);
    }
    let splits = 0;
    let unsync = 0;
    let indirect = 0;
    for (const [table, role] of this.#roles) {
      const flags = pool.flags[table];
      if ((flags & TableFlag.NX_ACCOUNTED) !== 0) splits++;
      if ((flags & TableFlag.SHADOW) === 0) continue;
      if (!role.direct) indirect++;
      if ((flags & TableFlag.UNSYNC) === 0) continue;
      unsync++;
      if (role.level !== 1 || role.direct) this.#fail(`table ${table} must not be unsync`);
    }
    if (stats.nx_lpage_splits !== splits) this.#fail(`nx_lpage_splits: ${splits}`);
    if (stats.mmu_unsync !== unsync) this.#fail(`mmu_unsync: ${unsync}`);
    const state = this.#mmu.shadow?.state;
    if (state === undefined) return;
    if (state.indirectPages !== indirect) this.#fail(`indirect pages: ${indirect}`);
    for (const table of this.#roles.keys()) this.#marks(table);
  }

  /** Every path to an unsync page is marked, and marks are counted. */
  #marks(table: number): void {
    const { pool } = this.#mmu.core;
    const state = this.#mmu.shadow!.state;
    if ((pool.flags[table] & TableFlag.SHADOW) === 0) return;
    let marks = 0;
    for (
      let i = state.nextMarked(table, 0);
      i >= 0 && i < 512;
      i = state.nextMarked(table, i + 1)
    ) {
      marks++;
      if (i === 511) break;
    }
    if (marks !== state.unsyncChildren[table]) {
      this.#fail(
        `table ${table} counts ${state.unsyncChildren[table]} unsync children of ${marks}`,
      );
    }
    if (!state.isUnsync(table) && state.unsyncChildren[table] === 0) return;
    for (const sptep of this.#parents.get(table) ?? []) {
      const parent = sptep >>> 10;
      const index = (sptep & 1023) >>> 1;
      if (state.nextMarked(parent, index) !== index) {
        this.#fail(`table ${parent} does not know that entry ${index} leads to an unsync page`);
      }
    }
  }

  /** Reverse maps hold the present leaves of the shadow engine, and no more. */
  #reverseMaps(): void {
    const state = this.#mmu.shadow?.state;
    if (state === undefined) return;
    const { pool, spaces } = this.#mmu.core;
    const expected = new Map<string, number>();
    const key = (slot: Memslot, level: number, sptep: number, at: number) =>
      `${slot.addressSpace}.${slot.id}.${level}.${at}.${sptep}`;
    for (const { table, slot, level, gfn, sptep } of this.#leaves) {
      if ((pool.flags[table] & TableFlag.SHADOW) === 0) continue;
      const at = Math.floor(gfn / FRAMES_AT[level]) - Math.floor(slot.baseGfn / FRAMES_AT[level]);
      expected.set(key(slot, level, sptep, at), sptep);
    }
    for (const space of spaces) {
      for (const slot of space.all) {
        for (let level = 1; level < slot.rmap.length; level++) {
          const heads = rmapHeads(slot, level);
          heads.forEach((head, at) => {
            for (let i = 0; i < state.lists.count(head); i++) {
              const name = key(slot, level, state.lists.at(head, i), at);
              if (!expected.delete(name)) this.#fail(`the reverse map holds ${name}`);
            }
          });
        }
      }
    }
    for (const name of expected.keys()) this.#fail(`no reverse map holds ${name}`);
  }

  /** Leaves obey slots, host, log, tracking and the NX rule. */
  #limits(): void {
    const { core } = this.#mmu;
    const { host } = this.#world;
    if (host.references.size !== 0) this.#fail(`${host.references.size} frames are still held`);
    const protectedFrames = this.#protectedFrames();
    for (const { level, lo, hi, gfn, slot, sptep } of this.#leaves) {
      const at = `the leaf at ${sptep} for frame ${gfn}`;
      const page = slot.hostPageOf(gfn);
      for (let i = 0; i < FRAMES_AT[level]; i += Math.max(1, FRAMES_AT[level] / 8)) {
        if (pfnOf(lo, hi) + i !== host.pfnOf(page + i)) this.#fail(`${at}: wrong frame`);
        if (this.#world.isTaken?.(page + i)) this.#fail(`${at}: the host is taking it away`);
      }
      const writable = (lo & SpteLo.WRITE) !== 0;
      const both = SpteLo.HOST_WRITEABLE | SpteLo.MMU_WRITEABLE;
      if (writable && (lo & both) !== both) this.#fail(`${at}: writable without leave`);
      if (writable && slot.readOnly) this.#fail(`${at}: writable in a read-only slot`);
      if (writable && !(host.pages.get(page)?.writable ?? true)) {
        this.#fail(`${at}: read-only host`);
      }
      if (level > 1 && writable && !slot.large.allows(gfn, level)) this.#fail(`${at}: too large`);
      if (writable && slot.dirty !== undefined && !core.pml && !slot.isDirty(gfn)) {
        this.#fail(`${at}: writable but not logged`);
      }
      if ((lo & SpteLo.MMU_WRITEABLE) !== 0) {
        for (let i = 0; i < FRAMES_AT[level]; i++) {
          const frame = gfn + i as Gfn;
          if (slot.isTracked(frame)) this.#fail(`${at}: ${frame} is tracked`);
          if (protectedFrames.has(frame + 2 ** 45 * slot.addressSpace)) {
            this.#fail(`${at}: ${frame} is a table in step`);
          }
        }
      }
      const { format } = core;
      const executable = format.exec !== 0
        ? (lo & format.exec) !== 0
        : (hi & format.noExecHi) === 0;
      if (level > 1 && core.nxHugePages && executable) this.#fail(`${at}: large and executable`);
    }
    this.#slots();
  }

  /** Guest tables whose shadow pages are in step: they may not be written unseen. */
  #protectedFrames(): Set<number> {
    const { pool } = this.#mmu.core;
    const frames = new Set<number>();
    for (const [table, role] of this.#roles) {
      const flags = pool.flags[table];
      if ((flags & TableFlag.SHADOW) === 0 || role.direct || (flags & TableFlag.UNSYNC) !== 0) {
        continue;
      }
      frames.add(pool.gfn[table] + (role.smm ? 2 ** 45 : 0));
    }
    return frames;
  }

  /** Tracking and the limits of large pages have been counted right. */
  #slots(): void {
    const { pool, spaces } = this.#mmu.core;
    const reasons = new Map<string, number>();
    const users = new Map<string, number>();
    const add = (map: Map<string, number>, key: string, count: number) =>
      map.set(key, (map.get(key) ?? 0) + count);
    for (const [table, role] of this.#roles) {
      if ((pool.flags[table] & TableFlag.SHADOW) === 0 || role.direct) continue;
      const key = `${role.smm ? 1 : 0}.${pool.gfn[table]}`;
      add(reasons, key, 1);
      if (role.level > 1) add(users, key, 1);
    }
    for (const [gfn, count] of this.#world.tracked ?? []) {
      add(reasons, `0.${gfn}`, count);
      add(users, `0.${gfn}`, count);
    }
    for (const space of spaces) {
      for (const slot of space.all) {
        const expected = new LargePageInfo(slot.baseGfn, slot.frames, slot.hostPage);
        for (let i = 0; i < slot.frames; i++) {
          const gfn = slot.baseGfn + i as Gfn;
          const key = `${space.addressSpace}.${gfn}`;
          for (let n = reasons.get(key) ?? 0; n > 0; n--) expected.disallow(gfn);
          if (slot.trackCount(gfn) !== (users.get(key) ?? 0)) {
            this.#fail(`frame ${gfn} is tracked ${slot.trackCount(gfn)} times`);
          }
        }
        for (const level of [2, 3]) {
          for (let i = 0; i < slot.frames; i += 512) {
            const gfn = slot.baseGfn + i as Gfn;
            if (slot.large.count(gfn, level) !== expected.count(gfn, level)) {
              this.#fail(`frame ${gfn}: ${slot.large.count(gfn, level)} reasons at level ${level}`);
            }
          }
        }
        const breach = slot.large.findBreach();
        if (breach !== undefined) this.#fail(`limits do not nest at frame ${breach}`);
      }
    }
  }

  /** A page in step maps no more than the guest's table says now. */
  #containment(table: number, role: RootRoleFields): void {
    const { pool, spaces } = this.#mmu.core;
    const flags = pool.flags[table];
    if ((flags & TableFlag.SHADOW) === 0 || role.direct || (flags & TableFlag.UNSYNC) !== 0) return;
    const tableGfn = pool.gfn[table] as Gfn;
    if (spaces[role.smm ? 1 : 0].visible(tableGfn) === undefined) {
      this.#fail(`table ${table} shadows frame ${tableGfn}, which is gone`);
    }
    for (let i = 0; i < 512; i++) {
      const sptep = table * TABLE_WORDS + i * 2;
      const lo = pool.words[sptep];
      const hi = pool.words[sptep + 1];
      if (!isPresent(lo, hi)) continue;
      const guest = this.#guestEntry(tableGfn, role, i);
      const at = `entry ${i} of table ${table}, level ${role.level}, of frame ${tableGfn}`;
      if ((guest & 1n) === 0n) this.#fail(`${at}: the guest's is not present`);
      const access = role.access & accessOf(guest, role);
      const isGuestLeaf = role.level === 1 || (guest & 0x80n) !== 0n;
      if (!isLeaf(lo, role.level)) this.#child(lo, hi, role, guest, access, isGuestLeaf, i, at);
      else {
        if (!isGuestLeaf) this.#fail(`${at}: a leaf for a table`);
        const gfn = this.#mmu.shadow!.state.gfnOfEntry(sptep);
        if (gfn !== leafGfn(guest, role, i)) this.#fail(`${at} maps ${gfn}`);
        this.#rights(lo, hi, role, guest, access, at);
      }
    }
  }

  #child(
    lo: number,
    hi: number,
    role: RootRoleFields,
    guest: bigint,
    access: number,
    isGuestLeaf: boolean,
    index: number,
    at: string,
  ): void {
    const child = pfnOf(lo, hi);
    const below = this.#roles.get(child)!;
    const gfn = this.#mmu.core.pool.gfn[child];
    if (below.direct !== isGuestLeaf) this.#fail(`${at}: the wrong kind of table below`);
    const expected = isGuestLeaf ? leafGfn(guest, role, index) : tableGfnOf(guest);
    if (gfn !== expected) this.#fail(`${at} leads to ${gfn}, the guest's to ${expected}`);
    if (isGuestLeaf) {
      const kernels = !role.cr0Wp && (below.access & 4) === 0;
      if (!kernels && (below.access & ~access) !== 0) this.#fail(`${at}: more rights below`);
    } else if (below.access !== access) this.#fail(`${at}: rights ${below.access} below ${access}`);
  }

  #rights(
    lo: number,
    hi: number,
    role: RootRoleFields,
    guest: bigint,
    access: number,
    at: string,
  ): void {
    const mine = ((lo & 2) !== 0 ? 2 : 0) | ((lo & 4) !== 0 ? 4 : 0) | (hi >= 0 ? 1 : 0);
    // With CR0.WP clear a page that is read-only may be the kernel's to write.
    const kernels = !role.cr0Wp && (mine & 4) === 0;
    const extra = mine & ~(kernels ? access | 2 : access);
    if (extra !== 0) this.#fail(`${at}: rights ${mine}, the guest grants ${access}`);
    if ((mine & 2) !== 0 && (guest & 0x40n) === 0n) this.#fail(`${at}: writable but clean`);
    if ((guest & 0x20n) === 0n) this.#fail(`${at}: not accessed`);
  }

  #guestEntry(gfn: number, role: RootRoleFields, index: number): bigint {
    const memory = this.#world.memory!;
    if (role.gpte8) {
      return BigInt(memory[gfn * 1024 + index * 2 + 1]) << 32n |
        BigInt(memory[gfn * 1024 + index * 2]);
    }
    const at = role.level === 1 ? role.quadrant * 512 + index : role.quadrant * 256 + (index >> 1);
    return BigInt(memory[gfn * 1024 + at]);
  }
}

function accessOf(guest: bigint, role: RootRoleFields): number {
  const noExec = role.gpte8 && role.nxe && (guest & 2n ** 63n) !== 0n;
  return Number(guest & 6n) | (noExec ? 0 : 1);
}

function tableGfnOf(guest: bigint): number {
  return Number(guest >> 12n & 0xff_ffff_ffffn);
}

/** First frame of the part of a guest leaf that entry `index` of a shadow page stands for. */
function leafGfn(guest: bigint, role: RootRoleFields, index: number): number {
  if (role.level === 1) return tableGfnOf(guest);
  if (!role.gpte8) {
    const high = Number(guest >> 13n & 0xffn) * 2 ** 20;
    return high + Number(guest >> 22n & 0x3ffn) * 1024 + (index & 1) * 512;
  }
  const frames = FRAMES_AT[role.level];
  return Math.floor(tableGfnOf(guest) / frames) * frames;
}
