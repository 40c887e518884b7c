import { assert, assertEquals } from "@std/assert";
import { type Gfn, gfnOf, gpa, gpaOf } from "../../../../src/base/u64.ts";
import { LOW_RAM_END } from "../../../../src/memory/guest_memory.ts";
import { Acc, Access } from "../../../../src/mmu/pferr.ts";
import { PagingMode } from "../../../../src/mmu/role.ts";
import {
  type GuestTables,
  MAX_RESTARTS,
  RegionTables,
  Walker,
  WalkFault,
  type WalkTrace,
} from "../../../../src/mmu/walk/mod.ts";
import {
  A,
  D,
  EPT_A,
  EPT_D,
  EPT_R,
  EPT_W,
  EPT_X,
  isEpt,
  NX,
  P,
  PS,
  roleOf,
  TableBuilder,
  U,
  W,
  WalkWorld,
} from "../../../support/guest_tables.ts";

const GVA = 0x4060_1000n;
const ROM_BYTES = 64 * 1024;
const ROM_GFN = (2 ** 32 - ROM_BYTES) / 4096;

const MODES = Object.entries(PagingMode).filter(([, mode]) => mode !== PagingMode.NONE);

/** A world with one page, none of whose entries is accessed or dirty. */
function clean(mode: PagingMode, level = 1): WalkWorld {
  const world = new WalkWorld(roleOf({ mode }));
  world.map(GVA, 0n, level);
  for (let at = level; at <= world.walker.topLevel; at++) {
    world.builder.clear(GVA, at, isEpt(mode) ? EPT_A | EPT_D : A | D);
  }
  return world;
}

/** "A", "D", "AD" or "-" of the entries from the top down to the leaf. */
function flags(world: WalkWorld, leaf = 1): string[] {
  const [accessed, dirty] = isEpt(world.role.mode) ? [EPT_A, EPT_D] : [A, D];
  const all: string[] = [];
  for (let level = world.walker.topLevel; level >= leaf; level--) {
    const entry = world.builder.read(GVA, level);
    const text = ((entry & accessed) === 0n ? "" : "A") + ((entry & dirty) === 0n ? "" : "D");
    all.push(text === "" ? "-" : text);
  }
  return all;
}

Deno.test("check 69: a walk sets A at all levels, and D in the leaf for a write", () => {
  for (const [name, mode] of MODES) {
    for (const leaf of mode === PagingMode.BITS32 || mode === PagingMode.PAE ? [1, 2] : [1, 2, 3]) {
      const world = clean(mode, leaf);
      const above = world.walker.topLevel - leaf;
      const where = `${name}, leaf at level ${leaf}`;
      assertEquals(world.walk(GVA).fault, WalkFault.NONE, where);
      assertEquals(flags(world, leaf), Array(above + 1).fill("A"), where);
      assertEquals(world.walk(GVA, Access.WRITE).fault, WalkFault.NONE, where);
      assertEquals(flags(world, leaf), [...Array(above).fill("A"), "AD"], where);
    }
  }
});

Deno.test("each frame whose entry changes is marked dirty, and no other", () => {
  const world = clean(PagingMode.LEVEL4);
  const frames = [4, 3, 2, 1].map((level) => gfnOf(world.builder.entryGpa(GVA, level)));
  world.walk(GVA);
  assertEquals(world.dirtied, frames);
  world.dirtied.length = 0;
  world.walk(GVA);
  assertEquals(world.dirtied, []);
  world.walk(GVA, Access.WRITE);
  assertEquals(world.dirtied, [frames[3]]);
});

Deno.test("the result shows the entries with the flags that the walk has set", () => {
  const world = clean(PagingMode.LEVEL4);
  const { entries } = world.walk(GVA, Access.WRITE);
  for (let level = 1; level <= 4; level++) {
    const entry = BigInt(entries[level * 2]) | BigInt(entries[level * 2 + 1]) << 32n;
    assertEquals(entry, world.builder.read(GVA, level));
    assertEquals(world.walker.pteGpa(level), world.builder.entryGpa(GVA, level));
    assert(world.walker.entryUnchanged(level));
  }
});

