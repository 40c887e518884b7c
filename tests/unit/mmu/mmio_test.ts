/** Holes, ROM and corrupt entries: checks 40 to 48 of the conformance list. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { VcpuExit } from "../../../src/mmu/fault.ts";
import { MMIO_GENERATIONS } from "../../../src/mmu/mmio_spte.ts";
import { MmuTrace } from "../../../src/mmu/trace.ts";
import { BASE_PFN } from "../../support/host_model.ts";
import { Rig } from "../../support/mmu_rig.ts";

const MIB = 2 ** 20;
const HOLE = 0xfeb0_0000;

Deno.test("check 40: the first access to a hole is emulated and leaves an MMIO SPTE, pf_fixed + 1", () => {
  for (const tables of ["ept", "npt", "shadow"] as const) {
    const rig = new Rig({ tables });
    rig.slot(0, MIB);
    assertEquals(rig.access(HOLE, "r"), { how: "emulated", faults: 1 });
    assert(rig.entry(HOLE).mmio);
    assertEquals([rig.stat("pf_fixed"), rig.stat("mmio_exits")], [1, 1]);
  }
});

Deno.test("check 41: the second access hits the vCPU's cache without a walk", () => {
  const rig = new Rig();
  rig.slot(0, MIB);
  rig.access(HOLE, "r");
  const trace = new MmuTrace();
  rig.mmu.trace = trace;
  assertEquals(rig.access(HOLE + 8, "w"), { how: "emulated", faults: 1 });
  assertEquals(trace.drain().map((event) => event.event), ["kvm_page_fault"]);
  assertEquals(rig.stat("pf_fixed"), 1);
});

Deno.test("check 42: an MMIO SPTE gives way to RAM that is added later", () => {
  const rig = new Rig();
  rig.slot(0, MIB);
  rig.access(HOLE, "r");
  rig.slot(HOLE, MIB);
  assertEquals(rig.access(HOLE, "r"), { how: "ok", faults: 1 });
  assertEquals(rig.entry(HOLE).pfn as number, BASE_PFN + HOLE / 4096);
});

Deno.test("check 43: while memslots change, an MMIO SPTE is not believed and nothing is cached", () => {
  const rig = new Rig();
  rig.slot(0, MIB);
  rig.access(HOLE, "r");
  rig.access(HOLE + 0x1000, "r");
  const { mmioCache } = rig.vcpu.state;
  let fixed = 0;
  rig.mmu.hooks = {
    duringSlotUpdate: () => {
      const before = rig.stat("pf_fixed");
      rig.access(HOLE, "r");
      fixed = rig.stat("pf_fixed") - before;
      assert(!mmioCache.matchesGpa(HOLE | 0, 0));
    },
  };
  rig.slot(16 * MIB, MIB);
  assertEquals(fixed, 1, "the whole path was taken");
  assert(!mmioCache.matchesGpa(HOLE | 0, 0));
});

Deno.test("check 44: at generation 600 an MMIO SPTE still matches", () => {
  const rig = new Rig();
  rig.slot(0, MIB);
  while (rig.vcpu.state.slots.generation < 600) {
    rig.mmu.setMemslot({ id: 9, baseGfn: rig.gfn(16 * MIB), frames: 1, hostPage: 0 });
    rig.mmu.setMemslot({
      id: 9,
      baseGfn: rig.gfn(16 * MIB),
      frames: 1,
      hostPage: 0,
      logDirty: true,
    });
    rig.mmu.setMemslot({ id: 9, baseGfn: rig.gfn(16 * MIB), frames: 1, hostPage: 0 });
  }
  rig.access(HOLE, "r");
  rig.access(HOLE + 0x1000, "r"); // takes the vCPU's cache away from HOLE
  const fixed = rig.stat("pf_fixed");
  assertEquals(rig.access(HOLE, "r").how, "emulated");
  assertEquals(rig.stat("pf_fixed"), fixed, "known from the SPTE");
});

Deno.test("check 45: when the generation wraps, all tables are zapped", () => {
  const rig = new Rig();
  rig.slot(0, MIB);
  rig.access(HOLE, "r");
  rig.access(0x1000, "r");
  const space = rig.mmu.core.spaces[0];
  space.generation += MMIO_GENERATIONS - (space.generation % MMIO_GENERATIONS) - 2;
  assert(rig.entry(0x1000).present);
  rig.slot(16 * MIB, MIB);
  assert(!rig.entry(0x1000).present);
  assert(!rig.entry(HOLE).mmio);
  rig.access(HOLE, "r");
  assertEquals(rig.exits.length, 2);
});

Deno.test("check 46: a write to ROM is emulated, a read of it maps", () => {
  const rig = new Rig();
  rig.slot(0, MIB, { readOnly: true });
  assertEquals(rig.access(0x3000, "w"), { how: "emulated", faults: 1 });
  assertEquals(rig.entry(0x3000).value, 0n, "nothing was cached");
  assertEquals(rig.access(0x3000, "r"), { how: "ok", faults: 1 });
  assert(!rig.entry(0x3000).writable);
  assertEquals(rig.access(0x3000, "w"), { how: "emulated", faults: 1 });
});

Deno.test("check 47: frame 0 never hits the vCPU's cache, but its SPTE is known", () => {
  const rig = new Rig();
  rig.slot(MIB, MIB);
  rig.access(0x10, "r");
  const { mmioCache } = rig.vcpu.state;
  assert(!mmioCache.matchesGpa(0x10, 0));
  const trace = new MmuTrace();
  rig.mmu.trace = trace;
  assertEquals(rig.access(0x10, "r"), { how: "emulated", faults: 1 });
  assertEquals(
    trace.drain().map((event) => event.event),
    ["kvm_page_fault", "check_mmio_spte", "handle_mmio_page_fault"],
  );
  assertEquals(rig.stat("pf_fixed"), 1);
});

Deno.test("check 48: reserved bits in an SPTE that is none for MMIO are an error and a warning", () => {
  const corruptions: [tables: "npt" | "ept", lo: number, hi: number][] = [
    ["npt", 0, 1 << 18], // an address bit above MAXPHYADDR
    ["ept", 0, 1 << 16],
  ];
  for (const [tables, lo, hi] of corruptions) {
    const rig = new Rig({ tables });
    rig.slot(0, MIB);
    rig.access(0x3000, "r");
    const { sptep } = rig.entry(0x3000);
    rig.mmu.core.pool.words[sptep] |= lo;
    rig.mmu.core.pool.words[sptep + 1] |= hi;
    assertEquals(rig.vcpu.pageFault(0x3000, 0, 1 | 4 | 8, 1, rig), VcpuExit.BAD_SPTE);
    assertEquals(rig.warnings.length, 1);
    assertStringIncludes(rig.vcpu.describeFailure(), "0x3000: its SPTE has reserved bits set");
  }
  const write = new Rig({ tables: "ept" });
  write.slot(0, MIB);
  write.access(0x3000, "w");
  write.mmu.core.pool.words[write.entry(0x3000).sptep] &= ~1; // writable, not readable
  assertEquals(write.vcpu.pageFault(0x3000, 0, 1 | 4 | 8, 1, write), VcpuExit.BAD_SPTE);
  const top = new Rig();
  top.slot(0, MIB);
  top.access(0x3000, "w");
  const root = top.vcpu.state.root * 1024;
  top.mmu.core.pool.words[root] |= 1 << 7; // a large page of 512 GiB
  assertEquals(top.vcpu.pageFault(0x3000, 0, 1 | 4 | 8, 1, top), VcpuExit.BAD_SPTE);
});

Deno.test("a reserved-bit fault on an entry that has gone meanwhile is a retry", () => {
  const rig = new Rig();
  rig.slot(0, MIB);
  rig.vcpu.prepare();
  assertEquals(rig.vcpu.pageFault(HOLE, 0, 1 | 4 | 8, 1, rig), VcpuExit.RESUME);
});

Deno.test("a hole found before memory was added in the same fault does not outlive it", () => {
  const rig = new Rig();
  rig.slot(0, MIB);
  rig.mmu.hooks = {
    beforeLock: () => {
      rig.mmu.hooks = undefined;
      rig.slot(HOLE, MIB);
    },
  };
  rig.access(HOLE, "r");
  assertEquals(rig.access(HOLE, "r"), { how: "ok", faults: 1 });
});
