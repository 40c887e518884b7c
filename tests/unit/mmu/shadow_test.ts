/** The shadow engine: checks 74 to 85 and 94 of the conformance list. */

import { assert, assertEquals, assertFalse, assertNotEquals } from "@std/assert";
import { LoadResult } from "../../../src/mmu/load_result.ts";
import { BASE_PFN } from "../../support/host_model.ts";
import { Flag, type Paging, ShadowRig } from "../../support/shadow_rig.ts";

const PAGINGS: readonly Paging[] = ["32", "pae", "4", "5"];
/** A linear address in the upper part of 32 bits, and one that shares none of its tables. */
const A = 0xc040_1000;
const B = 0x0040_0000;
const USER = Flag.P | Flag.U | Flag.A | Flag.D;

/** A guest whose address A maps frame 100, with its last-level table mapped at B. */
function guest(paging: Paging, options: ConstructorParameters<typeof ShadowRig>[1] = {}) {
  const rig = new ShadowRig({ paging }, options);
  const root = rig.space();
  rig.map(root, A, 100);
  const table = rig.tableFor(root, A, 1);
  rig.map(root, B, table);
  rig.cr3(root);
  return { rig, root, table };
}

for (const paging of PAGINGS) {
  Deno.test(`an access reaches the frame that the guest's tables name (${paging})`, () => {
    const { rig } = guest(paging);
    assertEquals(rig.access(A + 8, "w"), {
      how: "ok",
      faults: 1,
      errorCode: 0,
      pfn: BASE_PFN + 100,
    });
    assertEquals(rig.access(A, "r").faults, 0);
    const missing = rig.access(A + 0x1000, "r");
    assertEquals([missing.how, missing.errorCode], ["fault", 4]);
    assertEquals(rig.stat("pf_guest"), 1);
    assertEquals(rig.host.references.size, 0);
    assertEquals(rig.warnings, []);
  });

  Deno.test(`accesses beside the last one find their entries, in a later space too (${paging})`, () => {
    const { rig, root } = guest(paging);
    for (const i of [1, 2, 510]) rig.map(root, A + (i - 1) * 4096, 100 + i);
    const other = rig.space();
    rig.map(other, A, 200);
    rig.map(other, A + 4096, 201);
    assertEquals(rig.access(A, "w").pfn, BASE_PFN + 101);
    for (const i of [2, 510]) {
      assertEquals(rig.access(A + (i - 1) * 4096, "w").pfn, BASE_PFN + 100 + i);
    }
    rig.cr3(other, rig.vcpu, true);
    assertEquals(rig.access(A + 4096, "w").pfn, BASE_PFN + 201);
    rig.cr3(root, rig.vcpu, true);
    rig.map(root, A + 2 * 4096, 103);
    assertEquals(rig.access(A + 2 * 4096, "w").pfn, BASE_PFN + 103);
    rig.cr3(other, rig.vcpu, true);
    assertEquals(rig.access(A, "w").pfn, BASE_PFN + 200);
    assertEquals(rig.warnings, []);
  });

  Deno.test(`check 74: two vCPUs with one CR3 and role have one root, pinned twice (${paging})`, () => {
    const { rig, root } = guest(paging);
    const other = rig.createVcpu();
    rig.cr3(root, other);
    rig.access(A, "r");
    assertEquals(rig.access(A, "r", true, other).faults, 0);
    const table = rig.vcpu.shadow!.topTable(A);
    assertEquals(other.shadow!.topTable(A), table);
    assertEquals(rig.mmu.core.pool.rootCount[table], 2);
    other.unload();
    assertEquals(rig.mmu.core.pool.rootCount[table], 1);
  });

  Deno.test(`check 75: another CR0.WP means other pages, and the old ones are not used (${paging})`, () => {
    const { rig, root } = guest(paging);
    rig.access(A, "w");
    const old = rig.vcpu.shadow!.topTable(A);
    rig.setMode({ paging, wp: false });
    rig.cr3(root);
    assertEquals(rig.access(A, "w"), { how: "ok", faults: 1, errorCode: 0, pfn: BASE_PFN + 100 });
    assertNotEquals(rig.vcpu.shadow!.topTable(A), old);
    assertEquals(rig.mmu.core.pool.rootCount[old], 0);
  });

  Deno.test(`check 76: with WP clear, a kernel write and a user read turn U and W over (${paging})`, () => {
    for (const smep of [false, true]) {
      const rig = new ShadowRig({ paging, wp: false, smep });
      const root = rig.space();
      rig.map(root, A, 100, USER);
      rig.cr3(root);
      assertEquals(rig.access(A, "w", false).how, "ok");
      const kernels = rig.entry(A);
      assertEquals([kernels.lo & 4, kernels.writable], [0, true]);
      assertEquals(kernels.executable, !smep, "SMEP would keep the kernel from executing it");
      assertEquals(rig.access(A, "r", true).how, "ok");
      const users = rig.entry(A);
      assertEquals([users.lo & 4, users.writable], [4, false]);
      const refused = rig.access(A, "w", true);
      assertEquals([refused.how, refused.errorCode], ["fault", 7]);
      assertEquals(rig.access(A, "w", false).how, "ok");
    }
  });

  Deno.test(`check 78: a write to a last-level table makes its page unsync, none is emulated (${paging})`, () => {
    const { rig, table } = guest(paging);
    rig.access(A, "r");
    assertEquals(rig.access(B, "w", false).how, "ok");
    assertEquals(rig.stat("mmu_unsync"), 1);
    assertEquals(rig.stat("insn_emulation"), 0);
    assertEquals(rig.storeEntry(B + 16, 0n).faults, 0, "the table is writable now");
    assert(rig.entry(B).writable);
    assertEquals(rig.entry(B).pfn - BASE_PFN, table);
  });

  Deno.test(`check 79: INVLPG after that makes the new translation visible (${paging})`, () => {
    const { rig } = guest(paging);
    rig.access(A, "r");
    const offset = rig.index(A, 1) * (paging === "32" ? 4 : 8);
    rig.storeEntry(B + offset, BigInt(200 * 4096 | 0x67));
    rig.vcpu.invlpg(A | 0, 0);
    assertEquals(rig.access(A, "w").pfn, BASE_PFN + 200);
    assertEquals(rig.stat("invlpg"), 1);
    assertEquals(rig.tlb.pages.length, 1);
  });

  Deno.test(`check 80: after a load of CR3 no unsync page can be reached (${paging})`, () => {
    const { rig, root } = guest(paging);
    rig.access(A, "r");
    const offset = rig.index(A, 1) * (paging === "32" ? 4 : 8);
    rig.storeEntry(B + offset, BigInt(200 * 4096 | 0x67));
    assertEquals(rig.stat("mmu_unsync"), 1);
    rig.cr3(root);
    rig.vcpu.prepare();
    assertEquals(rig.stat("mmu_unsync"), 0);
    assertFalse(rig.entry(B).writable, "the table is protected again");
    assertEquals(rig.access(A, "w").pfn, BASE_PFN + 200);
  });

  Deno.test(`check 82: a misaligned write to a table zaps its page (${paging})`, () => {
    const { rig, root } = guest(paging);
    rig.access(A, "r");
    const level = paging === "32" || paging === "pae" ? 2 : 3;
    const table = rig.tableFor(root, A, level);
    const at = table * 4096 + rig.index(A, level) * (paging === "32" ? 4 : 8);
    rig.vcpu.wrote(at + (paging === "32" ? 2 : 6), 0, 4);
    assertEquals(rig.stat("mmu_flooded"), paging === "32" ? 4 : 1);
    assertEquals(rig.access(A, "r").pfn, BASE_PFN + 100);
  });

  Deno.test(`check 84: a read of a clean page maps it read-only, the write after sets D (${paging})`, () => {
    const rig = new ShadowRig({ paging });
    const root = rig.space();
    rig.map(root, A, 100, Flag.P | Flag.W | Flag.U);
    rig.cr3(root);
    const table = rig.tableFor(root, A, 1);
    rig.access(A, "r");
    assertFalse(rig.entry(A).writable);
    assertEquals(rig.read(table, rig.index(A, 1)) & 0x60n, 0x20n);
    rig.access(A, "w");
    assertEquals(rig.read(table, rig.index(A, 1)) & 0x60n, 0x60n);
    assert(rig.entry(A).writable);
  });
}

