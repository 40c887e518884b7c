import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DenovisorError } from "../../src/base/errors.ts";
import { gpa, PAGE_SIZE } from "../../src/base/u64.ts";
import { SharedMemory } from "../../src/engine/kvm/pager/shared_memory.ts";
import type { MemoryOptions } from "../../src/vm/memory_options.ts";
import { Vm } from "../../src/vm/vm.ts";
import { flatGuest, leave, load, show, store, sweep, waitFor } from "../support/paging_guest.ts";
import { Random } from "../support/random.ts";
import { all, testWith } from "../support/requirement.ts";
import { pagedGuests, sharedMemory } from "../support/userfaultfd.ts";
import { GUEST_TIMEOUT_MS } from "../support/vm_guest.ts";

const MIB = 1024 ** 2;
const GO = 0x10_0000;
/** A region in the hole below 4 GiB. */
const HOLE = 0xd000_0000;

async function boot(
  program: readonly (readonly number[])[],
  memory: MemoryOptions,
  cpus = 1,
): Promise<Vm> {
  return await Vm.boot({
    kernel: flatGuest(...program),
    memory: { paging: "mmu", ...memory },
    engine: "kvm",
    cpus,
    debugExit: true,
    timeoutMs: GUEST_TIMEOUT_MS,
  });
}

/** Runs `use` with a file of `bytes`. */
async function withFile(bytes: Uint8Array, use: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile({ prefix: "denovisor-" });
  try {
    await Deno.writeFile(path, bytes);
    await use(path);
  } finally {
    await Deno.remove(path).catch(() => {});
  }
}

/** Printable bytes, no two stretches alike. */
function pattern(length: number): Uint8Array {
  const random = new Random(length);
  return Uint8Array.from({ length }, () => 32 + random.u32() % 95);
}

testWith(
  pagedGuests,
  "paged memory costs what is touched, in 2 MiB and every fault counted",
  async () => {
    const before = Deno.memoryUsage().rss;
    await using vm = await boot([
      waitFor(GO, 1),
      ...[64, 200, 700].map((mebibytes) => store(mebibytes * MIB, mebibytes)),
      leave(1),
    ], { size: "1G" });
    vm.memory.writeU32(gpa(GO), 1);
    assertEquals(await vm.wait(), { kind: "debug-exit", value: 1 });
    const counters = vm.stats().mmuCounters;
    assertEquals(vm.memory.readU32(gpa(700 * MIB)), 700);
    const { pager_missing_faults: faults, pager_4k_pages: small, pager_2m_pages: large } = counters;
    assert(faults >= 4 && faults < 20, `${faults} faults`);
    assert(large >= 3, `${large} pages of 2 MiB`);
    assertEquals(small + large, counters.pf_fixed);
    assertEquals(counters.lpages, large);
    const grown = Deno.memoryUsage().rss - before;
    assert(grown < 256 * MIB, `the process grew by ${grown} bytes`);
  },
);

testWith(
  pagedGuests,
  "several vCPUs and the host fault on the same memory without harm",
  async () => {
    const from = 16 * MIB;
    const to = 48 * MIB;
    await using vm = await boot([waitFor(GO, 1), sweep(from, to), leave(1)], { size: "64M" }, 2);
    vm.memory.writeU32(gpa(GO), 1);
    let wrong = 0;
    for (let at = from; at < to; at += PAGE_SIZE) {
      const found = vm.memory.readU32(gpa(at)); // before, while or after the guest stores it
      if (found !== 0 && found !== at) wrong++;
    }
    assertEquals(wrong, 0);
    assertEquals(await vm.wait(), { kind: "debug-exit", value: 1 });
    for (let at = from; at < to; at += PAGE_SIZE) {
      if (vm.memory.readU32(gpa(at)) !== at) wrong++;
    }
    assertEquals(wrong, 0);
  },
);

for (const dirtyLog of [false, true]) {
  const how = dirtyLog ? ", with a dirty log" : "";
  testWith(
    pagedGuests,
    `a file in RAM is read when it is touched, and stays as it is${how}`,
    async () => {
      const bytes = pattern(5 * MIB + 1234);
      await withFile(bytes, async (path) => {
        const at = 32 * MIB;
        const shown = [0, 3 * PAGE_SIZE + 5, 3 * MIB, bytes.length - 1, bytes.length];
        await using vm = await boot([
          waitFor(GO, 1),
          ...shown.map((offset) => show(at + offset)),
          store(at + 4096, 0x0102_0304),
          leave(1),
        ], { size: "64M", dirtyLog, regions: [{ gpa: at, file: path }] });
        assertEquals(vm.stats().mmuCounters.pager_file_bytes, 0, "nothing is read before its time");
        vm.memory.writeU32(gpa(GO), 1);
        await vm.wait();
        const text = shown.map((offset) => String.fromCharCode(bytes[offset] ?? 0)).join("");
        assertEquals(vm.debug.transcript, text);
        assertEquals(vm.memory.readU32(gpa(at + 4096)), 0x0102_0304);
        assertEquals(await Deno.readFile(path), bytes, "the file is never written");
        assert(vm.stats().mmuCounters.pager_file_bytes > 0);
      });
    },
  );
}

