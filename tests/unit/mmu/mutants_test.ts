/** What single changes of src/mmu/ broke without another test noticing; see tools/mutate_mmu.ts. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import type { Gfn, Pfn } from "../../../src/base/u64.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { Fault, FaultResult, VcpuExit } from "../../../src/mmu/fault.ts";
import { LoadResult } from "../../../src/mmu/load_result.ts";
import { RangeOp } from "../../../src/mmu/mapping_engine.ts";
import { isRefused } from "../../../src/mmu/mmio_fault.ts";
import { MemoryType, MtrrMap } from "../../../src/mmu/mtrr.ts";
import { checkOptions, type MmuOptions } from "../../../src/mmu/options.ts";
import { Acc, Access } from "../../../src/mmu/pferr.ts";
import { PagingMode } from "../../../src/mmu/role.ts";
import { NestedWalk, RegionTables, Walker } from "../../../src/mmu/walk/mod.ts";
import { unpackRootRole } from "../../../src/mmu/root_role.ts";
import { RetryGuard } from "../../../src/mmu/retry_guard.ts";
import { isDirty, isPresent, pfnOf, SpteKind } from "../../../src/mmu/spte.ts";
import { TABLE_WORDS } from "../../../src/mmu/table_pool.ts";
import { MmuTrace } from "../../../src/mmu/trace.ts";
import { BASE_PFN, HostModel } from "../../support/host_model.ts";
import { Rig } from "../../support/mmu_rig.ts";
import { roleOf, TableBuilder } from "../../support/guest_tables.ts";
import { Flag, ShadowRig } from "../../support/shadow_rig.ts";

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

Deno.test("a page walk's write to a tracked frame runs again once nobody tracks the frame", () => {
  const rig = new Rig();
  const slot = rig.slot(0, MIB);
  const { writeTracking } = rig.mmu;
  writeTracking.track(slot, 3 as Gfn);
  writeTracking.unprotect = (gfn) => {
    writeTracking.untrack(slot, gfn);
    return true;
  };
  rig.access(0x3000, "r");
  const code = rig.code(0x3000, "w");
  const guestTable = 2;
  assertEquals(rig.vcpu.pageFault(0x3000, 0, code, guestTable, rig), VcpuExit.RESUME);
  assertEquals(rig.emulated, []);
  assertEquals(rig.access(0x3000, "w").how, "ok");
});

Deno.test("before there is any memslot, MMIO is cached as it is later", () => {
  const rig = new Rig();
  const address = 0xfee0_1000;
  assertEquals(rig.access(address, "r").how, "emulated");
  assert(rig.vcpu.state.mmioCache.matchesGpa(address | 0, 0));
});

Deno.test("an entry that points to a table says, like a leaf, that it has no accessed flag", () => {
  const rig = new Rig({ tables: "ept", accessedDirty: false });
  rig.slot(0, MIB);
  rig.access(0, "r");
  const hi = rig.mmu.core.pool.words[rig.vcpu.state.root * TABLE_WORDS + 1];
  assertEquals(hi, SpteKind.NO_ACCESSED_DIRTY);
});

Deno.test("an entry of a shadow page knows a frame of 36 bits", () => {
  const rig = new ShadowRig({ paging: "4" });
  const gfn = 0x9_8765_4321 as Gfn;
  rig.mmu.setMemslot({ id: 1, baseGfn: gfn, frames: 1, hostPage: 5000 });
  const root = rig.space();
  rig.map(root, MIB, gfn);
  rig.cr3(root);
  assertEquals(rig.access(MIB, "w").pfn, BASE_PFN + 5000);
  assertEquals(rig.mmu.shadow!.state.gfnOfEntry(rig.entry(MIB).sptep), gfn);
  rig.mmu.invalidateStart(5000, 5001);
  assertEquals(rig.entry(MIB).present, false);
});

Deno.test("change_pte of the page behind a slot's end leaves the next slot alone", () => {
  const rig = new Rig();
  rig.slot(0, MIB);
  rig.slot(MIB, MIB, { hostPage: 5000 });
  rig.access(MIB, "r");
  rig.mmu.changePte(256, 0x777 as Pfn, false);
  assertEquals(rig.entry(MIB).pfn, BASE_PFN + 5000);
});

Deno.test("a block in which a range of another memory type begins is not uniform", () => {
  const types = new MtrrMap([{ baseGfn: 256 as Gfn, frames: 4096, type: MemoryType.UC }]);
  assertEquals(types.isUniform(0 as Gfn, 512), false);
  assertEquals(types.isUniform(512 as Gfn, 512), true);
});

Deno.test("all counters begin at 0", () => {
  const { mmu } = new Rig();
  assertEquals(new Set(Object.values(mmu.stats())), new Set([0]));
});

Deno.test("the trace tells users' pages from the kernel's", () => {
  const rig = new ShadowRig({ paging: "4" });
  const root = rig.space();
  rig.map(root, MIB, 100);
  rig.map(root, MIB + 4096, 101, Flag.P | Flag.W | Flag.A | Flag.D);
  rig.cr3(root);
  const trace = new MmuTrace();
  rig.mmu.trace = trace;
  rig.access(MIB, "r");
  rig.access(MIB + 4096, "r", false);
  const set = trace.drain().filter(({ event }) => event === "kvm_mmu_set_spte");
  assertEquals(set.map(({ gfn, u }) => [gfn, u]), [["0x64", 1], ["0x65", 0]]);
});

Deno.test("each table that a fault makes is a cache miss", () => {
  const rig = new Rig();
  rig.slot(0, 4 * MIB);
  rig.access(0, "r");
  assertEquals(rig.stat("mmu_cache_miss"), 3, "levels 3 to 1 below the root");
  rig.access(2 * MIB, "r");
  assertEquals(rig.stat("mmu_cache_miss"), 4);
});

Deno.test("the last page of a block is asked for its own block when logging ends", () => {
  const host = new HostModel(2);
  for (let page = 512; page < 1024; page++) host.set(page, { level: 1 });
  const rig = new Rig({}, host);
  const slot = rig.slot(0, 4 * MIB, { logDirty: true });
  rig.access(511 * 4096, "r");
  rig.access(512 * 4096, "r");
  rig.mmu.setMemslot({ ...slot, logDirty: false });
  assertEquals(rig.entry(511 * 4096).present, false, "its block can be a large page");
  assert(rig.entry(512 * 4096).present);
});

Deno.test("a table that is written takes the MMIO entry of any frame away", () => {
  const rig = new ShadowRig({ paging: "4" });
  const root = rig.space();
  // Of this frame's entry, the halves have no bit in common.
  rig.map(root, MIB, 0x1400);
  rig.cr3(root);
  assertEquals(rig.access(MIB, "r").how, "mmio");
  const entry = rig.entry(MIB);
  assertEquals([entry.mmio, entry.lo & entry.hi], [true, 0]);
  const table = rig.tableFor(root, MIB, 1);
  rig.write(table, rig.index(MIB, 1), 0n);
  rig.vcpu.wrote(table * 4096 + rig.index(MIB, 1) * 8, 0, 8);
  assertEquals(rig.entry(MIB).value, 0n);
});

Deno.test("a root that is zapped while it is pinned keeps its role, and is invalid", () => {
  const rig = new ShadowRig({ paging: "4" });
  const root = rig.space();
  rig.map(root, MIB, 100);
  rig.cr3(root);
  rig.access(MIB, "r");
  const table = rig.vcpu.shadow!.topTable(MIB);
  const before = unpackRootRole(rig.mmu.shadow!.state.role(table));
  rig.mmu.zapAll();
  const after = unpackRootRole(rig.mmu.shadow!.state.role(table));
  assertEquals(after, { ...before, invalid: true });
});

Deno.test("a page that loses an entry as it is synchronised is flushed from every TLB", () => {
  const flushes = [0x67n, 0n].map((flags) => {
    const rig = new ShadowRig({ paging: "4" });
    const root = rig.space();
    rig.map(root, MIB, 100);
    rig.map(root, MIB + 4096, 101);
    const table = rig.tableFor(root, MIB, 1);
    rig.map(root, 8 * MIB, table);
    rig.cr3(root);
    rig.access(MIB, "r");
    rig.access(MIB + 4096, "r");
    const index = rig.index(MIB, 1);
    rig.storeEntry(8 * MIB + index * 8, flags === 0n ? 0n : 100n << 12n | flags);
    const before = rig.stat("remote_tlb_flush");
    rig.cr3(root);
    rig.vcpu.prepare();
    assertEquals(rig.entry(MIB).present, flags !== 0n);
    return rig.stat("remote_tlb_flush") - before;
  });
  assertEquals(flushes[1] - flushes[0], 1);
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

Deno.test("a cached MMIO access asks the permission bitmap for its own kind and rights", () => {
  const { state } = new Rig().vcpu;
  const fault = new Fault();
  for (let access = 0; access < 32; access += 2) {
    const suspended = (access & Access.SMAP_SUSPENDED) !== 0;
    state.smapSuspended = suspended;
    fault.begin(0, 0, access & ~Access.SMAP_SUSPENDED, 0);
    for (let rights = 0; rights <= Acc.ALL; rights++) {
      const permissions = new Uint8Array(16);
      permissions[access >>> 1] = 1 << rights;
      for (let asked = 0; asked <= Acc.ALL; asked++) {
        const refused = isRefused(state, fault, permissions, asked);
        assertEquals(refused, fault.fetch || asked === rights, `${access} ${rights} ${asked}`);
      }
    }
  }
});

Deno.test("options at the ends of their ranges are taken, and those beyond are refused", () => {
  const ranges = [
    ["maxPhyAddrBits", 32, 52],
    ["maxPageLevel", 1, 3],
    ["rootLevel", 4, 5],
    ["progressLimit", 2, 1e9],
    ["maxTables", 64, 2 ** 20 - 256],
  ] as const;
  const given = (name: string, value: number): MmuOptions => ({
    host: new HostModel(),
    tables: "npt",
    [name]: value,
  });
  for (const [name, least, most] of ranges) {
    for (const value of [least, most]) checkOptions(given(name, value));
    for (const value of [least - 1, most + 1, least + 0.5]) {
      assertThrows(
        () => checkOptions(given(name, value)),
        DenovisorError,
        `option ${name} is ${value}, expected ${least} to ${most}`,
      );
    }
  }
});

Deno.test("operands that an event does not have are 0, whatever stood there before", () => {
  const trace = new MmuTrace(1);
  const seen: number[] = [];
  trace.emit(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
  trace.emit(0);
  trace.read((_point, _timeNs, operands, at) => seen.push(...operands.subarray(at, at + 10)));
  assertEquals(seen, new Array(10).fill(0));
});

Deno.test("a log by dirty flags that ends flushes TLBs when small pages give way to large ones", () => {
  for (const hostLevel of [1, 2] as const) {
    const rig = new Rig({ tables: "ept", pml: true }, new HostModel(hostLevel));
    const slot = rig.slot(0, 4 * MIB, { hostPage: 0, logDirty: true });
    rig.access(0x3000, "w");
    const { flushes } = rig.tlb;
    rig.mmu.setMemslot({ id: 0, baseGfn: slot.baseGfn, frames: slot.frames, hostPage: 0 });
    assertEquals(rig.entry(0x3000).present, hostLevel === 1);
    assertEquals(rig.tlb.flushes - flushes, hostLevel === 1 ? 0 : 1, `host level ${hostLevel}`);
  }
});

Deno.test("INVLPG finds its way whatever the neighbours of the entries are", () => {
  const [address, tableAddress] = [0xc040_1000, 0x0040_0000];
  const rig = new ShadowRig({ paging: "4" });
  const root = rig.space();
  rig.map(root, address, 100);
  rig.map(root, tableAddress, rig.tableFor(root, address, 1));
  rig.cr3(root);
  rig.access(address, "r");
  rig.storeEntry(tableAddress + rig.index(address, 1) * 8, BigInt(200 * 4096 | 0x67));
  // The next entry of level 2 leads to a table whose number has the bits that say MMIO in a high half.
  const { words } = rig.mmu.core.pool;
  const leafTable = Math.floor(rig.entry(address).sptep / TABLE_WORDS);
  const isParent = (at: number) =>
    at % 2 === 0 && isPresent(words[at], words[at + 1]) &&
    pfnOf(words[at], words[at + 1]) as number === leafTable;
  const parent = words.findIndex((_, at) => isParent(at));
  assert(parent >= 0);
  words[parent + 2] = SpteKind.MMIO | words[parent] & 0xfff;
  rig.vcpu.invlpg(address | 0, 0);
  assertEquals(rig.access(address, "w").pfn, BASE_PFN + 200);
});

Deno.test("the trace says of each table whether it is unsync", () => {
  const [address, tableAddress] = [0xc040_1000, 0x0040_0000];
  const rig = new ShadowRig({ paging: "4" });
  const root = rig.space();
  rig.map(root, address, 100);
  rig.map(root, tableAddress, rig.tableFor(root, address, 1));
  rig.cr3(root);
  const trace = new MmuTrace();
  rig.mmu.trace = trace;
  rig.access(address, "r");
  rig.storeEntry(tableAddress, 0n);
  rig.cr3(root);
  rig.vcpu.prepare();
  const tables = trace.drain().filter((event) => "unsync" in event);
  const told = new Set(tables.map(({ event, unsync }) => `${event} ${unsync}`));
  assertEquals(
    told,
    new Set([
      "kvm_mmu_get_page false",
      "kvm_mmu_unsync_page true",
      "kvm_mmu_sync_page true",
    ]),
  );
});

Deno.test("an instruction at address 0 that faults at address 0 may run again, once", () => {
  const guard = new RetryGuard();
  assert(guard.allows(0, 0, 0, 0));
  assert(!guard.allows(0, 0, 0, 0));
});

Deno.test("each table of a five-level root knows the first frame that it maps", () => {
  const rig = new Rig({ maxPhyAddrBits: 52, rootLevel: 5 });
  // Odd at every level, so that no rounding can go unnoticed.
  const address = 5 * 2 ** 48 + 3 * 2 ** 39 + 3 * 2 ** 30 + 3 * 2 ** 21 + 0x3000;
  rig.slot(address - 0x3000, 2 * MIB, { hostPage: 0 });
  assertEquals(rig.access(address, "w").how, "ok");
  const { pool } = rig.mmu.core;
  let table = rig.vcpu.state.root;
  for (let level = 5; level > 1; level--) {
    const frames = 512 ** (level - 1);
    const index = Math.floor(rig.gfn(address) / frames) % 512;
    const at = table * TABLE_WORDS + index * 2;
    table = pfnOf(pool.words[at], pool.words[at + 1]);
    assertEquals(pool.gfn[table], Math.floor(rig.gfn(address) / frames) * frames, `level ${level}`);
  }
});

Deno.test("results that the caller tells apart have values of their own", () => {
  for (const results of [LoadResult, VcpuExit, FaultResult, RangeOp]) {
    assertEquals(new Set(Object.values(results)).size, Object.keys(results).length);
  }
});

Deno.test("a nested guest's table may lie in frame 0", () => {
  const memory = GuestMemory.allocate(MIB);
  const tables = new RegionTables(memory);
  const outer = new TableBuilder(memory, PagingMode.EPT4, 64);
  for (let gfn = 0n; gfn < 32n; gfn++) outer.map(gfn * 4096n, gfn * 4096n);
  const inner = new TableBuilder(memory, PagingMode.LEVEL4, 0);
  inner.map(0x7f_1234_5000n, 0x9000n);
  const outerWalker = new Walker(tables);
  outerWalker.setRole(roleOf({ mode: PagingMode.EPT4 }));
  outerWalker.setRoot(outer.root, 0);
  const walker = new Walker(tables, new NestedWalk(outerWalker));
  walker.setRole(roleOf({ mode: PagingMode.LEVEL4 }));
  walker.setRoot(inner.root, 0);
  assertEquals(inner.root as number, 0);
  assert(walker.walk(0x1234_5000, 0x7f, Access.READ));
  assertEquals(walker.result.gfn as number, 9);
});

Deno.test("when logging ends, small mappings of a large guest page give way to a large one", () => {
  const rig = new ShadowRig({ paging: "4" });
  rig.host.level = 2;
  const root = rig.space();
  rig.map(root, 0xc040_0000, 512, Flag.P | Flag.W | Flag.U | Flag.A | Flag.D, 2);
  rig.cr3(root);
  const { id, baseGfn, frames, hostPage } = rig.mmu.findMemslot(512 as Gfn)!;
  rig.mmu.setMemslot({ id, baseGfn, frames, hostPage, logDirty: true });
  rig.access(0xc040_0000, "w");
  assertEquals(rig.entry(0xc040_0000).level, 1);
  rig.mmu.setMemslot({ id, baseGfn, frames, hostPage });
  rig.access(0xc040_0000, "w");
  assertEquals(rig.entry(0xc040_0000).level, 2);
});
