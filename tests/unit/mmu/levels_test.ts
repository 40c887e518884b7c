/** How large a page becomes: checks 13 to 22 and 26 of the conformance list. */

import { assert, assertEquals } from "@std/assert";
import type { Gfn } from "../../../src/base/u64.ts";
import { MtrrMap } from "../../../src/mmu/mtrr.ts";
import { BASE_PFN, HostModel } from "../../support/host_model.ts";
import { Rig } from "../../support/mmu_rig.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

Deno.test("check 13: a transparent huge page without limits is one 2 MiB leaf", () => {
  const rig = new Rig({}, new HostModel(2));
  rig.slot(0, GIB);
  rig.access(5 * MIB, "w");
  assertEquals(rig.entry(5 * MIB).level, 2);
  assertEquals(rig.stat("lpages"), 1);
});

Deno.test("check 14: a 1 GiB page of the host is one 1 GiB leaf", () => {
  const rig = new Rig({}, new HostModel(3));
  rig.slot(0, 2 * GIB);
  rig.access(GIB + 5, "w");
  assertEquals(rig.entry(GIB).level, 3);
  assertEquals(rig.entry(GIB).pfn as number, BASE_PFN + 2 ** 18);
  assertEquals(rig.stat("lpages"), 1);
});

Deno.test("check 15: a 1 GiB page of the host where the slot or the types allow 2 MiB is 2 MiB", () => {
  const bySlot = new Rig({}, new HostModel(3));
  bySlot.slot(2 * MIB, GIB);
  bySlot.access(4 * MIB, "r");
  assertEquals(bySlot.entry(4 * MIB).level, 2);

  const mtrr = new MtrrMap([{ baseGfn: 0 as Gfn, frames: 512, type: 0 }]);
  const byType = new Rig({ mtrr }, new HostModel(3));
  byType.slot(0, GIB);
  byType.access(4 * MIB, "r");
  assertEquals(byType.entry(4 * MIB).level, 2);

  const byHardware = new Rig({ maxPageLevel: 2 }, new HostModel(3));
  byHardware.slot(0, GIB);
  byHardware.access(4 * MIB, "r");
  assertEquals(byHardware.entry(4 * MIB).level, 2);
});

Deno.test("check 16: the first block of an unaligned slot is 4 KiB, the next 2 MiB", () => {
  const rig = new Rig({}, new HostModel(2));
  rig.slot(MIB, 8 * MIB);
  rig.access(MIB, "r");
  rig.access(2 * MIB, "r");
  assertEquals([rig.entry(MIB).level, rig.entry(2 * MIB).level], [1, 2]);
});

Deno.test("check 17: the last block of a slot with an unaligned end is 4 KiB", () => {
  const rig = new Rig({}, new HostModel(2));
  rig.slot(0, 7 * MIB);
  rig.access(5 * MIB, "r");
  rig.access(6 * MIB, "r");
  assertEquals([rig.entry(5 * MIB).level, rig.entry(6 * MIB).level], [2, 1]);
});

Deno.test("check 18: guest and host addresses that disagree within 2 MiB allow 4 KiB only", () => {
  const rig = new Rig({}, new HostModel(2));
  rig.slot(0, 8 * MIB, { hostPage: 1 });
  for (let block = 0; block < 4; block++) {
    rig.access(block * 2 * MIB, "r");
    assertEquals(rig.entry(block * 2 * MIB).level, 1);
  }
  const half = new Rig({}, new HostModel(3));
  half.slot(0, 2 * GIB, { hostPage: 512 });
  half.access(0, "r");
  assertEquals(half.entry(0).level, 2, "agreement in 2 MiB, not in 1 GiB");
});

Deno.test("check 19: a tracked page inside the block makes it 4 KiB", () => {
  const rig = new Rig({}, new HostModel(2));
  const slot = rig.slot(0, 8 * MIB);
  rig.mmu.writeTracking.track(slot, rig.gfn(3 * MIB));
  rig.access(2 * MIB, "w");
  rig.access(4 * MIB, "w");
  assertEquals([rig.entry(2 * MIB).level, rig.entry(4 * MIB).level], [1, 2]);
});

Deno.test("check 20: memory types mixed inside 2 MiB make it 4 KiB", () => {
  const mtrr = new MtrrMap([{ baseGfn: 0 as Gfn, frames: 160, type: 0 }]);
  const rig = new Rig({ mtrr }, new HostModel(2));
  rig.slot(0, 8 * MIB);
  rig.access(MIB, "r");
  rig.access(2 * MIB, "r");
  assertEquals([rig.entry(MIB).level, rig.entry(2 * MIB).level], [1, 2]);
});

Deno.test("check 21: a logged slot over huge pages is mapped by 4 KiB pages", () => {
  const rig = new Rig({}, new HostModel(2));
  rig.slot(0, 8 * MIB, { logDirty: true });
  rig.access(2 * MIB, "w");
  assertEquals(rig.entry(2 * MIB).level, 1);
  assertEquals(rig.vcpu.fault.requestedLevel, 1);
});

Deno.test("check 22: a fault on a tail frame of a huge page maps the whole page by its head", () => {
  const rig = new Rig({}, new HostModel(2));
  rig.slot(0, 8 * MIB);
  rig.access(4 * MIB - 1, "w");
  assertEquals([rig.entry(2 * MIB).level, rig.entry(2 * MIB).pfn as number], [2, BASE_PFN + 512]);
});

Deno.test("check 26: a limit raised before the lock leaves no writable large leaf", () => {
  const rig = new Rig({}, new HostModel(2));
  const slot = rig.slot(0, 8 * MIB);
  rig.mmu.hooks = {
    beforeLock: () => {
      rig.mmu.hooks = undefined;
      rig.mmu.writeTracking.track(slot, rig.gfn(0x1000));
    },
  };
  rig.access(0x3000, "w");
  assertEquals(rig.entry(0x3000).level, 1);
  assert(rig.entry(0x3000).writable);
  assertEquals(rig.access(0x1000, "w").how, "emulated");
});

Deno.test("a host that calls a page large though its frames lie elsewhere gets 4 KiB", () => {
  const rig = new Rig({}, new HostModel(2));
  rig.slot(0, 8 * MIB);
  rig.host.set(3, { pfn: BASE_PFN + 77 });
  rig.access(0x3000, "w");
  assertEquals([rig.entry(0x3000).level, rig.entry(0x3000).pfn as number], [1, BASE_PFN + 77]);
});

Deno.test("reserved and device frames are never part of a large page", () => {
  const rig = new Rig({}, new HostModel(2));
  rig.slot(0, 8 * MIB);
  rig.host.set(3, { reserved: true });
  rig.access(0x3000, "w");
  assertEquals(rig.entry(0x3000).level, 1);
});