Deno.test("check 77: a 32-bit guest has four roots, whose quadrants split its tables right", () => {
  const rig = new ShadowRig({ paging: "32" });
  const root = rig.space();
  // One address in each half of a last-level table, in each quarter of the directory.
  const addresses = [0, 1, 2, 3].flatMap((q) => [q * 2 ** 30 + 0x1000, q * 2 ** 30 + 0x30_1000]);
  addresses.forEach((address, i) => rig.map(root, address, 200 + i));
  rig.cr3(root);
  addresses.forEach((address, i) => {
    assertEquals(rig.access(address, "w").pfn, BASE_PFN + 200 + i);
  });
  const { paeRoots } = rig.vcpu.shadow!;
  assertEquals(new Set(paeRoots).size, 4);
  const { pool } = rig.mmu.core;
  assertEquals([...paeRoots].map((table) => pool.role[table] >>> 5 & 3), [0, 1, 2, 3]);
  assertEquals([...paeRoots].map((table) => pool.gfn[table]), [root, root, root, root]);
  addresses.forEach((address) => assertEquals(rig.access(address, "w").faults, 0));
});

Deno.test("a 4 MiB page of a 32-bit guest is two blocks of 2 MiB", () => {
  const rig = new ShadowRig({ paging: "32" });
  rig.host.level = 2;
  const root = rig.space();
  rig.map(root, 0x80_0000, 1024, undefined, 2);
  rig.cr3(root);
  assertEquals(rig.access(0x80_0000, "w").pfn, BASE_PFN + 1024);
  assertEquals(rig.access(0xa0_1000, "w").pfn, BASE_PFN + 1024 + 513);
  assertEquals([rig.entry(0x80_0000).level, rig.entry(0xa0_0000).level], [2, 2]);
  // One write to the guest's entry zaps both.
  rig.write(root, 2, 0n);
  rig.vcpu.wrote(root * 4096 + 8, 0, 4);
  assertFalse(rig.entry(0x80_0000).present || rig.entry(0xa0_0000).present);
});

