/** Memslots, logs, ageing, reclaim: checks 86 to 95 of the conformance list in the direct engine. */

import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import type { Gfn, Pfn } from "../../../src/base/u64.ts";
import { Cause, VcpuExit } from "../../../src/mmu/fault.ts";
import { SpteLo } from "../../../src/mmu/spte.ts";
import { BASE_PFN, HostModel } from "../../support/host_model.ts";
import { Rig } from "../../support/mmu_rig.ts";
import { Random, seed } from "../../support/random.ts";

const MIB = 2 ** 20;

/** Nonzero entries in all tables that are in use. */
function liveEntries(rig: Rig): number {
  return rig.mmu.core.pool.words.reduce((count, word) => count + Number(word !== 0), 0);
}

Deno.test("check 86: deleting a slot leaves no SPTE and has roots reloaded", () => {
  const rig = new Rig();
  rig.slot(0, 4 * MIB);
  rig.access(0x3000, "w");
  const { root } = rig.vcpu.state;
  const flushes = rig.tlb.flushes;
  rig.mmu.deleteMemslot(0);
  assertEquals(liveEntries(rig), 0);
  assert(rig.tlb.flushes > flushes);
  assert(rig.host.dirty.has(BASE_PFN + 3), "what is known of the frame is reported");
  assertEquals(rig.access(0x3000, "r").how, "emulated");
  const { pool } = rig.mmu.core;
  assertEquals(pool.rootCount[rig.vcpu.state.root], 1);
  assert(rig.vcpu.state.root !== root || pool.generation[root] === rig.mmu.core.generation);
});

Deno.test("check 86: a pinned root is freed with its last pin, and the count of tables follows", () => {
  const rig = new Rig();
  rig.slot(0, 4 * MIB);
  const other = rig.mmu.createVcpu(rig.tlb);
  rig.access(0x3000, "w");
  rig.access(0x3000, "w", other);
  rig.mmu.zapAll();
  assertEquals(rig.mmu.core.pool.used, 1, "both vCPUs still pin the root");
  rig.vcpu.prepare();
  assertEquals(rig.mmu.core.pool.used, 2);
  other.prepare();
  assertEquals(rig.mmu.core.pool.used, 1);
  assertEquals(rig.vcpu.state.root, other.state.root);
});

Deno.test("check 86: while a slot is being deleted a fault maps nothing, and is retried", () => {
  const rig = new Rig();
  rig.slot(0, 4 * MIB);
  const causes: number[] = [];
  rig.mmu.hooks = {
    duringSlotUpdate: () => {
      rig.vcpu.prepare();
      assertEquals(rig.fault(0x3000, "w"), VcpuExit.RESUME);
      causes.push(rig.vcpu.fault.cause);
    },
  };
  rig.mmu.deleteMemslot(0);
  assertEquals(causes, [Cause.SLOT_UPDATE, Cause.SLOT_UPDATE]);
  assert(!rig.entry(0x3000).present);
});

Deno.test("check 87: after a move the next access reaches the new host memory", () => {
  const rig = new Rig();
  const slot = rig.slot(0, 4 * MIB);
  rig.access(0x3000, "w");
  rig.mmu.setMemslot({ ...slot, hostPage: 4096 });
  assertEquals(rig.access(0x3000, "w"), { how: "ok", faults: 1 });
  assertEquals(rig.entry(0x3000).pfn as number, BASE_PFN + 4096 + 3);
  rig.mmu.setMemslot({ id: 0, baseGfn: rig.gfn(64 * MIB), frames: 1024, hostPage: 0 });
  assertEquals(rig.access(0x3000, "r").how, "emulated");
  assertEquals(rig.access(64 * MIB, "r").how, "ok");
});

