/** One vCPU's door to the MMU: roots, faults, and what an exit does with their results. */

import { frameFrom, type Gfn } from "../base/u64.ts";
import type { MmuCore } from "./core.ts";
import type { DirectEngine } from "./direct/engine.ts";
import { directPageFault as importedDirectPageFault } from "./direct/page_fault.ts";
import { describeFailure } from "./failure.ts";
import { type Fault, FaultResult, VcpuExit } from "./fault.ts";
import type { Tlb } from "./host.ts";
import { LoadResult } from "./load_result.ts";
import type { SpteMaker } from "./make_spte.ts";
import { isRefused, mmioFault } from "./mmio_fault.ts";
import { Access, Pferr, PferrHigh } from "./pferr.ts";
import { isObsolete } from "./reclaim.ts";
import { RetryGuard } from "./retry_guard.ts";
import { type CpuRole, PagingMode } from "./role.ts";
import { directRootRole, shadowRootRole } from "./root_role.ts";
import { ShadowContext } from "./shadow/context.ts";
import { flushAddress } from "./shadow/invlpg.ts";
import { shadowPageFault as importedShadowPageFault } from "./shadow/page_fault.ts";
import { pteWrite } from "./shadow/pte_write.ts";
import { ShadowRoots } from "./shadow/roots.ts";
import type { ShadowState } from "./shadow/state.ts";
import type { TableWalk } from "./table_walk.ts";
import { Tp } from "./trace.ts";
import { VcpuState } from "./vcpu_state.ts";
import { type GuestTables, isCanonical, linearAddressBits, Walker } from "./walk/mod.ts";
import type { WriteTracking } from "./write_track.ts";

// Imported functions are looked up at every call, a module's own are not: this is a hot path.
const directPageFault = importedDirectPageFault;
const shadowPageFault = importedShadowPageFault;

// V8 folds a module's own constants, not those of an imported object: this is a hot path.
const { CONTINUE, EMULATE, FIXED, INVALID, RETRY, SPURIOUS } = FaultResult;
const { NO_PROGRESS, RESUME, USERSPACE } = VcpuExit;
const { GUEST_TABLE } = PferrHigh;
const { RSVD } = Pferr;
const { OK } = LoadResult;

/** Who carries out the accesses that the tables cannot: MMIO, read-only slots, tracked pages. */
export interface MmuEmulator {
  /**
   * Emulates the instruction that faulted at `hi:lo`.
   * @param mayRetry The emulator may have the guest try again instead, if `retryInstruction` agrees.
   * @returns RESUME when done, USERSPACE when the machine has to do it or emulation cannot go on.
   */
  emulate(vcpu: MmuVcpu, lo: number, hi: number, mayRetry: boolean): VcpuExit;
}

/** What the vCPUs of one MMU share. */
export interface VcpuParts {
  readonly core: MmuCore;
  readonly direct: DirectEngine;
  /** Undefined when stage 2 does the guest's paging. */
  readonly shadow: ShadowState | undefined;
  readonly tracking: WriteTracking;
  readonly maker: SpteMaker;
  readonly walk: TableWalk;
}

/** One vCPU of an MMU. */
export class MmuVcpu {
  declare readonly state: VcpuState;
  /** The last fault. */
  declare readonly fault: Fault;
  /** The shadow engine's part; undefined when stage 2 does the guest's paging. */
  declare readonly shadow: ShadowContext | undefined;
  declare readonly roots: ShadowRoots | undefined;
  declare readonly core: MmuCore;
  readonly #direct: DirectEngine;
  readonly #tracking: WriteTracking;
  readonly #walk: TableWalk;
  readonly #retryGuard = new RetryGuard();
  #role: CpuRole;
  #isDirect = true;
  #result: FaultResult = CONTINUE;

  /** @param tables The guest's page tables, which the shadow engine reads. */
  constructor(
    index: number,
    parts: VcpuParts,
    tlb: Tlb,
    role: CpuRole,
    tables: GuestTables | undefined,
  ) {
    this.core = parts.core;
    this.#direct = parts.direct;
    this.#tracking = parts.tracking;
    this.#walk = parts.walk;
    this.state = new VcpuState(index, parts.core, parts.maker, tlb);
    this.fault = this.state.fault;
    this.#role = role;
    if (parts.shadow !== undefined && tables !== undefined) {
      const walker = new Walker(tables);
      this.shadow = new ShadowContext(this.state, parts.shadow, walker, tables, role);
      this.roots = new ShadowRoots(this.shadow);
    }
  }

