/**
 * How many exits a second the machine serves, against the smallest loop in C, with the same guest:
 * port writes that no device claims, and MMIO accesses likewise. Samples of both alternate in one
 * run, and seconds are those that the thread had a CPU, so that what else the host does weighs little.
 */

import { KvmEngine } from "../src/engine/kvm/kvm_engine.ts";
import { Shim } from "../src/engine/kvm/shim.ts";
import { RealClock } from "../src/machine/clock.ts";
import { Machine } from "../src/machine/machine.ts";
import { createSignals } from "../src/machine/signals.ts";
import { COUNTER_BYTES } from "../src/machine/stats.ts";
import { GuestMemory } from "../src/memory/guest_memory.ts";
import { type Access, Accesses, exitGuest } from "./exits/guest.ts";
import { type BenchResult, median } from "./result.ts";

/** Pairs of samples. The ratio is the median of the pairs' ratios: a pair is close in time. */
const PAIRS = 41;
/** What one sample should take, in milliseconds. */
const SAMPLE_MS = 60;

/** Promised fractions of the C loop's rate. */
const PROMISES: Readonly<Record<Access, number>> = { port: 0.95, mmio: 0.9 };

export async function run(): Promise<BenchResult[]> {
  const folder = await Deno.makeTempDir({ prefix: "denovisor-bench-" });
  try {
    const peer = `${folder}/exit_loop`;
    await compile(peer);
    using shim = Shim.open(); // the same functions in all samples, as in a machine's thread
    const results: BenchResult[] = [callCost(shim)];
    for (const access of ["port", "mmio"] as const) {
      results.push(...await compare(access, peer, `${folder}/guest.bin`));
    }
    return results;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What a call into the shim costs by itself; V8 makes it directly when its arguments are 32-bit. */
function callCost({ symbols }: Shim): BenchResult {
  const calls = 1_000_000;
  const samples = Array.from({ length: 11 }, () => {
    const start = cpuNs();
    let sum = 0;
    for (let i = 0; i < calls; i++) sum += symbols.kvm_shim_abi_version();
    if (sum < calls) throw new Error("The shim has no version");
    return (cpuNs() - start) / calls;
  });
  return {
    name: "a call into the shim",
    value: median(samples),
    unit: "ns",
    promise: { atMost: 50 },
  };
}

async function compare(access: Access, peer: string, file: string): Promise<BenchResult[]> {
  const { exits } = Accesses[access];
  // Compiles the hot path, then finds out how many exits fill a sample.
  measure(exitGuest(access, 20_000), 20_000 * exits);
  const count = Math.ceil(
    measure(exitGuest(access, 5_000), 5_000 * exits) * SAMPLE_MS / 1e3 / exits,
  );
  const image = exitGuest(access, count);
  await Deno.writeFile(file, image);
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let pair = 0; pair < PAIRS; pair++) {
    if (pair % 2 === 0) ours.push(measure(image, count * exits));
    theirs.push(await measurePeer(peer, file));
    if (pair % 2 === 1) ours.push(measure(image, count * exits));
  }
  const [our, their] = [median(ours), median(theirs)];
  const added = median(ours.map((rate, pair) => 1e9 / rate - 1e9 / theirs[pair]));
  return [
    { name: `${access} exits through the machine`, value: our, unit: "exits/s" },
    { name: `${access} exits through C`, value: their, unit: "exits/s" },
    { name: `${access} exits, added by TypeScript`, value: added, unit: "ns" },
    {
      name: `${access} exits, machine / C`,
      value: median(ours.map((rate, pair) => rate / theirs[pair])),
      unit: "",
      promise: { atLeast: PROMISES[access] },
    },
  ];
}

/** Exits per second of CPU time of a machine that boots `image`, which makes `exits` of them. */
function measure(image: Uint8Array<ArrayBuffer>, exits: number): number {
  const memory = GuestMemory.allocate(2 << 20);
  using machine = new Machine({
    memory,
    cpus: 1,
    engine: { irqchip: "engine", create: () => new KvmEngine({ memory, cpus: 1 }) },
    source: { kernel: { name: "exits", bytes: image } },
    firmware: undefined,
    console: { input: { take: () => -1 }, output: { put: () => {} } },
    debugOutput: { put: () => {} },
    debugExit: true,
    clock: new RealClock(),
    signals: createSignals(),
    counters: new Float64Array(COUNTER_BYTES / 8),
    setAlarm: () => {},
  });
  const start = cpuNs();
  const outcome = machine.run();
  const nanoseconds = cpuNs() - start;
  if (outcome.kind !== "debug-exit") throw new Error(`The guest ended by ${outcome.kind}`);
  return exits / nanoseconds * 1e9;
}

/** Nanoseconds that this thread has run on a CPU (proc(5): the first field of schedstat). */
function cpuNs(): number {
  return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]);
}

/** The same of the C program, which counts and measures by itself. */
async function measurePeer(peer: string, file: string): Promise<number> {
  const output = await runProgram(peer, [file]);
  const [exits, nanoseconds] = output.trim().split(" ").map(Number);
  return exits / nanoseconds * 1e9;
}

async function compile(program: string): Promise<void> {
  const source = new URL("exits/exit_loop.c", import.meta.url).pathname;
  await runProgram("cc", ["-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source]);
}

async function runProgram(program: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(`${program}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  for (const { name, value, unit } of await run()) {
    const text = `${name}: ${Number(value.toPrecision(4))} ${unit}\n`;
    Deno.stdout.writeSync(new TextEncoder().encode(text));
  }
}