Deno.test("check 88: the dirty log reports each write once, and only writes", () => {
  for (const options of [{}, { pml: true }, { tables: "ept", accessedDirty: false }] as const) {
    const random = new Random(seed(88));
    const rig = new Rig({ prefetch: true, ...options }, new HostModel(2));
    const slot = rig.slot(0, 8 * MIB);
    for (let i = 0; i < 2048; i += 5) rig.access(i * 4096, "w");
    rig.mmu.setMemslot({ ...slot, logDirty: true });
    const log = new Uint32Array(2048 / 32);
    for (let round = 0; round < 50; round++) {
      const written = new Set<number>();
      for (let i = 0; i < 200; i++) {
        const frame = random.below(2048);
        const write = random.oneIn(2);
        if (write) written.add(frame);
        assertEquals(rig.access(frame * 4096 + 8, write ? "w" : "r").how, "ok");
      }
      log.fill(0);
      const count = rig.mmu.takeDirtyLog(slot, log);
      const reported = new Set<number>();
      for (let i = 0; i < 2048; i++) if ((log[i >>> 5] >>> (i & 31) & 1) !== 0) reported.add(i);
      assertEquals([...reported].sort(), [...written].sort(), `seed ${random.seed}`);
      assertEquals(count, written.size);
    }
    log.fill(0);
    assertEquals(rig.mmu.takeDirtyLog(slot, log), 0, "each write once");
  }
});

Deno.test("the dirty log flushes TLBs before it reports", () => {
  const rig = new Rig();
  const slot = rig.slot(0, MIB, { logDirty: true });
  rig.access(0, "w");
  const flushes = rig.tlb.flushes;
  rig.mmu.takeDirtyLog(slot, new Uint32Array(8));
  assertEquals(rig.tlb.flushes, flushes + 1);
  rig.mmu.takeDirtyLog(slot, new Uint32Array(8));
  assertEquals(rig.tlb.flushes, flushes + 1, "nothing was written, nothing is flushed");
});

Deno.test("a log that is off or a bitmap too small is an error that names the slot", () => {
  const rig = new Rig();
  const slot = rig.slot(0, MIB);
  assertThrows(() => rig.mmu.takeDirtyLog(slot, new Uint32Array(8)), DenovisorError, "memslot 0");
  const logged = rig.mmu.setMemslot({ ...slot, logDirty: true });
  assertThrows(() => rig.mmu.takeDirtyLog(logged, new Uint32Array(7)), DenovisorError, "7 words");
});

Deno.test("check 89: when logging ends, 4 KiB mappings of huge pages collapse to 2 MiB", () => {
  const rig = new Rig({}, new HostModel(2));
  const slot = rig.slot(0, 4 * MIB, { logDirty: true });
  rig.access(0x3000, "w");
  rig.access(0x4000, "r");
  rig.mmu.setMemslot({ ...slot, logDirty: false });
  assertFalse(rig.entry(0x3000).present);
  rig.access(0x3000, "w");
  assertEquals(rig.entry(0x3000).level, 2);
  assertEquals(rig.stat("lpages"), 1);

  const small = new Rig({}, new HostModel(1));
  const other = small.slot(0, 4 * MIB, { logDirty: true });
  small.access(0x3000, "w");
  small.mmu.setMemslot({ ...other, logDirty: false });
  assert(small.entry(0x3000).present, "what cannot become large stays");
});

Deno.test("check 90: ageing clears, test_age is false after it, an access sets again", () => {
  for (const accessedDirty of [true, false]) {
    const rig = new Rig({ tables: "ept", accessedDirty });
    rig.slot(0, 4 * MIB);
    rig.access(0x3000, "r");
    assert(rig.mmu.testAge(0, 10));
    assert(rig.mmu.age(0, 10));
    assertFalse(rig.mmu.testAge(0, 10));
    assertFalse(rig.mmu.age(0, 10));
    rig.access(0x3000, "r");
    assert(rig.mmu.testAge(3, 4));
    assertFalse(rig.mmu.testAge(4, 10));
  }
});

Deno.test("the log forgets no write through a translation that ageing has left in a TLB", () => {
  // Without accessed flags ageing takes the rights from the entry, and flushes nothing.
  for (const logDirty of [true, false]) {
    const rig = new Rig({ tables: "ept", accessedDirty: false });
    const slot = rig.slot(0, MIB, { logDirty });
    rig.access(0x3000, "w");
    rig.mmu.age(0, 10);
    assertFalse(rig.entry(0x3000).writable);
    const { flushes } = rig.tlb;
    if (logDirty) assertEquals(rig.mmu.takeDirtyLog(slot, new Uint32Array(8)), 1);
    else rig.mmu.setMemslot({ ...slot, logDirty: true });
    assert(rig.tlb.flushes > flushes, "the vCPU may still write without a fault");
  }
});

