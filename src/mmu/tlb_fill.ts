/**
 * For an engine with a TLB in software: one call walks our tables as hardware would, sets the
 * accessed and dirty flags, takes the faults it needs and says what the TLB may keep.
 */

import type { Gfn, Pfn } from "../base/u64.ts";
import { Cause, FaultResult } from "./fault.ts";
import { entryOffset, offsetInBlock } from "./level.ts";
import { LoadResult } from "./load_result.ts";
import { Access, Pferr } from "./pferr.ts";
import { isAllowed, isMmio, isPresent, pfnOf, SpteLo } from "./spte.ts";
import type { MmuVcpu } from "./vcpu.ts";

/** How a fill ended. */
export const FillResult = {
  /** The record says what to keep. */
  OK: 32,
  /** There is no memory: `gfn` goes to a device. Keep nothing. */
  MMIO: 33,
  /** Memory, but the access has to be carried out for the guest: a read-only slot or a tracked page. */
  EMULATE: 34,
  /** The guest gets the page fault in `shadow.guestFault`. */
  GUEST_FAULT: 35,
  /** The page is on its way and the guest has nothing else to do: halt the vCPU. */
  HALT: 36,
  /** CR3 points outside the guest's memory. */
  TRIPLE_FAULT: 37,
  /** `describeFailure` says why it cannot go on. */
  ERROR: 38,
} as const;
/** How a fill ended. */
export type FillResult = typeof FillResult[keyof typeof FillResult];

/** Faults that one fill takes at most; far more than any explained sequence needs. */
const MAX_FAULTS = 1000;

/** Fills the TLB of one vCPU. Its fields hold the last answer. */
export class TlbFill {
  /** Frame of the host that holds the 4 KiB page. */
  pfn: Pfn = 0 as Pfn;
  /** Frame of the guest. */
  gfn: Gfn = 0 as Gfn;
  /** Page size: 1, 2 or 3. The rights hold for all of it. */
  level = 1;
  /** May be written without another fill. */
  writable = false;
  executable = false;
  /** User accesses may use it (always true when faults carry physical addresses). */
  user = true;
  readonly #vcpu: MmuVcpu;

  constructor(vcpu: MmuVcpu) {
    this.#vcpu = vcpu;
  }

  /**
   * Translates `hi:lo`: a guest physical address when the vCPU `isDirect`, else a linear one.
   * @param access `accessWord` of the access; for physical addresses only WRITE and FETCH count.
   */
  fill(lo: number, hi: number, access: number): FillResult {
    const vcpu = this.#vcpu;
    for (let faults = 0; faults < MAX_FAULTS; faults++) {
      const loaded = vcpu.prepare();
      if (loaded !== LoadResult.OK) {
        return loaded === LoadResult.TRIPLE_FAULT ? FillResult.TRIPLE_FAULT : FillResult.ERROR;
      }
      const code = this.#hardwareWalk(lo, hi, access);
      if (code < 0) return FillResult.OK;
      vcpu.state.smapSuspended = (access & Access.SMAP_SUSPENDED) !== 0;
      const result = vcpu.handleFault(lo, hi, code, 0);
      const ended = this.#judge(result);
      if (ended !== undefined) return ended;
    }
    return FillResult.ERROR;
  }

