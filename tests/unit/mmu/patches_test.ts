/** The sixteen patches of "KVM: x86: MMU page fault clean-up", one observable test each. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Gfn } from "../../../src/base/u64.ts";
import { VcpuExit } from "../../../src/mmu/fault.ts";
import { blockStart, FRAMES_AT, type Level } from "../../../src/mmu/level.ts";
import { maxLevel } from "../../../src/mmu/max_level.ts";
import { Memslot } from "../../../src/mmu/memslot.ts";
import { MtrrMap } from "../../../src/mmu/mtrr.ts";
import { availableTables, makeTablesAvailable } from "../../../src/mmu/reclaim.ts";
import { RetryGuard } from "../../../src/mmu/retry_guard.ts";
import { MmuTrace } from "../../../src/mmu/trace.ts";
import { BASE_PFN, HostModel } from "../../support/host_model.ts";
import { type Kind, NO_TABLES, Rig } from "../../support/mmu_rig.ts";
import { Random, seed } from "../../support/random.ts";

const GIB = 2 ** 30;
const MIB = 2 ** 20;

Deno.test("patch 01: a fault address keeps bits 63:32 from entry to SPTE and exit", () => {
  const rig = new Rig();
  rig.slot(0, 512 * MIB);
  const address = 0x80_fee0_1000;
  assertEquals(rig.access(address, "r"), { how: "emulated", faults: 1 });
  assertEquals(rig.exits, [{ physAddr: address, kind: "r" }]);
  assert(rig.entry(address).mmio);
  assertEquals(Number(rig.entry(address).value >> 12n & 0xfff_ffffn), 0x80f_ee01);
  assertEquals(rig.entry(0xfee0_1000).value, 0n, "nothing at the low alias");

  const guard = new RetryGuard();
  assert(guard.allows(0x1000, 0, 0xfee0_1000, 0x80));
  assert(!guard.allows(0x1000, 0, 0xfee0_1000, 0x80), "a repeated high address is recognised");
  assert(guard.allows(0x1000, 0, 0xfee0_1000, 0x81), "and told from its alias");
});

Deno.test("patch 02: tables are recycled below 5 free ones, oldest first, until 25 are free", () => {
  const rig = new Rig({ maxTables: 70 });
  rig.slot(0, GIB);
  const { core } = rig.mmu;
  // Root, level 3 and level 2 are three tables; each access adds one of level 1.
  let next = 0;
  const fill = (free: number) => {
    while (availableTables(core) > free) rig.access(2 * MIB * next++, "r");
  };
  fill(5);
  assert(makeTablesAvailable(core));
  assertEquals(rig.stat("mmu_recycled"), 0, "5 free ones are enough");
  fill(4);
  assert(rig.entry(0).present);
  assert(makeTablesAvailable(core));
  assertEquals(availableTables(core), 25);
  assertEquals(rig.stat("mmu_recycled"), 21);
  for (let i = 0; i < next; i++) {
    assertEquals(rig.entry(2 * MIB * i).present, i >= 21, `block ${i}: oldest first`);
  }
});

Deno.test("patch 02: a quota that cannot be kept is an error, not a retry", () => {
  const rig = new Rig({ maxTables: 64 });
  rig.slot(0, GIB);
  rig.vcpu.prepare();
  const { pool } = rig.mmu.core;
  pool.reserve(100);
  // Roots that vCPUs hold cannot be recycled.
  const role = pool.role[rig.vcpu.state.root];
  while (pool.used < 64) pool.rootCount[pool.allocate(0 as Gfn, role as never, 0, 0)] = 1;
  assertEquals(rig.fault(0x1000, "r"), VcpuExit.NO_SPACE);
  assertStringIncludes(rig.vcpu.describeFailure(), "64 page tables");
  assertEquals(rig.host.references.size, 0);
});

Deno.test("patch 03: with paging off address 0x1234 maps frame 1", () => {
  const rig = new Rig({ tables: "shadow" });
  rig.slot(0, MIB);
  assertEquals(rig.access(0x1234, "r"), { how: "ok", faults: 1 });
  assertEquals(rig.vcpu.fault.gfn as number, 1);
  assertEquals(rig.entry(0x1000).pfn as number, BASE_PFN + 1);
  assert(!rig.entry(0).present && !rig.entry(0x2000).present);
});

Deno.test("patch 04: one handler serves paging off, whatever the guest's role", () => {
  const rig = new Rig({ tables: "shadow" });
  rig.slot(0, MIB);
  const other = rig.mmu.createVcpu(rig.tlb, NO_TABLES);
  rig.access(0x3000, "w");
  assertEquals(rig.access(0x3000, "w", other), { how: "ok", faults: 0 }, "it has the same root");
  assertEquals(rig.vcpu.state.root, other.state.root);
});

/** The search before patch 5: try 2 MiB, then test the chosen level again. */
function oldMtrrLevel(mtrr: MtrrMap, gfn: Gfn, wanted: number): number {
  const uniform = (level: number) => mtrr.isUniform(blockStart(gfn, level), FRAMES_AT[level]);
  if (!uniform(2)) return 1;
  return wanted > 2 && !uniform(wanted) ? 2 : wanted;
}

