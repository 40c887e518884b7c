/** Faults that need no lock: checks 33 to 39 of the conformance list. */

import { assert, assertEquals } from "@std/assert";
import { VcpuExit } from "../../../src/mmu/fault.ts";
import { SpteLo } from "../../../src/mmu/spte.ts";
import { HostModel } from "../../support/host_model.ts";
import { Rig } from "../../support/mmu_rig.ts";

const MIB = 2 ** 20;

/** A page that only dirty logging protects. */
function protectedPage(): Rig {
  const rig = new Rig();
  const slot = rig.slot(0, 4 * MIB, { logDirty: true });
  rig.access(0x3000, "w");
  rig.mmu.takeDirtyLog(slot, new Uint32Array(32));
  assert(!rig.entry(0x3000).writable);
  return rig;
}

Deno.test("check 33: a write to a page protected for the log restores W and logs, pf_fixed stays", () => {
  const rig = protectedPage();
  const slot = rig.mmu.findMemslot(rig.gfn(0))!;
  const fixed = rig.stat("pf_fixed");
  const lookups = rig.host.lookups;
  assertEquals(rig.access(0x3000, "w"), { how: "ok", faults: 1 });
  assert(rig.entry(0x3000).writable);
  assert(slot.isDirty(rig.gfn(0x3000)));
  assertEquals([rig.stat("pf_fixed"), rig.host.lookups], [fixed, lookups]);
});

Deno.test("check 34: the same on a large leaf takes the whole path and maps 4 KiB", () => {
  const rig = new Rig({}, new HostModel(2));
  const slot = rig.slot(0, 4 * MIB);
  rig.access(0x3000, "w");
  assertEquals(rig.entry(0x3000).level, 2);
  rig.mmu.setMemslot({ ...slot, logDirty: true });
  assert(!rig.entry(0x3000).writable);
  const fixed = rig.stat("pf_fixed");
  rig.access(0x3000, "w");
  assertEquals([rig.entry(0x3000).level, rig.entry(0x3000).writable], [1, true]);
  assertEquals(rig.stat("pf_fixed"), fixed + 1);
  assertEquals(rig.stat("lpages"), 0);
});

Deno.test("check 35: without MMU_WRITEABLE the whole path decides", () => {
  const rig = new Rig();
  const slot = rig.slot(0, 4 * MIB);
  rig.access(0x3000, "w");
  rig.mmu.writeTracking.track(slot, rig.gfn(0x3000));
  assertEquals(rig.entry(0x3000).lo & SpteLo.MMU_WRITEABLE, 0);
  rig.mmu.writeTracking.untrack(slot, rig.gfn(0x3000));
  const fixed = rig.stat("pf_fixed");
  rig.access(0x3000, "w");
  assertEquals(rig.stat("pf_fixed"), fixed + 1);
  assert(rig.entry(0x3000).writable);
});

Deno.test("check 36: a fetch from a present page is refused by the fast path", () => {
  const rig = protectedPage();
  const lookups = rig.host.lookups;
  assertEquals(rig.vcpu.pageFault(0x3000, 0, 1 | 4 | 16, 1, rig), VcpuExit.RESUME);
  assertEquals(rig.host.lookups, lookups + 1);
});

Deno.test("check 37: after 5 lost exchanges the whole path takes over", () => {
  const rig = protectedPage();
  let lost = 0;
  rig.mmu.hooks = {
    betweenCasReadAndWrite: (sptep) => {
      lost++;
      rig.mmu.core.pool.words[sptep] ^= 1 << 5;
    },
  };
  const fixed = rig.stat("pf_fixed");
  assertEquals(rig.access(0x3000, "w"), { how: "ok", faults: 1 });
  assertEquals(lost, 5);
  assertEquals(rig.stat("pf_fixed"), fixed + 1);
});

Deno.test("check 38: a write to a page that is writable already changes nothing", () => {
  const rig = new Rig();
  rig.slot(0, 4 * MIB);
  rig.access(0x3000, "w");
  const before = [rig.entry(0x3000).value, rig.stat("pf_fixed"), rig.host.lookups];
  assertEquals(rig.vcpu.pageFault(0x3000, 0, 7, 1, rig), VcpuExit.RESUME);
  assertEquals([rig.entry(0x3000).value, rig.stat("pf_fixed"), rig.host.lookups], before);
  // Without P the fast path is not asked; the whole path finds the same.
  assertEquals(rig.vcpu.pageFault(0x3000, 0, 6, 1, rig), VcpuExit.RESUME);
  assertEquals([rig.entry(0x3000).value, rig.stat("pf_fixed")], before.slice(0, 2));
});

Deno.test("check 39: an access-tracked page gets R and X back on a read, W only on a write", () => {
  const rig = new Rig({ tables: "ept", accessedDirty: false });
  rig.slot(0, 4 * MIB);
  rig.access(0x3000, "w");
  assert(rig.mmu.age(3, 4));
  assertEquals(rig.entry(0x3000).lo & 7, 0);
  assert(rig.host.dirty.has(rig.host.pfnOf(3)), "what W said of the frame is not lost");
  const fixed = rig.stat("pf_fixed");
  rig.access(0x3000, "r");
  assertEquals(rig.entry(0x3000).lo & 7, 5);
  rig.access(0x3000, "w");
  assertEquals(rig.entry(0x3000).lo & 7, 7);
  assertEquals(rig.stat("pf_fixed"), fixed);
});

Deno.test("the fast path comes before tables are reserved: it works when memory is short", () => {
  const rig = protectedPage();
  rig.mmu.hooks = { failTopup: () => true };
  assertEquals(rig.access(0x3000, "w"), { how: "ok", faults: 1 });
  assertEquals(rig.access(0x4000, "w"), { how: VcpuExit.NO_MEMORY, faults: 1 });
});

Deno.test("a read of a logged slot maps it read-only: the log holds what was written and no more", () => {
  const rig = new Rig();
  const slot = rig.slot(0, 4 * MIB, { logDirty: true });
  rig.access(0x3000, "r");
  assert(!rig.entry(0x3000).writable);
  assert(!slot.isDirty(rig.gfn(0x3000)));
  rig.access(0x3000, "w");
  assert(slot.isDirty(rig.gfn(0x3000)));
});
