/**
 * Workloads inside a Linux guest, under the wasm engine and under QEMU's translator TCG with the
 * same files. They are timed by the host, from mark to mark on the console.
 */

import { hostTscKhz, type LinuxRun, makeGuest, runOurs, runQemu } from "./guest/linux.ts";
import type { BenchResult } from "./result.ts";

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
    const ours = await runOurs(guest, LAST);
    const qemu = await runQemu(guest, LAST, await hostTscKhz());
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

function compare(work: string, ours: LinuxRun, qemu: LinuxRun): BenchResult[] {
  const [own, peer] = [ours, qemu].map((one) => timeOf(work, one));
  if (own.result !== peer.result) {
    throw new Error(`${work} gives ${own.result} under the wasm engine, ${peer.result} under QEMU`);
  }
  const { name, ...promise } = WORKLOADS[work];
  return [
    { name, value: own.seconds, unit: "s" },
    { name: "the same under QEMU's TCG", value: peer.seconds, unit: "s" },
    {
      name: `${name}, against QEMU's TCG`,
      value: own.seconds / peer.seconds,
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
