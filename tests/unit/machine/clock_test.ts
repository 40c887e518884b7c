import { assert, assertEquals } from "@std/assert";
import { RealClock, VIRTUAL_EPOCH_MS, VirtualClock } from "../../../src/machine/clock.ts";
import { createSignals, raise, Signal } from "../../../src/machine/signals.ts";

const MS = 1e6;

Deno.test("the real clock sleeps until a deadline, and not at all when a signal is raised", () => {
  const clock = new RealClock();
  const signals = createSignals();
  const before = clock.nowNs();
  clock.idle(before + 20 * MS, signals);
  const slept = clock.nowNs() - before;
  assert(slept >= 19 * MS && slept < 500 * MS, `it slept ${slept} ns`);
  raise(signals, Signal.INPUT);
  const again = clock.nowNs();
  clock.idle(Infinity, signals);
  assert(clock.nowNs() - again < 500 * MS);
});

Deno.test("by the real clock slices are short when a deadline is near", () => {
  const clock = new RealClock();
  const far = clock.budget(Infinity);
  assertEquals(clock.budget(clock.nowNs() + 1000 * MS), far);
  const near = clock.budget(clock.nowNs() + MS);
  assert(near < far && near > clock.budget(clock.nowNs() + MS / 10));
  assert(clock.budget(clock.nowNs() - MS) >= 1);
});

Deno.test("the virtual clock counts instructions and what was skipped", () => {
  const clock = new VirtualClock();
  const signals = createSignals();
  const counter = { retired: 0 };
  clock.attach(counter);
  assertEquals([clock.nowNs(), clock.wallMs()], [0, Date.UTC(2026, 0, 1)]);
  counter.retired = 1234;
  clock.idle(2_000_000.5, signals);
  assertEquals(clock.nowNs(), 2_000_001);
  clock.idle(5, signals);
  assertEquals(clock.nowNs(), 2_000_001, "it never runs backwards");
  counter.retired += 500_000;
  assertEquals(clock.wallMs(), VIRTUAL_EPOCH_MS + 2.500_001);
});

Deno.test("by the virtual clock a slice ends at the deadline, and always has an instruction", () => {
  const clock = new VirtualClock();
  clock.attach({ retired: 1000 });
  assertEquals(
    [1999, 1000.5, 1000, 3, 1e12, Infinity].map((deadline) => clock.budget(deadline)),
    [999, 1, 1, 1, 100_000, 100_000],
  );
});

Deno.test("by the virtual clock a guest without a deadline sleeps until a signal", () => {
  const clock = new VirtualClock();
  const signals = createSignals();
  raise(signals, Signal.INPUT);
  const before = performance.now();
  clock.idle(Infinity, signals);
  assert(performance.now() - before < 500);
  assertEquals(clock.nowNs(), 0);
});

Deno.test("an access to a device takes a microsecond by the virtual clock only", () => {
  const clock = new VirtualClock();
  assertEquals([clock.access(), clock.access(), clock.nowNs()], [true, true, 2000]);
  assertEquals(new RealClock().access(), false);
});

Deno.test("by the virtual clock a guest that only waits does so at the host's pace in the end", () => {
  const clock = new VirtualClock();
  const signals = createSignals();
  const idle = (ms: number) => {
    const before = performance.now();
    clock.idle(clock.nowNs() + ms * MS, signals);
    return performance.now() - before;
  };
  const minutes = 60_000;
  assert(idle(9 * minutes) < 100, "minutes take no time");
  assert(idle(minutes) < 100, "nor does another one");
  const start = clock.nowNs();
  assert(idle(minutes) >= 900, "it sleeps, for a while");
  const waited = clock.nowNs() - start;
  assert(waited >= 900 * MS && waited < 10_000 * MS, `${waited} ns of a minute have passed`);
  assert(idle(0.001) >= 0.9, "deadlines that follow one another closely cost nothing either");
  clock.input();
  assert(idle(9 * minutes) < 100, "input is worth ten minutes");
});

Deno.test("by the virtual clock input ends a wait at the host's pace", () => {
  const clock = new VirtualClock();
  const signals = createSignals();
  clock.idle(600_000 * MS, signals);
  raise(signals, Signal.INPUT);
  const before = performance.now();
  clock.idle(700_000 * MS, signals);
  assert(performance.now() - before < 500);
  assert(clock.nowNs() < 700_000 * MS);
});
