/**
 * How fast guest memory comes in through the pager, against the smallest pager in C that answers
 * every fault by UFFDIO_COPY, in the same process, while the same loop touches the memory. Samples
 * of both alternate.
 */

import { KvmControl } from "../src/engine/kvm/control.ts";
import { MADV_HUGEPAGE } from "../src/engine/kvm/pager/installer.ts";
import { PagerThread } from "../src/engine/kvm/pager/pager_thread.ts";
import { openUserfaultfd, Userfaultfd } from "../src/engine/kvm/pager/userfaultfd.ts";
import { Scratch } from "../src/engine/kvm/scratch.ts";
import { check, Shim, type ShimRegion } from "../src/engine/kvm/shim.ts";
import { GuestMemory } from "../src/memory/guest_memory.ts";
import { Level } from "../src/mmu/level.ts";
import { type BenchResult, median } from "./result.ts";

const MIB = 1024 ** 2;
const PAGE = 4096;
/** Bytes touched for the rate of single-page faults, and pairs of samples. */
const SMALL_BYTES = 256 * MIB;
const SMALL_PAIRS = 11;
/** Bytes touched in blocks of 2 MiB, and pairs of samples. */
const LARGE_BYTES = 1024 * MIB;
const LARGE_PAIRS = 11;
/** Bytes touched beforehand: what both pagers' memories take, and as much again. */
const WARM_BYTES = 4 * LARGE_BYTES;
/** The promised fraction of the C pager's speed. */
const PROMISE = 0.8;
/** madvise(2): gives pages back. */
const MADV_DONTNEED = 4;

