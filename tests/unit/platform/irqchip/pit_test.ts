/** The 8254 of a PC at its ports (data sheet 231164), port 0x61, and IRQ 0 by the nanosecond. */

import { assert, assertEquals } from "@std/assert";
import { Rig } from "./rig.ts";

const HZ = 1_193_182n;

/** The first nanosecond of CLK pulse `pulse`. */
function nsOf(pulse: number): number {
  return Number((BigInt(pulse) * 1_000_000_000n + HZ - 1n) / HZ);
}

/** A PC whose 8259 takes IRQ 0 and needs no end of interrupt. */
function board(): Rig {
  return new Rig().startPic(3);
}

function program(rig: Rig, counter: number, mode: number, count: number): void {
  rig.out(0x43, counter << 6 | 0x30 | mode << 1);
  rig.out(0x40 + counter, count & 0xff);
  rig.out(0x40 + counter, count >>> 8);
}

/** Times at which IRQ 0 comes until `until`, by waking up when asked for. */
function interrupts(rig: Rig, until: number): number[] {
  const times: number[] = [];
  for (;;) {
    const next = rig.chips.nextDeadlineNs();
    if (next > until) return times;
    rig.clock.ns = next;
    rig.chips.poll();
    while (rig.apic().hasInterrupt()) {
      assertEquals(rig.take(), 0x30);
      times.push(next);
    }
  }
}

Deno.test("8254 mode 0 interrupts once, N + 1 pulses after the count is written", () => {
  const rig = board();
  program(rig, 0, 0, 1000);
  assertEquals(interrupts(rig, 1e9), [nsOf(1001)]);
  rig.clock.ns = 2e9;
  program(rig, 0, 0, 1);
  assertEquals(interrupts(rig, 3e9), [nsOf(2 * Number(HZ) + 2)]);
});

Deno.test("8254 mode 2 interrupts every N pulses, and modes 3 and 4 at the end of a cycle", () => {
  const cases: [mode: number, pulses: number[]][] = [
    [2, [11_933, 23_865, 35_797]],
    [3, [11_933, 23_865, 35_797]],
    [4, [11_934]],
    [1, []],
    [5, []],
  ];
  for (const [mode, pulses] of cases) {
    const rig = board();
    program(rig, 0, mode, 11_932);
    // Before it was programmed OUT was low (mode 0): now it is high.
    assertEquals(rig.take(), 0x30);
    assertEquals(interrupts(rig, 35e6), pulses.map(nsOf), `mode ${mode}`);
  }
});

Deno.test("8254 count 0 is 65536 in binary and 10000 in decimal", () => {
  for (const [bcd, period] of [[0, 65_536], [1, 10_000]]) {
    const rig = board();
    rig.out(0x43, 0x34 | bcd);
    rig.out(0x40, 0);
    rig.out(0x40, 0);
    rig.take();
    assertEquals(interrupts(rig, nsOf(2 * period + 1)), [nsOf(period + 1), nsOf(2 * period + 1)]);
  }
});

Deno.test("8254 interrupts that were missed are one, and the next comes when it would have", () => {
  const rig = board();
  program(rig, 0, 2, 1193);
  rig.take();
  rig.clock.ns = 3600e9; // an hour
  rig.chips.poll();
  assertEquals([rig.take(), rig.take()], [0x30, -1]);
  const pulse = Number(3600n * HZ);
  const next = 1 + Math.ceil((pulse - 1) / 1193) * 1193;
  assertEquals(rig.chips.nextDeadlineNs(), nsOf(next > pulse ? next : next + 1193));
});

Deno.test("8254 with a tiny period asks for a bounded number of polls", () => {
  const rig = board();
  program(rig, 0, 2, 2); // every 1.7 µs
  const polls = rig.runTo(1e6);
  assert(polls >= 40 && polls <= 51, `${polls} polls in a millisecond`);
});

Deno.test("8254 tells when its deadline has changed, and poll before it does nothing", () => {
  const rig = board();
  assertEquals(rig.chips.nextDeadlineNs(), Infinity);
  const before = rig.deadlineCalls;
  program(rig, 0, 0, 1000);
  assert(rig.deadlineCalls > before);
  assertEquals(rig.chips.nextDeadlineNs(), nsOf(1), "the pulse that loads it");
  rig.clock.ns = nsOf(1001) - 1;
  rig.chips.poll();
  assertEquals(rig.take(), -1);
  assertEquals(rig.chips.nextDeadlineNs(), nsOf(1001));
});

