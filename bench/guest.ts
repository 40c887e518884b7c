/**
 * Workloads inside a Linux guest, under the wasm engine and under QEMU's translator TCG with the
 * same files, by turns, each in a process of its own. They are timed by the host, from mark to mark
 * on the console.
 */

import {
  DENOVISOR,
  hostTscKhz,
  type LinuxRun,
  makeGuest,
  runDenovisor,
  runQemu,
} from "./guest/linux.ts";
import { type BenchResult, median } from "./result.ts";

const TURNS = 3;
const LAST = "all work is done";
/** A workload: its name, and how long it may take, and should, against QEMU's. */
interface Workload {
  readonly name: string;
  readonly atMost: number;
  readonly aim: number;
}
const PLAIN = { atMost: 1.2, aim: 0.6 };
const MIXED = { atMost: 1.5, aim: 1 };
const WORKLOADS: Readonly<Record<string, Workload>> = {
  loop: { name: "integer loop", ...PLAIN },
  crc32: { name: "crc32", ...PLAIN },
  quicksort: { name: "quicksort", ...PLAIN },
  matmul: { name: "matrices of doubles", atMost: 0.4, aim: 0.2 },
  bytecode: { name: "bytecode interpreter", ...MIXED },
  sha256sum: { name: "sha256sum", ...PLAIN },
  gzip: { name: "gzip", ...MIXED },
  ash: { name: "ash loop", ...MIXED },
  awk: { name: "awk", ...MIXED },
  fork: { name: "fork and exec", atMost: 3, aim: 1.5 },
};

export async function run(): Promise<BenchResult[]> {
  const folder = await Deno.makeTempDir({ prefix: "denovisor-bench-" });
  try {
    const work = await buildWork(folder);
    const init = await Deno.readFile(new URL("guest/init.sh", import.meta.url));
    const guest = await makeGuest(folder, [
      { kind: "file", path: "bin/work", bytes: work, mode: 0o755 },
      { kind: "file", path: "bench-init", bytes: init, mode: 0o755 },
    ]);
    const tscKhz = await hostTscKhz();
    const ours: LinuxRun[] = [];
    const qemu: LinuxRun[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      ours.push(await runDenovisor(DENOVISOR, guest, LAST));
      qemu.push(await runQemu(guest, LAST, tscKhz));
    }
    return Object.keys(WORKLOADS).flatMap((work) => compare(work, ours, qemu));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function buildWork(folder: string): Promise<Uint8Array> {
  const binary = `${folder}/work`;
  const source = new URL("guest/work.c", import.meta.url).pathname;
  const { success, stderr } = await new Deno.Command("cc", {
    args: ["-O2", "-static", "-s", "-march=x86-64", "-o", binary, source],
  }).output();
  if (!success) throw new Error(`cc: ${new TextDecoder().decode(stderr)}`);
  return await Deno.readFile(binary);
}

function compare(
  work: string,
  ours: readonly LinuxRun[],
  qemu: readonly LinuxRun[],
): BenchResult[] {
  const times = (runs: readonly LinuxRun[]) => runs.map((one) => timeOf(work, one));
  const [own, peer] = [times(ours), times(qemu)];
  const [{ result }] = own;
  const other = [...own, ...peer].find((one) => one.result !== result);
  if (other !== undefined) throw new Error(`${work} gives ${result} once, and ${other.result}`);
  const { name, ...promise } = WORKLOADS[work];
  return [
    { name, value: median(own.map((one) => one.seconds)), unit: "s" },
    { name: "the same under QEMU's TCG", value: median(peer.map((one) => one.seconds)), unit: "s" },
    {
      name: `${name}, against QEMU's TCG`,
      value: median(own.map((one, turn) => one.seconds / peer[turn].seconds)),
      unit: "times as long",
      promise,
    },
  ];
}

/** Seconds between a workload's marks, and the digest of what it printed. */
function timeOf(work: string, { lines }: LinuxRun): { seconds: number; result: string } {
  const begin = lines.find(({ text }) => text === `begin ${work}`);
  const end = lines.find(({ text }) => text.startsWith(`end ${work} `));
  if (begin === undefined || end === undefined) throw new Error(`${work} did not run to its end`);
  return { seconds: (end.ms - begin.ms) / 1000, result: end.text.split(" ")[2] };
}