Deno.test("entries in frame 0 are looked at again like any other", () => {
  const memory = new WalkWorld(roleOf()).memory;
  const builder = new TableBuilder(memory, PagingMode.LEVEL4, 0);
  builder.map(GVA, 0x5000n);
  const walker = new Walker(new RegionTables(memory));
  walker.setRole(roleOf());
  walker.setRoot(0, 0);
  assert(walker.walk(Number(GVA), 0, Access.READ));
  assert(walker.entryUnchanged(4));
  builder.clear(GVA, 4, W);
  assert(!walker.entryUnchanged(4));
});

Deno.test("an entry that the guest changes after the walk is seen as changed", () => {
  for (const bit of [W, NX]) {
    const world = clean(PagingMode.LEVEL4);
    world.walk(GVA);
    world.builder.write(GVA, 2, world.builder.read(GVA, 2) ^ bit);
    assert(!world.walker.entryUnchanged(2));
    assert(world.walker.entryUnchanged(1));
  }
  const bits32 = clean(PagingMode.BITS32);
  bits32.walk(GVA);
  bits32.builder.clear(GVA, 1, W);
  assert(!bits32.walker.entryUnchanged(1));
  assert(bits32.walker.entryUnchanged(2));
});

Deno.test("a read through a clean leaf may not be cached as writable", () => {
  for (const [name, mode] of MODES) {
    const world = clean(mode);
    const read = world.walk(GVA);
    assertEquals([read.access, read.cacheAccess], [Acc.ALL, Acc.ALL & ~Acc.WRITE], name);
    const again = world.walk(GVA);
    assertEquals([again.access, again.cacheAccess], [Acc.ALL, Acc.ALL & ~Acc.WRITE], name);
    assertEquals(world.walk(GVA, Access.WRITE).cacheAccess, Acc.ALL, name);
    assertEquals(world.walk(GVA).cacheAccess, Acc.ALL, name);
  }
});

Deno.test("guest EPT without accessed and dirty flags sets none and withholds nothing", () => {
  const world = new WalkWorld(roleOf({ mode: PagingMode.EPT4, eptAccessedDirty: false }));
  world.map(GVA, 0n, 1, EPT_R | EPT_W | EPT_X);
  for (let level = 1; level <= 4; level++) world.builder.clear(GVA, level, EPT_A | EPT_D);
  assertEquals(world.walk(GVA).cacheAccess, Acc.ALL);
  assertEquals(world.walk(GVA, Access.WRITE).fault, WalkFault.NONE);
  assertEquals(flags(world), ["-", "-", "-", "-"]);
});

Deno.test("check 70: a walk that faults sets no flag and marks nothing dirty", () => {
  const spoils: [string, (world: WalkWorld) => void, number][] = [
    ["not present", (world) => world.builder.clear(GVA, 1, P), Access.READ],
    ["reserved", (world) => world.builder.set(GVA, 1, 1n << 45n), Access.READ],
    ["not writable", (world) => world.builder.clear(GVA, 1, W), Access.WRITE],
    ["supervisor", (world) => world.builder.clear(GVA, 3, U), Access.USER],
    ["no execute", (world) => world.builder.set(GVA, 2, NX), Access.FETCH],
    [
      "outside RAM",
      (world) => world.builder.write(GVA, 2, 0x1_0000_0000n | P | W | U),
      Access.READ,
    ],
  ];
  for (const [name, spoil, access] of spoils) {
    const world = clean(PagingMode.LEVEL4);
    spoil(world);
    const before = world.memory.view(gpa(0), 1 << 20).slice();
    assert(world.walk(GVA, access).fault !== WalkFault.NONE, name);
    assertEquals(world.memory.view(gpa(0), 1 << 20).slice(), before, name);
    assertEquals(world.dirtied, [], name);
  }
});

Deno.test("check 71: a walk that loses an entry to the guest starts again and honours the new one", () => {
  const world = clean(PagingMode.LEVEL4);
  let calls = 0;
  world.walker.beforeUpdate = (level) => {
    calls++;
    if (level !== 1 || calls > 4) return;
    world.builder.write(GVA, 1, 0x9000n | P | W | U);
  };
  const result = world.walk(GVA, Access.WRITE);
  assertEquals(result.fault, WalkFault.NONE);
  assertEquals(result.gfn, 9);
  assertEquals(calls, 5, "four levels, then the leaf again");
  assertEquals(world.builder.read(GVA, 1), 0x9000n | P | W | U | A | D);
});

