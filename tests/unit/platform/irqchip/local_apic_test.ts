/** The local APIC's registers, priorities and errors against SDM 3A chapter 10. */

import { assertEquals } from "@std/assert";
import {
  APR,
  CURRENT,
  DFR,
  DIVIDE,
  EOI,
  ESR,
  ICR,
  ICR_HIGH,
  ID,
  INITIAL,
  IRR,
  ISR,
  LAPIC,
  LDR,
  LVT_ERROR,
  LVT_LINT0,
  LVT_LINT1,
  LVT_TIMER,
  PPR,
  Rig,
  SVR,
  TMR,
  TPR,
  VERSION,
} from "./rig.ts";

/** A fixed interrupt to oneself. */
function self(rig: Rig, vector: number): void {
  rig.setLapic(ICR, 0x4_4000 | vector);
}

Deno.test("local APIC after reset is as SDM 3A §10.4.7.1 says, and firmware's LINT0 on the first CPU", () => {
  const rig = new Rig(2);
  for (const vcpu of [0, 1]) {
    assertEquals(rig.lapic(ID, vcpu), vcpu << 24);
    assertEquals(rig.lapic(VERSION, vcpu), 0x5_0014);
    for (const zero of [TPR, PPR, APR, LDR, IRR, ISR, TMR, ESR, ICR, ICR_HIGH, INITIAL, DIVIDE]) {
      assertEquals(rig.lapic(zero, vcpu), 0);
    }
    assertEquals(rig.lapic(DFR, vcpu), 0xffff_ffff);
    assertEquals(rig.lapic(SVR, vcpu), 0xff);
    for (const lvt of [LVT_TIMER, 0x330, 0x340, LVT_LINT1, LVT_ERROR]) {
      assertEquals(rig.lapic(lvt, vcpu), 0x1_0000);
    }
    assertEquals(rig.apic(vcpu).baseLo, vcpu === 0 ? 0xfee0_0900 : 0xfee0_0800);
  }
  assertEquals([rig.lapic(LVT_LINT0, 0), rig.lapic(LVT_LINT0, 1)], [0x700, 0x1_0000]);
});

Deno.test("local APIC registers keep what can be written to them", () => {
  const rig = new Rig().enableApics();
  const kept: [offset: number, value: number][] = [
    [ID, 0],
    [VERSION, 0x5_0014],
    [TPR, 0xff],
    [LDR, 0xff00_0000],
    [DFR, 0xffff_ffff],
    [SVR, 0x3ff],
    [ICR_HIGH, 0xff00_0000],
    [LVT_TIMER, 0x7_00ff],
    [0x330, 0x1_07ff],
    [0x340, 0x1_07ff],
    [LVT_LINT0, 0x1_a7ff],
    [LVT_LINT1, 0x1_a7ff],
    [LVT_ERROR, 0x1_00ff],
    [DIVIDE, 0xb],
  ];
  for (const [offset, value] of kept) {
    rig.setLapic(offset, 0xffff_ffff);
    assertEquals(rig.lapic(offset), value, offset.toString(16));
  }
  rig.setLapic(DFR, 0);
  assertEquals(rig.lapic(DFR), 0x0fff_ffff);
});

Deno.test("local APIC gives the highest vector and holds up what is not of a higher class", () => {
  const rig = new Rig().enableApics();
  for (const vector of [0x31, 0x52, 0x5f, 0x40]) self(rig, vector);
  assertEquals(rig.lapic(IRR + 0x10), 1 << 17);
  assertEquals(rig.lapic(IRR + 0x20), (1 << 18 | 1 << 31 | 1) >>> 0);
  assertEquals(rig.take(), 0x5f);
  assertEquals(rig.apic().hasInterrupt(), false, "0x52 is of the class in service");
  assertEquals(rig.lapic(PPR), 0x50);
  assertEquals(rig.lapic(ISR + 0x20), (1 << 31) >>> 0);
  self(rig, 0x60);
  assertEquals(rig.take(), 0x60);
  rig.setLapic(EOI, 0);
  assertEquals(rig.lapic(PPR), 0x50);
  assertEquals(rig.take(), -1);
  rig.setLapic(EOI, 0);
  assertEquals([rig.take(), rig.take()], [0x52, -1]);
  rig.setLapic(EOI, 0);
  assertEquals(rig.take(), 0x40);
  rig.setLapic(EOI, 0);
  assertEquals(rig.take(), 0x31);
  rig.setLapic(EOI, 0);
  rig.setLapic(EOI, 0);
  assertEquals(rig.lapic(PPR), 0);
});

