import { assert, assertEquals } from "@std/assert";
import { type Gfn, gfnOf } from "../../../../src/base/u64.ts";
import { GuestMemory } from "../../../../src/memory/guest_memory.ts";
import { Access, Pferr } from "../../../../src/mmu/pferr.ts";
import { type CpuRole, PagingMode } from "../../../../src/mmu/role.ts";
import { NestedWalk, RegionTables, Walker, WalkFault } from "../../../../src/mmu/walk/mod.ts";
import {
  A,
  D,
  EPT_A,
  EPT_D,
  EPT_R,
  EPT_W,
  EPT_X,
  P,
  roleOf,
  TableBuilder,
  U,
  W,
} from "../../../support/guest_tables.ts";

const GVA = 0x7f_1234_5000n;
/** L2 guest physical addresses are this much above the L1 addresses that hold them: over 4 GiB. */
const SHIFT = 0x12_3400_0000n;
/** The L2 page, and the L1 frame that it is in. */
const PAGE = 0x7_6543_2000n;
const PAGE_L1 = 0x5_0000_7000n;

/** A nested guest whose tables lie at SHIFT above their L1 addresses. */
class NestedWorld {
  readonly memory = GuestMemory.allocate(1 << 20);
  /** The tables of the nested guest; they name L2 addresses. */
  readonly inner: TableBuilder;
  /** Its hypervisor's tables. */
  readonly outer: TableBuilder;
  readonly outerWalker: Walker;
  readonly walker: Walker;
  readonly dirtied: Gfn[] = [];

  constructor(inner: CpuRole, outer: CpuRole) {
    const tables = new RegionTables(this.memory, (gfn) => this.dirtied.push(gfn));
    this.inner = new TableBuilder(this.memory, inner.mode, 1);
    this.inner.map(GVA, PAGE);
    this.outer = new TableBuilder(this.memory, outer.mode, 64);
    this.outerWalker = new Walker(tables);
    this.outerWalker.setRole(outer);
    this.outerWalker.setRoot(this.outer.root, 0);
    this.walker = new Walker(tables, new NestedWalk(this.outerWalker));
    this.walker.setRole(inner);
    const root = BigInt(this.inner.root) + SHIFT;
    this.walker.setRoot(Number(root & 0xffff_ffffn), Number(root >> 32n));
    this.outer.map(PAGE, PAGE_L1);
    for (let gfn = 1n; gfn < 32n; gfn++) this.outer.map(gfn * 4096n + SHIFT, gfn * 4096n);
    this.#moveTables(inner.mode === PagingMode.LEVEL5 ? 5 : 4);
  }

  walk(access: number = Access.READ): boolean {
    return this.walker.walk(Number(GVA & 0xffff_ffffn), Number(GVA >> 32n), access);
  }

  /** Address of the inner entry of `level`. */
  at(level: number): bigint {
    return this.#entries[level];
  }
  readonly #entries: bigint[] = [];

  /** Adds SHIFT to every address of a table that the inner tables hold. */
  #moveTables(top: number): void {
    for (let level = 1; level <= top; level++) {
      this.#entries[level] = BigInt(this.inner.entryGpa(GVA, level));
    }
    for (let level = top; level > 1; level--) {
      const address = Number(this.#entries[level]);
      const entry = this.memory.readU64(address as never);
      this.memory.writeU64(address as never, entry + SHIFT);
    }
  }
}

const EPT4 = roleOf({ mode: PagingMode.EPT4 });

Deno.test("check 12: an L2 address above 4 GiB is translated whole, of tables and of the page", () => {
  for (const mode of [PagingMode.LEVEL4, PagingMode.LEVEL5]) {
    for (const outer of [EPT4, roleOf({ mode: PagingMode.EPT5 }), roleOf({})]) {
      const world = new NestedWorld(roleOf({ mode }), outer);
      assert(world.walk(Access.WRITE), `${world.walker.result.nestedGpa}`);
      assertEquals(BigInt(world.walker.result.gfn) << 12n, PAGE_L1);
      for (let level = 1; level <= world.walker.topLevel; level++) {
        assertEquals(BigInt(world.walker.pteGpa(level)), world.at(level));
        assert(world.walker.entryUnchanged(level));
      }
    }
  }
});

