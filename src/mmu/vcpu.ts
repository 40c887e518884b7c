/** One vCPU's door to the MMU: roots, faults, and what an exit does with their results. */

import { bigFrom32, frameFrom, type Gfn, hex } from "../base/u64.ts";
import type { MmuCore } from "./core.ts";
import type { DirectEngine } from "./direct/engine.ts";
import { nonpagingPageFault, tdpPageFault } from "./direct/page_fault.ts";
import { type Fault, FaultResult, VcpuExit } from "./fault.ts";
import type { Tlb } from "./host.ts";
import type { SpteMaker } from "./make_spte.ts";
import { mmioFault } from "./mmio_fault.ts";
import { PferrHigh } from "./pferr.ts";
import { RetryGuard } from "./retry_guard.ts";
import { type CpuRole, PagingMode } from "./role.ts";
import { directRootRole, shadowRootRole } from "./root_role.ts";
import { Stat } from "./stats.ts";
import type { TableWalk } from "./table_walk.ts";
import { Tp } from "./trace.ts";
import { VcpuState } from "./vcpu_state.ts";

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
  readonly maker: SpteMaker;
  readonly walk: TableWalk;
  /** Zaps what shadows the guest table `gfn`, so that it can be written; true when anything did. */
  unprotect(gfn: Gfn): boolean;
}

/** One vCPU of an MMU. */
export class MmuVcpu {
  readonly state: VcpuState;
  /** The last fault. */
  readonly fault: Fault;
  readonly #parts: VcpuParts;
  readonly #retryGuard = new RetryGuard();
  #role: CpuRole;
  #result: FaultResult = FaultResult.CONTINUE;

  constructor(index: number, parts: VcpuParts, tlb: Tlb, role: CpuRole) {
    this.#parts = parts;
    this.state = new VcpuState(index, parts.core, parts.maker, tlb);
    this.fault = this.state.fault;
    this.#role = role;
  }

  get role(): CpuRole {
    return this.#role;
  }

  /** True when faults carry guest physical addresses. */
  get isDirect(): boolean {
    return this.#parts.core.tdp || this.#role.mode === PagingMode.NONE;
  }

