/**
 * What the MMU costs: faults of each kind and a guest walk against their C twins (built here with
 * -O2 and run by turns with ours), the garbage of ten million faults, and the memory of the tables.
 */

import process from "node:process";
import { FAULT_KINDS, type FaultKind, Faults } from "./mmu/faults.ts";
import { GuestWalks } from "./mmu/guest_walk.ts";
import { collectionsIn, directBytesPerPage, shadowBytesPerPage } from "./mmu/memory.ts";
import { ShadowFaults } from "./mmu/shadow_faults.ts";
import { type BenchResult, median } from "./result.ts";

const NAMES: Readonly<Record<FaultKind, string>> = {
  map4k: "stage-2 fault that maps 4 KiB",
  map2m: "stage-2 fault that maps 2 MiB",
  spurious: "spurious fault",
  mmio: "MMIO fault from the cache",
  log: "write restored after the dirty log",
};
const WALKS = 2_000_000;
/** Runs of ours and of the twin by turns; the median of their ratios counts. */
const TURNS = 15;
/** Runs before the first turn, in which our code is compiled: with pauses, for another thread does that. */
const WARM_UPS = 6;
const WARM_UP_PAUSE_MS = 20;

/** Nanoseconds of CPU time that this process has used. */
function cpuNs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
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

/** What a twin prints: nanoseconds of CPU time. */
async function runTwin(binary: string, ...args: string[]): Promise<number> {
  const { success, stdout } = await new Deno.Command(binary, { args }).output();
  if (!success) throw new Error(`Cannot run ${binary}`);
  return Number(new TextDecoder().decode(stdout));
}

async function warmUp(ours: () => unknown): Promise<void> {
  for (let i = 0; i < WARM_UPS; i++) {
    ours();
    await new Promise((resolve) => setTimeout(resolve, WARM_UP_PAUSE_MS));
  }
}

/** Runs ours and the twin by turns. */
async function compare(
  name: string,
  ours: () => number,
  twin: () => Promise<number>,
  promise?: { readonly atMost: number },
): Promise<BenchResult[]> {
  await warmUp(ours);
  const times: number[] = [];
  const ratios: number[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    const own = ours();
    times.push(own);
    ratios.push(own / await twin());
  }
  return [
    { name, value: median(times), unit: "ns" },
    {
      name: `${name}, against its C twin`,
      value: median(ratios),
      unit: "times as long",
      ...(promise && { promise }),
    },
  ];
}

export async function run(): Promise<BenchResult[]> {
  const folder = await Deno.makeTempDir({ prefix: "denovisor-bench-" });
  try {
    const results: BenchResult[] = [];
    const twin = await buildTwin("faults", folder);
    for (const kind of FAULT_KINDS) {
      const faults = new Faults(kind);
      results.push(
        ...await compare(
          NAMES[kind],
          () => faults.measure(cpuNs),
          () => runTwin(twin, kind),
          { atMost: 2 },
        ),
      );
    }
    const walks = new GuestWalks();
    const walkTwin = await buildTwin("guest_walk", folder);
    results.push(
      ...await compare(
        "guest walk of four levels",
        () => {
          const start = cpuNs();
          walks.run(WALKS);
          return (cpuNs() - start) / WALKS;
        },
        () => runTwin(walkTwin, String(WALKS)),
        { atMost: 2 },
      ),
    );
    const shadow = new ShadowFaults();
    const shadowTwin = await buildTwin("shadow_faults", folder);
    results.push(
      ...await compare(
        "shadow fault that maps 4 KiB",
        () => shadow.measure(cpuNs),
        () => runTwin(shadowTwin),
        { atMost: 2 },
      ),
    );
    results.push({
      name: "minor collections in 10,000,000 faults",
      value: await collectionsIn(10_000_000),
      unit: "",
      promise: { atMost: 1 },
    });
    results.push({
      name: "tables of a stage-2 gibibyte by 4 KiB",
      value: directBytesPerPage(),
      unit: "bytes a page",
      promise: { atMost: 12 },
    });
    results.push({
      name: "tables of a shadowed gibibyte by 4 KiB",
      value: shadowBytesPerPage(),
      unit: "bytes a page",
      promise: { atMost: 24 },
    });
    return results;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