Deno.test("task priority holds up its class and those below, and is CR8", () => {
  const rig = new Rig().enableApics();
  self(rig, 0x4f);
  rig.setLapic(TPR, 0x40);
  assertEquals([rig.apic().hasInterrupt(), rig.apic().taskPriority], [false, 4]);
  assertEquals(rig.lapic(PPR), 0x40);
  rig.signals.take();
  rig.apic().taskPriority = 3;
  assertEquals(rig.signals.take(), ["interrupt 0"]);
  assertEquals([rig.lapic(TPR), rig.apic().hasInterrupt()], [0x30, true]);
  rig.setLapic(TPR, 0x25);
  assertEquals(rig.take(), 0x4f);
  assertEquals(rig.lapic(PPR), 0x40, "the vector in service is of the higher class");
  rig.setLapic(EOI, 0);
  assertEquals(rig.lapic(PPR), 0x25, "all eight bits of the task priority");
  assertEquals(rig.lapic(APR), 0x25);
  self(rig, 0x91);
  assertEquals(rig.lapic(APR), 0x90);
});

Deno.test("local APIC tells its CPU of each interrupt once, and not of those held up", () => {
  const rig = new Rig().enableApics();
  self(rig, 0x40);
  assertEquals(rig.signals.take(), ["interrupt 0"]);
  self(rig, 0x40);
  self(rig, 0x31);
  assertEquals(rig.signals.take(), []);
  self(rig, 0x50);
  assertEquals(rig.signals.take(), ["interrupt 0"]);
  rig.take();
  assertEquals(rig.signals.take(), []);
  rig.setLapic(EOI, 0);
  assertEquals(rig.signals.take(), ["interrupt 0"]);
});

Deno.test("local APIC that software has disabled accepts no interrupt, keeps its own and masks its table", () => {
  const rig = new Rig().enableApics();
  rig.setLapic(LVT_TIMER, 0x40);
  self(rig, 0x44);
  rig.setLapic(SVR, 0xff);
  assertEquals(rig.lapic(LVT_TIMER), 0x1_0040);
  rig.setLapic(LVT_TIMER, 0x41);
  assertEquals(rig.lapic(LVT_TIMER), 0x1_0041, "a mask cannot be lifted");
  self(rig, 0x66);
  assertEquals([rig.take(), rig.take()], [0x44, -1], "what was pending is held for the CPU");
  rig.setLapic(ICR, 0x4_4400);
  assertEquals(rig.signals.take().at(-1), "nmi 0", "NMIs still come");
  rig.setLapic(SVR, 0x1ff);
  assertEquals(rig.lapic(LVT_TIMER), 0x1_0041, "masks stay set");
});

Deno.test("local APIC notes illegal vectors at both ends and raises its error interrupt once", () => {
  const rig = new Rig(2).enableApics();
  rig.setLapic(LVT_ERROR, 0xfe, 0);
  rig.setLapic(LVT_ERROR, 0xfd, 1);
  rig.setLapic(ICR_HIGH, 1 << 24);
  rig.setLapic(ICR, 0x400f);
  assertEquals([rig.take(0), rig.take(1)], [0xfe, 0xfd]);
  rig.setLapic(EOI, 0, 0);
  assertEquals(rig.lapic(ESR), 0, "nothing before a write");
  rig.setLapic(ICR, 0x400f);
  assertEquals(rig.take(0), -1, "no second interrupt before a write");
  for (const vcpu of [0, 1]) rig.setLapic(ESR, 0, vcpu);
  assertEquals([rig.lapic(ESR, 0), rig.lapic(ESR, 1)], [0x20, 0x40]);
  rig.setLapic(ESR, 0);
  assertEquals(rig.lapic(ESR), 0);
  rig.setLapic(ICR, 0x400f);
  assertEquals(rig.take(0), 0xfe, "armed again");
});

Deno.test("local APIC with an illegal vector in its error entry does not go round in circles", () => {
  const rig = new Rig().enableApics();
  rig.setLapic(LVT_ERROR, 0x05);
  self(rig, 0x01);
  assertEquals(rig.take(), -1);
  rig.setLapic(ESR, 0);
  assertEquals(rig.lapic(ESR), 0x60);
});

Deno.test("local APIC notes accesses to registers that are not there", () => {
  const rig = new Rig().enableApics();
  for (const offset of [0x000, 0x040, 0x2f0, 0x3f0, 0x400, 0xff0]) {
    assertEquals(rig.lapic(offset), 0);
    rig.setLapic(ESR, 0);
    assertEquals(rig.lapic(ESR), 0x80, offset.toString(16));
    rig.setLapic(offset, 1);
    rig.setLapic(ESR, 0);
    assertEquals(rig.lapic(ESR), 0x80, offset.toString(16));
  }
  rig.lapic(EOI);
  rig.setLapic(VERSION, 1);
  rig.setLapic(ESR, 0);
  assertEquals(rig.lapic(ESR), 0);
});

