/** One VM's MMU. */

import { DenovisorError } from "../base/errors.ts";
import type { Gfn, Pfn } from "../base/u64.ts";
import { MmuCore } from "./core.ts";
import { DirectEngine } from "./direct/engine.ts";
import { takeDirtyLog } from "./dirty_log.ts";
import type { MmuHooks } from "./hooks.ts";
import type { Tlb } from "./host.ts";
import { age, changePte, invalidateEnd, invalidateStart, testAge } from "./invalidation.ts";
import { SpteMaker } from "./make_spte.ts";
import type { Memslot, MemslotConfig } from "./memslot.ts";
import type { MmuOptions } from "./options.ts";
import { recoverNxSplits, shrink, zapAllFast } from "./reclaim.ts";
import { CpuRole } from "./role.ts";
import type { ShadowContext } from "./shadow/context.ts";
import { ShadowEngine } from "./shadow/engine.ts";
import { ShadowState } from "./shadow/state.ts";
import { zapShadowsOf } from "./shadow/zap.ts";
import { SlotUpdates } from "./slot_updates.ts";
import type { StatName } from "./stats.ts";
import { TableWalk } from "./table_walk.ts";
import type { MmuTrace } from "./trace.ts";
import { MmuVcpu } from "./vcpu.ts";
import { VcpuRequest } from "./vcpu_state.ts";
import type { GuestTables } from "./walk/mod.ts";
import { WriteTracking } from "./write_track.ts";

/**
 * One VM's MMU: memslots, tables and the vCPUs that use them. Belongs to one thread; its methods run
 * to their end, so that no lock is needed.
 */
export class Mmu {
  readonly core: MmuCore;
  readonly direct: DirectEngine;
  /** Undefined when stage 2 does the guest's paging. */
  readonly shadow: ShadowEngine | undefined;
  readonly writeTracking: WriteTracking;
  readonly #vcpus: MmuVcpu[] = [];
  readonly #maker: SpteMaker;
  readonly #walk: TableWalk;
  readonly #slots: SlotUpdates;

  /** @throws DenovisorError `mmu` that names the option that is wrong. */
  constructor(options: MmuOptions) {
    this.core = new MmuCore(options);
    this.direct = new DirectEngine(this.core);
    this.core.engines.push(this.direct);
    this.#maker = new SpteMaker(this.core);
    this.#walk = new TableWalk(this.core);
    this.#slots = new SlotUpdates(this.core, () => this.zapAll(), () => this.#forgetMmio());
    this.writeTracking = new WriteTracking(this.core);
    this.shadow = this.core.tdp ? undefined : this.#createShadow();
  }

  get vcpus(): readonly MmuVcpu[] {
    return this.#vcpus;
  }