Deno.test("check 81: three writes to a directory without a walk between zap its page", () => {
  const { rig, root } = guest("4");
  rig.access(A, "r");
  const directory = rig.tableFor(root, A, 2);
  const entry = rig.read(directory, rig.index(A, 2));
  const at = directory * 4096 + 8;
  for (let i = 0; i < 2; i++) rig.vcpu.wrote(at, 0, 8);
  assertEquals(rig.stat("mmu_flooded"), 0);
  rig.vcpu.wrote(directory * 4096 + rig.index(A, 2) * 8, 0, 8);
  assertEquals(rig.stat("mmu_flooded"), 1);
  assertEquals(rig.read(directory, rig.index(A, 2)), entry);
  assertEquals(rig.access(A, "r").pfn, BASE_PFN + 100);

  rig.vcpu.wrote(at, 0, 8);
  rig.vcpu.wrote(at, 0, 8);
  rig.access(A + 0x2000, "r"); // walks through the directory: faults, without a page
  rig.map(root, A + 0x2000, 300);
  rig.access(A + 0x2000, "r");
  rig.vcpu.wrote(at, 0, 8);
  assertEquals(rig.stat("mmu_flooded"), 1, "a fault through the table resets the count");
});

Deno.test("check 82: one aligned byte is no misalignment, three bytes are", () => {
  const { rig, root } = guest("4");
  rig.access(A, "r");
  const at = rig.tableFor(root, A, 3) * 4096 + 8;
  rig.vcpu.wrote(at, 0, 1);
  assertEquals(rig.stat("mmu_flooded"), 0);
  rig.vcpu.wrote(at, 0, 3);
  assertEquals(rig.stat("mmu_flooded"), 1);
});

Deno.test("check 82: a 4-byte half of an 8-byte entry counts as the whole entry", () => {
  const { rig, root } = guest("pae");
  rig.access(A, "r");
  const directory = rig.tableFor(root, A, 2);
  rig.vcpu.wrote(directory * 4096 + rig.index(A, 2) * 8 + 4, 0, 4);
  assertEquals(rig.stat("mmu_flooded"), 0);
  assertFalse(rig.entry(A).present);
  assertEquals(rig.entry(A).level, 2);
});

