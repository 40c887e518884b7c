/** The local APIC's timer by the nanosecond (SDM 3A §10.5.4). */

import { assert, assertEquals } from "@std/assert";
import { CURRENT, DIVIDE, EOI, INITIAL, IRR, LVT_TIMER, Rig, SVR } from "./rig.ts";

const VECTOR = 0x40, PERIODIC = 0x2_0000, DEADLINE = 0x4_0000, MASKED = 0x1_0000;
const DEADLINE_MSR = 0x6e0;
/** Divide configuration: by 1. */
const BY_1 = 0xb;

function board(lvt = VECTOR): Rig {
  const rig = new Rig().enableApics();
  rig.setLapic(DIVIDE, BY_1);
  rig.setLapic(LVT_TIMER, lvt);
  return rig;
}

/** Takes and ends the timer's interrupts as they come until `until`: their times. */
function interrupts(rig: Rig, until: number): number[] {
  const times: number[] = [];
  for (;;) {
    const next = rig.chips.nextDeadlineNs();
    if (next > until) return times;
    rig.clock.ns = Math.max(rig.clock.ns, next);
    rig.chips.poll();
    while (rig.apic().hasInterrupt()) {
      assertEquals(rig.take(), VECTOR);
      rig.setLapic(EOI, 0);
      times.push(rig.clock.ns);
    }
  }
}

function deadline(rig: Rig): bigint {
  assert(rig.apic().readMsr(DEADLINE_MSR));
  return BigInt(rig.apic().msrHi) << 32n | BigInt(rig.apic().msrLo);
}

function setDeadline(rig: Rig, tsc: bigint): void {
  assert(rig.apic().writeMsr(DEADLINE_MSR, Number(tsc & 0xffff_ffffn), Number(tsc >> 32n)));
}

Deno.test("APIC timer counts down once, a tick a nanosecond, and interrupts at 0", () => {
  const rig = board();
  rig.clock.ns = 5000;
  rig.setLapic(INITIAL, 1_000_000);
  assertEquals([rig.lapic(INITIAL), rig.lapic(CURRENT)], [1_000_000, 1_000_000]);
  rig.clock.ns += 1;
  assertEquals(rig.lapic(CURRENT), 999_999);
  rig.clock.ns = 1_004_999;
  rig.chips.poll();
  assertEquals([rig.lapic(CURRENT), rig.take()], [1, -1]);
  assertEquals(interrupts(rig, 1e9), [1_005_000]);
  assertEquals([rig.lapic(CURRENT), rig.lapic(INITIAL)], [0, 1_000_000]);
});

Deno.test("APIC timer divides its clock by 1 to 128", () => {
  const codes = [[0x0, 2], [0x1, 4], [0x2, 8], [0x3, 16], [0x8, 32], [0x9, 64], [0xa, 128], [
    0xb,
    1,
  ]];
  for (const [code, divisor] of codes) {
    const rig = board();
    rig.setLapic(DIVIDE, code);
    assertEquals(rig.lapic(DIVIDE), code);
    rig.setLapic(INITIAL, 0xffff_ffff);
    rig.clock.ns = 10 * divisor - 1;
    assertEquals(rig.lapic(CURRENT), 0xffff_ffff - 9, `by ${divisor}`);
    rig.clock.ns += 1;
    assertEquals(rig.lapic(CURRENT), 0xffff_ffff - 10, `by ${divisor}`);
    assertEquals(rig.chips.nextDeadlineNs(), 0xffff_ffff * divisor);
  }
});

Deno.test("APIC timer goes on from its count when the divider changes", () => {
  const rig = board();
  rig.setLapic(INITIAL, 1000);
  rig.clock.ns = 400;
  rig.setLapic(DIVIDE, 1); // by 4
  assertEquals(rig.lapic(CURRENT), 600);
  assertEquals(rig.chips.nextDeadlineNs(), 400 + 2400);
});

