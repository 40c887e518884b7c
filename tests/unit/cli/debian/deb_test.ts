import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DenovisorError } from "../../../../src/base/errors.ts";
import { decodeBase64 } from "../../../../src/base/base64.ts";
import { decompressor } from "../../../../src/cli/debian/decompress.ts";
import { fileFromDeb } from "../../../../src/cli/debian/deb.ts";
import { ar, concat, deb, encode, gzip, tar } from "../../../support/debian_package.ts";
import { Random, seed } from "../../../support/random.ts";

const FILES = [
  { path: "./boot/", text: "" },
  { path: "./boot/config", text: "x".repeat(513) },
  { path: "./boot/vmlinuz-1", text: "the kernel" },
  { path: "./boot/vmlinuz-2", text: "another" },
];

/** "hello xz\n", by `xz`. */
const XZ =
  "/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQAIaGVsbG8geHoKAAAAAMFJOvpjUhRaAAEhCWwYxdUftvN9AQAAAAAEWVo=";

async function refused(bytes: Uint8Array<ArrayBuffer>, pattern = /vmlinuz/): Promise<string> {
  const error = await assertRejects(
    () => fileFromDeb("test 1.0", bytes, pattern, 100),
    DenovisorError,
  );
  assertEquals(error.code, "image");
  assertStringIncludes(error.message, "test 1.0");
  return error.message;
}

async function unpack(packed: Uint8Array<ArrayBuffer>, suffix: string): Promise<string> {
  return await new Response(
    new Blob([packed]).stream().pipeThrough(await decompressor(suffix, "the test's file")),
  ).text();
}

Deno.test("the first file of a package that matches is unpacked", async () => {
  const found = await fileFromDeb("test", await deb(FILES), /^boot\/vmlinuz-/, 100);
  assertEquals(found.path, "boot/vmlinuz-1");
  assertEquals(new TextDecoder().decode(found.bytes), "the kernel");
});

Deno.test("directories do not match, and a file after a large one is found", async () => {
  const files = [{ path: "./vmlinuz/", text: "" }, { path: "./a", text: "a".repeat(300_000) }];
  const bytes = await deb([...files, { path: "./vmlinuz", text: "k" }]);
  assertEquals((await fileFromDeb("test", bytes, /^vmlinuz/, 1)).path, "vmlinuz");
});

Deno.test("packages without the file, or with one that is too large, are refused", async () => {
  assertStringIncludes(await refused(await deb(FILES), /absent/), "found no file that matches");
  assertStringIncludes(
    await refused(await deb([{ path: "vmlinuz", text: "x".repeat(101) }])),
    "has 101 bytes, expected at most 100",
  );
});

Deno.test("malformed ar archives are refused", async () => {
  const whole = await deb(FILES);
  assertStringIncludes(await refused(encode("<html>")), "found no ar magic");
  assertStringIncludes(await refused(new Uint8Array()), "found no ar magic");
  assertStringIncludes(await refused(ar([["debian-binary", encode("2.0\n")]])), "no member data");
  assertStringIncludes(await refused(whole.slice(0, whole.length - 10)), "bad ar header");
  assertStringIncludes(await refused(whole.slice(0, 30)), "bad ar header at byte 8");
});

Deno.test("damaged tar archives are refused", async () => {
  const archive = tar(FILES);
  const packed = async (bytes: Uint8Array<ArrayBuffer>) => ar([["data.tar.gz", await gzip(bytes)]]);
  assertStringIncludes(await refused(await packed(archive.slice(0, 700))), "ends early");
  assertStringIncludes(await refused(await packed(archive.map((b, i) => i === 5 ? 1 : b))), "tar");
  assertStringIncludes(await refused(ar([["data.tar", archive.slice(0, 100)]])), "ends early");
});

Deno.test("a member data.tar with an unknown compression is refused", async () => {
  assertStringIncludes(await refused(ar([["data.tar.lz9", encode("x")]])), '".lz9"');
});

Deno.test("xz, gzip and plain data are unpacked", async () => {
  assertEquals(await unpack(decodeBase64(XZ), ".xz"), "hello xz\n");
  assertEquals(await unpack(await gzip(encode("hello gz\n")), ".gz"), "hello gz\n");
  assertEquals(await unpack(encode("hello\n"), ""), "hello\n");
});

Deno.test("damaged compressed data is refused with the file's name", async () => {
  const xz = decodeBase64(XZ);
  const damaged = concat(xz.slice(0, 30), new Uint8Array(8), xz.slice(38));
  for (const bytes of [damaged, xz.slice(0, 40), encode("not xz at all")]) {
    const error = await assertRejects(() => unpack(bytes, ".xz"), DenovisorError);
    assertStringIncludes(error.message, "Cannot unpack the test's file");
  }
  await assertRejects(() => unpack(encode("not gzip"), ".gz"), DenovisorError, "the test's file");
});

Deno.test("random damage to a package never gives anything but an image error", async () => {
  const random = new Random(seed(0x0deb));
  const whole = await deb(FILES);
  for (let round = 0; round < 500; round++) {
    const bytes = whole.slice(0, random.oneIn(3) ? random.below(whole.length) : whole.length);
    for (let n = random.below(4); n >= 0; n--) bytes[random.below(bytes.length)] = random.u32();
    try {
      await fileFromDeb("test", bytes, /vmlinuz/, 100);
    } catch (error) {
      const fine = error instanceof DenovisorError && error.code === "image";
      assertEquals(fine, true, `seed ${random.seed}, round ${round}: ${error}`);
    }
  }
});
