/** Page tables of every paging mode in guest memory, and a walker over them. */

import { type Gfn, type Gpa, gpa, PAGE_SIZE } from "../../src/base/u64.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { Access } from "../../src/mmu/pferr.ts";
import { CpuRole, type CpuRoleFields, PagingMode } from "../../src/mmu/role.ts";
import { RegionTables, Walker, type WalkResult } from "../../src/mmu/walk/mod.ts";

/** Flags of an ordinary entry, as bigints. */
export const P = 1n << 0n;
export const W = 1n << 1n;
export const U = 1n << 2n;
export const A = 1n << 5n;
export const D = 1n << 6n;
export const PS = 1n << 7n;
export const G = 1n << 8n;
export const NX = 1n << 63n;
/** Flags of a guest EPT entry. */
export const EPT_R = 1n << 0n;
export const EPT_W = 1n << 1n;
export const EPT_X = 1n << 2n;
export const EPT_A = 1n << 8n;
export const EPT_D = 1n << 9n;

/** A role with everything that matters on, except SMEP, SMAP and protection keys. */
export function roleOf(fields: Partial<CpuRoleFields> = {}): CpuRole {
  return CpuRole.of({
    mode: PagingMode.LEVEL4,
    wp: true,
    smep: false,
    smap: false,
    pke: false,
    pse: true,
    pge: false,
    nxe: true,
    eptAccessedDirty: true,
    eptExecuteOnly: false,
    smm: false,
    guestMode: false,
    maxPhyAddrBits: 40,
    gbPages: true,
    amd: false,
    ...fields,
  });
}

const LEVELS: Readonly<Record<PagingMode, number>> = {
  [PagingMode.NONE]: 0,
  [PagingMode.BITS32]: 2,
  [PagingMode.PAE]: 3,
  [PagingMode.LEVEL4]: 4,
  [PagingMode.LEVEL5]: 5,
  [PagingMode.EPT4]: 4,
  [PagingMode.EPT5]: 5,
};

/** Levels of tables in memory: for PAE the PDPT too. */
export function levelsOf(mode: PagingMode): number {
  return LEVELS[mode];
}

export function isEpt(mode: PagingMode): boolean {
  return mode === PagingMode.EPT4 || mode === PagingMode.EPT5;
}

/** Tables that grow frame by frame from `nextGfn` on, the root first. */
export class TableBuilder {
  readonly root: Gpa;
  #nextGfn: number;

  constructor(readonly memory: GuestMemory, readonly mode: PagingMode, nextGfn = 1) {
    this.root = gpa(nextGfn * PAGE_SIZE);
    this.#nextGfn = nextGfn + 1;
  }

  /** Flags of an entry that points to a table: everything allowed, accessed. */
  get tableFlags(): bigint {
    return isEpt(this.mode) ? EPT_R | EPT_W | EPT_X | EPT_A : P | W | U | A;
  }

  /** Flags of a 4 KiB leaf: everything allowed, accessed and dirty. */
  get leafFlags(): bigint {
    return isEpt(this.mode) ? this.tableFlags | EPT_D : this.tableFlags | D;
  }

  /**
   * Maps the page of `level` that holds `gva` to the one at `frame` (an address), and makes the
   * tables on the way.
   * @param flags Of the leaf; PS comes by itself where the level needs it.
   */
  map(gva: bigint, frame: bigint, level = 1, flags = this.leafFlags): void {
    for (let at = levelsOf(this.mode); at > level; at--) {
      if (this.read(gva, at) !== 0n) continue;
      const table = BigInt(this.#nextGfn++ * PAGE_SIZE);
      const pdpte = this.mode === PagingMode.PAE && at === 3;
      this.write(gva, at, table | (pdpte ? P : this.tableFlags));
    }
    // PSE-36: bits 39:32 of a 4 MiB frame go to bits 20:13 of its entry.
    const wide = this.mode === PagingMode.BITS32 && level === 2;
    const address = wide ? frame & 0xffff_ffffn | (frame >> 32n) << 13n : frame;
    this.write(gva, level, address | flags | (level > 1 ? PS : 0n));
  }

  /** Where the entry of `level` for `gva` lies. */
  entryGpa(gva: bigint, level: number): Gpa {
    let table = BigInt(this.root);
    for (let at = levelsOf(this.mode); at > level; at--) {
      table = this.#readAt(gpa(Number(table) + this.#offset(gva, at))) & 0xf_ffff_ffff_f000n;
    }
    return gpa(Number(table) + this.#offset(gva, level));
  }

  read(gva: bigint, level: number): bigint {
    return this.#readAt(this.entryGpa(gva, level));
  }

  write(gva: bigint, level: number, value: bigint): void {
    const at = this.entryGpa(gva, level);
    if (this.mode === PagingMode.BITS32) this.memory.writeU32(at, Number(value));
    else this.memory.writeU64(at, value);
  }

  /** Sets bits of the entry of `level`. */
  set(gva: bigint, level: number, bits: bigint): void {
    this.write(gva, level, this.read(gva, level) | bits);
  }

  /** Clears bits of the entry of `level`. */
  clear(gva: bigint, level: number, bits: bigint): void {
    this.write(gva, level, this.read(gva, level) & ~bits);
  }

  #readAt(at: Gpa): bigint {
    return this.mode === PagingMode.BITS32
      ? BigInt(this.memory.readU32(at))
      : this.memory.readU64(at);
  }

  #offset(gva: bigint, level: number): number {
    const bits = this.mode === PagingMode.BITS32 ? 10n : 9n;
    const index = gva >> 12n + bits * BigInt(level - 1) & (1n << bits) - 1n;
    return Number(index) * (this.mode === PagingMode.BITS32 ? 4 : 8);
  }
}

/** Memory, tables and a walker over them that has loaded its root. */
export class WalkWorld {
  readonly memory: GuestMemory;
  readonly builder: TableBuilder;
  readonly walker: Walker;
  /** Frames that the walker has marked dirty, in order. */
  readonly dirtied: Gfn[] = [];

  constructor(readonly role: CpuRole, ramBytes = 1 << 20, romBytes = 0) {
    this.memory = GuestMemory.allocate(ramBytes, romBytes);
    this.builder = new TableBuilder(this.memory, role.mode);
    this.walker = new Walker(new RegionTables(this.memory, (gfn) => this.dirtied.push(gfn)));
    this.walker.setRole(role);
    this.loadRoot();
  }

  /** As MOV to CR3 of the builder's root. */
  loadRoot(): void {
    this.walker.setRoot(this.builder.root, 0);
    if (this.role.mode === PagingMode.PAE && !this.walker.loadPdptrs(this.builder.root)) {
      throw new Error("The PDPTEs of the test are bad");
    }
  }

  /** Maps like the builder's `map`, and loads the PDPTEs that it may have changed. */
  map(gva: bigint, frame: bigint, level = 1, flags = this.builder.leafFlags): void {
    this.builder.map(gva, frame, level, flags);
    this.loadRoot();
  }

  /** Walks; returns the result for good access, bad access alike. */
  walk(gva: bigint, access: number = Access.READ): WalkResult {
    this.walker.walk(Number(gva & 0xffff_ffffn), Number(gva >> 32n), access);
    return this.walker.result;
  }
}