  /**
   * Adds a vCPU with paging off.
   * @param tables The guest's page tables, for an MMU that shadows them; else not needed.
   * @throws DenovisorError `mmu` when they are needed and not given.
   */
  createVcpu(tlb: Tlb, tables?: GuestTables): MmuVcpu {
    const { maxPhyAddrBits } = this.core;
    const features = { maxPhyAddrBits, gbPages: true, amd: false };
    const role = CpuRole.fromRegisters(0, 0, 0, features, false, false);
    const parts = {
      core: this.core,
      direct: this.direct,
      shadow: this.shadow?.state,
      tracking: this.writeTracking,
      maker: this.#maker,
      walk: this.#walk,
    };
    if (this.shadow !== undefined && tables === undefined) {
      throw new DenovisorError("mmu", "Cannot add a vCPU: shadow paging needs the guest's tables");
    }
    const vcpu = new MmuVcpu(this.#vcpus.length, parts, tlb, role, tables);
    this.#vcpus.push(vcpu);
    this.core.tlbs.push(tlb);
    this.core.tableCaches.push(vcpu.state);
    if (vcpu.shadow !== undefined) this.core.tableCaches.push(vcpu.shadow);
    this.#traceWalks(vcpu.shadow);
    return vcpu;
  }

  /**
   * Creates, moves or changes the memslot `config.id`.
   * @param addressSpace 0, or 1 for system management mode.
   * @throws DenovisorError `memslot` when it overlaps, wraps, is unaligned or too high.
   */
  setMemslot(config: MemslotConfig, addressSpace = 0): Memslot {
    return this.#slots.set(config, addressSpace);
  }

  /** @throws DenovisorError `memslot` when there is no such slot. */
  deleteMemslot(id: number, addressSpace = 0): void {
    this.#slots.delete(id, addressSpace);
  }

  /** The memslot that holds `gfn`. */
  findMemslot(gfn: Gfn, addressSpace = 0): Memslot | undefined {
    return this.core.spaces[addressSpace].visible(gfn);
  }

  /**
   * Reports and clears the dirty log of a slot.
   * @param into One bit a frame; bits are added to what stands there.
   * @returns How many frames were written since the last call.
   */
  takeDirtyLog(slot: Memslot, into: Uint32Array): number {
    return takeDirtyLog(this.core, slot, into);
  }

  /** The host takes the host pages [start, end) away, from now until `invalidateEnd`. */
  invalidateStart(start: number, end: number): void {
    invalidateStart(this.core, start, end);
  }

  invalidateEnd(): void {
    invalidateEnd(this.core);
  }

  /** True when the guest has used one of the host pages [start, end) since the last call. */
  age(start: number, end: number): boolean {
    return age(this.core, start, end);
  }

  /** Like `age`, but forgets nothing. */
  testAge(start: number, end: number): boolean {
    return testAge(this.core, start, end);
  }

  /** The host has put frame `pfn` behind `hostPage`. */
  changePte(hostPage: number, pfn: Pfn, writable: boolean): void {
    changePte(this.core, hostPage, pfn, writable);
  }

  /** Throws all tables away; vCPUs load new roots before they next run. */
  zapAll(): void {
    zapAllFast(this.core, () => this.#reloadRoots());
  }

  /** Bytes of all tables and of what is kept beside them. */
  get tableBytes(): number {
    let bytes = this.core.pool.bytes + (this.shadow?.state.bytes ?? 0);
    for (const space of this.core.spaces) {
      for (const slot of space.all) for (const heads of slot.rmap) bytes += heads.byteLength;
    }
    return bytes;
  }

  /** Gives about `count` tables back to the host; returns how many. */
  shrink(count: number): number {
    return shrink(this.core, count);
  }

  get nxHugePages(): boolean {
    return this.core.nxHugePages;
  }

  /** Switching the rule throws all tables away: both kinds of page may not stand side by side. */
  set nxHugePages(on: boolean) {
    if (on === this.core.nxHugePages) return;
    this.core.nxHugePages = on;
    this.zapAll();
  }

  /** Zaps the oldest sixtieth of the tables that the NX rule made; to be called every 60 s. */
  recoverNxSplits(): number {
    return recoverNxSplits(this.core);
  }

  /** Counters under KVM's names. */
  stats(): Record<StatName, number> {
    return this.core.stats.snapshot();
  }

  /** Where events go; undefined: nowhere. */
  set trace(trace: MmuTrace | undefined) {
    this.core.trace = trace;
    this.core.forgetTables();
    for (const { shadow } of this.#vcpus) this.#traceWalks(shadow);
  }

  /** For tests. */
  set hooks(hooks: MmuHooks | undefined) {
    this.core.hooks = hooks;
  }

  #traceWalks(shadow: ShadowContext | undefined): void {
    if (shadow !== undefined) shadow.walker.trace = this.core.trace?.walks ?? null;
  }

  #createShadow(): ShadowEngine {
    const state = new ShadowState(
      this.core,
      this.#maker,
      this.writeTracking,
      () => this.#reloadRoots(),
    );
    const engine = new ShadowEngine(state);
    this.core.engines.push(engine);
    this.core.writeGuard = engine;
    this.writeTracking.unprotect = (gfn) => zapShadowsOf(state, gfn);
    return engine;
  }

  #forgetMmio(): void {
    for (const vcpu of this.#vcpus) vcpu.state.mmioCache.clear();
  }

  #reloadRoots(): void {
    for (const vcpu of this.#vcpus) vcpu.state.requests |= VcpuRequest.RELOAD;
  }
}
