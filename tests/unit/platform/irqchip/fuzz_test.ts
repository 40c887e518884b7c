/** Whatever a guest does to the chips, they stay whole: nothing throws, values fit, polls are few. */

import { assert, assertEquals } from "@std/assert";
import { Random, seed } from "../../../support/random.ts";
import { EOI, IOAPIC, LAPIC, Rig, SVR } from "./rig.ts";

const PORTS = [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61];
const MSRS = [0x1b, 0x6e0, 0x808, 0x80b, 0x80f, 0x830, 0x832, 0x838, 0x83e, 0x83f];
const CPUS = 3;

/** One thing that a guest, a device or time does. */
function step(rig: Rig, random: Random, view: DataView): void {
  const vcpu = random.below(CPUS);
  const apic = rig.apic(vcpu);
  const size = random.pick([1, 2, 4, 4, 4, 8]);
  view.setUint32(0, random.oneIn(2) ? random.u32() : random.below(0x2_0000), true);
  switch (random.below(12)) {
    case 0:
    case 1:
      rig.ports.write(random.pick(PORTS), 1, random.below(256));
      break;
    case 2: {
      const byte = rig.ports.read(random.pick(PORTS), 1);
      assert(byte >= 0 && byte <= 255);
      break;
    }
    case 3:
    case 4:
    case 5:
      rig.chips.writeMmio(vcpu, LAPIC + (random.below(0x40) << 4), 4, view, 0);
      break;
    case 6: {
      const page = random.pick([LAPIC, IOAPIC]);
      const address = page + random.below(0x1000 + 16) - 8;
      if (random.oneIn(2)) rig.chips.readMmio(vcpu, address, size, view, 0);
      else rig.chips.writeMmio(vcpu, address, size, view, 0);
      break;
    }
    case 7:
      rig.setIoapic(random.below(0x42), random.below(0x2_0000) | random.below(4) << 24);
      break;
    case 8:
      rig.chips.setGsi(random.below(26), random.oneIn(2));
      break;
    case 9: {
      const msr = random.oneIn(2) ? random.pick(MSRS) : 0x800 + random.below(0x100);
      if (random.oneIn(2)) {
        assert(typeof apic.readMsr(msr) === "boolean");
        assert(apic.msrLo >>> 0 === apic.msrLo && apic.msrHi >>> 0 === apic.msrHi);
      } else if (msr !== 0x1b) {
        apic.writeMsr(msr, random.below(0x2_0000), random.oneIn(4) ? random.u32() : 0);
      } else if (random.oneIn(8)) {
        apic.writeMsr(msr, 0xfee0_0000 | random.below(4) << 10, 0);
      }
      break;
    }
    case 10:
      rig.chips.sendMsi(0xfee0_0000 + random.below(0x10_0000), random.below(0x1_0000));
      if (random.oneIn(20)) apic.init();
      break;
    default: {
      const has = apic.hasInterrupt();
      const vector = apic.acknowledge();
      assert(has === vector >= 0, "hasInterrupt says whether acknowledge gives a vector");
      assert(vector >= -1 && vector <= 255);
      // A guest that ends its interrupts and has its local APIC on sees more of them.
      view.setUint32(0, 0x1ff, true);
      if (random.oneIn(2)) rig.chips.writeMmio(vcpu, LAPIC + SVR, 4, view, 0);
      rig.chips.writeMmio(vcpu, LAPIC + EOI, 4, view, 0);
      if (random.oneIn(4)) apic.taskPriority = random.below(16);
      if (random.oneIn(4)) apic.restoreBase(random.pick([0xfee0_0800, 0xfee0_0c00]), 0);
      break;
    }
  }
}

Deno.test("chips take any accesses in any order", () => {
  const random = new Random(seed(0x8259));
  const view = new DataView(new ArrayBuffer(8));
  for (let round = 0; round < 60; round++) {
    const rig = new Rig(CPUS).enableApics();
    for (let i = 0; i < 1500; i++) {
      try {
        step(rig, random, view);
      } catch (cause) {
        throw new Error(`seed ${random.seed}, round ${round}, step ${i}`, { cause });
      }
      if (random.oneIn(10)) {
        const leap = random.pick([1, 1000, 1e6, 1e12]);
        rig.clock.ns += random.below(leap);
        rig.chips.poll();
        assert(rig.chips.nextDeadlineNs() > rig.clock.ns, `seed ${random.seed}: poll catches up`);
      }
    }
    // Five timers at most, each no more often than every 20 µs but for their last single shots.
    const polls = rig.runTo(rig.clock.ns + 1e6);
    assert(polls <= 60 * (CPUS + 1), `seed ${random.seed}: ${polls} polls in a millisecond`);
  }
});

Deno.test("chips do the same again when time and accesses are the same", () => {
  const record = (): string => {
    const random = new Random(seed(0x8254));
    const view = new DataView(new ArrayBuffer(8));
    const rig = new Rig(CPUS).enableApics().startPic();
    for (let i = 0; i < 10_000; i++) {
      step(rig, random, view);
      rig.clock.ns += random.below(1000);
      rig.chips.poll();
    }
    const state = [rig.chips.nextDeadlineNs(), ...[0, 1, 2].map((vcpu) => rig.take(vcpu))];
    return [...rig.signals.take(), ...state].join();
  };
  const first = record();
  const signals = first.split("interrupt").length;
  assert(signals > 50, `only ${signals} interrupts`);
  assertEquals(record(), first);
});