Deno.test("a page that the second translation lacks is its fault, at the exact L2 address", () => {
  const world = new NestedWorld(roleOf(), EPT4);
  world.outer.write(PAGE, 1, 0n);
  assert(!world.walker.walk(Number(GVA & 0xffff_ffffn) + 0x123, Number(GVA >> 32n), Access.WRITE));
  const { result } = world.walker;
  assertEquals(result.fault, WalkFault.NESTED);
  assertEquals(BigInt(result.nestedGpa), PAGE + 0x123n);
  assertEquals(result.nestedTable, false);
  assertEquals(result.errorCode, 0);
  assertEquals(world.outerWalker.result.fault, WalkFault.NOT_PRESENT);
  assertEquals(world.outerWalker.result.errorCode, Pferr.WRITE);
});

Deno.test("a table that the second translation lacks is its fault, at the address of the entry", () => {
  for (let level = 1; level <= 4; level++) {
    const world = new NestedWorld(roleOf(), EPT4);
    const entry = world.at(level) + SHIFT;
    world.outer.write(entry, 1, 0n);
    assert(!world.walk());
    assertEquals(BigInt(world.walker.result.nestedGpa), entry);
    assertEquals(world.walker.result.nestedTable, true);
    assertEquals(world.walker.result.level, level);
  }
});

Deno.test("with EPT accessed and dirty flags, reading a table is a write to it", () => {
  const world = new NestedWorld(roleOf(), EPT4);
  const entry = world.at(2) + SHIFT;
  world.outer.clear(entry, 1, EPT_D);
  assert(world.walk());
  assertEquals(world.outer.read(entry, 1) & EPT_D, EPT_D);
  world.outer.clear(entry, 1, EPT_W);
  assert(!world.walk());
  assertEquals(world.walker.result.fault, WalkFault.NESTED);
  assertEquals(world.outerWalker.result.errorCode, Pferr.PRESENT | Pferr.WRITE);
});

Deno.test("without them only setting a flag in the table is a write", () => {
  const world = new NestedWorld(
    roleOf(),
    roleOf({ mode: PagingMode.EPT4, eptAccessedDirty: false }),
  );
  const entry = world.at(1) + SHIFT;
  world.outer.clear(entry, 1, EPT_W);
  assert(world.walk(Access.WRITE), "every flag is set already");
  const inner = world.at(1);
  world.memory.writeU64(Number(inner) as never, PAGE | P | W | U | A);
  assert(world.walk(Access.READ));
  assert(!world.walk(Access.WRITE), "D must be set");
  assertEquals(world.walker.result.fault, WalkFault.NESTED);
  assertEquals(BigInt(world.walker.result.nestedGpa), entry);
  assertEquals(world.memory.readU64(Number(inner) as never), PAGE | P | W | U | A);
});

Deno.test("nested paging of AMD's kind treats every access as a user's", () => {
  const world = new NestedWorld(roleOf(), roleOf({}));
  assert(world.walk());
  world.outer.clear(PAGE, 1, U);
  assert(!world.walk());
  assertEquals(world.outerWalker.result.errorCode, Pferr.PRESENT | Pferr.USER);
});

Deno.test("a fetch and a write need the right of the second translation too", () => {
  const world = new NestedWorld(roleOf(), EPT4);
  world.outer.write(PAGE, 1, PAGE_L1 | EPT_R | EPT_A | EPT_D);
  assert(world.walk(Access.READ));
  assert(!world.walk(Access.WRITE));
  assertEquals(world.outerWalker.result.errorCode, Pferr.PRESENT | Pferr.WRITE);
  assert(!world.walk(Access.FETCH));
  assertEquals(world.outerWalker.result.errorCode, Pferr.PRESENT | Pferr.FETCH);
  world.outer.write(PAGE, 1, PAGE_L1 | EPT_R | EPT_X | EPT_A | EPT_D);
  assert(world.walk(Access.FETCH));
});