Deno.test("APIC timer in periodic mode interrupts every period", () => {
  const rig = board(VECTOR | PERIODIC);
  rig.setLapic(INITIAL, 250_000);
  assertEquals(interrupts(rig, 1e6), [250_000, 500_000, 750_000, 1_000_000]);
  rig.clock.ns = 1_100_000;
  assertEquals(rig.lapic(CURRENT), 150_000);
  rig.setLapic(INITIAL, 0);
  assertEquals(rig.chips.nextDeadlineNs(), Infinity);
  assertEquals(rig.lapic(CURRENT), 0);
});

Deno.test("APIC timer periods that were missed are one interrupt, and the phase stays", () => {
  const rig = board(VECTOR | PERIODIC);
  rig.setLapic(INITIAL, 250_000);
  rig.clock.ns = 3600e9 + 1;
  assertEquals(interrupts(rig, 3600e9 + 250_000), [3600e9 + 1, 3600e9 + 250_000]);
});

Deno.test("APIC timer with a period of a nanosecond asks for a bounded number of polls", () => {
  const rig = board(VECTOR | PERIODIC);
  rig.setLapic(INITIAL, 1);
  const polls = rig.runTo(1e6);
  assert(polls >= 40 && polls <= 51, `${polls} polls in a millisecond`);
  assertEquals(rig.lapic(CURRENT), 1);
});

Deno.test("APIC timer counts while it is masked, without interrupts and without wake-ups", () => {
  for (const mode of [0, PERIODIC]) {
    const rig = board(VECTOR | MASKED | mode);
    rig.setLapic(INITIAL, 250_000);
    assertEquals(rig.chips.nextDeadlineNs(), Infinity);
    rig.clock.ns = 100_000;
    assertEquals(rig.lapic(CURRENT), 150_000);
    rig.clock.ns = 350_000;
    rig.setLapic(LVT_TIMER, VECTOR | mode);
    assertEquals(rig.take(), -1, "what ended under the mask is gone");
    assertEquals(rig.lapic(CURRENT), mode === PERIODIC ? 150_000 : 0);
    assertEquals(interrupts(rig, 600_000), mode === PERIODIC ? [500_000] : []);
  }
});

Deno.test("APIC timer stays running when it turns from one-shot to periodic and back", () => {
  const rig = board();
  rig.setLapic(INITIAL, 250_000);
  rig.setLapic(LVT_TIMER, VECTOR | PERIODIC);
  assertEquals(interrupts(rig, 600_000), [250_000, 500_000]);
  rig.setLapic(LVT_TIMER, VECTOR);
  assertEquals(interrupts(rig, 2e6), [750_000]);
});

Deno.test("TSC deadline interrupts when the counter reaches it, once, and then reads 0", () => {
  const rig = board(VECTOR | DEADLINE);
  setDeadline(rig, 7_000_000_000n);
  assertEquals(deadline(rig), 7_000_000_000n);
  rig.setLapic(INITIAL, 5); // ignored in this mode
  assertEquals([rig.lapic(INITIAL), rig.lapic(CURRENT)], [0, 0]);
  rig.clock.ns = 6_999_999_999;
  rig.chips.poll();
  assertEquals(rig.take(), -1);
  assertEquals(interrupts(rig, 1e12), [7_000_000_000]);
  assertEquals(deadline(rig), 0n);
});

Deno.test("TSC deadline in the past interrupts at once, and 0 disarms", () => {
  const rig = board(VECTOR | DEADLINE);
  rig.clock.ns = 1000;
  setDeadline(rig, 1000n);
  assertEquals(rig.take(), VECTOR);
  assertEquals(deadline(rig), 0n);
  setDeadline(rig, 5000n);
  setDeadline(rig, 0n);
  assertEquals(rig.chips.nextDeadlineNs(), Infinity);
});

