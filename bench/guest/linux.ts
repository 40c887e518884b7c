/** Runs Debian kernels with an init of ours, under the wasm engine and its peers: QEMU's TCG and v86. */

import { cpio, type CpioEntry } from "../../src/boot/cpio.ts";
import { unpackKernel } from "../../src/boot/mod.ts";
import { cachedGuest } from "../../src/cli/debian/guest.ts";
import { initramfs as initramfsOf } from "../../src/cli/debian/initramfs.ts";
import { Vm } from "../../src/vm/vm.ts";
import type { VmStats } from "../../src/vm/stats.ts";
import { stockFile } from "../../tests/support/stock.ts";
import { ROOT } from "../../tools/run.ts";

/** A guest on disk. */
export interface LinuxGuest {
  /** The kernel, as ELF where it has 64 bits, else as bzImage. */
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
/** RAM of the guests. */
export const MEMORY_MIB = 256;
const COMMAND_LINE = "console=ttyS0 quiet panic=-1 rdinit=/bench-init";
/** A bound against hanging. */
const TIMEOUT_MS = 600_000;

/** Writes Debian's cloud kernel and an initramfs to `folder`: busybox, and `files` beside it. */
export async function makeGuest(folder: string, files: readonly CpioEntry[]): Promise<LinuxGuest> {
  const guest = await cachedGuest();
  if (guest === undefined) {
    throw new Error("No Debian guest in the cache: run `deno task guest pull debian`");
  }
  const kernel = `${folder}/vmlinux`;
  const packed = { name: guest.kernel, bytes: await Deno.readFile(guest.kernel) };
  await Deno.writeFile(kernel, await unpackKernel(packed));
  const initramfs = await writeInitramfs(folder, await Deno.readFile(guest.initramfs), files);
  return { kernel, initramfs };
}

/** The same with Debian's 32-bit kernel. */
export async function makeGuest32(
  folder: string,
  files: readonly CpioEntry[],
): Promise<LinuxGuest> {
  const busybox = await Deno.readFile(await stockFile("busybox386"));
  return {
    kernel: await stockFile("linux686"),
    initramfs: await writeInitramfs(folder, initramfsOf(busybox), files),
  };
}

/** Linux unpacks archives that follow each other into one tree. */
async function writeInitramfs(
  folder: string,
  first: Uint8Array,
  files: readonly CpioEntry[],
): Promise<string> {
  const path = await Deno.makeTempFile({ dir: folder, suffix: ".cpio" });
  await Deno.writeFile(path, first);
  await Deno.writeFile(path, cpio(files), { append: true });
  return path;
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
  return await runProgram([
    ...[QEMU, "-accel", "tcg", "-M", "microvm", "-m", `${MEMORY_MIB}M`, "-nodefaults"],
    ...["-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"],
    ...["-kernel", kernel, "-initrd", initramfs],
    ...["-append", `${COMMAND_LINE} tsc_early_khz=${tscKhz}`],
  ], last);
}

/** denovisor's command line from its source. */
export const DENOVISOR = [Deno.execPath(), "run", "-A", `${ROOT}src/main.ts`];

/** Runs under the wasm engine of `denovisor`, a program line, from the start of its process. */
export async function runDenovisor(
  denovisor: readonly string[],
  { kernel, initramfs }: LinuxGuest,
  last: string,
  attend?: (pid: number) => Promise<void>,
): Promise<LinuxRun> {
  return await runProgram(
    [
      ...[...denovisor, "boot", "--engine", "wasm", "--memory", `${MEMORY_MIB}M`],
      ...["--kernel", kernel, "--initrd", initramfs, "--append", COMMAND_LINE],
    ],
    last,
    attend,
  );
}

/** Runs under v86 in a process of its own, likewise. */
export async function runV86({ kernel, initramfs }: LinuxGuest, last: string): Promise<LinuxRun> {
  const main = new URL("v86.ts", import.meta.url).pathname;
  const bios = await stockFile("seabios");
  return await runProgram(
    [
      Deno.execPath(),
      "run",
      "-A",
      main,
      kernel,
      initramfs,
      bios,
      COMMAND_LINE,
      String(MEMORY_MIB),
    ],
    last,
  );
}

/** Runs a program that has the guest's console on stdout, until the line `last`, then `attend`. */
async function runProgram(
  [program, ...args]: readonly string[],
  last: string,
  attend?: (pid: number) => Promise<void>,
): Promise<LinuxRun> {
  const start = performance.now();
  const child = new Deno.Command(program, {
    args,
    env: { DENO_TLS_CA_STORE: Deno.env.get("DENO_TLS_CA_STORE") ?? "system,mozilla" },
    stdin: "piped", // its end would be a key
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const said = new Response(child.stderr).text();
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  try {
    const lines = await timeLines(child.stdout, start, last).catch(async (error) => {
      throw new Error(`${error.message}: ${(await said).trimEnd().split("\n").at(-1)}`);
    });
    await attend?.(child.pid);
    return { lines };
  } finally {
    clearTimeout(timer);
    kill(child);
    await Promise.all([child.status, said, child.stdin.abort().catch(() => {})]);
  }
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended
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