Deno.test("the flags of nested tables are set where the tables lie, and their L1 frames marked dirty", () => {
  const world = new NestedWorld(
    roleOf(),
    roleOf({ mode: PagingMode.EPT4, eptAccessedDirty: false }),
  );
  const inner = Number(world.at(1)) as never;
  world.memory.writeU64(inner, PAGE | P | W | U);
  assert(world.walk(Access.WRITE));
  assertEquals(world.memory.readU64(inner), PAGE | P | W | U | A | D);
  assertEquals(world.dirtied, [gfnOf(inner)]);
});

Deno.test("the nested guest's own fault comes before that of the page", () => {
  const world = new NestedWorld(roleOf(), EPT4);
  world.outer.write(PAGE, 1, 0n);
  world.memory.writeU64(Number(world.at(1)) as never, PAGE | P | U | A);
  assert(!world.walk(Access.WRITE | Access.USER));
  assertEquals(world.walker.result.fault, WalkFault.PERMISSION);
});

Deno.test("a nested guest without paging has its addresses translated once", () => {
  const world = new NestedWorld(roleOf(), EPT4);
  const walker = new Walker(new RegionTables(world.memory), new NestedWalk(world.outerWalker));
  world.outer.map(0xfee0_1000n, PAGE_L1);
  assert(walker.walk(0xfee0_1234, 0, Access.WRITE));
  assertEquals(BigInt(walker.result.gfn) << 12n, PAGE_L1);
  assert(!walker.walk(0xfee0_2234, 0, Access.WRITE));
  assertEquals(walker.result.nestedGpa, 0xfee0_2234);
});

Deno.test("PDPTEs of a nested guest are loaded through the second translation, as reads", () => {
  const world = new NestedWorld(roleOf({ mode: PagingMode.LEVEL4 }), EPT4);
  const pae = new TableBuilder(world.memory, PagingMode.PAE, 40);
  pae.map(0x1000n, PAGE);
  const l2 = 0xff00_0000n; // CR3 has 32 bits here
  world.outer.map(l2, BigInt(pae.root), 1, EPT_R | EPT_A);
  const table = BigInt(pae.entryGpa(0x1000n, 2));
  const leafTable = BigInt(pae.entryGpa(0x1000n, 1)) & ~0xfffn;
  world.outer.map(table & ~0xfffn, table & ~0xfffn);
  world.outer.map(leafTable, leafTable);
  world.walker.setRole(roleOf({ mode: PagingMode.PAE }));
  assert(world.walker.loadPdptrs(Number(l2)));
  assert(world.walker.walk(0x1000, 0, Access.READ));
  assertEquals(BigInt(world.walker.result.gfn) << 12n, PAGE_L1);
  world.outer.write(l2, 1, 0n);
  assert(!world.walker.loadPdptrs(Number(l2)));
  assertEquals(world.walker.result.fault, WalkFault.NESTED);
  assertEquals(BigInt(world.walker.result.nestedGpa), l2);
});

Deno.test("EPT flags of a nested walk are set in the hypervisor's tables", () => {
  const world = new NestedWorld(roleOf(), EPT4);
  world.outer.clear(PAGE, 1, EPT_A | EPT_D);
  assert(world.walk(Access.READ));
  assertEquals(world.outer.read(PAGE, 1) & (EPT_A | EPT_D), EPT_A);
  assert(world.walk(Access.WRITE));
  assertEquals(world.outer.read(PAGE, 1) & (EPT_A | EPT_D), EPT_A | EPT_D);
});
