/** The I/O APIC (82093AA data sheet 290566), GSIs and message-signalled interrupts. */

import { assertEquals } from "@std/assert";
import { DFR, EOI, IOAPIC, LDR, LVT_LINT0, Rig, TMR, TPR } from "./rig.ts";

const LEVEL = 0x8000, MASKED = 0x1_0000, LOGICAL = 0x800, LOWEST = 0x100, REMOTE_IRR = 0x4000;

function board(cpus = 1): Rig {
  const rig = new Rig(cpus).enableApics();
  for (let vcpu = 0; vcpu < cpus; vcpu++) {
    rig.setLapic(LVT_LINT0, MASKED, vcpu);
    rig.setLapic(LDR, 1 << (24 + vcpu), vcpu);
  }
  return rig;
}

/** Writes both halves of a pin's entry. */
function redirect(rig: Rig, pin: number, low: number, destination = 0): void {
  rig.setIoapic(0x11 + 2 * pin, destination * 2 ** 24);
  rig.setIoapic(0x10 + 2 * pin, low);
}

function end(rig: Rig, vcpu = 0): void {
  rig.setLapic(EOI, 0, vcpu);
}

Deno.test("I/O APIC after reset has 24 masked inputs, version 0x11 and id 0", () => {
  const rig = board();
  assertEquals([rig.ioapic(0), rig.ioapic(1), rig.ioapic(2)], [0, 0x17_0011, 0]);
  for (let index = 0x10; index < 0x40; index += 2) {
    assertEquals([rig.ioapic(index), rig.ioapic(index + 1)], [MASKED, 0]);
  }
  rig.setIoapic(0, 0xffff_ffff);
  rig.setIoapic(1, 0);
  assertEquals([rig.ioapic(0), rig.ioapic(1), rig.ioapic(2)], [
    0x0f00_0000,
    0x17_0011,
    0x0f00_0000,
  ]);
  redirect(rig, 23, 0xffff_ffff, 0xab);
  assertEquals([rig.ioapic(0x3e), rig.ioapic(0x3f)], [0x1_afff, 0xab00_0000]);
  for (const index of [3, 0x0f, 0x40, 0xff]) {
    rig.setIoapic(index, 0xffff_ffff);
    assertEquals(rig.ioapic(index), 0, `index ${index}`);
  }
  rig.write(IOAPIC, 0xffff_ff01);
  assertEquals(rig.read(IOAPIC), 1);
  assertEquals(rig.read(IOAPIC + 0x20), 0);
});

Deno.test("I/O APIC sends an edge once, and forgets one that comes while it is masked", () => {
  const rig = board();
  redirect(rig, 5, 0x45);
  rig.chips.setGsi(5, true);
  rig.chips.setGsi(5, true);
  assertEquals([rig.take(), rig.take()], [0x45, -1]);
  end(rig);
  assertEquals(rig.take(), -1);
  rig.chips.setGsi(5, false);
  redirect(rig, 5, MASKED | 0x45);
  rig.chips.setGsi(5, true);
  redirect(rig, 5, 0x45);
  assertEquals(rig.take(), -1);
  rig.chips.setGsi(5, false);
  rig.chips.setGsi(5, true);
  assertEquals(rig.take(), 0x45);
});

Deno.test("I/O APIC sends a level again after its end as long as it is asked for", () => {
  const rig = board();
  redirect(rig, 9, LEVEL | 0x49);
  rig.chips.setGsi(9, true);
  assertEquals(rig.ioapic(0x10 + 18), LEVEL | REMOTE_IRR | 0x49);
  assertEquals(rig.lapic(TMR + 0x20), 1 << 9);
  assertEquals([rig.take(), rig.take()], [0x49, -1]);
  end(rig);
  assertEquals(rig.take(), 0x49, "still asked for");
  rig.chips.setGsi(9, false);
  rig.chips.setGsi(9, true);
  assertEquals(rig.apic().hasInterrupt(), false, "remote IRR holds it");
  rig.chips.setGsi(9, false);
  end(rig);
  assertEquals([rig.take(), rig.ioapic(0x10 + 18)], [-1, LEVEL | 0x49]);
});

Deno.test("I/O APIC gives a masked level when the mask is lifted", () => {
  const rig = board();
  redirect(rig, 9, MASKED | LEVEL | 0x49);
  rig.chips.setGsi(9, true);
  assertEquals(rig.take(), -1);
  redirect(rig, 9, LEVEL | 0x49);
  assertEquals(rig.take(), 0x49);
});

Deno.test("I/O APIC clears remote IRR when an input is turned to edge: version 0x11 has no other way", () => {
  const rig = board();
  redirect(rig, 9, LEVEL | 0x49);
  rig.chips.setGsi(9, true);
  rig.take();
  redirect(rig, 9, MASKED | LEVEL | 0x49);
  assertEquals(rig.ioapic(0x22) & REMOTE_IRR, REMOTE_IRR);
  redirect(rig, 9, MASKED | 0x49);
  assertEquals(rig.ioapic(0x22) & REMOTE_IRR, 0);
});

Deno.test("I/O APIC level that no APIC accepts is not held by remote IRR", () => {
  const rig = board();
  redirect(rig, 9, LEVEL | 0x49, 7);
  rig.chips.setGsi(9, true);
  assertEquals(rig.ioapic(0x22), LEVEL | 0x49);
  redirect(rig, 9, LEVEL | 0x49, 0);
  assertEquals(rig.take(), 0x49);
});

Deno.test("I/O APIC line means asked for, whatever polarity its entry has", () => {
  const rig = board();
  redirect(rig, 9, 0x2000 | LEVEL | 0x49);
  assertEquals(rig.take(), -1);
  rig.chips.setGsi(9, true);
  assertEquals(rig.take(), 0x49);
});

