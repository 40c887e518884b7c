/** What single changes of src/mmu/ broke without another test noticing; see tools/mutate_mmu.ts. */

import { assert, assertEquals } from "@std/assert";
import type { Gfn } from "../../../src/base/u64.ts";
import { isDirty } from "../../../src/mmu/spte.ts";
import { MmuTrace } from "../../../src/mmu/trace.ts";
import { BASE_PFN, HostModel } from "../../support/host_model.ts";
import { Rig } from "../../support/mmu_rig.ts";

const MIB = 2 ** 20;

Deno.test("without a shadow engine, a write to a tracked frame by a page walk is emulated", () => {
  const rig = new Rig();
  const slot = rig.slot(0, MIB);
  rig.mmu.writeTracking.track(slot, 3 as Gfn);
  rig.access(0x3000, "r");
  const guestTable = 2;
  rig.vcpu.pageFault(0x3000, 0, rig.code(0x3000, "w"), guestTable, rig);
  assertEquals(rig.emulated.map(({ physAddr }) => physAddr), [0x3000]);
});

Deno.test("a neighbour's entry is traced as one of level 1", () => {
  const rig = new Rig({ prefetch: true });
  rig.slot(0, MIB);
  const trace = new MmuTrace();
  rig.mmu.trace = trace;
  rig.access(0x3000, "r");
  const set = trace.drain().filter(({ event }) => event === "kvm_mmu_set_spte");
  assertEquals(set.map(({ level }) => level), [1, 1, 1, 1, 1, 1, 1, 1]);
});

Deno.test("frame 0 of the host is given back like any other", () => {
  const host = new HostModel();
  host.set(3, { pfn: 0 });
  const rig = new Rig({}, host);
  rig.slot(0, MIB);
  assertEquals(rig.access(0x3000, "w"), { how: "ok", faults: 1 });
  assertEquals(rig.entry(0x3000).pfn, 0);
  assertEquals(host.references, new Map());
});

Deno.test("ageing counts as a change, and the count only grows", () => {
  for (const tables of ["npt", "ept"] as const) {
    const rig = new Rig({ tables, accessedDirty: tables === "npt" });
    rig.slot(0, MIB);
    rig.access(0x3000, "r");
    const before = rig.mmu.core.changes;
    assert(rig.mmu.age(3, 4));
    assert(rig.mmu.core.changes > before);
  }
});

Deno.test("a log by dirty flags that ends sets the flags again", () => {
  const rig = new Rig({ tables: "ept", pml: true });
  const slot = rig.slot(0, MIB, { logDirty: true });
  rig.access(0x3000, "w");
  rig.mmu.takeDirtyLog(slot, new Uint32Array(8));
  const { format } = rig.mmu.core;
  assert(!isDirty(format, rig.entry(0x3000).lo));
  rig.mmu.setMemslot({ id: 0, baseGfn: slot.baseGfn, frames: slot.frames, hostPage: 0 });
  assert(isDirty(format, rig.entry(0x3000).lo));
});

Deno.test("a frame that goes is reported as written by the dirty flag, or by W where there is none", () => {
  const flagged = new Rig({ tables: "ept", pml: true });
  const slot = flagged.slot(0, MIB, { logDirty: true });
  flagged.access(0x3000, "w");
  flagged.mmu.takeDirtyLog(slot, new Uint32Array(8));
  flagged.host.dirty.clear();
  assert(flagged.entry(0x3000).writable);
  flagged.mmu.invalidateStart(3, 4);
  assertEquals(flagged.host.dirty, new Set(), "the flag is clear, although W is set");

  const unflagged = new Rig({ tables: "ept", accessedDirty: false });
  unflagged.slot(0, MIB);
  unflagged.access(0x3000, "w");
  unflagged.mmu.invalidateStart(3, 4);
  assertEquals(unflagged.host.dirty, new Set([BASE_PFN + 3]));
});
