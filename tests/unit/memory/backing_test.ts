import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { backedBytes, backingFileBytes, FileBacking } from "../../../src/memory/backing.ts";

/** Runs `use` with a file of `bytes`. */
async function withFile(
  bytes: Uint8Array,
  use: (path: string) => Promise<void> | void,
): Promise<void> {
  const path = await Deno.makeTempFile({ prefix: "denovisor-" });
  try {
    await Deno.writeFile(path, bytes);
    await use(path);
  } finally {
    await Deno.remove(path).catch(() => {});
  }
}

const CONTENTS = Uint8Array.from({ length: 5000 }, (_, i) => i & 0xff);

Deno.test("a backing gives the file's bytes, and zeros after its end", async () => {
  await withFile(CONTENTS, async (path) => {
    assertEquals(await backingFileBytes(path), 5000);
    using backing = new FileBacking({ offset: 0, path, fileBytes: 5000 });
    const into = new Uint8Array(4096).fill(0xaa);
    assertEquals(backing.read(0, into), undefined);
    assertEquals(into, CONTENTS.slice(0, 4096));
    assertEquals(backing.read(4096, into), undefined);
    assertEquals(into.slice(0, 904), CONTENTS.slice(4096));
    assertEquals(into.slice(904), new Uint8Array(4096 - 904));
    assertEquals(backing.read(8192, into), undefined);
    assertEquals(into, new Uint8Array(4096));
  });
});

Deno.test("a backing takes whole pages", () => {
  const pagesOf = (fileBytes: number) => backedBytes({ offset: 0, path: "f", fileBytes });
  assertEquals([1, 4096, 4097].map(pagesOf), [4096, 4096, 8192]);
});

Deno.test("a file that has become shorter is noticed where bytes are missing", async () => {
  await withFile(CONTENTS, async (path) => {
    using backing = new FileBacking({ offset: 0, path, fileBytes: 5000 });
    await Deno.truncate(path, 4999);
    const into = new Uint8Array(4096);
    assertEquals(backing.read(0, into), undefined);
    assertEquals(backing.read(4096, into), "it has 4999 bytes now, expected 5000 as at the start");
  });
});

Deno.test("a file that cannot be read says why, and does not throw", async () => {
  await withFile(CONTENTS, (path) => {
    const backing = new FileBacking({ offset: 0, path, fileBytes: 5000 });
    backing[Symbol.dispose]();
    assertStringIncludes(backing.read(0, new Uint8Array(16)) ?? "", "Bad resource");
  });
  // A process cannot read its own address 0: EIO.
  using memory = new FileBacking({ offset: 0, path: "/proc/self/mem", fileBytes: 4096 });
  assertStringIncludes(memory.read(0, new Uint8Array(16)) ?? "", "os error 5");
});

Deno.test("what is no file with bytes is refused by name", async () => {
  const { name, code } = await assertRejects(() => backingFileBytes("/nowhere"), DenovisorError);
  assertEquals([name, code], ["DenovisorError", "file"]);
  await assertRejects(() => backingFileBytes("/tmp"), DenovisorError, "expected a regular file");
  await assertRejects(() => backingFileBytes("/dev/zero"), DenovisorError, "a regular file");
  await withFile(new Uint8Array(0), async (path) => {
    await assertRejects(() => backingFileBytes(path), DenovisorError, `${path} as guest memory`);
  });
  const gone = { offset: 0, path: "/nowhere", fileBytes: 1 };
  assertThrows(() => new FileBacking(gone), DenovisorError, "Cannot use /nowhere as guest memory");
});
