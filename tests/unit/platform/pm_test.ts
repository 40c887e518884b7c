/** The fixed power-management registers against ACPI 6.4 §4.8.3. */

import { assertEquals } from "@std/assert";
import { PowerManagement } from "../../../src/platform/pm.ts";
import { TestClock, TestIrq, TestPower } from "../devices/doubles.ts";

const STATUS = 0x600, ENABLE = 0x602, CONTROL = 0x604, TIMER = 0x608;

function board() {
  const clock = new TestClock();
  const sci = new TestIrq();
  const power = new TestPower();
  return { clock, sci, power, pm: new PowerManagement({ clock, sci, power: power.sink }) };
}

Deno.test("PM timer counts 3,579,545 ticks a second in 32 bits", () => {
  const { clock, pm } = board();
  assertEquals(pm.readPort(TIMER, 4), 0);
  clock.ns = 1e9;
  assertEquals(pm.readPort(TIMER, 4), 3_579_545);
  clock.ns = 1e9 + 280; // one tick is 279.365 ns
  assertEquals(pm.readPort(TIMER, 4), 3_579_546);
  clock.ns = 86_400e9 * 100;
  assertEquals(pm.readPort(TIMER, 4), Number(86_400n * 100n * 3_579_545n % (1n << 32n)));
  assertEquals(pm.readPort(TIMER + 1, 2), (pm.readPort(TIMER, 4) >>> 8) & 0xffff);
  assertEquals(pm.readPort(TIMER + 3, 1), pm.readPort(TIMER, 4) >>> 24);
});

Deno.test("PM timer is exact and never runs backwards", () => {
  const { clock, pm } = board();
  let last = 0;
  for (let ns = 1; ns < 1e15; ns = Math.floor(ns * 1.37) + 1) {
    clock.ns = ns;
    const ticks = pm.readPort(TIMER, 4);
    const exact = BigInt(ns) * 3_579_545n / 1_000_000_000n;
    assertEquals(BigInt(ticks), exact % (1n << 32n), `at ${ns} ns`);
    if (exact < 1n << 32n) {
      assertEquals(ticks >= last, true);
      last = ticks;
    }
  }
});

Deno.test("PM control is always in ACPI mode and keeps the sleep type, not its trigger", () => {
  const { pm, power } = board();
  assertEquals(pm.readPort(CONTROL, 2), 0x0001);
  pm.writePort(CONTROL, 2, 0x1c06);
  assertEquals(pm.readPort(CONTROL, 2), 0x1c03);
  pm.writePort(CONTROL, 2, 0x3c00); // no such sleep state
  assertEquals(pm.readPort(CONTROL, 2), 0x1c01);
  assertEquals(power.events, []);
});

Deno.test("PM control powers off on SLP_EN with the type of S5, in one write or by bytes", () => {
  const whole = board();
  whole.pm.writePort(CONTROL, 2, 0x2000);
  assertEquals(whole.power.events, [{ kind: "power-off" }]);
  const bytes = board();
  bytes.pm.writePort(CONTROL, 1, 0x01);
  assertEquals(bytes.power.events, []);
  bytes.pm.writePort(CONTROL + 1, 1, 0x20);
  assertEquals(bytes.power.events, [{ kind: "power-off" }]);
});

Deno.test("PM power button raises the SCI when it is enabled, until its status is cleared", () => {
  const { pm, sci } = board();
  pm.pressPowerButton();
  assertEquals(sci.level, false);
  assertEquals(pm.readPort(STATUS, 2), 0x0100);
  pm.writePort(ENABLE, 2, 0xffff);
  assertEquals(pm.readPort(ENABLE, 2), 0x0521);
  assertEquals(sci.level, true);
  pm.writePort(STATUS, 2, 0x0001); // another bit
  assertEquals(sci.level, true);
  pm.writePort(STATUS, 2, 0x0100);
  assertEquals([pm.readPort(STATUS, 2), sci.level], [0, false]);
});

Deno.test("PM timer status rises when the top bit changes, and the deadline says when", () => {
  const { clock, pm, sci } = board();
  assertEquals(pm.nextDeadlineNs(), Infinity);
  pm.writePort(ENABLE, 2, 0x0001);
  const deadline = pm.nextDeadlineNs();
  assertEquals(Math.floor(deadline / 1e9), 599); // 2^31 ticks are 599.9 s
  clock.ns = deadline - 1000;
  pm.poll();
  assertEquals(sci.level, false);
  clock.ns = deadline;
  pm.poll();
  assertEquals(sci.level, true);
  assertEquals(pm.readPort(STATUS, 2), 0x0001);
  assertEquals(pm.nextDeadlineNs(), Infinity);
  pm.writePort(STATUS, 2, 0x0001);
  assertEquals([pm.readPort(STATUS, 2), sci.level], [0, false]);
  assertEquals(Math.floor(pm.nextDeadlineNs() / 1e9), 1199);
  clock.ns = pm.nextDeadlineNs();
  assertEquals(pm.readPort(STATUS, 2), 0x0001); // reading is enough
  assertEquals(sci.level, true);
});

Deno.test("PM timer status can be cleared before anyone has seen it", () => {
  const { clock, pm, sci } = board();
  clock.ns = 700e9;
  pm.writePort(STATUS, 2, 0x0001);
  pm.writePort(ENABLE, 2, 0x0001);
  assertEquals([pm.readPort(STATUS, 2), sci.level], [0, false]);
  clock.ns = 1300e9;
  pm.writePort(ENABLE, 1, 0x00);
  pm.writePort(ENABLE, 1, 0x01); // it is up although nobody polled
  assertEquals(sci.level, true);
});

Deno.test("PM enable keeps the bits that there are, of events that never happen too", () => {
  const { pm, sci } = board();
  pm.writePort(ENABLE, 2, 0xffff);
  assertEquals(pm.readPort(ENABLE, 2), 0x0521);
  pm.writePort(ENABLE, 1, 0x20);
  assertEquals(pm.readPort(ENABLE, 2), 0x0520);
  assertEquals([pm.readPort(STATUS, 2), sci.level], [0, false]);
});

Deno.test("PM registers can be read and written in any width", () => {
  const { pm } = board();
  pm.pressPowerButton();
  pm.writePort(STATUS, 4, 0x0100_0000); // enable the button, leave the status
  assertEquals(pm.readPort(STATUS, 4), 0x0100_0100);
  assertEquals(pm.readPort(STATUS + 1, 1), 0x01);
  assertEquals(pm.readPort(ENABLE + 1, 1), 0x01);
  assertEquals(pm.readPort(CONTROL, 4), 0x0000_0001);
  pm.writePort(STATUS + 1, 1, 0x01);
  assertEquals(pm.readPort(STATUS, 4), 0x0100_0000);
});