Deno.test("patch 05: the largest uniform memory type decides, as the old search did", () => {
  const random = new Random(seed(5));
  for (let round = 0; round < 3000; round++) {
    const ranges = Array.from({ length: random.below(4) }, () => {
      const size = random.pick([1, 16, 512, 1024, 2 ** 18]);
      return {
        baseGfn: random.below(2 ** 20 / size) * size as Gfn,
        frames: size,
        type: random.pick([0, 1, 4, 5, 6]),
      };
    });
    const mtrr = new MtrrMap(ranges);
    const gfn = random.below(2 ** 20) as Gfn;
    assertEquals(
      mtrr.largestUniformLevel(gfn, 3),
      oldMtrrLevel(mtrr, gfn, 3),
      `seed ${random.seed}, gfn ${gfn}, ${JSON.stringify(ranges)}`,
    );
  }
  const hole = new MtrrMap([{ baseGfn: 0 as Gfn, frames: 512, type: 0 }]);
  assertEquals(hole.largestUniformLevel(100 as Gfn, 3), 2, "uniform at 2 MiB, not at 1 GiB");
  const inside = new MtrrMap([{ baseGfn: 0 as Gfn, frames: 100, type: 0 }]);
  assertEquals(inside.largestUniformLevel(100 as Gfn, 3), 1, "mixed within 2 MiB");
});

Deno.test("patch 06: the search from above agrees with the search from below, since limits nest", () => {
  const random = new Random(seed(6));
  const fromBelow = (slot: Memslot, gfn: Gfn) => {
    let level = 1;
    while (level < 3 && slot.large.allows(gfn, level + 1)) level++;
    return level;
  };
  for (let round = 0; round < 300; round++) {
    const baseGfn = random.below(2 ** 19) as Gfn;
    const frames = 1 + random.below(2 ** 20);
    const hostPage = random.oneIn(2) ? baseGfn : random.below(2 ** 20);
    const slot = new Memslot({ id: 0, baseGfn, frames, hostPage }, 0);
    const raised: Gfn[] = [];
    for (let i = 0; i < 40; i++) {
      if (raised.length > 0 && random.oneIn(3)) slot.large.allow(raised.pop()!);
      else {
        raised.push(baseGfn + random.below(frames) as Gfn);
        slot.large.disallow(raised[raised.length - 1]);
      }
      assertEquals(slot.large.findBreach(), undefined, `seed ${random.seed}`);
      const gfn = baseGfn + random.below(frames) as Gfn;
      assertEquals(maxLevel(gfn, 3, slot, 3), fromBelow(slot, gfn), `seed ${random.seed}`);
    }
  }
});

Deno.test("patch 07: a missing, invalid or logged slot forces 4 KiB, paging off at most 2 MiB", () => {
  const slot = new Memslot({ id: 0, baseGfn: 0 as Gfn, frames: 2 ** 19, hostPage: 0 }, 0);
  assertEquals(maxLevel(0 as Gfn, 3, undefined, 3), 1);
  assertEquals(maxLevel(0 as Gfn, 3, slot, 3), 3);
  slot.setLogging(true);
  assertEquals(maxLevel(0 as Gfn, 3, slot, 3), 1);
  slot.setLogging(false);
  slot.invalid = true;
  assertEquals(maxLevel(0 as Gfn, 3, slot, 3), 1);

  const logged = new Rig({}, new HostModel(2));
  logged.slot(0, GIB, { logDirty: true });
  logged.access(0, "r");
  assertEquals(logged.entry(0).level, 1);
  assertEquals(logged.vcpu.fault.requestedLevel, 1);

  const nonpaging = new Rig({ tables: "shadow" }, new HostModel(3));
  nonpaging.slot(0, GIB);
  nonpaging.access(0, "r");
  assertEquals(nonpaging.entry(0).level, 2);
});

