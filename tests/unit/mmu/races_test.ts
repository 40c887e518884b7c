/** Races and errors: checks 49 to 54 and 56 of the conformance list. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Cause, VcpuExit } from "../../../src/mmu/fault.ts";
import { HostModel } from "../../support/host_model.ts";
import { Rig } from "../../support/mmu_rig.ts";

const MIB = 2 ** 20;

Deno.test("check 49: while the host invalidates the page, a fault is retried and maps nothing", () => {
  const rig = new Rig();
  rig.slot(0, 4 * MIB);
  rig.vcpu.prepare();
  rig.mmu.invalidateStart(3, 5);
  assertEquals(rig.fault(0x3000, "w"), VcpuExit.RESUME);
  assertEquals(rig.vcpu.fault.cause, Cause.NOTIFIER);
  assertEquals(rig.entry(0x3000).value, 0n);
  assertEquals(rig.host.references.size, 0);
  assertEquals(rig.access(0x5000, "w"), { how: "ok", faults: 1 }, "a page outside goes on");
  rig.mmu.invalidateEnd();
  assertEquals(rig.access(0x3000, "w"), { how: "ok", faults: 1 });
});

Deno.test("check 49: overlapping invalidations protect the union until the last one ends", () => {
  const rig = new Rig();
  rig.slot(0, 4 * MIB);
  rig.vcpu.prepare();
  rig.mmu.invalidateStart(3, 4);
  rig.mmu.invalidateStart(8, 9);
  rig.mmu.invalidateEnd();
  for (const page of [3, 8]) {
    rig.fault(page * 4096, "r");
    assertEquals(rig.entry(page * 4096).value, 0n);
  }
  rig.mmu.invalidateEnd();
  assertEquals(rig.access(0x8000, "r").how, "ok");
});

Deno.test("check 50: an invalidation between lookup and lock makes the fault stale", () => {
  for (const window of ["afterSequence", "beforeLock"] as const) {
    const rig = new Rig();
    rig.slot(0, 4 * MIB);
    rig.vcpu.prepare();
    let held = 0;
    rig.mmu.hooks = {
      [window]: () => {
        held = rig.host.references.size;
        rig.mmu.invalidateStart(100, 101);
        rig.mmu.invalidateEnd();
      },
    };
    assertEquals(rig.fault(0x3000, "w"), VcpuExit.RESUME);
    assertEquals(held, window === "beforeLock" ? 1 : 0);
    assertEquals(rig.vcpu.fault.cause, Cause.NOTIFIER);
    assertEquals(rig.entry(0x3000).value, 0n);
    assertEquals(rig.host.references.size, 0, "the page is given back");
  }
});

Deno.test("a root that becomes obsolete before the lock makes the fault stale", () => {
  const rig = new Rig();
  rig.slot(0, 4 * MIB);
  rig.vcpu.prepare();
  rig.mmu.hooks = { beforeLock: () => rig.mmu.zapAll() };
  assertEquals(rig.fault(0x3000, "w"), VcpuExit.RESUME);
  assertEquals(rig.vcpu.fault.cause, Cause.ROOT_INVALID);
  rig.mmu.hooks = undefined;
  assertEquals(rig.access(0x3000, "w"), { how: "ok", faults: 1 });
  assertEquals(rig.warnings, []);
});

Deno.test("check 51: a spent quota is ENOSPC and gives the page back", () => {
  const rig = new Rig({ maxTables: 64 });
  rig.slot(0, 4 * MIB);
  rig.vcpu.prepare();
  const { pool } = rig.mmu.core;
  const pinned: number[] = [];
  pool.reserve(70);
  rig.mmu.hooks = {
    beforeLock: () => {
      const role = pool.role[rig.vcpu.state.root] as never;
      while (pool.used < 64) pinned.push(pool.allocate(0 as never, role, 0, 0));
      for (const table of pinned) pool.rootCount[table] = 1;
    },
  };
  assertEquals(rig.fault(0x3000, "w"), VcpuExit.NO_SPACE);
  assertEquals(rig.host.references.size, 0);
  assertStringIncludes(rig.vcpu.describeFailure(), "all 64 page tables are in use");
});

Deno.test("check 52: when no tables can be reserved, ENOMEM, and the lock is not taken", () => {
  const rig = new Rig();
  rig.slot(0, 4 * MIB);
  rig.vcpu.prepare();
  let locked = false;
  rig.mmu.hooks = { failTopup: () => true, beforeLock: () => locked = true };
  assertEquals(rig.fault(0x3000, "w"), VcpuExit.NO_MEMORY);
  assertEquals([locked, rig.host.lookups], [false, 0]);
  assertStringIncludes(rig.vcpu.describeFailure(), "0x3000: no memory for page tables");
});

Deno.test("check 53: poisoned memory is signalled and retried, for as long as the guest likes", () => {
  const rig = new Rig({ progressLimit: 3 });
  rig.slot(0, 4 * MIB);
  rig.vcpu.prepare();
  rig.host.set(3, { poisoned: true });
  for (let i = 0; i < 10; i++) assertEquals(rig.fault(0x3000, "r"), VcpuExit.RESUME);
  assertEquals(rig.host.poisonSignals, new Array(10).fill(3));
  assertEquals(rig.host.references.size, 0);
});

Deno.test("check 54: without a root the fault warns and returns 0", () => {
  const rig = new Rig();
  rig.slot(0, MIB);
  rig.vcpu.unload();
  assertEquals(rig.vcpu.pageFault(0x1000, 0, 4, 1, rig), VcpuExit.USERSPACE);
  assertEquals(rig.warnings, ["Cannot handle a fault: the vCPU has no root"]);
});

Deno.test("check 56: references to frames balance on every path", () => {
  const paths: ((rig: Rig) => void)[] = [
    (rig) => rig.access(0x1000, "w"),
    (rig) => rig.access(0x1000, "x"),
    (rig) => rig.access(2 ** 30, "w"),
    (rig) => rig.mmu.invalidateStart(0, 1000),
    (rig) => rig.access(0x2000, "w"),
    (rig) => rig.mmu.invalidateEnd(),
    (rig) => rig.host.set(9, { poisoned: true }),
    (rig) => rig.fault(0x9000, "r"),
    (rig) => rig.host.set(10, { absent: true }),
    (rig) => rig.access(0xa000, "r"),
    (rig) => rig.mmu.setMemslot({ ...rig.mmu.findMemslot(rig.gfn(0))!, logDirty: true }),
    (rig) => rig.access(0x3000, "w"),
    (rig) => rig.mmu.setMemslot({ ...rig.mmu.findMemslot(rig.gfn(0))!, logDirty: false }),
    (rig) => rig.mmu.deleteMemslot(0),
  ];
  for (const level of [1, 2] as const) {
    const rig = new Rig({ prefetch: true, nxHugePages: true }, new HostModel(level));
    rig.slot(0, 4 * MIB);
    rig.vcpu.prepare();
    paths.forEach((path, i) => {
      path(rig);
      if (rig.mmu.core.notifier.count === 0) rig.vcpu.prepare();
      assertEquals(rig.host.references.size, 0, `path ${i}`);
    });
  }
});

Deno.test("a page the host lost is EFAULT and names the memslot", () => {
  const rig = new Rig();
  rig.slot(0, 4 * MIB);
  rig.host.set(3, { absent: true });
  assertEquals(rig.access(0x3000, "r").how, VcpuExit.BAD_ADDRESS);
  assertStringIncludes(rig.vcpu.describeFailure(), "the host has nothing there (memslot 0)");
  assert(!rig.entry(0x3000).present);
});