Deno.test("I/O APIC sends to physical, logical and lowest-priority destinations", () => {
  const rig = board(3);
  const takers = (low: number, destination: number): number[] => {
    redirect(rig, 10, low | 0x4a, destination);
    rig.pulse(10);
    return [0, 1, 2].filter((vcpu) => {
      const took = rig.take(vcpu) === 0x4a;
      if (took) end(rig, vcpu);
      return took;
    });
  };
  assertEquals(takers(0, 2), [2]);
  assertEquals(takers(0, 0xff), [0, 1, 2]);
  assertEquals(takers(LOGICAL, 6), [1, 2]);
  rig.setLapic(TPR, 0x20, 0);
  rig.setLapic(TPR, 0x10, 1);
  rig.setLapic(TPR, 0x20, 2);
  assertEquals(takers(LOGICAL | LOWEST, 7), [1]);
  for (const vcpu of [0, 1, 2]) {
    rig.setLapic(DFR, 0, vcpu);
    rig.setLapic(LDR, (0x10 | 1 << vcpu) << 24, vcpu);
  }
  assertEquals(takers(LOGICAL, 0x15), [0, 2]);
  assertEquals(takers(LOGICAL, 0x25), []);
});

Deno.test("I/O APIC delivers NMI and INIT, and SMI and ExtINT go nowhere", () => {
  const rig = board(2);
  rig.signals.take();
  for (const mode of [0x200, 0x400, 0x500, 0x700]) {
    redirect(rig, 11, mode | 0x33, 1);
    rig.pulse(11);
  }
  assertEquals(rig.signals.take(), ["nmi 1", "init 1"]);
  redirect(rig, 11, LEVEL | 0x400, 1);
  rig.chips.setGsi(11, true);
  assertEquals(rig.signals.take(), ["nmi 1"]);
  assertEquals(rig.ioapic(0x26) & REMOTE_IRR, 0, "an NMI is never ended");
});

Deno.test("I/O APIC message with an illegal vector is its receiver's error", () => {
  const rig = board();
  redirect(rig, 9, LEVEL | 0x0a);
  rig.chips.setGsi(9, true);
  assertEquals([rig.take(), rig.ioapic(0x22)], [-1, LEVEL | 0x0a]);
  rig.setLapic(0x280, 0);
  assertEquals(rig.lapic(0x280), 0x40);
});

Deno.test("GSI 0 is the 8259's input 0 and the I/O APIC's pin 2, as the MADT says", () => {
  const rig = board().startPic();
  redirect(rig, 0, 0x50);
  redirect(rig, 2, 0x52);
  rig.pulse(2); // nobody's
  assertEquals(rig.take(), -1);
  rig.pulse(0);
  assertEquals([rig.take(), rig.in(0x20)], [0x52, 1]);
});

Deno.test("GSIs 16 to 23 are the I/O APIC's alone, and there are none beyond", () => {
  const rig = board().startPic();
  redirect(rig, 16, 0x60);
  rig.pulse(16);
  assertEquals([rig.take(), rig.in(0x20), rig.in(0xa0)], [0x60, 0, 0]);
  rig.pulse(24);
  rig.pulse(1000);
  assertEquals([rig.take(), rig.in(0x20), rig.in(0xa0)], [-1, 0, 0]);
});

Deno.test("8254 interrupts through the I/O APIC's pin 2", () => {
  const rig = board();
  redirect(rig, 2, 0x52);
  rig.out(0x43, 0x30);
  rig.out(0x40, 100);
  rig.out(0x40, 0);
  rig.runTo(1e6);
  assertEquals(rig.take(), 0x52);
});

Deno.test("MSI goes to the destination in its address (SDM 3A §10.11)", () => {
  const rig = board(3);
  rig.chips.sendMsi(0xfee0_2000, 0x0061);
  assertEquals([0, 1, 2].map((vcpu) => rig.take(vcpu)), [-1, -1, 0x61]);
  rig.chips.sendMsi(0xfee0_3004, 0x0071);
  assertEquals([0, 1, 2].map((vcpu) => rig.take(vcpu)), [0x71, 0x71, -1]);
  rig.setLapic(TPR, 0x90, 0);
  rig.chips.sendMsi(0xfee0_700c, 0x0081);
  rig.chips.sendMsi(0xfee0_700c, 0x0081);
  assertEquals([0, 1, 2].map((vcpu) => rig.take(vcpu)), [-1, 0x81, 0x81], "redirected, in turn");
  rig.signals.take();
  rig.chips.sendMsi(0xfee0_1000, 0x0400);
  assertEquals(rig.signals.take(), ["nmi 1"]);
  rig.chips.sendMsi(0xfee0_1000, 0x8091); // level, not asserted
  rig.chips.sendMsi(0xfed0_1000, 0x0091);
  rig.chips.sendMsi(0x1_fee0_1000, 0x0091);
  assertEquals(rig.take(1), -1);
  rig.chips.sendMsi(0xfee0_1000, 0xc091);
  assertEquals(rig.take(1), 0x91);
  assertEquals(rig.lapic(TMR + 0x40, 1), 1 << 17);
});

Deno.test("chips are made for 1 to 255 vCPUs", () => {
  assertEquals(new Rig(255).chips.localApics.length, 255);
  for (const cpus of [0, 256, 1.5]) {
    let message = "";
    try {
      new Rig(cpus);
    } catch (error) {
      message = (error as Error).message;
    }
    assertEquals(message, `Cannot make ${cpus} local APICs: expected 1 to 255`);
  }
});