Deno.test("check 91: change_pte maps the new frame read-only, a writable one on the next fault", () => {
  const rig = new Rig();
  rig.slot(0, 4 * MIB);
  rig.access(0x3000, "w");
  rig.mmu.changePte(3, 0x777 as Pfn, false);
  const entry = rig.entry(0x3000);
  assertEquals([entry.pfn as number, entry.writable], [0x777, false]);
  assertEquals(entry.lo & (SpteLo.HOST_WRITEABLE | 1 << 5), 0);
  assert(rig.host.dirty.has(BASE_PFN + 3));
  rig.mmu.changePte(3, 0x778 as Pfn, true);
  assertFalse(rig.entry(0x3000).present);
  const sequence = rig.mmu.core.notifier.sequence;
  rig.mmu.changePte(900_000, 1 as Pfn, true);
  assertEquals(rig.mmu.core.notifier.sequence, sequence + 1);
});

Deno.test("change_pte of a frame that no root reaches leaves the one it would wrap to alone", () => {
  for (const [tables, top] of [["npt", 2 ** 48], ["ept", 2 ** 48], ["shadow", 2 ** 39]] as const) {
    const rig = new Rig({ tables, maxPhyAddrBits: 52 });
    rig.slot(0, MIB);
    rig.slot(top, MIB, { hostPage: 0x5000 });
    assertEquals(rig.access(0x3000, "w").how, "ok");
    const before = rig.entry(0x3000).value;
    for (const writable of [false, true]) {
      rig.mmu.changePte(0x5003, 0x777 as Pfn, writable);
      assertEquals(rig.entry(0x3000).value, before, `${tables}: another page's frame has changed`);
    }
  }
});

Deno.test("check 92: the shrinker never frees a table that a vCPU has as root", () => {
  const rig = new Rig();
  rig.slot(0, 64 * MIB);
  for (let i = 0; i < 10; i++) rig.access(i * 2 * MIB, "w");
  const { root } = rig.vcpu.state;
  while (rig.mmu.shrink(3) > 0);
  assertEquals(rig.mmu.core.pool.used, 1);
  assertEquals(rig.vcpu.state.root, root);
  assertEquals(rig.access(0x1000, "w"), { how: "ok", faults: 1 });
});

Deno.test("check 93: a fault maps at most 7 neighbours: its aligned window of 8", () => {
  const rig = new Rig({ prefetch: true });
  rig.slot(0, 4 * MIB);
  rig.access(0xb000, "r");
  for (let page = 0; page < 24; page++) {
    const entry = rig.entry(page * 4096);
    assertEquals(entry.present, page >= 8 && page < 16, `page ${page}`);
    if (entry.present) assertEquals(entry.pfn as number, BASE_PFN + page);
    if (entry.present && page !== 11) assertEquals(entry.lo & 1 << 5, 0, "guessed, not used");
  }
  assertEquals(rig.stat("pf_fixed"), 1);
});

Deno.test("prefetch stops at the first page that the host does not have, and at the slot's end", () => {
  const rig = new Rig({ prefetch: true });
  rig.slot(0, 13 * 4096);
  rig.host.set(10, { mustWait: true });
  rig.access(0xb000, "r");
  const mapped = [];
  for (let page = 0; page < 24; page++) if (rig.entry(page * 4096).present) mapped.push(page);
  assertEquals(mapped, [8, 9, 11]);
  assertEquals(rig.host.waits, 0);
});

Deno.test("prefetch leaves logged slots and tables without accessed flags alone", () => {
  const logged = new Rig({ prefetch: true });
  logged.slot(0, MIB, { logDirty: true });
  logged.access(0, "r");
  assertFalse(logged.entry(0x1000).present);
  const plain = new Rig({ prefetch: true, tables: "ept", accessedDirty: false });
  plain.slot(0, MIB);
  plain.access(0, "r");
  assertFalse(plain.entry(0x1000).present);
});

