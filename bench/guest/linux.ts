/** Runs the cached Debian kernel with an init of ours, under the wasm engine and under QEMU's TCG. */

import { cpio, type CpioEntry } from "../../src/boot/cpio.ts";
import { unpackKernel } from "../../src/boot/mod.ts";
import { cachedGuest } from "../../src/cli/debian/guest.ts";
import { Vm } from "../../src/vm/vm.ts";
import type { VmStats } from "../../src/vm/stats.ts";

/** A guest on disk. */
export interface LinuxGuest {
  /** The kernel as ELF. */
  readonly kernel: string;
  readonly initramfs: string;
}

/** One run of a guest. */
export interface LinuxRun {
  /** Lines of the console, and milliseconds from the start to the end of each. */
  readonly lines: readonly { readonly text: string; readonly ms: number }[];
  /** Of our engine. */
  readonly stats?: VmStats;
}

const QEMU = "qemu-system-x86_64";
const MEMORY_MIB = 256;
const COMMAND_LINE = "console=ttyS0 quiet panic=-1 rdinit=/bench-init";
/** A bound against hanging. */
const TIMEOUT_MS = 600_000;

/** Writes kernel and initramfs to `folder`: busybox, and `files` beside it. */
export async function makeGuest(folder: string, files: readonly CpioEntry[]): Promise<LinuxGuest> {
  const guest = await cachedGuest();
  if (guest === undefined) {
    throw new Error("No Debian guest in the cache: run `deno task guest pull debian`");
  }
  const kernel = `${folder}/vmlinux`;
  const packed = { name: guest.kernel, bytes: await Deno.readFile(guest.kernel) };
  await Deno.writeFile(kernel, await unpackKernel(packed));
  // Linux unpacks archives that follow each other into one tree.
  const initramfs = `${folder}/initramfs.cpio`;
  await Deno.writeFile(initramfs, await Deno.readFile(guest.initramfs));
  await Deno.writeFile(initramfs, cpio(files), { append: true });
  return { kernel, initramfs };
}

/** Runs under the wasm engine until the guest ends or prints `last`. */
export async function runOurs({ kernel, initramfs }: LinuxGuest, last: string): Promise<LinuxRun> {
  const start = performance.now();
  await using vm = await Vm.boot({
    kernel,
    initrd: initramfs,
    append: COMMAND_LINE,
    memory: `${MEMORY_MIB}M`,
    engine: "wasm",
    timeoutMs: TIMEOUT_MS,
  });
  const lines = await timeLines(vm.console.readable, start, last);
  await vm.stop();
  return { lines, stats: vm.stats() };
}

/** Runs under QEMU's TCG likewise, which has to be told its TSC's frequency in kHz. */
export async function runQemu(
  { kernel, initramfs }: LinuxGuest,
  last: string,
  tscKhz: number,
): Promise<LinuxRun> {
  const start = performance.now();
  const child = new Deno.Command(QEMU, {
    args: [
      ...["-accel", "tcg", "-M", "microvm", "-m", `${MEMORY_MIB}M`, "-nodefaults"],
      ...["-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"],
      ...["-kernel", kernel, "-initrd", initramfs],
      ...["-append", `${COMMAND_LINE} tsc_early_khz=${tscKhz}`],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  try {
    const lines = await timeLines(child.stdout, start, last);
    child.kill("SIGKILL");
    await child.status;
    return { lines };
  } finally {
    clearTimeout(timer);
  }
}

/** Frequency of the host's TSC, which is the one QEMU's TCG shows its guest, in kHz. */
export async function hostTscKhz(): Promise<number> {
  const mhz = /^cpu MHz\s*: ([\d.]+)$/m.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1];
  if (mhz === undefined) throw new Error("/proc/cpuinfo does not tell the processor's frequency");
  return Math.round(Number(mhz) * 1000);
}

async function timeLines(
  output: ReadableStream<Uint8Array>,
  start: number,
  last: string,
): Promise<LinuxRun["lines"]> {
  const lines: { text: string; ms: number }[] = [];
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of output) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    const ms = performance.now() - start;
    lines.push(...parts.map((text) => ({ text: text.trimEnd(), ms })));
    if (lines.some(({ text }) => text.includes(last))) return lines;
  }
  throw new Error(`Guest ended before it printed "${last}": ${lines.at(-1)?.text}`);
}
