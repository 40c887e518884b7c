import { assert, assertEquals } from "@std/assert";
import {
  createSignals,
  lower,
  raise,
  raised,
  Signal,
  waitForSignal,
} from "../../../src/machine/signals.ts";

Deno.test("a signal is new until it has been lowered", () => {
  const signals = createSignals();
  assertEquals([raise(signals, Signal.INPUT), raise(signals, Signal.INPUT)], [true, false]);
  assertEquals([raised(signals, Signal.INPUT), raised(signals, Signal.STOP)], [true, false]);
  assertEquals([lower(signals, Signal.INPUT), lower(signals, Signal.INPUT)], [true, false]);
  assertEquals(raise(signals, Signal.INPUT), true);
});

Deno.test("a machine that waits goes on at once when a signal is raised already", () => {
  for (const signal of Object.values(Signal)) {
    const signals = createSignals();
    raise(signals, signal);
    const before = performance.now();
    waitForSignal(signals, 60_000);
    assert(performance.now() - before < 30_000);
  }
});

Deno.test("a machine that waits in vain goes on after its time", () => {
  waitForSignal(createSignals(), 5);
});
