import { assertEquals } from "@std/assert";
import { gpa } from "../../../src/base/u64.ts";
import { DirtyLog } from "../../../src/memory/dirty_log.ts";

/** Pages 0, 31, 32 and 69 of the first region, 1 of the second, which lies above 4 GiB. */
const LOG = new DirtyLog([
  {
    gpa: gpa(0x10_0000),
    sizeBytes: 70 * 4096,
    bitmap: Uint32Array.of(0x8000_0001, 1, 1 << 5),
  },
  { gpa: gpa(0x1_0000_0000), sizeBytes: 2 * 4096, bitmap: Uint32Array.of(2) },
]);
const PAGES = [0x10_0000, 0x11_f000, 0x12_0000, 0x14_5000, 0x1_0000_1000];

Deno.test("a dirty log counts and lists its pages in order", () => {
  assertEquals(LOG.pageCount, 5);
  assertEquals([...LOG.pages()], PAGES.map(gpa));
});

Deno.test("a dirty log knows each page by any address in it, and nothing else", () => {
  for (const page of PAGES) {
    assertEquals([page, page + 4095].map((address) => LOG.has(gpa(address))), [true, true]);
  }
  for (const address of [0, 0xf_ffff, 0x10_1000, 0x11_efff, 0x14_6000, 0x1_0000_0fff, 2 ** 40]) {
    assertEquals(LOG.has(gpa(address)), false, address.toString(16));
  }
});
