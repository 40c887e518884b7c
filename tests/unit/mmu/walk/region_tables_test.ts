import { assert, assertEquals } from "@std/assert";
import { type Gfn, gfnOf, gpa } from "../../../../src/base/u64.ts";
import { GuestMemory } from "../../../../src/memory/guest_memory.ts";
import { Access } from "../../../../src/mmu/pferr.ts";
import { type GuestTables, RegionTables, Walker } from "../../../../src/mmu/walk/mod.ts";
import { NX, roleOf, W, WalkWorld } from "../../../support/guest_tables.ts";

const ROM_BYTES = 4 * 4096;

Deno.test("each frame of RAM and firmware is found at its word, and no frame outside them", () => {
  const memory = GuestMemory.allocate(1 << 20, ROM_BYTES);
  const tables = new RegionTables(memory);
  for (const region of memory.regions) {
    for (let offset = 0; offset < region.sizeBytes; offset += 4096) {
      const address = gpa(region.gpa + offset);
      memory.writeU32(address, 0x1234_5678 + offset);
      const word = tables.wordOf(gfnOf(address));
      assertEquals(tables.words[word], 0x1234_5678 + offset);
      assertEquals(tables.isWritable(gfnOf(address)), !region.readOnly);
    }
    const outside = [region.gpa / 4096 - 1, (region.gpa + region.sizeBytes) / 4096];
    for (const gfn of outside.filter((each) => each >= 0)) {
      assertEquals(tables.wordOf(gfn as Gfn), -1);
      assert(!tables.isWritable(gfn as Gfn));
    }
  }
  for (const gfn of [2 ** 20, 2 ** 31, 2 ** 32, 2 ** 40 - 1]) {
    assertEquals(tables.wordOf(gfn as Gfn), -1);
  }
});

/** Walks that count how often they ask for a frame. */
function counted(world: WalkWorld): { walker: Walker; asked: () => number } {
  const regions = new RegionTables(world.memory);
  let count = 0;
  const tables: GuestTables = {
    words: regions.words,
    wordOf(gfn) {
      count++;
      return regions.wordOf(gfn);
    },
    isWritable: (gfn) => regions.isWritable(gfn),
    markDirty: () => {},
  };
  const walker = new Walker(tables);
  walker.setRole(world.role);
  walker.setRoot(world.builder.root, 0);
  const asked = () => {
    const before = count;
    count = 0;
    return before;
  };
  return { walker, asked };
}

Deno.test("an ordinary walk reads each table once", () => {
  for (const [level, tables] of [[1, 4], [2, 3], [3, 2]]) {
    for (const fields of [{}, { amd: true }, { pke: true }, { smep: true, smap: true }]) {
      const world = new WalkWorld(roleOf({ ...fields, maxPhyAddrBits: 52 }));
      world.map(0n, 0x7_ff00_4000_0000n, level);
      const { walker, asked } = counted(world);
      for (const access of [Access.USER, Access.USER | Access.WRITE, Access.USER | Access.FETCH]) {
        assert(walker.walk(0, 0, access));
        assertEquals(asked(), tables, `level ${level}, access ${access}`);
      }
      world.builder.clear(0n, level, W);
      world.builder.set(0n, 4, NX);
      assert(walker.walk(0x1000 * (level - 1), 0, Access.USER));
      assertEquals(asked(), tables, `level ${level}, read-only`);
    }
  }
});
