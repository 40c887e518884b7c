/**
 * The main job: Debian's kernel from start to the first line of its init, under the wasm engine and
 * under QEMU's translator TCG, with the same files, by turns: in this process, and from the compiled
 * executable with all that starting it takes. Then the 32-bit kernel against v86.
 */

import type { CpioEntry } from "../src/boot/cpio.ts";
import { stockFiles } from "../tests/support/stock.ts";
import { compile } from "../tools/compile.ts";
import {
  DENOVISOR,
  hostTscKhz,
  type LinuxGuest,
  type LinuxRun,
  makeGuest,
  makeGuest32,
  MEMORY_MIB,
  runDenovisor,
  runOurs,
  runQemu,
  runV86,
} from "./guest/linux.ts";
import { type BesideRam, besideRam } from "./guest/resident.ts";
import { type BenchResult, leaveOut, median } from "./result.ts";

const RUNS = 5;
/** The 32-bit kernel takes much longer: it unpacks itself. */
const RUNS_32 = 3;
const LINE = "init is running";
const INIT = `#!/bin/busybox sh
/bin/busybox echo ${LINE}
read line
/bin/busybox poweroff -f
`;
const FILES: readonly CpioEntry[] = [{
  kind: "file",
  path: "bench-init",
  bytes: new TextEncoder().encode(INIT),
  mode: 0o755,
}];

/** Measures what is described above. */
export async function run(): Promise<BenchResult[]> {
  const folder = await Deno.makeTempDir({ prefix: "denovisor-bench-" });
  try {
    return [...await againstQemu(folder), ...await againstV86(folder)];
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function againstQemu(folder: string): Promise<BenchResult[]> {
  const guest = await makeGuest(folder, FILES);
  const tscKhz = await hostTscKhz();
  const wrong = await compile(`${folder}/denovisor`);
  if (wrong !== undefined) leaveOut("boot from the executable", wrong);
  const program = wrong === undefined ? [`${folder}/denovisor`] : DENOVISOR;
  const ours: LinuxRun[] = [];
  const qemu: LinuxRun[] = [];
  const whole: LinuxRun[] = [];
  const memory: BesideRam[] = [];
  for (let i = 0; i < RUNS; i++) {
    ours.push(await runOurs(guest, LINE));
    qemu.push(await runQemu(guest, LINE, tscKhz));
    whole.push(
      await runDenovisor(program, guest, LINE, async (pid) => {
        memory.push(await besideRam(pid, MEMORY_MIB));
      }),
    );
  }
  const ratios = (own: readonly LinuxRun[]) =>
    median(own.map((one, i) => seconds(one) / seconds(qemu[i])));
  const promise = { atMost: 2, aim: 1 };
  const unit = "times as long";
  const started = wrong === undefined ? "executable" : "deno run";
  return [
    { name: "Debian kernel to its init, wasm engine", value: medianOf(ours), unit: "s" },
    { name: "the same under QEMU's TCG", value: medianOf(qemu), unit: "s" },
    { name: "wasm engine, against QEMU's TCG", value: ratios(ours), unit, promise },
    { name: `the same by the ${started}, from its start`, value: medianOf(whole), unit: "s" },
    {
      name: `${started}, against QEMU's TCG`,
      value: ratios(whole),
      unit,
      ...wrong === undefined ? { promise } : {},
    },
    {
      name: `${started}: resident at init beside the guest's RAM`,
      value: median(memory.map(({ nowMib }) => nowMib)),
      unit: "MiB",
      promise: { atMost: 300, aim: 150 },
    },
    {
      name: "the most that was resident before",
      value: median(memory.map(({ peakMib }) => peakMib)),
      unit: "MiB",
    },
    ...ownCounts(ours),
  ];
}

function ownCounts(runs: readonly LinuxRun[]): BenchResult[] {
  const stats = runs.map(({ stats }) => stats!);
  const of = (name: string) => median(stats.map(({ engineCounters }) => engineCounters[name]));
  return [
    {
      name: "instructions",
      value: median(stats.map((one) => one.instructions / one.wallSeconds / 1e6)),
      unit: "million a second",
    },
    { name: "instructions", value: of("instructions") / 1e6, unit: "million" },
    { name: "TLB misses", value: of("tlb_misses"), unit: "" },
    { name: "faults that the MMU mapped", value: of("pf_fixed"), unit: "" },
  ];
}

async function againstV86(folder: string): Promise<BenchResult[]> {
  const { missing } = await stockFiles("linux686", "busybox386", "seabios");
  if (missing !== undefined) {
    leaveOut("32-bit kernel against v86", missing);
    return [];
  }
  const guest: LinuxGuest = await makeGuest32(folder, FILES);
  const ours: LinuxRun[] = [];
  const v86: LinuxRun[] = [];
  for (let i = 0; i < RUNS_32; i++) {
    try {
      v86.push(await runV86(guest, LINE));
    } catch (error) {
      leaveOut("32-bit kernel against v86", String(error));
      return [];
    }
    ours.push(await runDenovisor(DENOVISOR, guest, LINE));
  }
  return [
    {
      name: "32-bit Debian kernel to its init, wasm engine, deno run",
      value: medianOf(ours),
      unit: "s",
    },
    { name: "the same under v86", value: medianOf(v86), unit: "s" },
    {
      name: "wasm engine, against v86",
      value: median(ours.map((one, i) => seconds(one) / seconds(v86[i]))),
      unit: "times as long",
      promise: { atMost: 0.5, aim: 0.3 },
    },
  ];
}

/** From the start to the line that is waited for. */
function seconds({ lines }: LinuxRun): number {
  return lines.at(-1)!.ms / 1000;
}

function medianOf(runs: readonly LinuxRun[]): number {
  return median(runs.map(seconds));
}
