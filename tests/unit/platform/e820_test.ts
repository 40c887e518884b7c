import { assertEquals } from "@std/assert";
import { encodeMap, MapType } from "../../../src/platform/e820.ts";

Deno.test("memory map encodes as 20-byte entries with 64-bit bases and lengths", () => {
  const bytes = encodeMap([
    { start: 0x1_2345_6000, sizeBytes: 0x2_0000_1000, type: MapType.RAM },
    { start: 0x1000, sizeBytes: 0x2000, type: MapType.RESERVED },
  ]);
  const words = [...new Uint32Array(bytes.buffer)];
  assertEquals(words, [0x2345_6000, 1, 0x1000, 2, 1, 0x1000, 0, 0x2000, 0, 2]);
});
