import { assertEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../../src/base/errors.ts";
import { parseRelease } from "../../../../src/cli/debian/release.ts";

const HASH = "0123456789abcdef".repeat(4);

Deno.test("a Release file gives sizes and SHA-256 hashes by path, not the MD5 ones", () => {
  const text = [
    "Origin: Debian",
    "Acquire-By-Hash: yes",
    "MD5Sum:",
    " f230d61720e789abf5df55d6026230c6 17 main/binary-amd64/Packages.gz",
    "SHA256:",
    ` ${HASH}     8790396 main/binary-amd64/Packages.xz`,
    ` ${HASH} 3 main/binary-amd64/Release`,
    "",
  ].join("\n");
  const release = parseRelease(text, "the test's file");
  assertEquals(release.byHash, true);
  assertEquals(release.files.size, 2);
  assertEquals(release.files.get("main/binary-amd64/Packages.xz"), {
    sha256: HASH,
    sizeBytes: 8790396,
  });
});

Deno.test("a Release file without hashes is refused by name", () => {
  for (const text of ["", "<html>404</html>", "SHA256:\n nonsense\n", "MD5Sum:\n"]) {
    const error = assertThrows(() => parseRelease(text, "http://m/Release"), DenovisorError);
    assertEquals(error.code, "fetch");
    assertEquals(error.message.includes("http://m/Release"), true);
  }
});