Deno.test("local APIC registers are written whole and read in any part", () => {
  const rig = new Rig().enableApics();
  const view = new DataView(new ArrayBuffer(16));
  view.setUint32(0, 0x55, true);
  for (const [offset, size] of [[0, 1], [0, 2], [0, 8], [4, 4], [1, 4]]) {
    assertEquals(rig.chips.writeMmio(0, LAPIC + TPR + offset, size, view, 0), true);
  }
  assertEquals(rig.lapic(TPR), 0);
  const parts: [offset: number, size: number, bytes: number[]][] = [
    [0, 1, [0x14]],
    [2, 2, [0x05, 0]],
    [1, 4, [0, 0x05, 0, 0]],
    [0, 8, [0x14, 0, 0x05, 0, 0, 0, 0, 0]],
    [4, 4, [0, 0, 0, 0]],
  ];
  for (const [offset, size, bytes] of parts) {
    const into = new Uint8Array(10).fill(0xaa);
    rig.chips.readMmio(0, LAPIC + VERSION + offset, size, new DataView(into.buffer), 1);
    assertEquals([...into.slice(0, size + 2)], [0xaa, ...bytes, 0xaa]);
  }
});

Deno.test("local APIC page is the vCPU's own, where its base says, and ends after 4 KiB", () => {
  const rig = new Rig(2);
  const view = new DataView(new ArrayBuffer(8));
  const reads = (vcpu: number, address: number, size = 4) =>
    rig.chips.readMmio(vcpu, address, size, view, 0) && view.getUint32(0, true);
  assertEquals([reads(0, LAPIC + ID), reads(1, LAPIC + ID)], [0, 0x0100_0000]);
  assertEquals(reads(0, LAPIC + 0xffd), false);
  assertEquals(reads(0, LAPIC - 1), false);
  assertEquals(reads(0, LAPIC + 0x1000), false);
  assertEquals(rig.apic(1).writeMsr(0x1b, 0x8000_0800, 0x12), true);
  assertEquals(reads(1, LAPIC + ID), false);
  assertEquals(reads(1, 0x12_8000_0020), 0x0100_0000);
  assertEquals(reads(0, 0x12_8000_0020), false);
});

Deno.test("8259 reaches a CPU through LINT0 as ExtINT, past request and service registers", () => {
  const rig = new Rig(2).startPic();
  rig.enableApics();
  rig.pulse(4);
  assertEquals([rig.apic(0).hasInterrupt(), rig.apic(1).hasInterrupt()], [true, false]);
  rig.setLapic(LVT_LINT0, 0x1_0700);
  assertEquals(rig.apic(0).hasInterrupt(), false);
  rig.setLapic(LVT_LINT0, 0x700, 1);
  rig.setLapic(TPR, 0xff, 1);
  assertEquals(rig.take(1), 0x34, "whatever the task priority");
  assertEquals([rig.lapic(IRR + 0x10, 1), rig.lapic(ISR + 0x10, 1)], [0, 0]);
});

Deno.test("8259 reaches a CPU whose local APIC is off", () => {
  const rig = new Rig().startPic();
  rig.setLapic(LVT_LINT0, 0x1_0000);
  rig.pulse(1);
  assertEquals(rig.apic().hasInterrupt(), false);
  assertEquals(rig.apic().writeMsr(0x1b, 0xfee0_0100, 0), true);
  assertEquals(rig.take(), 0x31);
});

Deno.test("LINT pins deliver what their entries say", () => {
  const rig = new Rig(2).startPic();
  rig.enableApics();
  rig.setLapic(LVT_LINT1, 0x400, 0);
  rig.chips.pulseNmi();
  assertEquals(rig.signals.take(), ["nmi 0"]);
  rig.setLapic(LVT_LINT1, 0x77, 1);
  rig.chips.pulseNmi();
  assertEquals(rig.signals.take(), ["nmi 0", "interrupt 1"]);
  assertEquals(rig.take(1), 0x77);
  rig.setLapic(LVT_LINT0, 0x55); // the 8259's output as an ordinary interrupt
  rig.pulse(1);
  assertEquals([rig.take(), rig.take()], [0x55, -1]);
});

Deno.test("INIT resets a local APIC but for its id and base", () => {
  const rig = new Rig(2).enableApics();
  rig.apic(1).writeMsr(0x1b, 0xfee0_1800, 0);
  rig.write(0xfee0_1000 + LVT_TIMER, 0x40, 1);
  rig.write(0xfee0_1000 + INITIAL, 1000, 1);
  rig.write(0xfee0_1000 + ICR, 0x4_4044, 1);
  rig.apic(1).init();
  assertEquals(rig.take(1), -1);
  assertEquals(rig.chips.nextDeadlineNs(), Infinity);
  assertEquals(rig.read(0xfee0_1000 + ID, 1), 0x0100_0000);
  assertEquals(rig.read(0xfee0_1000 + SVR, 1), 0xff);
  assertEquals(rig.read(0xfee0_1000 + CURRENT, 1), 0);
  assertEquals(rig.apic(1).baseLo, 0xfee0_1800);
});
