import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { cli, type CliResult, said, temporaryFolder } from "../support/cli.ts";
import { encode, gzip } from "../support/debian_package.ts";
import { bzImage, elf } from "../support/images.ts";

const KERNEL = elf({ segments: [{ paddr: 0x10_0000, bytes: new Uint8Array(64) }] });

/** `guest unpack` of `image` in `folder`; gives what it wrote, too. */
async function unpack(
  folder: string,
  image: Uint8Array,
): Promise<CliResult & { written: Uint8Array | undefined }> {
  await Deno.writeFile(`${folder}/bzImage`, image);
  const result = await cli(["guest", "unpack", `${folder}/bzImage`, `${folder}/vmlinux`]);
  const written = await Deno.readFile(`${folder}/vmlinux`).catch(() => undefined);
  return { ...result, written };
}

Deno.test("guest unpack writes the ELF kernel inside a bzImage", async () => {
  await using folder = await temporaryFolder();
  const result = await unpack(folder.path, bzImage({ payload: await gzip(KERNEL) }));
  assertEquals([result.status, result.stdout, result.stderr], [0, "", ""]);
  assertEquals(result.written, KERNEL);
  assertEquals(Array.from(Deno.readDirSync(folder.path)).length, 2);
});

Deno.test("guest unpack leaves the file as it was when the image is damaged", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/vmlinux`, "precious");
  const packed = await gzip(KERNEL);
  packed[packed.length - 8] ^= 1;
  for (const image of [bzImage({ payload: packed }), encode("nonsense"), new Uint8Array()]) {
    const result = await unpack(folder.path, image);
    assertEquals([result.status, result.stdout, said(result).length], [1, "", 1]);
    assertStringIncludes(result.stderr, `${folder.path}/bzImage`);
    assertEquals(result.written, encode("precious"));
  }
  assertEquals(Array.from(Deno.readDirSync(folder.path)).length, 2);
});

Deno.test("guest unpack names the file that cannot be read or written", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeFile(`${folder.path}/bzImage`, bzImage({ payload: await gzip(KERNEL) }));
  await Deno.writeFile(`${folder.path}/vast`, new Uint8Array());
  await Deno.truncate(`${folder.path}/vast`, 3 * 1024 ** 3);
  const cases = [
    [`${folder.path}/vast`, `${folder.path}/out`, /has 3221225472 bytes, the largest bzImage has/],
    [`${folder.path}/absent`, `${folder.path}/out`, /Cannot read the bzImage .*\/absent: there is/],
    [folder.path, `${folder.path}/out`, /it is a directory/],
    [`${folder.path}/bzImage`, `${folder.path}/no/out`, /Cannot write .*\/no\/out: No such file/],
    [`${folder.path}/bzImage`, folder.path, /Cannot write .*: Is a directory/],
  ] as const;
  for (const [from, to, line] of cases) {
    const result = await cli(["guest", "unpack", from, to]);
    assertEquals([result.status, result.stdout, said(result).length], [1, "", 1], result.stderr);
    assertMatch(result.stderr, line);
  }
});
