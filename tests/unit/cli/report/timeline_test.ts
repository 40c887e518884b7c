import { assertEquals } from "@std/assert";
import { Size } from "../../../../src/cli/report/sizes.ts";
import { Timeline } from "../../../../src/cli/report/timeline.ts";
import { Random, seed } from "../../../support/random.ts";

Deno.test("buckets widen as time goes on, and lose nothing", () => {
  const start = seed(3);
  const random = new Random(start);
  const timeline = new Timeline();
  const times: number[] = [];
  for (let now = 0; times.length < 5000; now += random.below(2 * times.length + 10)) {
    times.push(now);
    timeline.add(now, times.length % 5);
  }
  const buckets = new Map<number, number>();
  for (let bucket = 0; bucket < timeline.buckets; bucket++) {
    for (const size of Object.values(Size)) {
      const count = timeline.count(bucket, size);
      if (count > 0) buckets.set(bucket * 5 + size, count);
    }
  }
  const expected = new Map<number, number>();
  times.forEach((time, index) => {
    const at = Math.floor(time / timeline.widthNs) * 5 + (index + 1) % 5;
    expected.set(at, (expected.get(at) ?? 0) + 1);
  });
  const sorted = (map: Map<number, number>) => [...map].sort(([a], [b]) => a - b);
  assertEquals(sorted(buckets), sorted(expected), `DENOVISOR_SEED=${start}`);
  assertEquals(timeline.buckets > 120 && timeline.buckets <= 240, true);
});

Deno.test("the longest time there is has its bucket", () => {
  const timeline = new Timeline();
  timeline.add(0, 0);
  timeline.add(Number.MAX_SAFE_INTEGER, 1);
  assertEquals([timeline.count(0, 0), timeline.count(timeline.buckets - 1, 1)], [1, 1]);
});
