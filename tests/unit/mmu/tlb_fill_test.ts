import { assert, assertEquals, assertFalse, assertStringIncludes } from "@std/assert";
import { hi32, lo32 } from "../../../src/base/u64.ts";
import { Access } from "../../../src/mmu/pferr.ts";
import { FillResult, TlbFill } from "../../../src/mmu/tlb_fill.ts";
import { BASE_PFN, HostModel } from "../../support/host_model.ts";
import { Rig } from "../../support/mmu_rig.ts";
import { Flag, ShadowRig } from "../../support/shadow_rig.ts";

const MIB = 2 ** 20;
const HOLE = 0x80_fee0_1000;

function filled(rig: Rig | ShadowRig, fill: TlbFill, address: number, access: number): FillResult {
  assertEquals(rig.warnings, []);
  return fill.fill(lo32(address), hi32(address), access);
}

Deno.test("a fill of stage 2 gives the frame of the 4 KiB page and the rights of the whole page", () => {
  const rig = new Rig({ nxHugePages: true }, new HostModel(2));
  rig.slot(2 ** 32, 8 * MIB, { hostPage: 0 });
  const fill = new TlbFill(rig.vcpu);
  assertEquals(filled(rig, fill, 2 ** 32 + 0x5123, Access.READ), FillResult.OK);
  assertEquals([fill.pfn as number, fill.gfn as number, fill.level], [
    BASE_PFN + 5,
    2 ** 20 + 5,
    2,
  ]);
  assertEquals([fill.writable, fill.executable, fill.user], [true, false, true]);
  assertEquals(filled(rig, fill, 2 ** 32 + 0x5123, Access.FETCH), FillResult.OK);
  assertEquals([fill.level, fill.executable], [1, true]);
});

Deno.test("a fill of a hole is MMIO with its frame, each time", () => {
  const rig = new Rig();
  rig.slot(0, MIB);
  const fill = new TlbFill(rig.vcpu);
  for (let i = 0; i < 300; i++) {
    assertEquals(filled(rig, fill, HOLE, Access.WRITE), FillResult.MMIO);
    assertEquals(fill.gfn as number, HOLE / 4096);
  }
});

Deno.test("a fill for a write to ROM or to a tracked page has to be emulated, a read is kept read-only", () => {
  const rig = new Rig();
  rig.slot(0, MIB, { readOnly: true });
  const slot = rig.slot(MIB, MIB);
  rig.mmu.writeTracking.track(slot, rig.gfn(MIB));
  const fill = new TlbFill(rig.vcpu);
  for (const address of [0x3000, MIB]) {
    assertEquals(filled(rig, fill, address, Access.WRITE), FillResult.EMULATE);
    assertEquals(filled(rig, fill, address, Access.READ), FillResult.OK);
    assertFalse(fill.writable);
    assertEquals(filled(rig, fill, address, Access.WRITE), FillResult.EMULATE);
    assertEquals(fill.gfn as number, address / 4096);
  }
});

Deno.test("a fill keeps a page writable only when its write is logged and its dirty flag set", () => {
  for (const pml of [false, true]) {
    const rig = new Rig({ pml });
    const slot = rig.slot(0, MIB, { logDirty: true });
    const fill = new TlbFill(rig.vcpu);
    filled(rig, fill, 0x3000, Access.READ);
    assertFalse(fill.writable);
    assertFalse(slot.isDirty(rig.gfn(0x3000)));
    filled(rig, fill, 0x3000, Access.WRITE);
    assert(fill.writable);
    assert(slot.isDirty(rig.gfn(0x3000)));
    rig.mmu.takeDirtyLog(slot, new Uint32Array(8));
    filled(rig, fill, 0x3000, Access.READ);
    assertFalse(fill.writable);
    filled(rig, fill, 0x3000, Access.WRITE);
    assert(slot.isDirty(rig.gfn(0x3000)), "logged again");
  }
});

Deno.test("a fill at an address that cannot be is an error that names it", () => {
  const rig = new Rig();
  rig.slot(0, MIB);
  const fill = new TlbFill(rig.vcpu);
  assertEquals(filled(rig, fill, 2 ** 48, Access.READ), FillResult.ERROR);
  assertStringIncludes(
    rig.vcpu.describeFailure(),
    "0x1000000000000: expected an address below 2^48",
  );
  rig.host.set(4, { absent: true });
  assertEquals(filled(rig, fill, 0x4000, Access.READ), FillResult.ERROR);
  assertStringIncludes(rig.vcpu.describeFailure(), "memslot 0");
});

Deno.test("a fill by shadow tables obeys the guest's rights, SMEP and SMAP", () => {
  const rig = new ShadowRig({ paging: "4", smep: true, smap: true });
  const root = rig.space();
  rig.map(root, 0x40_0000, 100);
  rig.map(root, 0x40_1000, 101, Flag.P | Flag.W | Flag.A | Flag.D, 1, true);
  rig.cr3(root);
  const fill = new TlbFill(rig.vcpu);
  const fault = (address: number, access: number) => {
    assertEquals(filled(rig, fill, address, access), FillResult.GUEST_FAULT);
    return rig.vcpu.shadow!.guestFault.errorCode;
  };
  assertEquals(filled(rig, fill, 0x40_0123, Access.USER | Access.WRITE), FillResult.OK);
  assertEquals([fill.pfn as number, fill.gfn as number], [BASE_PFN + 100, 100]);
  assertEquals([fill.writable, fill.executable, fill.user], [true, true, true]);
  assertEquals(fault(0x40_0000, Access.READ), 1);
  assertEquals(filled(rig, fill, 0x40_0000, Access.SMAP_SUSPENDED), FillResult.OK);
  assertEquals(fault(0x40_0000, Access.FETCH), 1 | 16);
  assertEquals(filled(rig, fill, 0x40_1000, Access.WRITE), FillResult.OK);
  assertEquals([fill.writable, fill.executable, fill.user], [true, false, false]);
  assertEquals(fault(0x40_1000, Access.USER), 1 | 4);
  assertEquals(fault(0x40_1000, Access.FETCH), 1 | 16);
  assertEquals(fault(0x50_0000, Access.USER | Access.WRITE), 2 | 4);
});

Deno.test("a fill halts the vCPU when its page is on its way for the second time", () => {
  const rig = new Rig();
  rig.slot(0, MIB);
  rig.host.set(3, { mustWait: true });
  rig.vcpu.state.asyncFaults.port = { mayDefer: () => true, start: () => {} };
  const fill = new TlbFill(rig.vcpu);
  assertEquals(filled(rig, fill, 0x3000, Access.READ), FillResult.HALT);
});

Deno.test("a fill with CR3 outside the guest's memory is a triple fault", () => {
  const rig = new ShadowRig({ paging: "4" });
  rig.cr3(2 ** 20);
  assertEquals(filled(rig, new TlbFill(rig.vcpu), 0, Access.READ), FillResult.TRIPLE_FAULT);
});
