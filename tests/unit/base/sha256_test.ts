import { assertEquals } from "@std/assert";
import { sha256Hex } from "../../../src/base/sha256.ts";

Deno.test("the SHA-256 of abc is the one that FIPS 180-4 gives", async () => {
  assertEquals(
    await sha256Hex(new TextEncoder().encode("abc")),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});