Deno.test("check 95: a second fault on a page under way asks for a halt", () => {
  const rig = new Rig();
  rig.slot(0, 4 * MIB);
  rig.vcpu.prepare();
  rig.host.set(3, { mustWait: true });
  const { asyncFaults } = rig.vcpu.state;
  const started: number[] = [];
  asyncFaults.port = { mayDefer: () => true, start: (page) => started.push(page) };
  assertEquals(rig.fault(0x3000, "r"), VcpuExit.RESUME);
  assertEquals([asyncFaults.pending, asyncFaults.haltRequested], [1, false]);
  assertEquals(rig.fault(0x3000, "r"), VcpuExit.RESUME);
  assertEquals([asyncFaults.pending, asyncFaults.haltRequested], [1, true]);
  assertEquals(started, [3]);
  rig.host.set(3, { mustWait: false });
  asyncFaults.complete(rig.gfn(0x3000));
  assertFalse(asyncFaults.haltRequested);
  assert(rig.vcpu.finishAsyncFaults());
  assert(rig.entry(0x3000).present, "mapped before the guest asks again");
  assertEquals(asyncFaults.pending, 0);
});

Deno.test("asynchronous faults: at most 64, none for a guest that cannot be told, none taken up late", () => {
  const rig = new Rig();
  rig.slot(0, 4 * MIB);
  rig.vcpu.prepare();
  for (let page = 0; page < 80; page++) rig.host.set(page, { mustWait: true });
  const { asyncFaults } = rig.vcpu.state;
  rig.fault(0x1000, "r");
  assertEquals([asyncFaults.pending, rig.host.waits], [0, 1], "no port: it waits");
  let may = false;
  asyncFaults.port = { mayDefer: () => may, start: () => {} };
  rig.fault(0x2000, "r");
  assertEquals([asyncFaults.pending, rig.host.waits], [0, 2]);
  may = true;
  for (let page = 3; page < 80; page++) rig.fault(page * 4096, "r");
  assertEquals([asyncFaults.pending, rig.host.waits], [64, 2 + 13]);
  asyncFaults.complete(rig.gfn(0x3000));
  rig.vcpu.state.context++;
  rig.vcpu.finishAsyncFaults();
  assertEquals(asyncFaults.pending, 63);
  assertFalse(rig.entry(0x3000).present, "the address may mean something else by now");
});

Deno.test("memslots that overlap, wrap, are unaligned or too high are refused by name", () => {
  const rig = new Rig({ maxPhyAddrBits: 40 });
  rig.slot(0, 4 * MIB);
  const bad: [object, string][] = [
    [{ id: 1, baseGfn: 1023, frames: 2, hostPage: 0 }, "memslot 1: 0x3ff000 to 0x401000 overlaps"],
    [{ id: 1, baseGfn: 2 ** 28 - 1, frames: 2, hostPage: 0 }, "40-bit"],
    [{ id: 1, baseGfn: 2 ** 53, frames: 2, hostPage: 0 }, "whole number"],
    [{ id: 1, baseGfn: 0.5, frames: 2, hostPage: 0 }, "aligned to 4096"],
    [{ id: 1, baseGfn: 4096, frames: 0, hostPage: 0 }, "0 frames"],
    [{ id: 1, baseGfn: 4096, frames: 1.5, hostPage: 0 }, "1.5 frames"],
    [{ id: 1, baseGfn: 4096, frames: 1, hostPage: -1 }, "host page is -1"],
    [{ id: 1, baseGfn: 4096, frames: 9, hostPage: 2 ** 53 - 8 }, "host page is 9007199254740984"],
    [{ id: -1, baseGfn: 4096, frames: 1, hostPage: 0 }, "number is -1"],
  ];
  for (const [config, text] of bad) {
    assertThrows(() => rig.mmu.setMemslot(config as never), DenovisorError, text);
  }
  assertThrows(() => rig.mmu.deleteMemslot(7), DenovisorError, "memslot 7");
  assertThrows(() => rig.slot(MIB, MIB, { id: 5 }), DenovisorError, "overlaps memslot 0");
  assertEquals(rig.mmu.core.spaces[0].all.length, 1);
  rig.mmu.setMemslot({ id: 1, baseGfn: rig.gfn(4 * MIB), frames: 1, hostPage: 0 });
  rig.mmu.setMemslot({ id: 2, baseGfn: 2 ** 28 - 2 as Gfn, frames: 2, hostPage: 0 });
});
