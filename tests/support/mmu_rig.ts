/**
 * A machine for tests of the MMU: one VM on a host model, with a CPU that walks our tables as
 * hardware does, raises faults and records what leaves the VM.
 */

import { bigFrom32, type Gfn, gfnOf, type Gpa, hi32, lo32 } from "../../src/base/u64.ts";
import { VcpuExit } from "../../src/mmu/fault.ts";
import { tableIndex } from "../../src/mmu/level.ts";
import { LoadResult } from "../../src/mmu/load_result.ts";
import type { Memslot, MemslotConfig } from "../../src/mmu/memslot.ts";
import { Mmu } from "../../src/mmu/mmu.ts";
import type { MmuOptions } from "../../src/mmu/options.ts";
import { Pferr } from "../../src/mmu/pferr.ts";
import { isLeaf, isMmio, isPresent, pfnOf, SpteLo } from "../../src/mmu/spte.ts";
import type { StatName } from "../../src/mmu/stats.ts";
import { TABLE_WORDS } from "../../src/mmu/table_pool.ts";
import type { MmuEmulator, MmuVcpu } from "../../src/mmu/vcpu.ts";
import type { GuestTables } from "../../src/mmu/walk/mod.ts";
import { HostModel, TlbLog } from "./host_model.ts";

/** "r", "w" or "x": read, write, fetch. */
export type Kind = "r" | "w" | "x";

/** How an access ended. */
export interface Outcome {
  /** Done by the CPU, carried out by the emulator, or an error. */
  readonly how: "ok" | "emulated" | VcpuExit;
  /** Faults that it took. */
  readonly faults: number;
}

/** A leaf, or the entry where a walk ended. */
export interface Entry {
  readonly sptep: number;
  readonly level: number;
  readonly lo: number;
  readonly hi: number;
  readonly value: bigint;
  readonly present: boolean;
  readonly mmio: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
  readonly pfn: number;
}

/** What left the VM: the physical address of an MMIO access, and whether it was a write. */
export interface MmioExit {
  readonly physAddr: number;
  readonly kind: Kind;
}

/** Faults after which the CPU gives up: far more than any access needs. */
const MAX_FAULTS = 1000;

/** A guest that has paging off has no tables to read. */
export const NO_TABLES: GuestTables = {
  words: new Uint32Array(0),
  wordOf: () => -1,
  isWritable: () => false,
  markDirty: () => {},
};

/** One VM with one vCPU (more can be added), in direct mode. */
export class Rig implements MmuEmulator {
  readonly host: HostModel;
  readonly mmu: Mmu;
  readonly tlb = new TlbLog();
  readonly vcpu: MmuVcpu;
  readonly exits: MmioExit[] = [];
  readonly warnings: string[] = [];
  /** Cuts the address of MMIO exits to 32 bits, at this boundary only (hunk A of the cover letter). */
  maskExits = false;
  /** Emulated accesses that were not MMIO: read-only slots and tracked pages. */
  readonly emulated: MmioExit[] = [];
  #kind: Kind = "r";

  constructor(options: Partial<MmuOptions> = {}, host = new HostModel()) {
    this.host = host;
    this.mmu = new Mmu({ host, tables: "npt", prefetch: false, ...options });
    this.vcpu = this.mmu.createVcpu(this.tlb, NO_TABLES);
    this.mmu.hooks = { onWarning: (text) => this.warnings.push(text) };
  }

  /** A memslot by addresses in bytes; by default its host pages are the ones of the same number. */
  slot(base: number, bytes: number, more: Partial<MemslotConfig> = {}): Memslot {
    const baseGfn = gfnOf(base as Gpa);
    return this.mmu.setMemslot({
      id: this.mmu.core.spaces[0].all.length,
      baseGfn,
      frames: bytes / 4096,
      hostPage: baseGfn,
      ...more,
    });
  }