const SYMBOLS = {
  copy_pager_start: { parameters: ["i32", "i32", "u32"], result: "i32" },
  copy_pager_join: { parameters: [], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;
type CopyPager = Deno.DynamicLibrary<typeof SYMBOLS>;

export async function run(): Promise<BenchResult[]> {
  const folder = await Deno.makeTempDir({ prefix: "denovisor-bench-" });
  try {
    const library = `${folder}/copy_pager.so`;
    await compile(library);
    const peer = Deno.dlopen(library, SYMBOLS);
    using _closing = { [Symbol.dispose]: () => peer.close() };
    using shim = Shim.open();
    const bench = new PagerBench(shim, peer);
    const small = await bench.pairs(SMALL_PAIRS, SMALL_BYTES, Level.SIZE_4K);
    warmUp(shim);
    const large = await bench.pairs(LARGE_PAIRS, LARGE_BYTES, Level.SIZE_2M);
    return [...rates(small), ...times(large)];
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Milliseconds of one sample of each pager, taken one after the other. */
interface Pair {
  readonly ours: number;
  readonly theirs: number;
}

function rates(pairs: readonly Pair[]): BenchResult[] {
  const faults = SMALL_BYTES / PAGE;
  const perSecond = (ms: number) => faults / ms * 1000;
  return [
    {
      name: "4 KiB faults through the pager",
      value: median(pairs.map(({ ours }) => perSecond(ours))),
      unit: "faults/s",
    },
    {
      name: "4 KiB faults through C",
      value: median(pairs.map(({ theirs }) => perSecond(theirs))),
      unit: "faults/s",
    },
    ratio("4 KiB faults, pager / C", pairs),
  ];
}

function times(pairs: readonly Pair[]): BenchResult[] {
  return [
    {
      name: "first touch of 1 GiB through the pager",
      value: median(pairs.map(({ ours }) => ours)),
      unit: "ms",
    },
    {
      name: "first touch of 1 GiB through C, in blocks of 2 MiB too",
      value: median(pairs.map(({ theirs }) => theirs)),
      unit: "ms",
    },
    ratio("speed of the first touch of 1 GiB, pager / C", pairs),
  ];
}

function ratio(name: string, pairs: readonly Pair[]): BenchResult {
  const value = median(pairs.map(({ ours, theirs }) => theirs / ours));
  return { name, value, unit: "", promise: { atLeast: PROMISE } };
}

/** Memory that is touched again and again. */
interface Target extends Disposable {
  readonly memory: GuestMemory;
  readonly region: ShimRegion;
  readonly bytes: Uint8Array;
}

class PagerBench {
  readonly #shim: Shim;
  readonly #peer: CopyPager;

  constructor(shim: Shim, peer: CopyPager) {
    this.#shim = shim;
    this.#peer = peer;
  }

  async pairs(count: number, sizeBytes: number, level: Level): Promise<Pair[]> {
    // One each: what the kernel keeps of one pager's mappings must not be in the other's way.
    using ours = this.#target(sizeBytes);
    using theirs = this.#target(sizeBytes);
    const pairs: Pair[] = [];
    for (let i = 0; i <= count; i++) {
      const pair = { ours: await this.#ours(ours, level), theirs: this.#theirs(theirs, level) };
      if (i > 0) pairs.push(pair); // the first is for V8 and the host to warm up
    }
    return pairs;
  }

  #target(sizeBytes: number): Target {
    const memory = GuestMemory.allocate(sizeBytes);
    const bytes = new Uint8Array(memory.wasm.buffer);
    const region = this.#shim.addRegion(bytes);
    return { memory, region, bytes, [Symbol.dispose]: () => region[Symbol.dispose]() };
  }

  async #ours(target: Target, maxPageLevel: Level): Promise<number> {
    const options = { files: [], logDirty: false, maxPageLevel };
    await using pager = new PagerThread(target.memory, options, new KvmControl(1));
    const ms = touch(target.bytes);
    const blocks = target.bytes.length / (maxPageLevel === Level.SIZE_2M ? 2 * MIB : PAGE);
    const faults = pager.stats().pager_missing_faults;
    if (faults !== blocks) {
      throw new Error(`The pager served ${faults} faults instead of ${blocks}`);
    }
    this.#empty(target);
    return ms;
  }

  #theirs(target: Target, level: Level): number {
    const { symbols } = this.#shim;
    const { sizeBytes } = target.region;
    const handle = openUserfaultfd(this.#shim);
    const bell = check(symbols.kvm_shim_eventfd(0, 0), "make an eventfd");
    using uffd = new Userfaultfd(this.#shim, handle);
    uffd.register(Number(target.region.address(0, sizeBytes)), sizeBytes);
    const block = level === Level.SIZE_2M ? 2 * MIB : PAGE;
    if (this.#peer.symbols.copy_pager_start(handle.fd, bell, block) !== 0) {
      throw new Error("The C pager does not start");
    }
    const ms = touch(target.bytes);
    using scratch = new Scratch(this.#shim);
    scratch.view.setBigUint64(0, 1n, true);
    symbols.kvm_shim_write(bell, scratch.region.id, 0, 8);
    this.#peer.symbols.copy_pager_join();
    this.#empty(target);
    symbols.kvm_shim_close(bell);
    uffd.closeFd();
    return ms;
  }

  #empty({ region }: Target): void {
    const size = BigInt(region.sizeBytes);
    check(this.#shim.symbols.kvm_shim_madvise(region.id, 0n, size, MADV_DONTNEED), "empty memory");
  }
}

/**
 * Has the host's own host, if there is one, back the memory that the samples get next: what a virtual
 * machine touches for the first time, or after it was idle, costs it many times more.
 */
function warmUp(shim: Shim): void {
  using region = shim.mapRegion(-1, WARM_BYTES);
  shim.symbols.kvm_shim_madvise(region.id, 0n, BigInt(WARM_BYTES), MADV_HUGEPAGE);
  const bytes = new Uint8Array(region.buffer);
  for (let at = 0; at < WARM_BYTES; at += PAGE) bytes[at] = 1;
}

/** Milliseconds to store one byte to each page; the last page first, until the pager is there. */
function touch(bytes: Uint8Array): number {
  bytes[bytes.length - 1] = 1;
  const start = performance.now();
  for (let at = 0; at < bytes.length; at += PAGE) bytes[at] = 1;
  return performance.now() - start;
}

async function compile(library: string): Promise<void> {
  const source = new URL("pager/copy_pager.c", import.meta.url).pathname;
  const args = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"];
  const command = new Deno.Command("cc", { args: [...args, "-o", library, source] });
  const { success, stderr } = await command.output();
  if (!success) throw new Error(`cc: ${new TextDecoder().decode(stderr)}`);
}

if (import.meta.main) {
  for (const { name, value, unit } of await run()) {
    const text = `${name}: ${Number(value.toPrecision(4))} ${unit}\n`;
    Deno.stdout.writeSync(new TextEncoder().encode(text));
  }
}
