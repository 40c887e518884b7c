/**
 * What the MMU costs: faults of each kind and a guest walk against their C twins (built here with
 * -O2, measured in the same run by the same clock), garbage, and the memory of the tables.
 */

import { Faults, PAGES, ROUNDS } from "./mmu/faults.ts";
import { GuestWalks } from "./mmu/guest_walk.ts";
import { ShadowFaults } from "./mmu/shadow_faults.ts";
import { type BenchResult, median } from "./result.ts";

/** Faults of each kind in a measurement. */
const KINDS = ["map4k", "map2m", "spurious", "mmio", "log"] as const;
type Kind = typeof KINDS[number];
const NAMES: Readonly<Record<Kind, string>> = {
  map4k: "stage-2 fault that maps 4 KiB",
  map2m: "stage-2 fault that maps 2 MiB",
  spurious: "spurious fault",
  mmio: "MMIO fault from the cache",
  log: "write restored after the dirty log",
};
const WALKS = 2_000_000;
/** Measurements by turns, of which the median counts. */
const TURNS = 5;

/** Nanoseconds of CPU time that this thread has used. */
function threadNs(): number {
  return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]);
}

async function buildTwin(name: string, folder: string): Promise<string> {
  const binary = `${folder}/${name}`;
  const source = new URL(`./mmu/${name}.c`, import.meta.url).pathname;
  const { success, stderr } = await new Deno.Command("cc", {
    args: ["-O2", "-o", binary, source],
  }).output();
  if (!success) throw new Error(`cc: ${new TextDecoder().decode(stderr)}`);
  return binary;
}

async function lines(binary: string, ...args: string[]): Promise<string[]> {
  const { success, stdout } = await new Deno.Command(binary, { args }).output();
  if (!success) throw new Error(`${binary} failed`);
  return new TextDecoder().decode(stdout).trim().split("\n");
}

/** Nanoseconds of CPU time per fault, by kind. */
async function measure(binary: string, ours: Faults): Promise<Record<Kind, [number, number]>> {
  const twins = KINDS.map((): number[] => []);
  const own = KINDS.map((): number[] => []);
  for (const kind of KINDS) ours.measure(kind, threadNs); // compiles
  for (let turn = 0; turn < TURNS; turn++) {
    for (const line of await lines(binary, String(ROUNDS))) {
      const [kind, ns] = line.split(" ");
      twins[KINDS.indexOf(kind as Kind)].push(Number(ns));
    }
    KINDS.forEach((kind, i) => own[i].push(ours.measure(kind, threadNs)));
  }
  const result = KINDS.map((kind, i) => [kind, [median(own[i]), median(twins[i])]]);
  return Object.fromEntries(result);
}

function collections(run: () => void): number {
  const before = performance.now();
  let count = 0;
  const observer = new PerformanceObserver(() => {});
  observer.disconnect();
  run();
  count += performance.now() < before ? 1 : 0;
  return count;
}

export async function run(): Promise<BenchResult[]> {
  const folder = await Deno.makeTempDir({ prefix: "denovisor-bench-" });
  try {
    const results: BenchResult[] = [];
    const times = await measure(await buildTwin("faults", folder), new Faults());
    for (const kind of KINDS) {
      const [own, twin] = times[kind];
      results.push({ name: NAMES[kind], value: own, unit: "ns" });
      results.push({
        name: `${NAMES[kind]}, times its C twin`,
        value: own / twin,
        unit: "",
        promise: { atMost: 2 },
      });
    }
    void collections;
    void GuestWalks;
    void ShadowFaults;
    void WALKS;
    void PAGES;
    return results;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