  /** One access by the vCPU, with as many faults as it takes. */
  access(address: number, kind: Kind, vcpu: MmuVcpu = this.vcpu): Outcome {
    this.#kind = kind;
    for (let faults = 0; faults < MAX_FAULTS; faults++) {
      if (vcpu.prepare() !== LoadResult.OK) return { how: VcpuExit.NO_MEMORY, faults };
      if (this.#hardwareAllows(vcpu, address, kind)) return { how: "ok", faults };
      const before = this.exits.length + this.emulated.length;
      const exit = this.fault(address, kind, vcpu);
      if (exit === VcpuExit.USERSPACE && this.exits.length + this.emulated.length > before) {
        return { how: "emulated", faults: faults + 1 };
      }
      if (exit !== VcpuExit.RESUME) return { how: exit, faults: faults + 1 };
    }
    throw new Error(`the access to 0x${address.toString(16)} does not end`);
  }

  /** Raises the fault that the hardware would raise now, once. */
  fault(address: number, kind: Kind, vcpu: MmuVcpu = this.vcpu): VcpuExit {
    this.#kind = kind;
    const lo = lo32(address);
    const hi = hi32(address);
    return vcpu.pageFault(lo, hi, this.code(address, kind, vcpu), 1, this);
  }

  /** The error code that the hardware would report now. */
  code(address: number, kind: Kind, vcpu: MmuVcpu = this.vcpu): number {
    let code = Pferr.USER | (kind === "w" ? Pferr.WRITE : kind === "x" ? Pferr.FETCH : 0);
    const entry = this.entry(address, vcpu);
    if (entry.present) code |= Pferr.PRESENT;
    else if (entry.mmio) code |= Pferr.RSVD | Pferr.PRESENT;
    return code;
  }

  emulate(_vcpu: MmuVcpu, lo: number, hi: number, _mayRetry: boolean): VcpuExit {
    const address = (hi >>> 0) * 2 ** 32 + (lo >>> 0);
    const list = this.vcpu.state.slots.visible(gfnOf(address as Gpa)) === undefined
      ? this.exits
      : this.emulated;
    list.push({ physAddr: this.maskExits ? lo >>> 0 : address, kind: this.#kind });
    return VcpuExit.USERSPACE;
  }

  /** Where the walk of our tables for `address` ends. */
  entry(address: number, vcpu: MmuVcpu = this.vcpu): Entry {
    const { words } = this.mmu.core.pool;
    const { format } = this.mmu.core;
    let table = vcpu.state.root;
    let level = vcpu.state.rootLevel;
    for (;;) {
      const sptep = table * TABLE_WORDS + tableIndex(lo32(address), hi32(address), level) * 2;
      const lo = words[sptep];
      const hi = words[sptep + 1];
      const present = isPresent(lo, hi);
      if (!present || isLeaf(lo, level)) {
        return {
          sptep,
          level,
          lo,
          hi,
          value: bigFrom32(lo, hi),
          present,
          mmio: isMmio(hi),
          writable: present && (lo & SpteLo.WRITE) !== 0,
          executable: present &&
            (format.exec !== 0 ? (lo & format.exec) !== 0 : (hi & format.noExecHi) === 0),
          pfn: pfnOf(lo, hi),
        };
      }
      table = pfnOf(lo, hi);
      level--;
    }
  }

  stat(name: StatName): number {
    return this.mmu.stats()[name];
  }

  gfn(address: number): Gfn {
    return gfnOf(address as Gpa);
  }

  #hardwareAllows(vcpu: MmuVcpu, address: number, kind: Kind): boolean {
    const core = this.mmu.core;
    if (address >= 2 ** core.maxPhyAddrBits) return false;
    const entry = this.entry(address, vcpu);
    if (!entry.present || (entry.lo & 1) === 0) return false;
    if (kind === "w" && !entry.writable) return false;
    if (kind === "x" && !entry.executable) return false;
    const dirty = kind === "w" ? core.format.dirty : 0;
    if (core.pml && kind === "w" && (entry.lo & core.format.dirty) === 0) {
      vcpu.state.slots.find(this.gfn(address))!.markDirty(this.gfn(address));
    }
    core.pool.words[entry.sptep] |= core.format.accessed | dirty;
    return true;
  }
}