Deno.test("patch 09: the host's level is clamped to what slot and memory types allow", () => {
  const slot = new Rig({}, new HostModel(3));
  slot.slot(0, GIB + 2 * MIB);
  slot.access(GIB, "r");
  assertEquals(slot.entry(GIB).level, 2, "the slot ends inside the second GiB");

  const ranges = [{ baseGfn: 0 as Gfn, frames: 512, type: 0 }];
  const mtrr = new Rig({ mtrr: new MtrrMap(ranges) }, new HostModel(3));
  mtrr.slot(0, GIB);
  mtrr.access(4 * MIB, "r");
  assertEquals(mtrr.entry(4 * MIB).level, 2);
});

Deno.test("patch 09: limits that change before the lock are obeyed", () => {
  for (const before of [0, 1]) {
    const rig = new Rig({}, new HostModel(2));
    const slot = rig.slot(0, GIB);
    if (before === 1) slot.large.disallow(0 as Gfn);
    rig.mmu.hooks = {
      beforeLock: () => {
        if (before === 1) slot.large.allow(0 as Gfn);
        else slot.large.disallow(0 as Gfn);
        rig.mmu.hooks = undefined;
      },
    };
    rig.access(0x1000, "w");
    assertEquals(rig.entry(0x1000).level, before === 1 ? 2 : 1);
    assert(rig.entry(0x1000).writable);
  }
});

Deno.test("patch 10: an NX split is counted for stage 2, not with paging off", () => {
  for (const tables of ["npt", "ept", "shadow"] as const) {
    const rig = new Rig({ tables, nxHugePages: true }, new HostModel(2));
    rig.slot(0, GIB);
    rig.access(0x1000, "x");
    assertEquals(rig.entry(0x1000).level, 1);
    assertEquals(rig.stat("nx_lpage_splits"), tables === "shadow" ? 0 : 1);
  }
});

Deno.test("patch 11: stage 2 and paging off map the same, but for splits and the MMIO address", () => {
  const random = new Random(seed(11));
  const rigs = (["npt", "shadow"] as const).map((tables) => {
    const host = new HostModel(1);
    for (let block = 0; block < 16; block += 2) {
      for (let i = 0; i < 512; i++) host.set(block * 512 + i, { level: 2 });
    }
    const rig = new Rig({ tables, nxHugePages: true, prefetch: true }, host);
    rig.slot(0, 16 * MIB);
    rig.slot(24 * MIB, 8 * MIB + 0x3000, { readOnly: true });
    return rig;
  });
  for (let i = 0; i < 3000; i++) {
    const address = random.below(40 * MIB);
    const kind = random.pick<Kind>(["r", "w", "x"]);
    const [a, b] = rigs.map((rig) => rig.access(address, kind));
    assertEquals(a, b, `seed ${random.seed}: ${kind} at ${address}`);
    const [x, y] = rigs.map((rig) => rig.entry(address));
    assertEquals([x.value, x.level], [y.value, y.level], `seed ${random.seed}: at ${address}`);
  }
  const [a, b] = rigs.map((rig) => rig.mmu.stats());
  assert(a.nx_lpage_splits > 0 && b.nx_lpage_splits === 0);
  assertEquals(
    { ...a, nx_lpage_splits: 0, mmu_cache_miss: 0 },
    { ...b, nx_lpage_splits: 0, mmu_cache_miss: 0 },
    "the deeper tree has one table more; all else is counted alike",
  );
});

/** What a run of accesses leaves in the trace, without the numbers that depend on the host. */
function goldenTrace(): string[] {
  const rig = new Rig({ tables: "ept" }, new HostModel(2));
  const trace = new MmuTrace();
  rig.mmu.trace = trace;
  rig.slot(0, 4 * MIB);
  rig.access(0x1000, "w");
  rig.access(0x80_fee0_1000, "r");
  rig.access(0x80_fee0_1000, "r");
  return trace.drain().map((event) => {
    const { event: name, gfn, level, fault_address: address } = event;
    return [name, address ?? gfn, level].filter((part) => part !== undefined).join(" ");
  });
}