Deno.test("check 83: a write through a self-mapping is emulated once, and no loop", () => {
  const { rig, root } = guest("4");
  // Entry 511 of the root points to the root: the tables appear at the top of the address space.
  rig.write(root, 511, BigInt(root) << 12n | 0x67n);
  rig.access(A, "r");
  const self = 0xffff_ffff_ffff_f000n;
  const lo = Number(self & 0xffff_ffffn) | 0;
  const hi = Number(self >> 32n) | 0;
  let emulations = 0;
  const emulator = {
    emulate: () => {
      emulations++;
      assert(rig.vcpu.shadow!.writesOwnTable);
      assertFalse(rig.vcpu.retryInstruction(0, 0), "trying again would fault again");
      rig.write(root, 7, 0n);
      rig.vcpu.wrote(root * 4096 + 56, 0, 8);
      return 1 as const;
    },
  };
  assertEquals(rig.vcpu.pageFault(lo + 56, hi, 3, 0, emulator), 1);
  assertEquals(emulations, 1);
  assertEquals(rig.warnings, []);
  assertEquals(rig.access(A, "r").how, "ok");
});

Deno.test("check 85: four values of CR3 in turn are all hits; a fifth evicts the one used longest ago", () => {
  const rig = new ShadowRig({ paging: "4" });
  const spaces = Array.from({ length: 5 }, (_, i) => {
    const root = rig.space();
    rig.map(root, A, 100 + i);
    return root;
  });
  const run = (i: number) => {
    rig.cr3(spaces[i]);
    const loaded = rig.vcpu.shadow!.hasRoots;
    assertEquals(rig.access(A, "r").pfn, BASE_PFN + 100 + i);
    return loaded;
  };
  for (let i = 0; i < 4; i++) assertFalse(run(i));
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 4; i++) assert(run(i), `space ${i} is a hit`);
  }
  assertFalse(run(4));
  assert(run(1) && run(2) && run(3));
  assertFalse(run(0), "it was the one used longest ago");
});

Deno.test("a load of CR3 that keeps the TLB neither flushes nor synchronises", () => {
  const { rig, root } = guest("4");
  rig.access(A, "r");
  rig.access(B, "w", false);
  const flushes = rig.tlb.flushes;
  rig.cr3(root, rig.vcpu, true);
  assertEquals([rig.tlb.flushes, rig.stat("mmu_unsync")], [flushes, 1]);
  rig.cr3(root);
  assert(rig.tlb.flushes > flushes);
  assertEquals(rig.stat("mmu_unsync"), 0);
});

Deno.test("check 94: prefetch leaves entries alone that the guest has not accessed", () => {
  const { rig, root } = guest("4", { prefetch: true });
  const window = 0xc040_8000;
  for (let i = 0; i < 8; i++) {
    rig.map(root, window + i * 4096, 300 + i, i === 5 ? Flag.P | Flag.W | Flag.U : undefined);
  }
  rig.access(window + 0x2000, "r");
  const mapped = [0, 1, 2, 3, 4, 5, 6, 7].filter((i) => rig.entry(window + i * 4096).present);
  assertEquals(mapped, [0, 1, 2, 3, 4], "it stops at the first that cannot be");
  const table = rig.tableFor(root, window, 1);
  assertEquals(rig.read(table, rig.index(window, 1) + 5) & 0x20n, 0n);
});

Deno.test("CR3 outside the guest's memory is a triple fault", () => {
  const rig = new ShadowRig({ paging: "4" });
  rig.cr3(2 ** 20);
  assertEquals(rig.vcpu.prepare(), LoadResult.TRIPLE_FAULT);
  assertFalse(rig.vcpu.hasRoot);
});

Deno.test("PDPTEs with reserved bits are refused when CR3 is loaded, and nothing changes", () => {
  const { rig, root } = guest("pae");
  rig.access(A, "r");
  const bad = rig.space();
  rig.write(bad, 0, 0x1e7n);
  assertFalse(rig.cr3(bad));
  assertEquals(rig.access(A, "r").faults, 0);
  assert(rig.cr3(root));
});

