/** A four-level guest walk over tables that are warm in the cache; guest_walk.c is its twin. */

import { gpa, lo32 } from "../../src/base/u64.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { Access } from "../../src/mmu/pferr.ts";
import { CpuRole, PagingMode } from "../../src/mmu/role.ts";
import { RegionTables, Walker } from "../../src/mmu/walk/mod.ts";

/** Bytes of the tables' memory. */
const RAM_BYTES = 16 << 20;
/** Tables of the lowest level; each maps 512 pages. */
const TABLES = 16;
/** Present, writable, user, accessed, dirty. */
const FLAGS = 0x67;

/** Walks that a user's write to one page after the other makes. */
export class GuestWalks {
  readonly #walker: Walker;

  constructor() {
    const memory = GuestMemory.allocate(RAM_BYTES);
    const entry = (table: number, index: number, frame: number) =>
      memory.writeU64(gpa(table * 4096 + index * 8), frame * 4096 + FLAGS);
    entry(1, 0, 2);
    entry(2, 0, 3);
    for (let table = 0; table < TABLES; table++) {
      entry(3, table, 4 + table);
      for (let i = 0; i < 512; i++) entry(4 + table, i, table * 512 + i);
    }
    this.#walker = new Walker(new RegionTables(memory));
    this.#walker.setRole(CpuRole.of({
      mode: PagingMode.LEVEL4,
      wp: true,
      smep: false,
      smap: false,
      pke: false,
      pse: false,
      pge: false,
      nxe: true,
      eptAccessedDirty: false,
      eptExecuteOnly: false,
      smm: false,
      guestMode: false,
      maxPhyAddrBits: 46,
      gbPages: true,
      amd: false,
    }));
    this.#walker.setRoot(4096, 0);
  }

  /** Walks `count` times; returns a sum of what was found, cut to 32 bits, so that none is left out. */
  run(count: number): number {
    const walker = this.#walker;
    const { result } = walker;
    const access = Access.WRITE | Access.USER;
    const mask = TABLES * 512 - 1;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const address = (i & mask) << 12;
      if (walker.walk(address, 0, access)) sum = sum + lo32(result.gfn) | 0;
    }
    return sum;
  }
}
