/** Large pages that are never executable: checks 27 to 32 of the conformance list. */

import { assert, assertEquals } from "@std/assert";
import { BASE_PFN, HostModel } from "../../support/host_model.ts";
import { Rig } from "../../support/mmu_rig.ts";

const MIB = 2 ** 20;

function nxRig(tables: "npt" | "ept" | "shadow" = "ept"): Rig {
  const rig = new Rig({ tables, nxHugePages: true }, new HostModel(2));
  rig.slot(0, 512 * MIB);
  return rig;
}

Deno.test("check 27: a read of a huge page makes a 2 MiB leaf without execute", () => {
  for (const tables of ["ept", "npt"] as const) {
    const rig = nxRig(tables);
    rig.access(0, "r");
    assertEquals([rig.entry(0).level, rig.entry(0).executable], [2, false]);
  }
});

Deno.test("check 28: a fetch there makes an executable 4 KiB leaf and counts one split", () => {
  const rig = nxRig();
  rig.access(0x5000, "r");
  const flushes = rig.stat("remote_tlb_flush");
  assertEquals(rig.access(0x5000, "x").how, "ok");
  assertEquals([rig.entry(0x5000).level, rig.entry(0x5000).executable], [1, true]);
  assertEquals(rig.stat("nx_lpage_splits"), 1);
  assertEquals(rig.stat("lpages"), 0);
  assertEquals(rig.stat("remote_tlb_flush"), flushes + 1);
});

Deno.test("check 29: a read beside it stays 4 KiB under the same table, with the right frame", () => {
  const rig = nxRig();
  rig.access(0x5000, "x");
  const zapped = rig.stat("mmu_shadow_zapped");
  rig.access(0x9000, "r");
  assertEquals([rig.entry(0x9000).level, rig.entry(0x9000).pfn as number], [1, BASE_PFN + 9]);
  assertEquals(rig.stat("mmu_shadow_zapped"), zapped);
  assert(rig.entry(0x5000).present);
});

Deno.test("check 30: with paging off the same counts no split and does not ping-pong", () => {
  const rig = nxRig("shadow");
  rig.access(0x5000, "r");
  rig.access(0x5000, "x");
  assertEquals([rig.entry(0x5000).level, rig.stat("nx_lpage_splits")], [1, 0]);
  rig.access(0x9000, "r");
  assertEquals([rig.entry(0x9000).level, rig.entry(0x5000).executable], [1, true]);
});

Deno.test("check 31: recovery zaps the oldest sixtieth, rounded up", () => {
  const rig = nxRig();
  for (let i = 0; i < 130; i++) rig.access(i * 2 * MIB, "x");
  assertEquals(rig.stat("nx_lpage_splits"), 130);
  assertEquals(rig.mmu.recoverNxSplits(), 3);
  for (let i = 0; i < 130; i++) {
    assertEquals(rig.entry(i * 2 * MIB).present, i >= 3, `block ${i}`);
  }
  const one = nxRig();
  one.access(0, "x");
  assertEquals([one.mmu.recoverNxSplits(), one.mmu.recoverNxSplits()], [1, 0]);
});

Deno.test("check 32: a zapped split is counted off", () => {
  const rig = nxRig();
  rig.access(0, "x");
  rig.access(2 * MIB, "x");
  rig.mmu.recoverNxSplits();
  assertEquals(rig.stat("nx_lpage_splits"), 1);
  rig.mmu.zapAll();
  assertEquals(rig.stat("nx_lpage_splits"), 0);
});

Deno.test("only splits that the rule caused are counted and kept", () => {
  const rig = nxRig();
  const slot = rig.mmu.findMemslot(rig.gfn(0))!;
  rig.mmu.writeTracking.track(slot, rig.gfn(0x1000));
  rig.access(0x5000, "x");
  assertEquals(rig.stat("nx_lpage_splits"), 0, "tracking forbade the large page anyway");
  rig.mmu.writeTracking.untrack(slot, rig.gfn(0x1000));
  rig.access(0x9000, "r");
  assertEquals(rig.entry(0x9000).level, 2, "nothing keeps the small pages");
});

Deno.test("switching the rule throws all tables away", () => {
  const rig = nxRig();
  rig.access(0, "r");
  rig.mmu.nxHugePages = false;
  assert(!rig.entry(0).present);
  rig.access(0, "r");
  assertEquals([rig.entry(0).level, rig.entry(0).executable], [2, true]);
});
