/**
 * A guest with paging for tests of the shadow engine: guest memory with page tables in every format,
 * and a CPU that walks the shadow tables as hardware does with CR0.WP set.
 */

import { type Gfn, gfnOf, type Gpa, hi32, lo32 } from "../../src/base/u64.ts";
import { Cr0, Cr4, Efer } from "../../src/cpu/modes.ts";
import { Cause, VcpuExit } from "../../src/mmu/fault.ts";
import type { Tlb } from "../../src/mmu/host.ts";
import { tableIndex } from "../../src/mmu/level.ts";
import { LoadResult } from "../../src/mmu/load_result.ts";
import { Mmu } from "../../src/mmu/mmu.ts";
import type { MmuOptions } from "../../src/mmu/options.ts";
import { Pferr } from "../../src/mmu/pferr.ts";
import { CpuRole } from "../../src/mmu/role.ts";
import { isLeaf, isMmio, isPresent, pfnOf, SpteLo } from "../../src/mmu/spte.ts";
import type { StatName } from "../../src/mmu/stats.ts";
import { TABLE_WORDS } from "../../src/mmu/table_pool.ts";
import type { MmuEmulator, MmuVcpu } from "../../src/mmu/vcpu.ts";
import type { GuestTables } from "../../src/mmu/walk/mod.ts";
import { HostModel, TlbLog } from "./host_model.ts";
import type { Entry, Kind } from "./mmu_rig.ts";

/** "32": two levels of 4 bytes; "pae"; "4" and "5" levels of long mode. */
export type Paging = "32" | "pae" | "4" | "5";

/** Flags of a guest entry; by default all that is needed for every access. */
export const Flag = {
  P: 1,
  W: 2,
  U: 4,
  A: 0x20,
  D: 0x40,
  PS: 0x80,
  NX: 2n ** 63n,
} as const;
const ALL = Flag.P | Flag.W | Flag.U | Flag.A | Flag.D;

/** How a guest's access ended. */
export interface GuestOutcome {
  /** "fault": the guest gets a page fault of `errorCode`. */
  readonly how: "ok" | "emulated" | "mmio" | "fault" | VcpuExit;
  readonly faults: number;
  readonly errorCode: number;
  /** Frame of the host that an access reached. */
  readonly pfn: number;
}

/** How the guest runs. */
export interface GuestMode {
  readonly paging: Paging;
  readonly wp?: boolean;
  readonly nxe?: boolean;
  readonly smep?: boolean;
  readonly smap?: boolean;
  readonly pse?: boolean;
}

/** The role of a mode. */
export function roleOf(mode: GuestMode): CpuRole {
  const long = mode.paging === "4" || mode.paging === "5";
  const bit = (on: boolean | undefined, value: number, byDefault = true) =>
    on ?? byDefault ? value : 0;
  return CpuRole.fromRegisters(
    Cr0.PE | Cr0.PG | bit(mode.wp, Cr0.WP),
    (mode.paging === "32" ? 0 : Cr4.PAE) | (mode.paging === "5" ? Cr4.LA57 : 0) |
      bit(mode.pse, Cr4.PSE) | bit(mode.smep, Cr4.SMEP, false) | bit(mode.smap, Cr4.SMAP, false),
    (long ? Efer.LMA | Efer.LME : 0) | bit(mode.nxe, Efer.NXE),
    { maxPhyAddrBits: 48, gbPages: true, amd: false },
    false,
    false,
  );
}

/** One VM with guest memory of `frames` frames from 0 on, behind one memslot. */
export class ShadowRig implements MmuEmulator {
  readonly host: HostModel;
  readonly mmu: Mmu;
  readonly tlb = new TlbLog();
  readonly vcpu: MmuVcpu;
  readonly memory: Uint32Array;
  readonly warnings: string[] = [];
  readonly mmioExits: number[] = [];
  mode: GuestMode;
  /** Frames handed out for guest tables. */
  #nextTable: number;
  readonly #frames: number;
  /** What the access that is under way stores: 8 or 4 bytes as two words. */
  #store: readonly number[] = [];
  #address = 0;

  constructor(
    mode: GuestMode,
    options: Partial<MmuOptions> = {},
    host = new HostModel(),
    frames = 4096,
  ) {
    this.host = host;
    this.mode = mode;
    this.#frames = frames;
    this.memory = new Uint32Array(frames * 1024);
    this.#nextTable = 16;
    this.mmu = new Mmu({ host, tables: "shadow", prefetch: false, ...options });
    this.mmu.hooks = { onWarning: (text) => this.warnings.push(text) };
    this.mmu.setMemslot({ id: 0, baseGfn: 0 as Gfn, frames, hostPage: 0 });
    this.vcpu = this.createVcpu();
  }

