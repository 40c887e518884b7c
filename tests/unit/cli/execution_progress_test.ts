import { assertEquals } from "@std/assert";
import { progressLine } from "../../../src/cli/execution_progress.ts";
import { Counter, COUNTER_BYTES } from "../../../src/machine/stats.ts";
import { collectStats, type VmStats } from "../../../src/vm/stats.ts";

/** Statistics of a guest that has run so long. */
function stats(wallSeconds: number, instructions: number, guestNs: number): VmStats {
  const counters = new Float64Array(COUNTER_BYTES / 8);
  counters[Counter.STARTED_EPOCH_MS] = 1000;
  counters[Counter.ENDED_EPOCH_MS] = 1000 + wallSeconds * 1000;
  counters[Counter.INSTRUCTIONS] = instructions;
  counters[Counter.GUEST_NS] = guestNs;
  return collectStats("wasm", counters, {}, {}, undefined);
}

Deno.test("the line has the rate since the last look, and the guest's time", () => {
  assertEquals(
    progressLine(stats(1, 5e6, 0), stats(1.5, 15e6, 2.25e9)),
    "No output yet: 20.0 million instructions a second, guest time 2.25 s",
  );
});

Deno.test("a guest that has not started has a line, too", () => {
  assertEquals(
    progressLine(stats(0, 0, 0), stats(0, 0, 0)),
    "No output yet: 0.0 million instructions a second, guest time 0.00 s",
  );
});