  /** -1 and the record filled in, or the error code of the fault that hardware raises. */
  #hardwareWalk(lo: number, hi: number, access: number): number {
    const { state, shadow, isDirect } = this.#vcpu;
    const { pool, format } = state.core;
    const { words } = pool;
    const kind = access & (Access.WRITE | Access.FETCH);
    const code = isDirect ? kind | Pferr.USER : kind | access & Access.USER;
    if (isDirect && (hi & state.illegalHi) !== 0) return code; // the fault path names the address
    let level = 1;
    let sptep = (state.lastTable << 10) + entryOffset(lo, hi, level);
    if (!isDirect || !state.isInTable(lo, hi)) {
      level = isDirect ? state.rootLevel : shadow!.topLevel;
      const top = isDirect ? state.root : shadow!.topTable(lo);
      if (top === 0) return code;
      sptep = (top << 10) + entryOffset(lo, hi, level);
      // Above level 1 there are only tables and large leaves, which are never zero; a table's number
      // fits in bits 31:12.
      for (; level > 1; level--) {
        const entry = words[sptep];
        if (entry === 0 || (entry & SpteLo.LARGE) !== 0) break;
        sptep = (entry >>> 12 << 10) + entryOffset(lo, hi, level - 1);
      }
      if (isDirect && level === 1) state.keepTable(sptep, lo, hi);
    }
    const slo = words[sptep];
    const shi = words[sptep + 1];
    if (!isPresent(slo, shi)) return isMmio(shi) ? code | Pferr.PRESENT | Pferr.RSVD : code;
    const write = (access & Access.WRITE) !== 0;
    const fetch = (access & Access.FETCH) !== 0;
    if (
      !isAllowed(format, slo, shi, fetch, write) || (!isDirect && !this.#userRule(slo, access))
    ) return code | Pferr.PRESENT;
    const flags = slo | format.accessed | (write ? format.dirty : 0);
    this.#keep(flags, shi, lo, hi, level, sptep);
    if (flags !== slo) {
      words[sptep] = flags;
      if (write) this.#logWrite();
    }
    return -1;
  }

  /** U, SMEP and SMAP (SDM 3A §4.6.1). */
  #userRule(slo: number, access: number): boolean {
    const ofUser = (slo & 4) !== 0;
    if ((access & Access.USER) !== 0) return ofUser;
    const { role } = this.#vcpu;
    if (!ofUser) return true;
    if ((access & Access.FETCH) !== 0) return !role.smep;
    return !role.smap || (access & Access.SMAP_SUSPENDED) !== 0;
  }

  #keep(
    slo: number,
    shi: number,
    lo: number,
    hi: number,
    level: number,
    sptep: number,
  ): void {
    const { isDirect, shadow } = this.#vcpu;
    const { format } = this.#vcpu.state.core;
    // The address's own frame gives the offset: both sides of a large page agree in it.
    const address = ((hi & 0xf_ffff) * 0x10_0000 + (lo >>> 12)) as Gfn;
    const offset = offsetInBlock(address, level);
    this.pfn = pfnOf(slo, shi) + offset as Pfn;
    this.gfn = isDirect ? address : shadow!.shadow.gfnOfEntry(sptep) + offset as Gfn;
    this.level = level;
    this.writable = (slo & SpteLo.WRITE) !== 0 &&
      (format.dirty === 0 || (slo & format.dirty) !== 0);
    this.executable = format.exec !== 0 ? (slo & format.exec) !== 0 : (shi & format.noExecHi) === 0;
    this.user = isDirect || (slo & 4) !== 0;
  }

  /** The dirty flag has just been set: under PML that is what logs the write. */
  #logWrite(): void {
    const { state } = this.#vcpu;
    if (state.core.pml) state.slots.find(this.gfn)?.markDirty(this.gfn);
  }

  /** What a fault's result means for a fill; undefined: walk again. */
  #judge(result: FaultResult): FillResult | undefined {
    const vcpu = this.#vcpu;
    const { fault, state } = vcpu;
    switch (result) {
      case FaultResult.FIXED:
      case FaultResult.SPURIOUS:
      case FaultResult.RETRY:
        if (fault.cause === Cause.GUEST_EXCEPTION) return FillResult.GUEST_FAULT;
        if (fault.cause === Cause.ASYNC_QUEUED && state.asyncFaults.haltRequested) {
          return FillResult.HALT;
        }
        return vcpu.mayResume() ? undefined : FillResult.ERROR;
      case FaultResult.EMULATE:
        this.gfn = fault.gfn;
        return fault.slot === undefined ? FillResult.MMIO : FillResult.EMULATE;
      default:
        return FillResult.ERROR;
    }
  }
}
