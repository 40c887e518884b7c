/** 64 bits end to end: checks 1 to 8 of the conformance list. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { VcpuExit } from "../../../src/mmu/fault.ts";
import { BASE_PFN, HostModel } from "../../support/host_model.ts";
import { type Kind, Rig } from "../../support/mmu_rig.ts";
import { Random, seed } from "../../support/random.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** A device's address with the top physical bit set, as hunk B of the cover letter makes them. */
const TOP_BIT = 2 ** 47 + 0xfeb0_0000;

Deno.test("check 01: a stage-2 fault at 2^32 maps frame 2^20", () => {
  const rig = new Rig();
  rig.slot(2 ** 32, 4 * MIB, { hostPage: 0 });
  assertEquals(rig.access(2 ** 32, "w"), { how: "ok", faults: 1 });
  assertEquals(rig.vcpu.fault.gfn as number, 2 ** 20);
  assertEquals(rig.entry(2 ** 32).pfn as number, BASE_PFN);
});

Deno.test("check 02: MMIO at the top physical bit is one exit with the exact address", () => {
  for (const tables of ["ept", "npt"] as const) {
    const rig = new Rig({ tables });
    rig.slot(0, 512 * MIB);
    assertEquals(rig.access(TOP_BIT, "w"), { how: "emulated", faults: 1 });
    assertEquals(rig.exits, [{ physAddr: TOP_BIT, kind: "w" }]);
  }
});

Deno.test("check 03: with RAM at the low alias, the alias is not mapped", () => {
  const rig = new Rig();
  rig.slot(0, 4 * GIB);
  rig.access(TOP_BIT, "r");
  const alias = TOP_BIT % 2 ** 32;
  assert(!rig.entry(alias).present);
  assertEquals(rig.host.lookups, 0, "no frame was even looked up");
  assertEquals(rig.access(alias, "r"), { how: "ok", faults: 1 });
});

Deno.test("check 04: with a hole at the low alias, the alias is not cached as MMIO", () => {
  const rig = new Rig();
  rig.slot(0, 512 * MIB);
  rig.access(TOP_BIT, "r");
  const alias = TOP_BIT % 2 ** 32;
  assert(!rig.entry(alias).mmio);
  assert(!rig.vcpu.state.mmioCache.matchesGpa(alias | 0, 0));
  rig.access(alias, "r");
  assertEquals(rig.exits.map((exit) => exit.physAddr), [TOP_BIT, alias]);
});

Deno.test("check 05: the 32-bit mask of the exit boundary leaves the SPTE whole", () => {
  const rig = new Rig();
  rig.slot(0, 512 * MIB);
  rig.maskExits = true;
  rig.access(TOP_BIT, "r");
  assertEquals(rig.exits, [{ physAddr: 0xfeb0_0000, kind: "r" }]);
  const entry = rig.entry(TOP_BIT);
  assert(entry.mmio);
  assertEquals(Number(entry.value >> 12n & (2n ** 36n - 1n)), rig.gfn(TOP_BIT) as number);
});

Deno.test("check 06: no ordinary workload sets the progress guard off", () => {
  const random = new Random(seed(6));
  for (const tables of ["ept", "npt", "shadow"] as const) {
    const rig = new Rig({ tables, prefetch: true, nxHugePages: true }, new HostModel(2));
    rig.slot(0, 64 * MIB);
    rig.slot(64 * MIB, 4 * MIB, { readOnly: true });
    for (let i = 0; i < 5000; i++) {
      const address = random.below(80 * MIB);
      const outcome = rig.access(address, random.pick<Kind>(["r", "w", "x"]));
      assert(outcome.how === "ok" || outcome.how === "emulated", `seed ${random.seed}: ${address}`);
      assert(outcome.faults <= 2, `seed ${random.seed}: ${outcome.faults} faults at ${address}`);
    }
    assertEquals(rig.warnings, []);
  }
});

Deno.test("check 06: a fault that comes back without a change is an error that names it", () => {
  const rig = new Rig({ progressLimit: 50 });
  rig.slot(0, MIB);
  rig.access(0x3000, "w");
  let exit: VcpuExit = VcpuExit.RESUME;
  let count = 0;
  rig.vcpu.state.ripLo = 0x7c00;
  while (exit === VcpuExit.RESUME && count < 1000) {
    exit = rig.vcpu.pageFault(0x3000, 0, 7, 1, rig);
    count++;
  }
  assertEquals(exit, VcpuExit.NO_PROGRESS);
  assertEquals(count, 51);
  const text = rig.vcpu.describeFailure();
  for (const part of ["0x3000", "0x7c00", "0x7", "access already allowed"]) {
    assertStringIncludes(text, part);
  }
});

Deno.test("check 07: a PAE root refuses addresses at and above 2^32 instead of wrapping", () => {
  const rig = new Rig({ tables: "shadow" });
  rig.slot(0, 4 * GIB);
  assertEquals(rig.access(2 ** 32 - 0x1000, "r").how, "ok");
  assertEquals(rig.access(2 ** 32, "r"), { how: VcpuExit.BAD_ADDRESS, faults: 1 });
  assertStringIncludes(rig.vcpu.describeFailure(), "0x100000000: expected an address below 2^32");
  assert(!rig.entry(0).present);
});

Deno.test("check 08: a 4-level root refuses addresses at and above 2^48 instead of wrapping", () => {
  const rig = new Rig({ maxPhyAddrBits: 52 });
  rig.slot(0, MIB);
  assertEquals(rig.access(2 ** 48 - 0x1000, "r").how, "emulated");
  assertEquals(rig.access(2 ** 48, "r"), { how: VcpuExit.BAD_ADDRESS, faults: 1 });
  assertStringIncludes(
    rig.vcpu.describeFailure(),
    "0x1000000000000: expected an address below 2^48",
  );
  const five = new Rig({ maxPhyAddrBits: 52, rootLevel: 5 });
  five.slot(2 ** 50, MIB, { hostPage: 0 });
  assertEquals(five.access(2 ** 50 + 0x1000, "w").how, "ok");
  assertEquals(five.entry(2 ** 50 + 0x1000).pfn as number, BASE_PFN + 1);
});

Deno.test("an address at or above 2^MAXPHYADDR is refused first, before any table is looked at", () => {
  const rig = new Rig({ maxPhyAddrBits: 39 });
  rig.slot(0, MIB);
  assertEquals(rig.access(2 ** 39 - 0x1000, "r").how, "emulated");
  const before = rig.mmu.core.changes;
  assertEquals(rig.access(2 ** 39, "r"), { how: VcpuExit.BAD_ADDRESS, faults: 1 });
  assertEquals(rig.mmu.core.changes, before);
  assertStringIncludes(rig.vcpu.describeFailure(), "expected an address below 2^39");
});