testWith(pagedGuests, "host-side accessors see a file whole, also across its end", async () => {
  const bytes = pattern(3 * MIB + 100);
  await withFile(bytes, async (path) => {
    const at = 8 * MIB;
    await using vm = await boot([waitFor(GO, 1)], {
      size: "16M",
      regions: [{ gpa: at, file: path }],
    });
    const found = new Uint8Array(bytes.length + 8000);
    vm.memory.read(gpa(at), found);
    assertEquals(found.subarray(0, bytes.length), bytes);
    assert(found.subarray(bytes.length).every((byte) => byte === 0));
    assertEquals(vm.memory.find(bytes.subarray(2 * MIB, 2 * MIB + 64), gpa(at)), gpa(at + 2 * MIB));
  });
});

testWith(
  pagedGuests,
  "a read-only file outside of RAM shows its bytes and takes no writes",
  async () => {
    const bytes = new TextEncoder().encode("read only!");
    await withFile(bytes, async (path) => {
      await using vm = await boot(
        [store(HOLE, 0x2121_2121), ...Array.from(bytes, (_, i) => show(HOLE + i)), leave(3)],
        { size: "16M", regions: [{ gpa: HOLE, file: path, readOnly: true }] },
      );
      assertEquals(await vm.wait(), { kind: "debug-exit", value: 3 });
      assertEquals(vm.debug.transcript, "read only!");
      assertEquals(vm.stats().exits.mmioWrite, 1, "the store left the guest");
      assertEquals(await Deno.readFile(path), bytes);
    });
  },
);

testWith(
  all(pagedGuests, sharedMemory),
  "two guests share memory, one of them without the right to write",
  async () => {
    using file = SharedMemory.create(MIB);
    const at = 8 * MIB;
    await using writer = await boot(
      [waitFor(GO, 1), store(at + 5 * PAGE_SIZE, 0x6b63_616a), store(at, 1), leave(1)],
      { size: "16M", regions: [{ gpa: at, file: file.path, shared: true }] },
    );
    await using reader = await boot(
      [
        waitFor(HOLE, 1),
        ...[0, 1, 2, 3].map((i) => show(HOLE + 5 * PAGE_SIZE + i)),
        store(HOLE + 4, 0x2121_2121),
        leave(2),
      ],
      { size: "16M", regions: [{ gpa: HOLE, file: file.path, shared: true, readOnly: true }] },
    );
    writer.memory.writeU32(gpa(GO), 1);
    assertEquals(await writer.wait(), { kind: "debug-exit", value: 1 });
    assertEquals(await reader.wait(), { kind: "debug-exit", value: 2 });
    assertEquals(reader.debug.transcript, "jack");
    assertEquals(reader.stats().exits.mmioWrite, 1, "the store left the guest");
    assertEquals(writer.memory.readU32(gpa(at + 4)), 0);
    assertEquals((await Deno.readFile(file.path)).subarray(0, 4), new Uint8Array([1, 0, 0, 0]));
    const { pager_minor_faults: minor, pager_file_bytes: read } = reader.stats().mmuCounters;
    assert(minor >= 1, "what the writer had brought in was only mapped");
    assertEquals(read, 0);
  },
);

testWith(pagedGuests, "a shared file that may shrink, or has half a page, is refused", async () => {
  for (
    const [bytes, reason] of [[PAGE_SIZE, "it may shrink"], [100, "multiple of 4096"]] as const
  ) {
    await withFile(new Uint8Array(bytes), async (path) => {
      const regions = [{ gpa: HOLE, file: path, shared: true }];
      const booting = () => boot([leave(1)], { size: "16M", regions });
      const error = await assertRejects(booting, DenovisorError, reason);
      assertEquals([error.code, error.details.path], ["file", path]);
    });
  }
});

testWith(
  pagedGuests,
  "a file whose name goes away while the guest runs is still there",
  async () => {
    const bytes = new TextEncoder().encode("still here");
    await withFile(bytes, async (path) => {
      await using vm = await boot(
        [waitFor(GO, 1), ...Array.from(bytes, (_, i) => show(HOLE + i)), leave(1)],
        { size: "16M", regions: [{ gpa: HOLE, file: path }] },
      );
      await Deno.remove(path);
      vm.memory.writeU32(gpa(GO), 1);
      await vm.wait();
      assertEquals(vm.debug.transcript, "still here");
    });
  },
);

