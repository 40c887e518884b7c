import { assert, assertEquals } from "@std/assert";
import { AlarmClock, AlarmSetter, createAlarm } from "../../../src/machine/alarm.ts";
import { epochMs } from "../../../src/machine/stats.ts";

Deno.test("an alarm rings at its time, and again at the next", async () => {
  const memory = createAlarm();
  const setter = new AlarmSetter(memory);
  const rings: number[] = [];
  using _clock = new AlarmClock(memory, () => rings.push(epochMs()));
  for (const waitMs of [30, 0, 20]) {
    const due = epochMs() + waitMs;
    setter.set(due);
    const before = rings.length;
    while (rings.length === before) await pause(5);
    assert(rings[before] >= due - 1, `it rang ${due - rings[before]} ms early`);
  }
  assertEquals(rings.length, 3);
});

Deno.test("an alarm that is set again or turned off does not ring at its old time", async () => {
  const memory = createAlarm();
  const setter = new AlarmSetter(memory);
  let rings = 0;
  using _clock = new AlarmClock(memory, () => rings++);
  setter.set(epochMs() + 30);
  await pause(5);
  setter.set(Infinity);
  await pause(60);
  assertEquals(rings, 0);
});

Deno.test("an alarm beyond the host's longest timer does not ring at once", async () => {
  const memory = createAlarm();
  new AlarmSetter(memory).set(epochMs() + 2 ** 40);
  let rings = 0;
  {
    using _clock = new AlarmClock(memory, () => rings++);
    await pause(30);
  }
  assertEquals(rings, 0);
});

Deno.test("a disposed alarm never rings, and leaves no timer", async () => {
  const memory = createAlarm();
  let rings = 0;
  {
    using _clock = new AlarmClock(memory, () => rings++);
    new AlarmSetter(memory).set(epochMs() + 20);
    await pause(5);
  }
  new AlarmSetter(memory).set(epochMs() + 10);
  await pause(50);
  assertEquals(rings, 0);
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