Deno.test("a race that only the high half shows restarts the walk as well", () => {
  const world = clean(PagingMode.LEVEL4);
  world.walker.beforeUpdate = (level) => {
    world.walker.beforeUpdate = null;
    world.builder.set(GVA, level, NX);
  };
  const result = world.walk(GVA, Access.FETCH);
  assertEquals(result.fault, WalkFault.PERMISSION);
});

/** Tables of which another thread stores `entry` anew just after its low half has been read `reads` times. */
function racing(world: WalkWorld, entry: bigint, reads: number): GuestTables {
  const regions = new RegionTables(world.memory);
  const at = world.builder.entryGpa(GVA, 1) / 4;
  let seen = 0;
  const words = new Proxy(regions.words, {
    get(target, key) {
      const value = Reflect.get(target, key, target);
      if (key === String(at) && ++seen === reads) world.builder.write(GVA, 1, entry);
      return value;
    },
  });
  return {
    words,
    wordOf: (gfn) => regions.wordOf(gfn),
    isWritable: () => true,
    markDirty: () => {},
  };
}

Deno.test("an entry that is stored between the loads of its halves is never seen in two parts", () => {
  const full = P | W | U | A | D;
  const [before, after] = [0x1_0000_5000n | full, 0x2_0000_9000n | full];
  const silent = { pagingElement() {}, setAccessedBit() {}, setDirtyBit() {}, walkerError() {} };
  for (const trace of [null, { pagetableWalk() {}, ...silent }]) { // the fast walk and the full one
    const world = new WalkWorld(roleOf());
    world.map(GVA, before & ~0xfffn);
    const walker = new Walker(racing(world, after, 1));
    walker.setRole(world.role);
    walker.setRoot(world.builder.root, 0);
    walker.trace = trace;
    assert(walker.walk(Number(GVA), 0, Access.READ));
    assertEquals(walker.result.gfn, 0x20_0009);
  }
});

Deno.test("a race that takes the page away ends in the guest's fault", () => {
  for (const [name, mode] of MODES) {
    const world = clean(mode);
    world.walker.beforeUpdate = (level) => {
      if (level === 1) world.builder.write(GVA, 1, 0n);
    };
    const result = world.walk(GVA, Access.WRITE);
    assertEquals(result.fault, WalkFault.NOT_PRESENT, name);
    assertEquals(result.errorCode, Access.WRITE, name);
  }
});

Deno.test("a guest that changes an entry under every attempt cannot hold the walk for ever", () => {
  const world = clean(PagingMode.LEVEL4);
  let attempts = 0;
  world.walker.beforeUpdate = (level) => {
    if (level !== 1) return;
    attempts++;
    world.builder.write(GVA, 1, BigInt(attempts % 16) << 12n | P | W | U);
  };
  const result = world.walk(GVA);
  assertEquals(result.fault, WalkFault.CONTENDED);
  assertEquals(result.errorCode, 0);
  assertEquals(attempts, MAX_RESTARTS + 1);
});

Deno.test("a table whose memory is taken away before its flags are set is met again", () => {
  const world = clean(PagingMode.LEVEL4);
  const regions = new RegionTables(world.memory);
  let gone: Gfn | undefined;
  const tables: GuestTables = {
    words: regions.words,
    wordOf: (gfn) => gfn === gone ? -1 : regions.wordOf(gfn),
    isWritable: () => true,
    markDirty: () => {},
  };
  const walker = new Walker(tables);
  walker.setRole(world.role);
  walker.setRoot(world.builder.root, 0);
  walker.beforeUpdate = () => gone = gfnOf(world.builder.entryGpa(GVA, 1));
  assert(!walker.walk(Number(GVA), 0, Access.READ));
  assertEquals(walker.result.fault, WalkFault.OUTSIDE_RAM);
});

