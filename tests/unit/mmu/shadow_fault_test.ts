/** The shadow engine's fault path where it goes short, because the last-level table is at hand. */

import { assertEquals } from "@std/assert";
import { Cause, VcpuExit } from "../../../src/mmu/fault.ts";
import { LoadResult } from "../../../src/mmu/load_result.ts";
import { Pferr } from "../../../src/mmu/pferr.ts";
import { MmuTrace } from "../../../src/mmu/trace.ts";
import { BASE_PFN, HostModel } from "../../support/host_model.ts";
import { Flag, ShadowRig } from "../../support/shadow_rig.ts";

const PAGE = 4096;
const A = 0x40_0000;
const WRITE = Pferr.WRITE | Pferr.USER;
/** The smallest quota there is. */
const MAX_TABLES = 64;

/** A guest of 4 levels with four pages side by side, of which it has written the first. */
function guest(): { rig: ShadowRig; root: number } {
  const rig = new ShadowRig({ paging: "4" }, { maxTables: MAX_TABLES });
  const root = rig.space();
  for (let i = 0; i < 4; i++) rig.map(root, A + i * PAGE, 100 + i);
  rig.cr3(root);
  rig.access(A, "w");
  return { rig, root };
}

Deno.test("a trace that begins between two faults in one table shows the second whole", () => {
  const { rig } = guest();
  const trace = new MmuTrace();
  const events = () => {
    const names = trace.drain().map(({ event }) => event);
    return ["kvm_mmu_spte_requested", "kvm_mmu_set_spte"].filter((name) => names.includes(name));
  };
  rig.mmu.trace = trace;
  for (let i = 1; i < 3; i++) {
    rig.access(A + i * PAGE, "w");
    assertEquals(events(), ["kvm_mmu_spte_requested", "kvm_mmu_set_spte"], `page ${i}`);
  }
  rig.mmu.trace = undefined;
  assertEquals(rig.access(A + 3 * PAGE, "w").pfn, BASE_PFN + 103);
  assertEquals(events(), []);
});

Deno.test("a guest entry that changes during its fault is walked anew, its table at hand", () => {
  const { rig, root } = guest();
  rig.mmu.hooks = {
    beforeMap: () => {
      rig.mmu.hooks = undefined;
      rig.map(root, A + PAGE, 300);
    },
  };
  const { faults, pfn } = rig.access(A + PAGE, "w");
  assertEquals([faults, pfn], [2, BASE_PFN + 300]);
});

Deno.test("a frame that the host takes away during a shadow fault is not mapped", () => {
  const { rig } = guest();
  rig.mmu.hooks = {
    beforeLock: () => {
      rig.mmu.hooks = undefined;
      rig.mmu.invalidateStart(101, 102);
      rig.mmu.invalidateEnd();
    },
  };
  assertEquals(rig.vcpu.pageFault(A + PAGE, 0, WRITE, 0, rig), VcpuExit.RESUME);
  assertEquals(rig.vcpu.fault.cause, Cause.NOTIFIER);
  assertEquals(rig.entry(A + PAGE).present, false);
  assertEquals(rig.host.references.size, 0);
});

Deno.test("a shadow fault that finds no table to recycle is an error, and gives its frame back", () => {
  const { rig } = guest();
  for (let roots = 1; roots < MAX_TABLES; roots++) {
    const vcpu = rig.createVcpu();
    rig.cr3(rig.space(), vcpu);
    assertEquals(vcpu.prepare(), LoadResult.OK);
  }
  assertEquals(rig.vcpu.pageFault(A, 0, WRITE, 0, rig), VcpuExit.NO_SPACE);
  assertEquals(rig.host.references.size, 0);
});

Deno.test("a fault on a device counts as fixed, and once more only when its entry is made anew", () => {
  const { rig, root } = guest();
  rig.map(root, A + PAGE, 5000);
  const before = rig.stat("pf_fixed");
  assertEquals(rig.access(A + PAGE, "w").how, "mmio");
  assertEquals(rig.stat("pf_fixed"), before + 1);
  assertEquals(rig.access(A + PAGE, "w").how, "mmio");
  assertEquals(rig.stat("pf_fixed"), before + 1);
});

Deno.test("prefetch leaves the neighbours of a large page and of a device alone", () => {
  const rig = new ShadowRig({ paging: "4" }, { prefetch: true }, new HostModel(2));
  const root = rig.space();
  const flags = Flag.P | Flag.W | Flag.U | Flag.A | Flag.D;
  for (let i = 0; i < 2; i++) rig.map(root, (4 + i) * 512 * PAGE, (2 + i) * 512, flags, 2);
  rig.map(root, A / 2, 5000);
  rig.map(root, A / 2 + PAGE, 101);
  rig.cr3(root);
  rig.access(4 * 512 * PAGE, "w");
  assertEquals(rig.entry(4 * 512 * PAGE).level, 2);
  assertEquals(rig.entry(5 * 512 * PAGE).present, false);
  assertEquals(rig.access(A / 2, "r").how, "mmio");
  assertEquals(rig.entry(A / 2 + PAGE).present, false);
});