  createVcpu(tlb: Tlb = this.tlb): MmuVcpu {
    const tables: GuestTables = {
      words: this.memory,
      wordOf: (gfn) =>
        gfn < this.#frames && this.mmu.findMemslot(gfn) !== undefined ? gfn * 1024 : -1,
      isWritable: (gfn) => this.mmu.findMemslot(gfn)?.readOnly === false,
      markDirty: (gfn) => this.mmu.findMemslot(gfn)?.markDirty(gfn),
    };
    const vcpu = this.mmu.createVcpu(tlb, tables);
    vcpu.setRole(roleOf(this.mode));
    return vcpu;
  }

  /** Loads CR3 with the table in frame `gfn`. */
  cr3(gfn: number, vcpu: MmuVcpu = this.vcpu, keepTlb = false): boolean {
    const address = gfn * 4096;
    return vcpu.loadCr3(lo32(address), hi32(address), keepTlb);
  }

  setMode(mode: GuestMode, vcpu: MmuVcpu = this.vcpu): void {
    this.mode = mode;
    vcpu.setRole(roleOf(mode));
  }

  /** A zeroed frame for a guest table. */
  table(): number {
    const gfn = this.#nextTable++;
    this.memory.fill(0, gfn * 1024, (gfn + 1) * 1024);
    return gfn;
  }

  /** An empty set of tables; the frame for CR3. */
  space(): number {
    const root = this.table();
    if (this.mode.paging === "pae") {
      for (let i = 0; i < 4; i++) this.write(root, i, BigInt(this.table()) << 12n | 1n);
    }
    return root;
  }