Deno.test("check 72: tables in ROM keep the flags they have, and the walk succeeds", () => {
  const world = new WalkWorld(roleOf({ mode: PagingMode.BITS32 }), 1 << 20, ROM_BYTES);
  assert(gpaOf(ROM_GFN as Gfn) > LOW_RAM_END);
  world.builder.write(GVA, 2, BigInt(ROM_GFN) << 12n | P | W | U);
  world.builder.write(GVA, 1, 0x5000n | P | W | U);
  for (const access of [Access.READ, Access.WRITE, Access.WRITE]) {
    assertEquals(world.walk(GVA, access).fault, WalkFault.NONE);
    assertEquals(world.walker.result.gfn, 5);
    assertEquals(flags(world), ["A", "-"]);
    assertEquals(world.dirtied, [1]);
  }
});

Deno.test("a trace sees the walk, its entries, the flags and the error", () => {
  const said: string[] = [];
  const trace: WalkTrace = {
    pagetableWalk: (lo, hi, access) =>
      said.push(`walk ${hi.toString(16)}:${lo.toString(16)} ${access}`),
    pagingElement: (lo, _hi, level) => said.push(`element ${level} ${(lo & 7).toString(2)}`),
    setAccessedBit: (at) => said.push(`accessed ${at.toString(16)}`),
    setDirtyBit: (at) => said.push(`dirty ${at.toString(16)}`),
    walkerError: (code) => said.push(`error ${code}`),
  };
  const world = clean(PagingMode.PAE);
  world.walker.trace = trace;
  world.walk(GVA, Access.WRITE);
  world.walk(GVA + 0x1000n);
  assertEquals(said, [
    "walk 0:40601000 2",
    "element 3 1",
    "element 2 111",
    "element 1 111",
    "accessed 2018",
    "accessed 3008",
    "dirty 3008",
    "walk 0:40602000 0",
    "element 3 1",
    "element 2 111",
    "element 1 0",
    "error 0",
  ]);
});

Deno.test("a walk that nobody disturbs reads each entry once, whatever is in their high halves", () => {
  const world = new WalkWorld(roleOf());
  world.map(GVA, 0x12_3456_7000n, 1, P | W | U | NX);
  for (let level = 2; level <= 4; level++) world.builder.clear(GVA, level, A);
  const levels: number[] = [];
  const silent = { pagetableWalk() {}, setAccessedBit() {}, setDirtyBit() {}, walkerError() {} };
  world.walker.trace = { ...silent, pagingElement: (_lo, _hi, level) => levels.push(level) };
  assertEquals(world.walk(GVA, Access.WRITE).fault, WalkFault.NONE);
  assertEquals(levels, [4, 3, 2, 1]);
});

Deno.test("a global leaf is told, if CR4.PGE is set", () => {
  for (const pge of [false, true]) {
    const world = new WalkWorld(roleOf({ pge }));
    world.map(GVA, 0n, 1, P | W | U | A | D | 1n << 8n);
    world.walk(GVA);
    assertEquals(world.walker.isGlobal, pge);
  }
});

Deno.test("two walkers over one memory see each other's flags", () => {
  const world = clean(PagingMode.LEVEL4);
  const other = new Walker(new RegionTables(world.memory));
  other.setRole(world.role);
  other.setRoot(world.builder.root, 0);
  world.walker.beforeUpdate = () => {
    world.walker.beforeUpdate = null;
    other.walk(Number(GVA), 0, Access.WRITE);
  };
  assertEquals(world.walk(GVA).fault, WalkFault.NONE);
  assertEquals(flags(world), ["A", "A", "A", "AD"]);
});

Deno.test("a 2 MiB leaf of a 32-bit guest's 4 MiB page gets its flags in the one entry it has", () => {
  const world = new WalkWorld(roleOf({ mode: PagingMode.BITS32 }));
  const builder: TableBuilder = world.builder;
  builder.write(0x0040_0000n, 2, 0x0080_0000n | PS | P | W | U);
  assertEquals(world.walk(0x0060_0000n, Access.WRITE).gfn, 0xa00);
  assertEquals(builder.read(0x0040_0000n, 2), 0x0080_0000n | PS | P | W | U | A | D);
});