Deno.test("INVLPG of an address that is not canonical does nothing", () => {
  const { rig } = guest("4");
  rig.access(A, "r");
  rig.vcpu.invlpg(A | 0, 0x8000);
  assertEquals(rig.tlb.pages.length, 0);
  assertEquals(rig.stat("invlpg"), 1);
});

Deno.test("SMAP: a kernel access to a user page faults unless AC suspends the rule", () => {
  const rig = new ShadowRig({ paging: "4", smap: true });
  const root = rig.space();
  rig.map(root, A, 100);
  rig.cr3(root);
  const refused = rig.access(A, "r", false);
  assertEquals([refused.how, refused.errorCode], ["fault", 1]);
  rig.vcpu.state.smapSuspended = true;
  assertEquals(rig.access(A, "r", false).how, "ok");
});

Deno.test("an event that faults on a shadowed table can have the table unprotected", () => {
  const { rig, root } = guest("4");
  const directory = rig.tableFor(root, A, 2);
  rig.map(root, B + 0x5000, directory);
  rig.access(A, "r");
  assert(rig.mmu.findMemslot(rig.gfn(0))!.isTracked(rig.gfn(directory * 4096)));
  assert(rig.vcpu.unprotectLinear(B + 0x5000, 0));
  assertFalse(rig.mmu.findMemslot(rig.gfn(0))!.isTracked(rig.gfn(directory * 4096)));
  assertFalse(rig.vcpu.unprotectLinear(B + 0x5000, 0), "nothing is left to do");
  assertEquals(rig.access(A, "r").pfn, BASE_PFN + 100);
});

Deno.test("a table that is out of step is synchronised before another path leads to it", () => {
  const { rig, root, table } = guest("4");
  rig.map(root, A + 0x1000, 101);
  rig.access(A, "r");
  rig.access(A + 0x1000, "r");
  rig.storeEntry(B + rig.index(A, 1) * 8, BigInt(200 * 4096 | 0x67));
  assertEquals(rig.stat("mmu_unsync"), 1);
  // A second directory entry for the same table: its addresses were never cached.
  const other = A - 0x4000_0000;
  const directory = rig.tableFor(root, other, 2);
  rig.write(directory, rig.index(other, 2), BigInt(table) << 12n | 0x67n);
  assertEquals(rig.access(other + 0x1000, "r").faults, 1, "links the table");
  assertEquals(rig.access(other, "r").pfn, BASE_PFN + 200);
  assertEquals(rig.stat("mmu_unsync"), 1, "the guest may still write it");
});

Deno.test("a table that becomes a directory is protected, and its last-level pages are in step", () => {
  const { rig, root, table } = guest("4");
  rig.access(A, "r");
  rig.access(B, "w", false);
  assertEquals(rig.stat("mmu_unsync"), 1);
  // The same table one level up: what it maps there is a table itself.
  const above = 0x2_0000_0000;
  const pdpt = rig.tableFor(root, above, 3);
  rig.write(pdpt, rig.index(above, 3), BigInt(table) << 12n | 0x67n);
  const below = rig.table();
  rig.write(table, 0, BigInt(below) << 12n | 0x67n);
  rig.write(below, 0, BigInt(300) << 12n | 0x67n);
  assertEquals(rig.access(above, "r").pfn, BASE_PFN + 300);
  assertEquals(rig.stat("mmu_unsync"), 0);
  assertFalse(rig.entry(B).writable);
});

Deno.test("a zapped directory takes the pages along that are out of step", () => {
  const { rig, root } = guest("4");
  rig.access(A, "r");
  rig.access(B, "w", false);
  assertEquals(rig.stat("mmu_unsync"), 1);
  rig.vcpu.wrote(rig.tableFor(root, A, 2) * 4096 + 1, 0, 2);
  assertEquals(rig.stat("mmu_unsync"), 0);
});

Deno.test("taking a root up again resets its count of writes", () => {
  const { rig, root } = guest("4");
  const other = rig.space();
  rig.access(A, "r");
  for (let i = 0; i < 2; i++) rig.vcpu.wrote(root * 4096 + 8, 0, 8);
  rig.cr3(other);
  rig.vcpu.prepare();
  rig.cr3(root);
  rig.vcpu.prepare();
  rig.vcpu.wrote(root * 4096 + 8, 0, 8);
  assertEquals(rig.stat("mmu_flooded"), 0);
});