  /** Takes on the role that the control registers ask for. The same role changes nothing. */
  setRole(role: CpuRole): void {
    if (role === this.#role) return;
    this.#role = role;
    const { state } = this;
    state.slots = this.#parts.core.spaces[role.smm ? 1 : 0];
    state.context++;
    state.mmioCache.clear();
    this.#dropRoot();
    state.tlb.flush();
  }

  /**
   * To be called before the guest runs: carries requests out and sees to a root.
   * @returns false when there is no memory for one.
   */
  prepare(): boolean {
    const { state } = this;
    if (state.requests !== 0) {
      state.requests = 0;
      this.#dropRoot();
      state.tlb.flush();
    }
    return state.root !== 0 || this.#loadRoot();
  }

  /** Gives the root up; a fault before the next `prepare` finds none. */
  unload(): void {
    this.#dropRoot();
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
    const { core } = this.#parts;
    if (!this.state.hasRoot) {
      core.warn("Cannot handle a fault: the vCPU has no root");
      return VcpuExit.USERSPACE;
    }
    const result = this.handleFault(lo, hi, code, codeHigh);
    switch (result) {
      case FaultResult.FIXED:
      case FaultResult.SPURIOUS:
      case FaultResult.RETRY:
        return this.mayResume() ? VcpuExit.RESUME : VcpuExit.NO_PROGRESS;
      case FaultResult.EMULATE:
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

  /** Runs the fault path. The root must be there. Never returns INVALID or CONTINUE. */
  handleFault(lo: number, hi: number, code: number, codeHigh: number): FaultResult {
    const { state, fault } = this;
    const { core, walk } = this.#parts;
    fault.begin(lo, hi, code, codeHigh);
    if (core.trace !== undefined) core.trace.emit(Tp.PAGE_FAULT, lo, hi, code >>> 0);
    if (!core.isLegal(hi) || !this.#rootReaches(hi)) return this.#end(FaultResult.BAD_ADDRESS);
    if (core.hooks !== undefined) core.hooks.afterEntry?.();
    if (fault.reserved) {
      const gfn = frameFrom(lo, hi) as Gfn;
      if (state.mmioCache.matchesGfn(state.slots, gfn)) return FaultResult.EMULATE;
      const known = mmioFault(state, fault, walk, true, state.root, state.rootLevel);
      if (known !== FaultResult.INVALID) return this.#end(known);
    }
    return this.#end(this.#runHandler());
  }

  /** Asks the progress guard after a fault that lets the guest try again. */
  mayResume(): boolean {
    const { state, fault } = this;
    return state.guard.allows(fault, this.#parts.core.changes, state.ripLo, state.ripHi);
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
      if (ready.context !== state.context || !this.prepare()) continue;
      fault.begin(ready.addressLo, ready.addressHi, 0, 0);
      fault.prefault = true;
      this.#runHandler();
    }
  }

  /** True when the emulator should let the guest try again; see `RetryGuard`. */
  retryInstruction(ripLo: number, ripHi: number): boolean {
    const { fault } = this;
    if (!this.#retryGuard.allows(ripLo, ripHi, fault.addressLo, fault.addressHi)) return false;
    return this.#parts.unprotect(frameFrom(fault.addressLo, fault.addressHi) as Gfn);
  }

  /** After a negative `VcpuExit`: one line that names the fault. */
  describeFailure(): string {
    const { fault, state } = this;
    const { core } = this.#parts;
    const start = `Cannot resolve the fault at ${hex(bigFrom32(fault.addressLo, fault.addressHi))}`;
    switch (this.#result) {
      case FaultResult.NO_MEMORY:
        return `${start}: no memory for page tables`;
      case FaultResult.NO_SPACE:
        return `${start}: all ${core.quota} page tables are in use`;
      case FaultResult.BAD_SPTE:
        return `${start}: its SPTE has reserved bits set`;
      case FaultResult.BAD_ADDRESS: {
        if (fault.slot !== undefined) {
          return `${start}: the host has nothing there (memslot ${fault.slot.id})`;
        }
        const reach = state.rootLevel > 4 ? 52 : state.rootLevel === 4 ? 48 : 32;
        const bits = Math.min(core.maxPhyAddrBits, reach);
        return `${start}: expected an address below 2^${bits}`;
      }
      default:
        return state.guard.describe(fault);
    }
  }

  #emulate(emulator: MmuEmulator): VcpuExit {
    const { state, fault, isDirect } = this;
    const { core } = this.#parts;
    const gfn = frameFrom(fault.addressLo, fault.addressHi) as Gfn;
    const tableWrite = (fault.codeHi & PferrHigh.GUEST_TABLE) !== 0 && fault.write && fault.present;
    // The CPU itself writes a guest table (its flags): that cannot be emulated, only be allowed.
    if (isDirect && tableWrite && this.#parts.unprotect(gfn)) return VcpuExit.RESUME;
    const mmio = state.mmioCache.matchesGfn(state.slots, gfn);
    core.counters[Stat.INSN_EMULATION]++;
    const exit = emulator.emulate(
      this,
      fault.addressLo,
      fault.addressHi,
      !mmio && !this.#role.guestMode,
    );
    if (exit === VcpuExit.USERSPACE) {
      if (fault.slot === undefined) core.counters[Stat.MMIO_EXITS]++;
      else core.counters[Stat.INSN_EMULATION_FAIL]++;
    }
    return exit;
  }

  /** False for an address that would wrap in the root's tables: PAE takes 32 bits, 4 levels 48. */
  #rootReaches(hi: number): boolean {
    const { rootLevel } = this.state;
    return rootLevel > 4 || (rootLevel === 4 ? hi >>> 16 : hi) === 0;
  }

  #runHandler(): FaultResult {
    const { core, walk } = this.#parts;
    const { state, fault } = this;
    return core.tdp ? tdpPageFault(state, fault, walk) : nonpagingPageFault(state, fault, walk);
  }

  #end(result: FaultResult): FaultResult {
    this.#result = result;
    return result;
  }

  #loadRoot(): boolean {
    const { state } = this;
    const { core, direct } = this.#parts;
    const role = core.tdp
      ? directRootRole(this.#role, core.rootLevel, core.format.accessed === 0)
      : shadowRootRole(this.#role);
    state.root = direct.acquireRoot(role);
    state.rootLevel = core.tdp ? core.rootLevel : 3;
    return state.root !== 0;
  }

  #dropRoot(): void {
    const { state } = this;
    if (state.root !== 0) this.#parts.direct.releaseRoot(state.root);
    state.root = 0;
  }
}