  get #wide(): boolean {
    return this.mode.paging !== "32";
  }

  get topLevel(): number {
    return { "32": 2, pae: 3, "4": 4, "5": 5 }[this.mode.paging];
  }

  /** Index of `address` in a guest table of `level`. */
  index(address: number, level: number): number {
    if (this.#wide) return tableIndex(lo32(address), hi32(address), level);
    return level === 1 ? Math.floor(address / 4096) % 1024 : Math.floor(address / 2 ** 22);
  }

  /** Writes a guest entry behind the MMU's back, as the set-up of a guest does. */
  write(gfn: number, index: number, value: bigint): void {
    if (!this.#wide) {
      this.memory[gfn * 1024 + index] = Number(value & 0xffff_ffffn);
      return;
    }
    this.memory[gfn * 1024 + index * 2] = Number(value & 0xffff_ffffn);
    this.memory[gfn * 1024 + index * 2 + 1] = Number(value >> 32n);
  }

  read(gfn: number, index: number): bigint {
    if (!this.#wide) return BigInt(this.memory[gfn * 1024 + index]);
    return BigInt(this.memory[gfn * 1024 + index * 2 + 1]) << 32n |
      BigInt(this.memory[gfn * 1024 + index * 2]);
  }

  /** Frame of the guest table of `level` that translates `address`, made if it is not there. */
  tableFor(root: number, address: number, level: number): number {
    let gfn = root;
    for (let at = this.topLevel; at > level; at--) {
      const index = this.index(address, at);
      const entry = this.read(gfn, index);
      if ((entry & 1n) === 0n) {
        const child = this.table();
        const flags = at === 3 && this.mode.paging === "pae" ? 1 : ALL & ~Flag.D;
        this.write(gfn, index, BigInt(child) << 12n | BigInt(flags));
        gfn = child;
      } else gfn = Number(entry >> 12n & 0xff_ffff_ffffn);
    }
    return gfn;
  }

  /** Maps a linear address to a guest frame. */
  map(
    root: number,
    address: number,
    gfn: number,
    flags: number = ALL,
    level = 1,
    nx = false,
  ): void {
    const table = this.tableFor(root, address, level);
    const ps = level > 1 ? Flag.PS : 0;
    this.write(
      table,
      this.index(address, level),
      BigInt(gfn) << 12n | BigInt(flags | ps) | (nx ? Flag.NX : 0n),
    );
  }

  /** An access of a user (or the kernel), with as many faults as it takes. */
  access(
    address: number,
    kind: Kind,
    user = true,
    vcpu: MmuVcpu = this.vcpu,
    store: readonly number[] = [],
  ): GuestOutcome {
    this.#store = store;
    this.#address = address;
    for (let faults = 0; faults < 300; faults++) {
      const loaded = vcpu.prepare();
      if (loaded !== LoadResult.OK) throw new Error(`roots: ${loaded}`);
      const entry = this.entry(address, vcpu);
      if (this.#allows(entry, kind, user)) {
        const dirty = kind === "w" ? 0x60 : 0x20;
        this.mmu.core.pool.words[entry.sptep] |= dirty;
        const offset = entry.level === 1
          ? 0
          : Math.floor(address / 4096) % 512 ** (entry.level - 1);
        const pfn = entry.pfn + offset;
        if (this.#store.length > 0) this.#carryOut(this.host.pageOf(pfn), address);
        return { how: "ok", faults, errorCode: 0, pfn };
      }
      const mmioBefore = this.mmioExits.length;
      const exit = vcpu.pageFault(
        lo32(address),
        hi32(address),
        this.code(entry, kind, user),
        0,
        this,
      );
      const guestFault = vcpu.shadow!.guestFault;
      if (guestFault.pending && vcpu.fault.cause === Cause.GUEST_EXCEPTION) {
        guestFault.pending = false;
        return { how: "fault", faults: faults + 1, errorCode: guestFault.errorCode, pfn: -1 };
      }
      if (exit === VcpuExit.USERSPACE) {
        const how = this.mmioExits.length > mmioBefore ? "mmio" : "emulated";
        return { how, faults: faults + 1, errorCode: 0, pfn: -1 };
      }
      if (exit !== VcpuExit.RESUME) return { how: exit, faults: faults + 1, errorCode: 0, pfn: -1 };
    }
    throw new Error(`the access to 0x${address.toString(16)} does not end`);
  }

  /** The guest stores an entry through a linear address. */
  storeEntry(address: number, value: bigint, vcpu: MmuVcpu = this.vcpu): GuestOutcome {
    const words = [Number(value & 0xffff_ffffn)];
    if (this.#wide) words.push(Number(value >> 32n));
    return this.access(address, "w", false, vcpu, words);
  }

  emulate(vcpu: MmuVcpu): VcpuExit {
    const { gfn, slot } = vcpu.fault;
    if (slot === undefined || slot.invalid) {
      this.mmioExits.push(gfn * 4096);
      return VcpuExit.USERSPACE;
    }
    if (!slot.readOnly) {
      this.#carryOut(gfn, this.#address);
      const gpa = gfn * 4096 + this.#address % 4096;
      vcpu.wrote(lo32(gpa), hi32(gpa), Math.max(4, this.#store.length * 4));
    }
    return VcpuExit.USERSPACE;
  }

  code(entry: Entry, kind: Kind, user: boolean): number {
    let code = user ? Pferr.USER : 0;
    if (kind === "w") code |= Pferr.WRITE;
    if (kind === "x") code |= Pferr.FETCH;
    if (entry.mmio) code |= Pferr.PRESENT | Pferr.RSVD;
    else if (entry.present) code |= Pferr.PRESENT;
    return code;
  }

  /** Where the walk of the shadow tables for `address` ends. */
  entry(address: number, vcpu: MmuVcpu = this.vcpu): Entry {
    const { words } = this.mmu.core.pool;
    const shadow = vcpu.shadow!;
    const direct = vcpu.isDirect;
    let table = direct ? vcpu.state.root : shadow.topTable(lo32(address));
    let level = direct ? vcpu.state.rootLevel : shadow.topLevel;
    let sptep = table * TABLE_WORDS + tableIndex(lo32(address), hi32(address), level) * 2;
    while (
      table !== 0 && isPresent(words[sptep], words[sptep + 1]) && !isLeaf(words[sptep], level)
    ) {
      table = pfnOf(words[sptep], words[sptep + 1]);
      level--;
      sptep = table * TABLE_WORDS + tableIndex(lo32(address), hi32(address), level) * 2;
    }
    const lo = table === 0 ? 0 : words[sptep];
    const hi = table === 0 ? 0 : words[sptep + 1];
    return {
      sptep,
      level,
      lo,
      hi,
      value: BigInt(hi >>> 0) << 32n | BigInt(lo >>> 0),
      present: isPresent(lo, hi),
      mmio: isMmio(hi),
      writable: (lo & SpteLo.WRITE) !== 0,
      executable: hi >= 0,
      pfn: pfnOf(lo, hi),
    };
  }

  stat(name: StatName): number {
    return this.mmu.stats()[name];
  }

  gfn(address: number): Gfn {
    return gfnOf(address as Gpa);
  }

  /** The hardware's own check: CR0.WP is set whatever the guest thinks. */
  #allows(entry: Entry, kind: Kind, user: boolean): boolean {
    if (!entry.present || (entry.lo & 1) === 0) return false;
    const ofUser = (entry.lo & 4) !== 0;
    if (user && !ofUser) return false;
    if (kind === "w" && !entry.writable) return false;
    if (kind === "x" && !entry.executable) return false;
    if (!user && ofUser && kind === "x" && this.mode.smep === true) return false;
    return !(!user && ofUser && kind !== "x" && this.mode.smap === true &&
      !this.vcpu.state.smapSuspended);
  }

  #carryOut(gfn: number, address: number): void {
    if (gfn < 0 || gfn >= this.#frames) return;
    this.#store.forEach((word, i) => {
      this.memory[gfn * 1024 + Math.floor(address % 4096 / 4) + i] = word;
    });
  }
}
