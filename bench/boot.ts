/**
 * The main job: the Debian kernel from start to the first line of its init, under the wasm engine and
 * under QEMU's interpreter TCG, with the same files, by turns.
 */

import { hostTscKhz, type LinuxRun, makeGuest, runOurs, runQemu } from "./guest/linux.ts";
import { type BenchResult, median } from "./result.ts";

const RUNS = 5;
const LINE = "init is running";
const INIT = `#!/bin/busybox sh
/bin/busybox echo ${LINE}
/bin/busybox poweroff -f
`;

export async function run(): Promise<BenchResult[]> {
  const folder = await Deno.makeTempDir({ prefix: "denovisor-bench-" });
  try {
    const bytes = new TextEncoder().encode(INIT);
    const guest = await makeGuest(folder, [{
      kind: "file",
      path: "bench-init",
      bytes,
      mode: 0o755,
    }]);
    const tscKhz = await hostTscKhz();
    const ours: LinuxRun[] = [];
    const qemu: LinuxRun[] = [];
    for (let i = 0; i < RUNS; i++) {
      ours.push(await runOurs(guest, LINE));
      qemu.push(await runQemu(guest, LINE, tscKhz));
    }
    const seconds = (runs: readonly LinuxRun[]) => runs.map(({ lines }) => lines.at(-1)!.ms / 1000);
    const stats = ours.map(({ stats }) => stats!);
    const ratios = seconds(ours).map((time, i) => time / seconds(qemu)[i]);
    const of = (name: string) => median(stats.map(({ engineCounters }) => engineCounters[name]));
    return [
      { name: "Debian kernel to its init, wasm engine", value: median(seconds(ours)), unit: "s" },
      { name: "the same under QEMU's TCG", value: median(seconds(qemu)), unit: "s" },
      {
        name: "wasm engine, against QEMU's TCG",
        value: median(ratios),
        unit: "times as long",
        promise: { atMost: 45 },
      },
      {
        name: "instructions",
        value: median(stats.map((one) => one.instructions / one.wallSeconds / 1e6)),
        unit: "million a second",
      },
      { name: "instructions", value: of("instructions") / 1e6, unit: "million" },
      { name: "TLB misses", value: of("tlb_misses"), unit: "" },
      { name: "faults that the MMU mapped", value: of("pf_fixed"), unit: "" },
    ];
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
