/** x2APIC mode and IA32_APIC_BASE (SDM 3A §10.4.3, §10.12). */

import { assertEquals } from "@std/assert";
import type { LocalApicPort } from "../../../../src/engine/cpu_bus.ts";
import { ICR, LAPIC, LDR, LVT_TIMER, Rig, SVR, TPR } from "./rig.ts";

const BASE = 0x1b;
const OFF = 0xfee0_0000, XAPIC = 0xfee0_0800, X2APIC = 0xfee0_0c00, INVALID = 0xfee0_0400;

/** The value of an MSR, both halves; undefined for #GP. */
function rdmsr(apic: LocalApicPort, msr: number): bigint | undefined {
  return apic.readMsr(msr) ? BigInt(apic.msrHi) << 32n | BigInt(apic.msrLo) : undefined;
}

Deno.test("IA32_APIC_BASE takes the transitions of figure 10-26 and refuses all others", () => {
  const ways: Record<number, number[]> = { [OFF]: [], [XAPIC]: [XAPIC], [X2APIC]: [XAPIC, X2APIC] };
  const legal: Record<number, number[]> = {
    [OFF]: [OFF, XAPIC],
    [XAPIC]: [OFF, XAPIC, X2APIC],
    [X2APIC]: [OFF, X2APIC],
  };
  for (const from of [OFF, XAPIC, X2APIC]) {
    for (const to of [OFF, XAPIC, X2APIC, INVALID]) {
      const apic = new Rig().apic();
      apic.writeMsr(BASE, OFF, 0);
      for (const step of ways[from]) assertEquals(apic.writeMsr(BASE, step, 0), true);
      const name = `${from.toString(16)} to ${to.toString(16)}`;
      assertEquals(apic.writeMsr(BASE, to, 0), legal[from].includes(to), name);
      assertEquals(apic.baseLo, legal[from].includes(to) ? to : from, name);
    }
  }
});

Deno.test("IA32_APIC_BASE refuses reserved bits, by the width of physical addresses too", () => {
  const apic = new Rig().apic();
  for (const bit of [0x01, 0x80, 0x200]) {
    assertEquals(apic.writeMsr(BASE, XAPIC | bit, 0), false);
  }
  assertEquals(apic.writeMsr(BASE, XAPIC, 0x10_0000), false);
  assertEquals(apic.writeMsr(BASE, XAPIC, 0xf_ffff), true);
  assertEquals(rdmsr(apic, BASE), 0xf_ffff_fee0_0800n);
});

Deno.test("restoring IA32_APIC_BASE makes any transition", () => {
  const rig = new Rig(20);
  const apic = rig.apic(17);
  apic.restoreBase(OFF, 0);
  apic.restoreBase(X2APIC, 0);
  assertEquals(rdmsr(apic, 0x802), 17n);
  apic.restoreBase(XAPIC, 0);
  assertEquals(rdmsr(apic, 0x802), undefined);
  assertEquals(rig.lapic(0x20, 17), 17 * 2 ** 24);
});

Deno.test("local APIC that was off has lost its state", () => {
  const rig = new Rig().enableApics();
  rig.setLapic(TPR, 0x20);
  rig.setLapic(ICR, 0x4_4099);
  rig.apic().writeMsr(BASE, OFF, 0);
  assertEquals(rig.take(), -1);
  rig.apic().writeMsr(BASE, XAPIC, 0);
  assertEquals([rig.lapic(TPR), rig.lapic(SVR)], [0, 0xff]);
});

Deno.test("x2APIC keeps what the xAPIC held, and its page is gone", () => {
  const rig = new Rig().enableApics();
  rig.setLapic(TPR, 0x20);
  rig.setLapic(LVT_TIMER, 0x44);
  rig.toX2apic();
  const apic = rig.apic();
  assertEquals([0x803, 0x808, 0x80f, 0x832].map((msr) => rdmsr(apic, msr)), [
    0x5_0014n,
    0x20n,
    0x1ffn,
    0x44n,
  ]);
  const view = new DataView(new ArrayBuffer(4));
  assertEquals(rig.chips.readMmio(0, LAPIC, 4, view, 0), false);
  assertEquals(rig.chips.writeMmio(0, LAPIC, 4, view, 0), false);
});

Deno.test("x2APIC ids and logical ids come from the id (§10.12.10.2)", () => {
  const rig = new Rig(40);
  for (const [id, logical] of [[0, 1n], [5, 0x20n], [16, 0x1_0001n], [37, 0x2_0020n]] as const) {
    rig.toX2apic(id);
    assertEquals(rdmsr(rig.apic(id), 0x802), BigInt(id));
    assertEquals(rdmsr(rig.apic(id), 0x80d), logical);
  }
});

