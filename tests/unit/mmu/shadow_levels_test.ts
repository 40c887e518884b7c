/** How large a page becomes under a guest's own tables, and the races there: patches 1, 8 and checks 19, 23 to 25, 55. */

import {
  assert,
  assertEquals,
  assertFalse,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { Cause, VcpuExit } from "../../../src/mmu/fault.ts";
import { BASE_PFN, HostModel } from "../../support/host_model.ts";
import { Flag, ShadowRig } from "../../support/shadow_rig.ts";

const A = 0x4000_0000;

/** A 4-level guest that maps A at `level` over a host of `hostLevel` pages. */
function guest(
  level: number,
  hostLevel: 1 | 2 | 3,
  frames = 2 ** 12,
): { rig: ShadowRig; root: number } {
  const rig = new ShadowRig({ paging: "4" }, {}, new HostModel(hostLevel), frames);
  const root = rig.space();
  rig.map(root, A, level === 1 ? 1024 : 1024, undefined, level);
  rig.cr3(root);
  return { rig, root };
}

Deno.test("patch 01: on a 32-bit host a linear fault at 2^32 is EFAULT with one warning", () => {
  const rig = new ShadowRig({ paging: "4" }, { linearBits: 32 });
  const root = rig.space();
  rig.map(root, 2 ** 32, 100);
  rig.cr3(root);
  rig.vcpu.prepare();
  assertEquals(rig.vcpu.pageFault(0, 1, 4, 0, rig), VcpuExit.BAD_ADDRESS);
  assertEquals(rig.warnings.length, 1);
  assertStringIncludes(rig.vcpu.describeFailure(), "0x100000000: expected an address below 2^32");
  const wide = new ShadowRig({ paging: "4" });
  const other = wide.space();
  wide.map(other, 2 ** 32, 100);
  wide.cr3(other);
  assertEquals(wide.access(2 ** 32, "r").pfn, BASE_PFN + 100);
});

Deno.test("patch 08: the guest's page size bounds ours, and so does a self-mapping", () => {
  const { rig: large } = guest(2, 3);
  large.access(A, "w");
  assertEquals(large.entry(A).level, 2, "a 2 MiB guest page over a 1 GiB host page");
  const { rig: small } = guest(1, 2);
  small.access(A, "w");
  assertEquals(small.entry(A).level, 1, "a 4 KiB guest page over a huge page");
  const self = new ShadowRig({ paging: "4" }, {}, new HostModel(2));
  const root = self.space();
  self.map(root, A, 0, undefined, 2); // the block of frames 0 to 511 holds the tables themselves
  self.cr3(root);
  self.access(A + 0x3000, "w");
  assertEquals(self.entry(A + 0x3000).level, 1, "a self-mapping");
});

Deno.test("check 19: a shadowed guest table inside the block makes it 4 KiB", () => {
  const rig = new ShadowRig({ paging: "4" }, {}, new HostModel(2));
  const root = rig.space();
  rig.map(root, A, 0, undefined, 2);
  rig.map(root, 2 * A, 1024, undefined, 2);
  rig.cr3(root);
  rig.access(A + 0x3000, "r");
  rig.access(2 * A, "r");
  assertEquals([rig.entry(A + 0x3000).level, rig.entry(2 * A).level], [1, 2]);
});

Deno.test("check 23: a 4 KiB guest page over a huge page is 4 KiB", () => {
  const { rig } = guest(1, 2);
  assertEquals(rig.access(A, "w").pfn, BASE_PFN + 1024);
  assertEquals(rig.entry(A).level, 1);
});

Deno.test("check 24: a 2 MiB guest page over 4 KiB host pages has a direct page below", () => {
  const { rig } = guest(2, 1);
  assertEquals(rig.access(A + 0x5000, "w").pfn, BASE_PFN + 1024 + 5);
  const entry = rig.entry(A + 0x5000);
  assertEquals(entry.level, 1);
  const table = entry.sptep >>> 10;
  assert(rig.mmu.shadow!.state.isDirect(table));
  const { words } = rig.mmu.core.pool;
  const present = [];
  for (let i = 0; i < 512; i++) if (words[table * 1024 + i * 2] !== 0) present.push(i);
  assertEquals(present, [5]);
});

Deno.test("check 25: a self-mapping 2 MiB page is mapped by 4 KiB", () => {
  const rig = new ShadowRig({ paging: "4" }, {}, new HostModel(2));
  const root = rig.space();
  rig.map(root, A, 0, undefined, 2);
  rig.cr3(root);
  rig.access(A + 100 * 4096, "w");
  assertEquals(rig.entry(A + 100 * 4096).level, 1);
});

Deno.test("check 55: a guest entry that changes while its table is linked is a retry", () => {
  const { rig, root } = guest(1, 1);
  const directory = rig.tableFor(root, A, 2);
  rig.vcpu.prepare();
  rig.mmu.hooks = {
    midFetch: (level) => {
      if (level === 2) rig.write(directory, rig.index(A, 2), 0n);
    },
  };
  assertEquals(rig.vcpu.pageFault(A, 0, 4, 0, rig), VcpuExit.RESUME);
  assertEquals(rig.vcpu.fault.cause, Cause.GPTE_CHANGED);
  assertFalse(rig.entry(A).present);
  assertEquals(rig.entry(A).level, 3, "nothing is linked below");
  assertEquals(rig.host.references.size, 0);
  rig.mmu.hooks = undefined;
  assertEquals(rig.access(A, "r").how, "fault");
});

Deno.test("check 55: a top entry that changes before the tables are looked at is a retry", () => {
  const { rig, root } = guest(1, 1);
  rig.vcpu.prepare();
  rig.mmu.hooks = { beforeLock: () => rig.write(root, rig.index(A, 4), 0n) };
  assertEquals(rig.vcpu.pageFault(A, 0, 4, 0, rig), VcpuExit.RESUME);
  assertEquals(rig.vcpu.fault.cause, Cause.GPTE_CHANGED);
  assertEquals([rig.entry(A).present, rig.entry(A).level], [false, 4]);
});

Deno.test("the NX rule splits large guest pages and counts the split", () => {
  const rig = new ShadowRig({ paging: "4" }, { nxHugePages: true }, new HostModel(2));
  const root = rig.space();
  rig.map(root, A, 1024, undefined, 2);
  rig.cr3(root);
  rig.access(A, "r");
  assertEquals([rig.entry(A).level, rig.entry(A).executable], [2, false]);
  rig.access(A, "x");
  assertEquals([rig.entry(A).level, rig.entry(A).executable], [1, true]);
  assertEquals([rig.stat("nx_lpage_splits"), rig.stat("lpages")], [1, 0]);
  rig.access(A + 0x7000, "r");
  assertEquals(rig.entry(A + 0x7000).level, 1);
  rig.mmu.recoverNxSplits();
  rig.access(A + 0x7000, "r");
  assertEquals([rig.entry(A).level, rig.stat("nx_lpage_splits")], [2, 0]);
});

Deno.test("a large guest page whose rights change gets a new table of the right rights", () => {
  const rig = new ShadowRig({ paging: "4" });
  const root = rig.space();
  rig.map(root, A, 1024, Flag.P | Flag.W | Flag.U | Flag.A, 2); // clean
  rig.cr3(root);
  rig.access(A, "r");
  assertFalse(rig.entry(A).writable);
  const before = rig.entry(A).sptep >>> 10;
  assertEquals(rig.access(A, "w").how, "ok");
  assert(rig.entry(A).writable);
  assertNotEquals(rig.entry(A).sptep >>> 10, before, "rights belong to the table's role");
  assertEquals(rig.access(A + 0x1000, "w").how, "ok");
});
