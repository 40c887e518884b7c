import { assert, assertEquals, assertRejects } from "@std/assert";
import { DenovisorError } from "../../src/base/errors.ts";
import { gpa, PAGE_SIZE } from "../../src/base/u64.ts";
import { Vm } from "../../src/vm/vm.ts";
import { flatGuest, leave, load, show, store, waitFor } from "../support/paging_guest.ts";
import { kvmEngine } from "../support/kvm_guest.ts";
import { Random, seed } from "../support/random.ts";
import { testWith } from "../support/requirement.ts";
import { pagedGuests } from "../support/userfaultfd.ts";
import { GUEST_TIMEOUT_MS } from "../support/vm_guest.ts";

const RAM_BYTES = 64 * 1024 ** 2;
/** The guest waits for the number of a round here, and says there that it has done it. */
const GO = 0x10_0000;
const DONE = 0x10_0004;

/** Waits until the guest has stored `value` at `DONE`. */
async function guestHasDone(vm: Vm, value: number): Promise<void> {
  while (vm.memory.readU32(gpa(DONE)) !== value) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const addresses = (log: { pages(): Iterable<number> }) => [...log.pages()];

testWith(pagedGuests, "the dirty log is exactly what was written, round after round", async () => {
  const random = new Random(seed(0x10c));
  const rounds = 5;
  const program: number[][] = [];
  const expected: number[][] = [];
  for (let round = 1; round <= rounds; round++) {
    const written = new Set([GO]);
    program.push(waitFor(GO, round));
    for (let i = 0; i < 60; i++) {
      // Few pages, so that rounds meet the same ones, next to each other and at word boundaries.
      const page = 512 + random.below(300);
      const address = page * PAGE_SIZE + random.below(PAGE_SIZE / 4) * 4;
      if (random.below(3) === 0) program.push(load(address));
      else {
        program.push(store(address, random.u32()));
        written.add(page * PAGE_SIZE);
      }
    }
    program.push(store(DONE, round));
    expected.push([...written].sort((a, b) => a - b));
  }
  await using vm = await Vm.boot({
    kernel: flatGuest(...program, leave(1)),
    memory: { size: RAM_BYTES, paging: "mmu", dirtyLog: true },
    engine: "kvm",
    debugExit: true,
    timeoutMs: GUEST_TIMEOUT_MS,
  });
  const loaded = await vm.memory.dirtyLog();
  assert(loaded.has(gpa(0x7c00)), "the loader's stores are in the first log");
  assertEquals(loaded.has(gpa(512 * PAGE_SIZE)), false);
  for (let round = 1; round <= rounds; round++) {
    vm.memory.writeU32(gpa(GO), round);
    if (round === rounds) await vm.wait();
    else await guestHasDone(vm, round);
    const log = await vm.memory.dirtyLog();
    assertEquals(addresses(log), expected[round - 1], `seed ${random.seed}, round ${round}`);
    assertEquals(log.pageCount, expected[round - 1].length);
  }
  await assertRejects(() => vm.memory.dirtyLog(), DenovisorError, "the guest has ended");
});

testWith(pagedGuests, "pages that are only read are not in the log, nor made twice", async () => {
  const at = 0x80_0000;
  await using vm = await Vm.boot({
    kernel: flatGuest(
      ...[waitFor(GO, 1), load(at), load(at), show(at), store(DONE, 1)],
      ...[waitFor(GO, 2), store(at, 7), store(at, 8), store(DONE, 2)],
      leave(1),
    ),
    memory: { size: RAM_BYTES, paging: "mmu", dirtyLog: true },
    engine: "kvm",
    debugExit: true,
    timeoutMs: GUEST_TIMEOUT_MS,
  });
  vm.memory.writeU32(gpa(GO), 1);
  await guestHasDone(vm, 1);
  assertEquals((await vm.memory.dirtyLog()).has(gpa(at)), false);
  const before = vm.stats().mmuCounters;
  assertEquals(await vm.memory.dirtyLog().then(addresses), []);
  vm.memory.writeU32(gpa(GO), 2);
  await vm.wait();
  assertEquals(addresses(await vm.memory.dirtyLog()), [GO, at]);
  const { mmuCounters } = vm.stats();
  assertEquals(
    mmuCounters.pf_fixed,
    before.pf_fixed,
    "the fast path gives the right to write back",
  );
  const faults = mmuCounters.pager_write_protect_faults - before.pager_write_protect_faults;
  assertEquals(faults, 2, "one for each page that was written");
  assertEquals(vm.memory.readU32(gpa(at)), 8);
});

testWith(pagedGuests, "log calls while the guest writes lose no page", async () => {
  const pages = Array.from({ length: 8 }, (_, i) => 0x80_0000 + i * PAGE_SIZE);
  await using vm = await Vm.boot({
    kernel: flatGuest(waitFor(GO, 1), ...pages.map((at) => store(at, 1)), leave(1)),
    memory: { size: RAM_BYTES, paging: "mmu", dirtyLog: true },
    engine: "kvm",
    debugExit: true,
    timeoutMs: GUEST_TIMEOUT_MS,
  });
  await vm.memory.dirtyLog();
  vm.memory.writeU32(gpa(GO), 1);
  const logs = await Promise.all(Array.from({ length: 20 }, () => vm.memory.dirtyLog()));
  await vm.wait();
  logs.push(await vm.memory.dirtyLog());
  // A store that a call finds under way is in its log, and in the next one's when it lands.
  const seen = new Set(logs.flatMap(addresses));
  assertEquals([...seen].sort((a, b) => a - b), [GO, ...pages]);
});

testWith(kvmEngine, "a Vm that logs no writes says how to", async () => {
  await using vm = await Vm.boot({
    kernel: flatGuest(leave(1)),
    memory: "2M",
    engine: "kvm",
    debugExit: true,
    timeoutMs: GUEST_TIMEOUT_MS,
  });
  await assertRejects(() => vm.memory.dirtyLog(), DenovisorError, 'memory.paging "mmu"');
});

testWith(pagedGuests, "a Vm that is paged but not logged says so", async () => {
  await using vm = await Vm.boot({
    kernel: flatGuest(leave(1)),
    memory: { size: "2M", paging: "mmu" },
    engine: "kvm",
    debugExit: true,
    timeoutMs: GUEST_TIMEOUT_MS,
  });
  await assertRejects(() => vm.memory.dirtyLog(), DenovisorError, "memory.dirtyLog");
});