Deno.test("8254 reads low byte and high byte of the running count, which a latch holds", () => {
  const rig = board();
  program(rig, 2, 2, 0x1234); // its gate is low
  rig.out(0x61, 1);
  rig.clock.ns = nsOf(1);
  assertEquals([rig.in(0x42), rig.in(0x42)], [0x34, 0x12]);
  rig.clock.ns = nsOf(0x35);
  rig.out(0x43, 0x80);
  rig.clock.ns = nsOf(0x100);
  rig.out(0x43, 0x80); // ignored: the first is not read yet
  assertEquals([rig.in(0x42), rig.in(0x42)], [0x00, 0x12]);
  assertEquals([rig.in(0x42), rig.in(0x42)], [0x35, 0x11]);
});

Deno.test("8254 access modes give and take one byte", () => {
  const rig = board();
  rig.out(0x43, 0x54); // counter 1, low byte, mode 2
  rig.out(0x41, 100);
  rig.clock.ns = nsOf(11);
  assertEquals([rig.in(0x41), rig.in(0x41)], [90, 90]);
  rig.out(0x43, 0x64); // counter 1, high byte
  rig.out(0x41, 2);
  rig.clock.ns = nsOf(12);
  assertEquals(rig.in(0x41), 2);
  rig.clock.ns = nsOf(13);
  assertEquals(rig.in(0x41), 1);
});

Deno.test("8254 decimal counts are read as they are written", () => {
  const rig = board();
  rig.out(0x43, 0x35);
  rig.out(0x40, 0x00);
  rig.out(0x40, 0x10); // 1000
  rig.clock.ns = nsOf(2);
  assertEquals([rig.in(0x40), rig.in(0x40)], [0x99, 0x09]);
});

Deno.test("8254 read-back latches status and count of the chosen counters", () => {
  const rig = board();
  program(rig, 0, 3, 1000);
  program(rig, 1, 4, 2000);
  rig.out(0x43, 0xe2); // status of counter 0
  assertEquals(rig.in(0x40), 0xf6, "OUT high, count not loaded, both bytes, mode 3");
  rig.clock.ns = nsOf(501);
  rig.out(0x43, 0xc6); // both of both
  rig.clock.ns = nsOf(5000);
  assertEquals(rig.in(0x40), 0x36, "OUT low in the second half, count loaded");
  assertEquals([rig.in(0x40), rig.in(0x40)], [0xe8, 0x03]);
  assertEquals(rig.in(0x41), 0xb8);
  assertEquals([rig.in(0x41), rig.in(0x41)], [0xdc, 0x05]); // 2000 - 500
  assertEquals(rig.in(0x43), 0xff, "the control word cannot be read");
});

Deno.test("8254 count that was just written reads as loaded: guests that calibrate look at once", () => {
  const rig = board();
  rig.out(0x61, 1);
  program(rig, 2, 0, 0xffff);
  assertEquals([rig.in(0x42), rig.in(0x42)], [0xff, 0xff]);
});

Deno.test("port 0x61 gates counter 2 and shows its output", () => {
  const rig = board();
  rig.out(0x61, 0);
  program(rig, 2, 0, 1000);
  rig.clock.ns = 1e9;
  assertEquals(rig.in(0x61) & 0x21, 0, "the gate holds it");
  rig.out(0x61, 0x03);
  const start = Number(HZ);
  rig.clock.ns = nsOf(start + 1000) - 1;
  assertEquals(rig.in(0x61) & 0x2f, 0x03);
  rig.clock.ns = nsOf(start + 1000);
  assertEquals(rig.in(0x61) & 0x2f, 0x23);
  rig.out(0x61, 0xfc);
  assertEquals(rig.in(0x61) & 0xef, 0x2c, "bits 7:4 are for reading only");
  assertEquals(rig.apic().hasInterrupt(), false, "counter 2 has no interrupt");
});

Deno.test("port 0x61 toggles its refresh bit every 18 pulses", () => {
  const rig = board();
  let changes = 0;
  let last = rig.in(0x61) & 0x10;
  for (let ns = 0; ns < 1_000_000; ns += 500) {
    rig.clock.ns = ns;
    const now = rig.in(0x61) & 0x10;
    if (now !== last) changes++;
    last = now;
  }
  assertEquals(changes, 66); // 1193 pulses
});