  get role(): CpuRole {
    return this.#role;
  }

  /** True when faults carry guest physical addresses: stage 2, or paging off. */
  get isDirect(): boolean {
    return this.#isDirect;
  }

  /** Takes on the role that the control registers ask for. The same role changes nothing. */
  setRole(role: CpuRole): void {
    if (role === this.#role) return;
    this.unload();
    this.#role = role;
    this.#isDirect = this.core.tdp || role.mode === PagingMode.NONE;
    this.state.isDirect = this.#isDirect;
    const { state, shadow } = this;
    state.slots = this.core.spaces[role.smm ? 1 : 0];
    state.context++;
    state.mmioCache.clear();
    if (shadow !== undefined) shadow.setRole(role);
    state.tlb.flush();
  }

  /**
   * The guest loads CR3 (for stage 2 nothing of ours depends on it).
   * @param keepTlb The guest asked for no flush.
   * @returns false when the PDPTEs of PAE paging are not valid: #GP, and nothing has changed.
   */
  loadCr3(lo: number, hi: number, keepTlb: boolean): boolean {
    const { shadow, roots, state } = this;
    state.context++;
    if (shadow === undefined || roots === undefined) return true;
    if (this.#role.mode === PagingMode.PAE && !shadow.walker.loadPdptrs(lo)) return false;
    roots.switchTo(lo, hi, keepTlb);
    return true;
  }

  /** To be called before the guest runs: carries requests out and sees to roots. */
  prepare(): LoadResult {
    const { state } = this;
    if (state.requests !== 0) {
      state.requests = 0;
      this.#dropObsolete();
      state.tlb.flush();
    }
    if (!this.isDirect) return this.roots!.load();
    return state.root !== 0 || this.#loadDirectRoot() ? OK : LoadResult.NO_MEMORY;
  }

  /** Gives all roots up; a fault before the next `prepare` finds none. */
  unload(): void {
    this.#dropDirectRoot();
    this.roots?.dropAll();
  }

  /** True when there is a root to walk from. */
  get hasRoot(): boolean {
    return this.isDirect ? this.state.hasRoot : this.shadow!.hasRoots;
  }

  /**
   * Handles a fault and says what the vCPU does next.
   * @param lo Halves of the address: guest physical when `isDirect`, else linear (CR2).
   * @param code `Pferr` bits.
   * @param codeHigh `PferrHigh` bits.
   */
  pageFault(
    lo: number,
    hi: number,
    code: number,
    codeHigh: number,
    emulator: MmuEmulator,
  ): VcpuExit {
    const { fault, state } = this;
    fault.begin(lo, hi, code, codeHigh);
    // What the cache holds belongs to a vCPU with a direct root: nothing is looked up.
    if ((code & RSVD) !== 0 && state.mmioCache.matchesGpa(lo, hi)) {
      return this.#knownMmio(lo, hi, code, emulator);
    }
    if (!this.hasRoot) return this.#withoutRoot();
    const result = this.#resolve(lo, hi, code);
    if (result === FIXED && state.guard.sawChange(fault, this.core.changes)) return RESUME;
    return this.#exitOf(result, emulator);
  }

  /**
   * Runs the fault path. The root must be there. Never returns INVALID or CONTINUE. After RETRY with
   * `Cause.GUEST_EXCEPTION`, `shadow.guestFault` is what the guest gets.
   */
  handleFault(lo: number, hi: number, code: number, codeHigh: number): FaultResult {
    this.fault.begin(lo, hi, code, codeHigh);
    return this.#resolve(lo, hi, code);
  }

  #resolve(lo: number, hi: number, code: number): FaultResult {
    const { core } = this;
    const isWatched = core.trace !== undefined || core.hooks !== undefined;
    if ((code & RSVD) !== 0 || isWatched) return this.#result = this.#resolveOther(lo, hi, code);
    if (this.#isDirect) return this.#result = directPageFault(this.state, this.fault);
    if (hi !== 0 && core.linearBits === 32) return this.#result = this.#beyondLinear();
    return this.#result = shadowPageFault(this.shadow!, this.fault);
  }

  /** Asks the progress guard after a fault that lets the guest try again. */
  mayResume(): boolean {
    const { state, fault } = this;
    return state.guard.allows(fault, this.core.changes, state.ripLo, state.ripHi);
  }

  /**
   * Maps the pages of deferred faults that have come in, as long as their addresses mean the same.
   * @returns true when there was one: the guest is to be told.
   */
  finishAsyncFaults(): boolean {
    const { state, fault } = this;
    let any = false;
    for (;;) {
      const ready = state.asyncFaults.takeReady();
      if (ready === undefined) return any;
      any = true;
      if (ready.context !== state.context || this.prepare() !== OK) continue;
      fault.begin(ready.addressLo, ready.addressHi, 0, 0);
      fault.prefault = true;
      if (this.#isDirect) directPageFault(state, fault);
      else shadowPageFault(this.shadow!, fault);
    }
  }

  /** The guest executes INVLPG, or the machine flushes one linear address for it. */
  invlpg(lo: number, hi: number): void {
    const { state, shadow, roots } = this;
    this.core.stats.invlpg++;
    if (!isCanonical(hi, linearAddressBits(this.#role))) return;
    state.mmioCache.clearGva(lo, hi);
    if (shadow !== undefined && roots !== undefined && !this.isDirect && shadow.hasRoots) {
      flushAddress(shadow, shadow.topTable(lo), lo, hi);
      for (const root of roots.previous) if (root !== 0) flushAddress(shadow, root, lo, hi);
    }
    state.tlb.flushPage(lo, hi);
  }

  /** The machine has carried out a guest's write of `sizeBytes` bytes, all in one page. */
  wrote(gpaLo: number, gpaHi: number, sizeBytes: number): void {
    if (this.shadow !== undefined) pteWrite(this.shadow, gpaLo, gpaHi, sizeBytes);
    this.#tracking.notify(gpaLo, gpaHi, sizeBytes);
  }

  /** True when the emulator should let the guest try again; see `RetryGuard`. */
  retryInstruction(ripLo: number, ripHi: number): boolean {
    const { fault } = this;
    if (this.shadow?.writesOwnTable === true) return false;
    if (!this.#retryGuard.allows(ripLo, ripHi, fault.addressLo, fault.addressHi)) return false;
    return this.#tracking.unprotect(fault.gfn);
  }

  /**
   * An event has to be delivered again that faulted on a shadowed table: zaps what shadows the page at
   * a linear address, so that the delivery does not fault.
   */
  unprotectLinear(lo: number, hi: number): boolean {
    const { shadow } = this;
    if (shadow === undefined || this.isDirect) return false;
    return shadow.walker.walk(lo, hi, Access.READ) &&
      this.#tracking.unprotect(shadow.walker.result.gfn);
  }

  /** After a negative `VcpuExit`: one line that names the fault. */
  describeFailure(): string {
    return describeFailure(this.core, this.state, this.#result, this.isDirect);
  }

  /** A fault on reserved bits, or one that is traced or looked into. */
  #resolveOther(lo: number, hi: number, code: number): FaultResult {
    const { core, state, fault } = this;
    if (core.trace !== undefined) this.#traceFault(lo, hi, code);
    if (!this.#isDirect) return this.#shadowFault(lo, hi);
    core.hooks?.afterEntry?.();
    const known = (code & RSVD) !== 0 ? this.#directMmio(lo, hi) : INVALID;
    return known === INVALID ? directPageFault(state, fault) : known;
  }

  /** What the MMIO cache or the tables know of a fault on reserved bits. */
  #directMmio(lo: number, hi: number): FaultResult {
    const { state, fault } = this;
    if ((hi & state.illegalHi) !== 0) return FaultResult.BAD_ADDRESS;
    fault.gfn = frameFrom(lo, hi) as Gfn;
    if (state.mmioCache.matchesGpa(lo, hi)) return EMULATE;
    return mmioFault(state, fault, this.#walk, true, state.root, state.rootLevel, undefined);
  }

  #shadowFault(lo: number, hi: number): FaultResult {
    const { state, fault } = this;
    const core = this.core;
    const walk = this.#walk;
    const shadow = this.shadow!;
    if (hi !== 0 && core.linearBits === 32) return this.#beyondLinear();
    if (core.hooks !== undefined) core.hooks.afterEntry?.();
    if (fault.reserved) {
      const { permissions } = shadow.rules;
      if (
        !this.#role.guestMode && state.mmioCache.matchesGva(lo, hi) &&
        !isRefused(state, fault, permissions, state.mmioCache.access)
      ) {
        fault.gfn = state.mmioCache.gfn;
        return EMULATE;
      }
      const top = shadow.topTable(lo);
      const known = mmioFault(state, fault, walk, false, top, shadow.topLevel, permissions);
      if (known !== INVALID) return known;
    }
    return shadowPageFault(shadow, fault);
  }

  #beyondLinear(): FaultResult {
    this.core.warn("Got a linear address above 2^32 on a host of 32 bits");
    return FaultResult.BAD_ADDRESS;
  }

  /** The page that the vCPU's MMIO cache holds. */
  #knownMmio(lo: number, hi: number, code: number, emulator: MmuEmulator): VcpuExit {
    const { core, fault, state } = this;
    fault.gfn = state.mmioCache.gfn;
    if (core.trace !== undefined) this.#traceFault(lo, hi, code);
    core.stats.insn_emulation++;
    const exit = emulator.emulate(this, lo, hi, false);
    if (exit === USERSPACE) core.stats.mmio_exits++;
    return exit;
  }

  #withoutRoot(): VcpuExit {
    this.core.warn("Cannot handle a fault: the vCPU has no root");
    return USERSPACE;
  }

  /** What the vCPU does next after a fault that is not simply settled. */
  #exitOf(result: FaultResult, emulator: MmuEmulator): VcpuExit {
    switch (result) {
      case FIXED:
      case SPURIOUS:
      case RETRY:
        return this.mayResume() ? RESUME : NO_PROGRESS;
      case EMULATE:
        return this.#emulate(emulator);
      case FaultResult.NO_MEMORY:
        return VcpuExit.NO_MEMORY;
      case FaultResult.NO_SPACE:
        return VcpuExit.NO_SPACE;
      case FaultResult.BAD_SPTE:
        return VcpuExit.BAD_SPTE;
      default:
        return VcpuExit.BAD_ADDRESS;
    }
  }

  #traceFault(lo: number, hi: number, code: number): void {
    this.core.trace!.emit(Tp.PAGE_FAULT, lo, hi, code >>> 0);
  }

  #emulate(emulator: MmuEmulator): VcpuExit {
    const { fault } = this;
    const { stats } = this.core;
    const { addressLo, addressHi } = fault;
    const isMmio = fault.slot === undefined;
    // The CPU itself writes a guest table (its flags): that cannot be emulated, only be allowed.
    if ((fault.codeHi & GUEST_TABLE) !== 0 && !isMmio && this.#allowTableWrite()) {
      return RESUME;
    }
    stats.insn_emulation++;
    const mayRetry = !isMmio && !this.#role.guestMode;
    const exit = emulator.emulate(this, addressLo, addressHi, mayRetry);
    if (exit === USERSPACE) {
      if (isMmio) stats.mmio_exits++;
      else stats.insn_emulation_fail++;
    }
    return exit;
  }

  #allowTableWrite(): boolean {
    const { fault } = this;
    return this.#isDirect && fault.write && fault.present && this.#tracking.unprotect(fault.gfn);
  }

  #loadDirectRoot(): boolean {
    const { state } = this;
    const core = this.core;
    const role = core.tdp
      ? directRootRole(this.#role, core.rootLevel, core.format.accessed === 0)
      : shadowRootRole(this.#role);
    state.root = this.#direct.acquireRoot(role);
    state.rootLevel = core.tdp ? core.rootLevel : 3;
    state.illegalHi = core.illegalHi | beyondRoot(state.rootLevel);
    return state.root !== 0;
  }

  #dropDirectRoot(): void {
    const { state } = this;
    if (state.root !== 0) this.#direct.releaseRoot(state.root);
    state.root = 0;
    state.forgetTables();
    state.mmioCache.clear();
  }

  #dropObsolete(): void {
    const { root } = this.state;
    if (root !== 0 && isObsolete(this.core, root)) this.#dropDirectRoot();
    this.roots?.dropObsolete();
  }
}

/**
 * Bits of an address's high half that a root of this level would let wrap: PAE tables take 32 bits,
 * four levels 48.
 */
function beyondRoot(level: number): number {
  if (level > 4) return 0;
  return level === 4 ? ~0xffff : ~0;
}