testWith(
  pagedGuests,
  "a file that shrinks ends the run with its name, address and memslot",
  async () => {
    await withFile(pattern(4 * MIB), async (path) => {
      await using vm = await boot(
        [waitFor(GO, 1), load(HOLE + 3 * MIB), ...[0xe9, 0xe9, 0xe9].map((port) => [0xe6, port]), [
          0xeb,
          0xfe,
        ]],
        { size: "16M", regions: [{ gpa: HOLE, file: path }] },
        2,
      );
      await Deno.truncate(path, MIB);
      vm.memory.writeU32(gpa(GO), 1);
      const error = await assertRejects(() => vm.wait(), DenovisorError);
      assertEquals(error.code, "file");
      assertEquals(error.details.path, path);
      assertEquals(error.details.memslot, 1);
      assertStringIncludes(
        error.message,
        `from ${path}: it has 1048576 bytes now, expected 4194304`,
      );
      assertStringIncludes(error.message, "Cannot bring in guest memory at 0xd0");
      assertEquals(vm.memory.readU32(gpa(HOLE + 3 * MIB)), 0, "memory can still be looked at");
    });
  },
);

testWith(pagedGuests, "the host is released too when a file has shrunk", async () => {
  await withFile(pattern(4 * MIB), async (path) => {
    await using vm = await boot([waitFor(GO, 1)], {
      size: "16M",
      regions: [{ gpa: HOLE, file: path }],
    });
    await Deno.truncate(path, 0);
    assertEquals(vm.memory.readU8(gpa(HOLE)), 0);
    const error = await assertRejects(() => vm.wait(), DenovisorError, "it has 0 bytes now");
    assertEquals(error.code, "file");
  });
});

/** Runs `use` while pagers' workers are made by `make` from what they would be made of. */
async function withPagers(
  make: (url: string | URL, options?: WorkerOptions) => Worker,
  use: () => Promise<void>,
): Promise<void> {
  const { Worker: original } = globalThis;
  const replacement = function (url: string | URL, options?: WorkerOptions): Worker {
    return options?.name === "denovisor pager" ? make(url, options) : new original(url, options);
  };
  globalThis.Worker = replacement as unknown as typeof Worker;
  try {
    await use();
  } finally {
    globalThis.Worker = original;
  }
}

for (const how of ["dies", "throws"]) {
  testWith(
    pagedGuests,
    `a pager's thread that ${how} ends the run, and nothing hangs`,
    async () => {
      const { Worker: original } = globalThis;
      const url = new URL(`../support/pager_that_${how}.ts`, import.meta.url);
      await withPagers((_, options) => new original(url, options), async () => {
        const run = async () => {
          await using vm = await boot([sweep(16 * MIB, 64 * MIB), [0xeb, 0xfe]], { size: "64M" });
          await vm.wait();
        };
        const error = await assertRejects(run, DenovisorError, "The pager");
        assertEquals(error.message.includes("\n"), false, error.message);
      });
    },
  );
}

testWith(
  pagedGuests,
  "a pager's worker that is told to terminate leaves no one waiting",
  async () => {
    const { Worker: original } = globalThis;
    const workers: Worker[] = [];
    const make = (url: string | URL, options?: WorkerOptions) => {
      workers.push(new original(url, options));
      return workers[0];
    };
    await withPagers(make, async () => {
      await using vm = await boot([waitFor(GO, 1), leave(1)], { size: "16M" });
      workers[0].terminate();
      vm.memory.writeU32(gpa(GO), 1);
      await vm.wait().catch((error) => assertStringIncludes(error.message, "pager's thread"));
    });
  },
);

testWith(pagedGuests, "a guest that waits for nothing is stopped as ever", async () => {
  await using vm = await boot([[0xeb, 0xfe]], { size: "16M" });
  assertEquals(await vm.stop(), { kind: "stopped" });
});

testWith(pagedGuests, "regions that lie where they may not are refused by name", async () => {
  await withFile(pattern(PAGE_SIZE + 1), async (path) => {
    const refused = async (memory: MemoryOptions, text: string) => {
      const error = await assertRejects(() => boot([leave(1)], memory), DenovisorError, text);
      assertEquals(error.message.includes("\n"), false);
    };
    const at = (gpa: number, readOnly = false) => ({ gpa, file: path, readOnly });
    const size = "16M";
    await refused({ size, regions: [at(16 * MIB - PAGE_SIZE)] }, "partly in RAM");
    await refused({ size, regions: [at(MIB, true)] }, "read-only regions outside of it");
    await refused({ size, regions: [at(0xfec0_0000)] }, "expected an end at or below 0xfe000000");
    await refused({ size, regions: [at(0xfdff_f000)] }, "expected an end at or below 0xfe000000");
    await refused({ size, regions: [at(2 ** 47 - PAGE_SIZE)] }, "below 2^47");
    await refused({ size, regions: [at(MIB), at(MIB + PAGE_SIZE)] }, "which overlaps");
    await refused({ size, regions: [at(HOLE), at(HOLE + PAGE_SIZE)] }, "Cannot place");
    await refused({ size, regions: [{ gpa: HOLE, file: "/does/not/exist" }] }, "/does/not/exist");
    await refused({ size, regions: [{ gpa: HOLE, file: "/tmp" }] }, "expected a regular file");
  });
});
