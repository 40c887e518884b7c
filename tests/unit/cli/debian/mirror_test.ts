/** The indices of a mirror. */

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { sha256Hex } from "../../../../src/base/sha256.ts";
import { fetchIndex } from "../../../../src/cli/debian/mirror.ts";
import { RELEASE_PATH, startMirror } from "../../../support/debian_mirror.ts";
import { encode, gzip } from "../../../support/debian_package.ts";

const quietly = () => {};

Deno.test("fetchIndex() takes the index of the architecture that is asked for", async () => {
  const text = "Package: for-i386\n";
  const packed = await gzip(encode(text));
  const entry = ` ${await sha256Hex(packed)} ${packed.length} main/binary-i386/Packages.gz\n`;
  await using mirror = await startMirror({
    replace: {
      [RELEASE_PATH]: encode(`SHA256:\n${entry}`),
      "dists/bookworm/main/binary-i386/Packages.gz": packed,
    },
  });
  assertEquals(await fetchIndex(new URL(mirror.url), quietly, "i386"), text);
  const error = await assertRejects(() => fetchIndex(new URL(mirror.url), quietly));
  assertStringIncludes(String(error), "found no main/binary-amd64/Packages with");
});
