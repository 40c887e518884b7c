import { assert, assertEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../src/base/errors.ts";
import { gpa, PAGE_SIZE } from "../../src/base/u64.ts";
import { KvmControl } from "../../src/engine/kvm/control.ts";
import { PagerThread } from "../../src/engine/kvm/pager/pager_thread.ts";
import { SharedMemory } from "../../src/engine/kvm/pager/shared_memory.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { testWith } from "../support/requirement.ts";
import { sharedMemory } from "../support/userfaultfd.ts";

const MIB = 1024 ** 2;
const AT = 4 * MIB;

/** A guest's memory of 8 MiB with shared memory at 4 MiB, and who pages it. */
function share(file: SharedMemory, logDirty = false): [GuestMemory, PagerThread] {
  const memory = GuestMemory.allocate(8 * MIB);
  const files = [{ offset: AT, path: file.path, fileBytes: file.sizeBytes, shared: true }];
  return [memory, new PagerThread(memory, { files, logDirty }, new KvmControl(1))];
}

testWith(sharedMemory, "what one guest writes to shared memory another one maps", async () => {
  using file = SharedMemory.create(64 * PAGE_SIZE);
  const [first, firstPager] = share(file);
  await using _first = firstPager;
  const [second, secondPager] = share(file);
  await using _second = secondPager;
  for (let i = 0; i < 32; i++) first.writeU32(gpa(AT + i * PAGE_SIZE), 100 + i);
  for (let i = 0; i < 64; i++) {
    assertEquals(second.readU32(gpa(AT + i * PAGE_SIZE)), i < 32 ? 100 + i : 0);
  }
  second.writeU32(gpa(AT + 40 * PAGE_SIZE), 7);
  assertEquals(first.readU32(gpa(AT + 40 * PAGE_SIZE)), 7);
  const [own, other] = [firstPager.stats(), secondPager.stats()];
  assertEquals([own.pager_missing_faults, own.pager_minor_faults], [32, 1]);
  assertEquals([other.pager_missing_faults, other.pager_minor_faults], [32, 32]);
  assertEquals(other.pf_fixed, 64);
  assertEquals(other.lpages, 0);
  first.writeU32(gpa(AT - 4), 5); // beside it, all is the guest's own
  first.writeU32(gpa(AT + file.sizeBytes), 6);
  assertEquals([second.readU32(gpa(AT - 4)), second.readU32(gpa(AT + file.sizeBytes))], [0, 0]);
});

testWith(sharedMemory, "the host sees shared memory as a file, before and after", async () => {
  using file = SharedMemory.create(4 * PAGE_SIZE - 1);
  assertEquals(file.sizeBytes, 4 * PAGE_SIZE);
  using open = await Deno.open(file.path, { read: true, write: true });
  open.writeSync(new TextEncoder().encode("from the host"));
  const [memory, pager] = share(file);
  await using _pager = pager;
  const text = new Uint8Array(13);
  memory.read(gpa(AT), text);
  assertEquals(new TextDecoder().decode(text), "from the host");
  assertEquals(pager.stats().pager_minor_faults, 1);
  memory.write(gpa(AT), new TextEncoder().encode("from a guest!"));
  open.seekSync(0, Deno.SeekMode.Start);
  open.readSync(text);
  assertEquals(new TextDecoder().decode(text), "from a guest!");
  assertThrows(() => Deno.truncateSync(file.path, PAGE_SIZE), Deno.errors.PermissionDenied);
});

testWith(
  sharedMemory,
  "writes to shared memory are logged, where one has read before too",
  async () => {
    using file = SharedMemory.create(64 * PAGE_SIZE);
    const [other, otherPager] = share(file);
    await using _other = otherPager;
    other.fill(gpa(AT), 16 * PAGE_SIZE, 1);
    const [memory, pager] = share(file, true);
    await using _pager = pager;
    const pages = async () =>
      [...(await pager.dirtyLog()).pages()].map((at) => (at - AT) / PAGE_SIZE);
    for (const page of [0, 1, 20]) {
      assertEquals(
        memory.readU8(gpa(AT + page * PAGE_SIZE)),
        page < 16 ? 1 : 0,
      );
    }
    assertEquals(await pages(), []);
    for (const page of [0, 2, 20, 21]) memory.writeU8(gpa(AT + page * PAGE_SIZE), 9);
    other.writeU8(gpa(AT + 3 * PAGE_SIZE), 9); // of the other guest's pager
    assertEquals(await pages(), [0, 2, 20, 21]);
    memory.writeU8(gpa(AT + 20 * PAGE_SIZE), 8);
    assertEquals(await pages(), [20]);
  },
);

testWith(sharedMemory, "shared memory outlives its maker, and its pager", async () => {
  const file = SharedMemory.create(4 * PAGE_SIZE);
  const [memory, pager] = share(file);
  file[Symbol.dispose]();
  file[Symbol.dispose]();
  memory.writeU32(gpa(AT), 3);
  await pager[Symbol.asyncDispose]();
  assertEquals(memory.readU32(gpa(AT)), 3);
  assertEquals(memory.readU32(gpa(AT + PAGE_SIZE)), 0);
});

testWith(sharedMemory, "a file that may shrink, or is not there, is refused by name", async () => {
  const path = await Deno.makeTempFile();
  await Deno.writeFile(path, new Uint8Array(PAGE_SIZE));
  const page = (path: string) => {
    const files = [{ offset: AT, path, fileBytes: PAGE_SIZE, shared: true }];
    const memory = GuestMemory.allocate(8 * MIB);
    return new PagerThread(memory, { files, logDirty: false }, new KvmControl(1));
  };
  const error = assertThrows(() => page(path), DenovisorError, "it may shrink");
  assertEquals([error.code, error.details.path], ["file", path]);
  assert(error.message.startsWith(`Cannot share ${path} as guest memory: `));
  assertThrows(
    () => page("/nowhere/at/all"),
    DenovisorError,
    "/nowhere/at/all as guest memory: ENOENT",
  );
  assertThrows(() => SharedMemory.create(0), DenovisorError, "expected at least one byte");
  await Deno.remove(path);
});