Deno.test("x2APIC MSRs can be read and written as table 10-6 says", () => {
  const rig = new Rig();
  rig.toX2apic();
  const apic = rig.apic();
  const readable = new Set<number>([0x802, 0x803, 0x808, 0x80a, 0x80d, 0x80f, 0x828, 0x830]);
  for (let msr = 0x810; msr <= 0x827; msr++) readable.add(msr);
  for (let msr = 0x832; msr <= 0x839; msr++) readable.add(msr);
  readable.add(0x83e);
  const writable = new Set([0x808, 0x80b, 0x80f, 0x828, 0x830, 0x838, 0x83e, 0x83f]);
  for (let msr = 0x832; msr <= 0x837; msr++) writable.add(msr);
  for (let msr = 0x7ff; msr <= 0x900; msr++) {
    assertEquals(apic.readMsr(msr), readable.has(msr), `read ${msr.toString(16)}`);
    assertEquals(apic.writeMsr(msr, 0, 0), writable.has(msr), `write ${msr.toString(16)}`);
    if (msr === 0x830) continue; // its high half is the destination
    assertEquals(apic.writeMsr(msr, 0, 1), false, `high half of ${msr.toString(16)}`);
  }
});

Deno.test("x2APIC MSRs are #GP in xAPIC mode and when the APIC is off", () => {
  const apic = new Rig().apic();
  for (const base of [XAPIC, OFF]) {
    apic.writeMsr(BASE, base, 0);
    for (let msr = 0x800; msr < 0x900; msr++) {
      assertEquals([apic.readMsr(msr), apic.writeMsr(msr, 0, 0)], [false, false]);
    }
  }
});

Deno.test("x2APIC refuses reserved bits", () => {
  const rig = new Rig();
  rig.toX2apic();
  const refused: [msr: number, value: number][] = [
    [0x808, 0x100],
    [0x80b, 1],
    [0x80f, 0x400],
    [0x828, 1],
    [0x830, 0x10_0000],
    [0x830, 0x2000],
    [0x832, 0x8_0000],
    [0x832, 0x100],
    [0x835, 0x2_0000],
    [0x837, 0x700],
    [0x83e, 4],
    [0x83f, 0x100],
  ];
  for (const [msr, value] of refused) {
    assertEquals(rig.apic().writeMsr(msr, value, 0), false, `${msr.toString(16)}`);
  }
  for (const [msr, value] of [[0x832, 0x1000], [0x835, 0x1_f7ff], [0x838, 0xffff_ffff]]) {
    assertEquals(rig.apic().writeMsr(msr, value, 0), true, `${msr.toString(16)}`);
  }
  assertEquals(rdmsr(rig.apic(), 0x835), 0x1_a7ffn, "status bits stay as they are");
});

Deno.test("x2APIC sends to 32-bit destinations, physical, logical and all", () => {
  const rig = new Rig(36);
  for (let vcpu = 0; vcpu < 36; vcpu++) {
    rig.toX2apic(vcpu);
    rig.apic(vcpu).writeMsr(0x80f, 0x1ff, 0);
  }
  const takers = () =>
    rig.chips.localApics.flatMap((apic, vcpu) => {
      const vector = apic.acknowledge();
      apic.writeMsr(0x80b, 0, 0);
      return vector < 0 ? [] : [vcpu];
    });
  const send = (lo: number, hi: number) => assertEquals(rig.apic(3).writeMsr(0x830, lo, hi), true);
  send(0x4041, 35);
  assertEquals(rdmsr(rig.apic(3), 0x830), 0x23_0000_4041n);
  assertEquals(takers(), [35]);
  send(0x4841, 0x1_8003); // cluster 1: members 0, 1 and 15
  assertEquals(takers(), [16, 17, 31]);
  send(0x4041, 0xff); // no such id
  assertEquals(takers(), []);
  send(0x4041, 0xffff_ffff);
  assertEquals(takers().length, 36);
  send(0x4941, 0x2_000c); // lowest priority: one of 34 and 35
  assertEquals(takers().length, 1);
  assertEquals(rig.apic(3).writeMsr(0x83f, 0x77, 0), true);
  assertEquals(rig.take(3), 0x77, "self-IPI");
  send(0x4_0041, 0xffff_ffff);
  assertEquals(takers(), [], "0x41 is held up by 0x77");
});

Deno.test("x2APIC and xAPICs reach each other", () => {
  const rig = new Rig(3).enableApics();
  for (let vcpu = 0; vcpu < 3; vcpu++) rig.setLapic(LDR, 1 << (24 + vcpu), vcpu);
  rig.toX2apic(2);
  rig.setLapic(0x310, 0x0700_0000);
  rig.setLapic(ICR, 0x4841);
  assertEquals([0, 1, 2].map((vcpu) => rig.take(vcpu)), [0x41, 0x41, 0x41]);
  rig.apic(2).writeMsr(0x830, 0x4442, 1);
  assertEquals(rig.signals.take().at(-1), "nmi 1");
  rig.apic(2).writeMsr(0x830, 0x4851, 0x1_0001);
  assertEquals(rig.take(0), -1, "a cluster beyond an xAPIC's eight bits");
});

Deno.test("INIT leaves an x2APIC in its mode", () => {
  const rig = new Rig();
  rig.toX2apic();
  rig.apic().writeMsr(0x808, 0x50, 0);
  rig.apic().init();
  assertEquals(rdmsr(rig.apic(), 0x808), 0n);
});
