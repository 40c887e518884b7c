/** Interprocessor interrupts and whom they mean (SDM 3A §10.6). */

import { assertEquals } from "@std/assert";
import { DFR, EOI, ICR, ICR_HIGH, ISR, LDR, Rig, SVR, TPR } from "./rig.ts";

/** Sends through vCPU `from`'s interrupt command register. */
function send(rig: Rig, destination: number, icr: number, from = 0): void {
  rig.setLapic(ICR_HIGH, destination * 2 ** 24, from);
  rig.setLapic(ICR, icr, from);
}

/** The vCPUs that take vector `vector` next; they end it at once. */
function takers(rig: Rig, vector: number): number[] {
  return rig.chips.localApics.flatMap((apic, vcpu) => {
    if (!apic.hasInterrupt()) return [];
    assertEquals(apic.acknowledge(), vector);
    rig.setLapic(EOI, 0, vcpu);
    return [vcpu];
  });
}

Deno.test("IPI goes to the APIC with the physical destination's id, and 0xff to all", () => {
  const rig = new Rig(4).enableApics();
  send(rig, 2, 0x4041);
  assertEquals(rig.signals.take(), ["interrupt 2"]);
  assertEquals(takers(rig, 0x41), [2]);
  send(rig, 9, 0x4041);
  assertEquals(takers(rig, 0x41), []);
  send(rig, 0xff, 0x4041, 3);
  assertEquals(takers(rig, 0x41), [0, 1, 2, 3]);
  assertEquals([rig.lapic(ICR), rig.lapic(ICR_HIGH)], [0x4041, 0x0900_0000], "delivery is over");
});

Deno.test("IPI shorthands mean oneself, all, and all others", () => {
  const rig = new Rig(3).enableApics();
  const cases: [shorthand: number, expected: number[]][] = [[1, [1]], [2, [0, 1, 2]], [3, [0, 2]]];
  for (const [shorthand, expected] of cases) {
    send(rig, 0, shorthand << 18 | 0x4051, 1);
    assertEquals(takers(rig, 0x51), expected);
  }
});

Deno.test("IPI to a flat logical destination goes to all whose bits are among it", () => {
  const rig = new Rig(4).enableApics();
  for (let vcpu = 0; vcpu < 4; vcpu++) rig.setLapic(LDR, 1 << (24 + vcpu), vcpu);
  send(rig, 0x0a, 0x4861);
  assertEquals(takers(rig, 0x61), [1, 3]);
  send(rig, 0xf0, 0x4861);
  assertEquals(takers(rig, 0x61), []);
  send(rig, 0xff, 0x4861);
  assertEquals(takers(rig, 0x61), [0, 1, 2, 3]);
});

Deno.test("IPI to a cluster goes to those of its members that the low four bits name", () => {
  const rig = new Rig(4).enableApics();
  for (let vcpu = 0; vcpu < 4; vcpu++) {
    rig.setLapic(DFR, 0x0fff_ffff, vcpu);
    rig.setLapic(LDR, ((vcpu >> 1) << 4 | 1 << (vcpu & 1)) << 24, vcpu);
  }
  send(rig, 0x13, 0x4861);
  assertEquals(takers(rig, 0x61), [2, 3]);
  send(rig, 0x02, 0x4861);
  assertEquals(takers(rig, 0x61), [1]);
  send(rig, 0x23, 0x4861);
  assertEquals(takers(rig, 0x61), []);
  send(rig, 0xff, 0x4861);
  assertEquals(takers(rig, 0x61), [0, 1, 2, 3]);
});

Deno.test("lowest-priority IPI goes to the least busy, and among equals round in turn", () => {
  const rig = new Rig(3).enableApics();
  for (let vcpu = 0; vcpu < 3; vcpu++) rig.setLapic(LDR, 1 << (24 + vcpu), vcpu);
  rig.setLapic(TPR, 0x20, 0);
  rig.setLapic(TPR, 0x20, 1);
  rig.setLapic(TPR, 0x10, 2);
  send(rig, 0x07, 0x4971);
  assertEquals(takers(rig, 0x71), [2]);
  rig.setLapic(TPR, 0x20, 2);
  const order = [1, 2, 3, 4].flatMap(() => {
    send(rig, 0x07, 0x4971);
    return takers(rig, 0x71);
  });
  assertEquals(order, [0, 1, 2, 0]);
  send(rig, 0x06, 0x4971);
  assertEquals(takers(rig, 0x71), [1], "only among those that are meant");
  rig.setLapic(SVR, 0xff, 2);
  send(rig, 0x04, 0x4971);
  assertEquals(takers(rig, 0x71), [], "and not one that software has disabled");
  rig.setLapic(TPR, 0, 0);
  send(rig, 0x03, 0x4922);
  assertEquals(rig.take(0), 0x22);
  assertEquals(rig.lapic(ISR + 0x10), 4);
  send(rig, 0x03, 0x4971);
  assertEquals(
    takers(rig, 0x71),
    [1],
    "0 has 0x22 in service, which is as busy: 1 is next in turn",
  );
});

Deno.test("NMI, INIT and start-up IPIs are signals to the vCPU, and SMI goes nowhere", () => {
  const rig = new Rig(3);
  send(rig, 1, 0x4400);
  send(rig, 2, 0xc500);
  send(rig, 2, 0x8500); // level de-assert: nothing
  send(rig, 2, 0x0008_0000 | 0x469a);
  send(rig, 1, 0x4200);
  send(rig, 1, 0x4300); // reserved
  send(rig, 1, 0x4700); // reserved
  assertEquals(rig.signals.take(), [
    "nmi 1",
    "init 2",
    "startup 0 154",
    "startup 1 154",
    "startup 2 154",
  ]);
  send(rig, 0, 0xc_4500);
  send(rig, 0, 0xc_4608);
  assertEquals(rig.signals.take(), ["init 1", "init 2", "startup 1 8", "startup 2 8"]);
});

Deno.test("IPIs do not reach a local APIC that is off", () => {
  const rig = new Rig(2).enableApics();
  rig.apic(1).writeMsr(0x1b, 0xfee0_0000, 0);
  send(rig, 1, 0x4041);
  send(rig, 1, 0x4400);
  send(rig, 0xff, 0x4500);
  assertEquals(rig.signals.take(), ["init 0"]);
});

Deno.test("IPI is edge-triggered whatever its trigger bit says", () => {
  const rig = new Rig().enableApics();
  send(rig, 0, 0xc041);
  assertEquals(rig.take(), 0x41);
  assertEquals(rig.lapic(0x180 + 0x20), 0);
});
