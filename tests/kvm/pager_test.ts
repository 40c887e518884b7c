import { assert, assertEquals, assertRejects } from "@std/assert";
import { DenovisorError } from "../../src/base/errors.ts";
import { gpa, PAGE_SIZE } from "../../src/base/u64.ts";
import { KvmControl } from "../../src/engine/kvm/control.ts";
import { PagerThread, type PagingOptions } from "../../src/engine/kvm/pager/pager_thread.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { Random, seed } from "../support/random.ts";
import { testWith } from "../support/requirement.ts";
import { userfaultfd } from "../support/userfaultfd.ts";

const MIB = 1024 ** 2;

function page(memory: GuestMemory, options: Partial<PagingOptions> = {}): PagerThread {
  return new PagerThread(memory, { files: [], logDirty: false, ...options }, new KvmControl(1));
}

testWith(userfaultfd, "each page faults once, and 2 MiB count as one", async () => {
  for (const [maxPageLevel, faults] of [[1, 1024], [2, 2]] as const) {
    const memory = GuestMemory.allocate(8 * MIB);
    await using pager = page(memory, { maxPageLevel });
    for (let at = 2 * MIB; at < 6 * MIB; at += PAGE_SIZE) memory.writeU32(gpa(at), at);
    for (let at = 2 * MIB; at < 6 * MIB; at += PAGE_SIZE) assertEquals(memory.readU32(gpa(at)), at);
    const stats = pager.stats();
    assertEquals(stats.pager_missing_faults, faults);
    assertEquals(stats.pf_fixed, faults);
    assertEquals(stats.lpages, maxPageLevel === 2 ? 2 : 0);
    assertEquals(stats.pager_write_protect_faults, 0);
  }
});

testWith(
  userfaultfd,
  "pages that are read first can be written, and read as zeros before",
  async () => {
    const memory = GuestMemory.allocate(8 * MIB);
    for (const maxPageLevel of [1, 2] as const) {
      await using _pager = page(memory, { maxPageLevel });
      const start = maxPageLevel * 2 * MIB;
      let sum = 0;
      for (let at = start; at < start + 2 * MIB; at += 64) sum += memory.readU32(gpa(at));
      assertEquals(sum, 0);
      memory.fill(gpa(start), 2 * MIB, 0x5a);
      assert(memory.view(gpa(start), 2 * MIB).every((byte) => byte === 0x5a));
    }
  },
);

testWith(userfaultfd, "the log holds what was written from here, and reads nothing", async () => {
  const random = new Random(seed(0xd1));
  const memory = GuestMemory.allocate(16 * MIB, 64 * 1024);
  await using pager = page(memory, { logDirty: true });
  for (let round = 0; round < 20; round++) {
    const expected = new Set<number>();
    for (let i = 0; i < 200; i++) {
      const { gpa: start, sizeBytes } = memory.regions[random.below(2)];
      const at = start + random.below(sizeBytes);
      if (random.below(2) === 0) memory.readU8(gpa(at));
      else {
        memory.writeU8(gpa(at), random.u32() & 0xff);
        expected.add(at - at % PAGE_SIZE);
      }
    }
    const log = await pager.dirtyLog();
    const sorted = [...expected].sort((a, b) => a - b);
    assertEquals([...log.pages()], sorted.map(gpa), `seed ${random.seed}, round ${round}`);
  }
});

testWith(
  userfaultfd,
  "firmware, which the guest cannot write, can be loaded, logged or not",
  async () => {
    for (const logDirty of [false, true]) {
      const memory = GuestMemory.allocate(2 * MIB, 4 * MIB);
      await using pager = page(memory, { logDirty });
      const rom = memory.regions[1].gpa;
      assertEquals(memory.readU8(rom), 0); // mapped and protected first
      memory.fill(gpa(rom), 4 * MIB, 0xf4);
      assert(memory.view(gpa(rom), 4 * MIB).every((byte) => byte === 0xf4));
      if (logDirty) assertEquals((await pager.dirtyLog()).pageCount, 1024);
    }
  },
);

testWith(userfaultfd, "threads that meet the same faults all go on", async () => {
  for (const logDirty of [false, true]) {
    const memory = GuestMemory.allocate(64 * MIB);
    await using pager = page(memory, { logDirty, maxPageLevel: 1 });
    const url = new URL("../support/touch_worker.ts", import.meta.url);
    const workers = [1, 2, 3].map(() => new Worker(url, { type: "module" }));
    const start = new Int32Array(new SharedArrayBuffer(4));
    const sums = await Promise.all(
      workers.map((worker, i) =>
        new Promise<number>((resolve, reject) => {
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = (event) => reject(event.error);
          worker.postMessage({ memory: memory.handle, start, index: i, count: workers.length });
        })
      ),
    );
    for (const worker of workers) worker.terminate();
    assertEquals(sums, sums.map(() => 0), "no thread lost what it had written");
    assertEquals(pager.error, undefined);
    assertEquals(pager.stats().pf_fixed, 64 * MIB / PAGE_SIZE);
  }
});

testWith(
  userfaultfd,
  "memory is plain after its pager has ended, and can have another",
  async () => {
    const memory = GuestMemory.allocate(8 * MIB);
    for (let round = 0; round < 3; round++) {
      await using pager = page(memory, { logDirty: round % 2 === 0 });
      memory.writeU8(gpa(round * MIB), 1);
      if (round > 0) assertEquals(memory.readU8(gpa((round - 1) * MIB)), 1);
      assertEquals(pager.error, undefined);
    }
    memory.fill(gpa(0), 8 * MIB, 3);
    assert(memory.view(gpa(0), 8 * MIB).every((byte) => byte === 3));
  },
);

testWith(
  userfaultfd,
  "a file that cannot be opened by the pager is named, and nobody waits",
  async () => {
    const memory = GuestMemory.allocate(2 * MIB);
    const file = { offset: 0, path: "/nowhere/at/all", fileBytes: PAGE_SIZE };
    await using pager = page(memory, { files: [file] });
    assertEquals(memory.readU8(gpa(0)), 0);
    const error = await pager.failure;
    assertEquals(error.code, "file");
    assertEquals(error.details.path, "/nowhere/at/all");
    await assertRejects(() => pager.dirtyLog(), DenovisorError, "not logged");
  },
);