Deno.test("TSC deadline compares with the guest's counter, modulo 2^64", () => {
  const cases: [offset: bigint, start: number, deadline: bigint, at: number][] = [
    [0x1234_5678_9abc_def0n, 0, 0x1234_5678_9abc_def0n + 10_000_000n, 10_000_000],
    [-5_000_000n, 6_000_000, 10_000_000n, 15_000_000],
    [2n ** 64n - 20_000_000n, 0, 2n ** 64n - 1n, 19_999_999],
    [0xffff_ffffn, 5, 0x1_0000_0000n + 20_000_000n, 20_000_001],
  ];
  for (const [offset, start, tsc, at] of cases) {
    const rig = board(VECTOR | DEADLINE);
    rig.clock.ns = start;
    const bits = BigInt.asUintN(64, offset);
    rig.apic().setTscOffset(Number(bits & 0xffff_ffffn), Number(bits >> 32n));
    setDeadline(rig, tsc);
    assertEquals(rig.take(), -1);
    assertEquals(rig.chips.nextDeadlineNs(), at, `offset ${offset}`);
  }
});

Deno.test("TSC deadline moves with the guest's counter, and may be reached by setting that", () => {
  const rig = board(VECTOR | DEADLINE);
  setDeadline(rig, 10_000_000n);
  rig.clock.ns = 1_000_000;
  rig.apic().setTscOffset(4_000_000, 0);
  assertEquals(rig.chips.nextDeadlineNs(), 6_000_000);
  rig.apic().setTscOffset(0, 0xffff_ffff);
  assertEquals(rig.take(), VECTOR);
});

Deno.test("TSC deadline is ignored in other modes, and changing the mode disarms", () => {
  const rig = board();
  setDeadline(rig, 5000n);
  assertEquals(deadline(rig), 0n);
  rig.setLapic(INITIAL, 1000);
  rig.setLapic(LVT_TIMER, VECTOR | DEADLINE);
  assertEquals(rig.chips.nextDeadlineNs(), Infinity);
  setDeadline(rig, 5000n);
  rig.setLapic(LVT_TIMER, VECTOR);
  assertEquals([rig.chips.nextDeadlineNs(), deadline(rig)], [Infinity, 0n]);
  rig.setLapic(LVT_TIMER, VECTOR | DEADLINE | PERIODIC); // reserved
  rig.setLapic(INITIAL, 1000);
  setDeadline(rig, 5000n);
  assertEquals([rig.chips.nextDeadlineNs(), deadline(rig)], [Infinity, 0n]);
});

Deno.test("APIC timer tells of a changed deadline by MSR and by register, and not when none changed", () => {
  const rig = board(VECTOR | DEADLINE);
  const calls = () => {
    const count = rig.deadlineCalls;
    rig.deadlineCalls = 0;
    return count > 0;
  };
  calls();
  setDeadline(rig, 5000n);
  assertEquals(calls(), true);
  setDeadline(rig, 5000n);
  assertEquals(calls(), false);
  rig.setLapic(LVT_TIMER, VECTOR);
  assertEquals(calls(), true);
  rig.setLapic(INITIAL, 500);
  assertEquals(calls(), true);
  rig.setLapic(SVR, 0xff);
  assertEquals(calls(), true);
});

Deno.test("deadline of the chips is the earliest of all timers", () => {
  const rig = new Rig(3).enableApics();
  for (const [vcpu, count] of [[0, 300], [1, 100], [2, 200]]) {
    rig.setLapic(DIVIDE, BY_1, vcpu);
    rig.setLapic(LVT_TIMER, VECTOR, vcpu);
    rig.setLapic(INITIAL, count * 1000, vcpu);
  }
  assertEquals(rig.chips.nextDeadlineNs(), 100_000);
  rig.clock.ns = 210_000;
  rig.chips.poll();
  assertEquals([0, 1, 2].map((vcpu) => rig.take(vcpu)), [-1, VECTOR, VECTOR]);
  assertEquals(rig.chips.nextDeadlineNs(), 300_000);
  rig.apic(0).init();
  assertEquals(rig.chips.nextDeadlineNs(), Infinity);
});

Deno.test("APIC timer with an illegal vector is an error, not an interrupt", () => {
  const rig = board(0x0f);
  rig.setLapic(INITIAL, 100);
  rig.runTo(1000);
  assertEquals([rig.take(), rig.lapic(IRR)], [-1, 0]);
  rig.setLapic(0x280, 0);
  assertEquals(rig.lapic(0x280), 0x40);
});