Deno.test("patch 12: the trace of a fixed run is what it was", () => {
  assertEquals(goldenTrace(), [
    "kvm_page_fault 0x1000",
    "kvm_mmu_spte_requested 0x1 2",
    "kvm_mmu_get_page 0x0",
    "kvm_mmu_get_page 0x0",
    "kvm_mmu_set_spte 0x0 2",
    "kvm_page_fault 0x80fee01000",
    "kvm_mmu_spte_requested 0x80fee01 1",
    "kvm_mmu_get_page 0x8000000",
    "kvm_mmu_get_page 0x80c0000",
    "kvm_mmu_get_page 0x80fee00",
    "mark_mmio_spte 0x80fee01",
    "kvm_page_fault 0x80fee01000",
  ]);
});

Deno.test("patch 13: a tail page of a large page is mapped by its head; references balance", () => {
  const rig = new Rig({}, new HostModel(2));
  rig.slot(0, 4 * MIB);
  let duringMap = new Map<number, number>();
  rig.mmu.hooks = { beforeMap: () => duringMap = new Map(rig.host.references) };
  rig.access(2 * MIB + 0x7000, "w");
  const entry = rig.entry(2 * MIB);
  assertEquals([entry.level, entry.pfn as number], [2, BASE_PFN + 512]);
  assertEquals(entry.pfn % 512, 0);
  assertEquals([...duringMap], [[BASE_PFN + 512 + 7, 1]], "the reference stays on the tail");
  assertEquals(rig.host.references.size, 0);
});

Deno.test("patch 14: without a root the entry returns 0 and touches nothing", () => {
  const rig = new Rig();
  rig.slot(0, MIB);
  rig.access(0, "r");
  rig.vcpu.unload();
  const before = [rig.mmu.stats(), rig.mmu.core.changes, rig.host.lookups];
  assertEquals(rig.vcpu.pageFault(0x2000, 0, 4, 1, rig), 0);
  assertEquals([rig.mmu.stats(), rig.mmu.core.changes, rig.host.lookups], before);
});

Deno.test("patch 15: a root that goes between entry and map is a warning and a retry", () => {
  const rig = new Rig();
  rig.slot(0, MIB);
  rig.vcpu.prepare();
  rig.mmu.hooks = {
    beforeMap: () => rig.vcpu.unload(),
    onWarning: (text) => rig.warnings.push(text),
  };
  assertEquals(rig.fault(0x1000, "r"), VcpuExit.RESUME);
  assertEquals(rig.mmu.core.warnings, 1);
  assertEquals(rig.host.references.size, 0);
});

Deno.test("patch 16: an invalid root at the entry warns; ordinary life never does", () => {
  const rig = new Rig();
  rig.slot(0, 16 * MIB);
  rig.slot(32 * MIB, 16 * MIB);
  for (let i = 0; i < 100; i++) rig.access(i * 0x5_3000 % (48 * MIB), i % 2 === 0 ? "r" : "w");
  rig.mmu.zapAll();
  for (let i = 0; i < 100; i++) rig.access(i * 0x5_3000 % (48 * MIB), "r");
  rig.mmu.deleteMemslot(1);
  for (let i = 0; i < 100; i++) rig.access(i * 0x5_3000 % (48 * MIB), "r");
  assertEquals(rig.warnings, []);
  rig.vcpu.unload();
  assertEquals(rig.vcpu.pageFault(0, 0, 4, 1, rig), VcpuExit.USERSPACE);
  assertEquals(rig.warnings.length, 1);
});

Deno.test("maxLevel() exceeds no limit", () => {
  const random = new Random(seed(9));
  for (let round = 0; round < 5000; round++) {
    const baseGfn = random.below(2 ** 12) as Gfn;
    const frames = 1 + random.below(2 ** 19);
    const slot = new Memslot(
      { id: 0, baseGfn, frames, hostPage: random.oneIn(3) ? 7 : baseGfn },
      0,
    );
    const gfn = baseGfn + random.below(frames) as Gfn;
    if (random.oneIn(4)) slot.large.disallow(baseGfn + random.below(frames) as Gfn);
    if (random.oneIn(8)) slot.setLogging(true);
    const limit = 1 + random.below(3);
    const host = 1 + random.below(3) as Level;
    const level = maxLevel(gfn, limit, slot, host);
    assert(level <= limit && level <= host && level >= 1, `seed ${random.seed}`);
    if (level > 1) {
      const start = blockStart(gfn, level);
      assert(slot.dirty === undefined && slot.large.allows(gfn, level), `seed ${random.seed}`);
      assert(start >= baseGfn && start + FRAMES_AT[level] <= baseGfn + frames, `${random.seed}`);
    }
  }
});
