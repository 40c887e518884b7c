import { assertEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { checkMemory, type MemoryOptions } from "../../../src/vm/memory_options.ts";

Deno.test("memory is paged by the kernel unless asked otherwise", () => {
  const kernel = { memoryBytes: 64 * 1024 ** 2, paging: undefined };
  assertEquals(checkMemory("64M"), kernel);
  assertEquals(checkMemory({ size: "64M" }), kernel);
  assertEquals(checkMemory({ size: "64M", paging: "kernel" }), kernel);
  assertEquals(checkMemory({}).memoryBytes, 256 * 1024 ** 2);
  assertEquals(checkMemory({ paging: "mmu" }).paging, {
    dirtyLog: false,
    regions: [],
    trace: undefined,
  });
});

Deno.test("file regions are taken by path and by URL", () => {
  const regions = [
    { gpa: 0x10_0000, file: "a" },
    { gpa: 0xd000_0000, file: new URL("file:///b%20c"), readOnly: true },
    { gpa: 0xd100_0000, file: "d", shared: true },
  ];
  assertEquals(checkMemory({ paging: "mmu", dirtyLog: true, regions }).paging, {
    dirtyLog: true,
    trace: undefined,
    regions: [
      { gpa: 0x10_0000, path: "a", readOnly: false, shared: false },
      { gpa: 0xd000_0000, path: "/b c", readOnly: true, shared: false },
      { gpa: 0xd100_0000, path: "d", readOnly: false, shared: true },
    ],
  });
});

Deno.test("each wrong part of the memory option is named with what was expected", () => {
  const region = (part: object) => ({ paging: "mmu", regions: [{ gpa: 0, file: "a", ...part }] });
  const wrong: [unknown, string][] = [
    [null, "option memory: found null"],
    [{ sise: "1G" }, "option memory.sise: found unknown option, expected one of size,"],
    [{ size: "1T" }, "option memory: found 1T"],
    [{ paging: "swap" }, "option memory.paging: found swap, expected kernel or mmu"],
    [{ paging: "mmu", dirtyLog: 1 }, "option memory.dirtyLog: found 1"],
    [{ dirtyLog: true }, 'expected memory.paging "mmu" with it'],
    [{ regions: [{ gpa: 0, file: "a" }] }, 'expected memory.paging "mmu" with it'],
    [{ paging: "mmu", regions: {} }, "option memory.regions"],
    [{ paging: "mmu", regions: Array(17).fill({ gpa: 0, file: "a" }) }, "at most 16 regions"],
    [{ paging: "mmu", regions: [null] }, "option memory.regions[0]: found null"],
    [region({ gpa: 1 }), "option memory.regions[0].gpa: found 1, expected a multiple of 4096"],
    [region({ gpa: -4096 }), "option memory.regions[0].gpa"],
    [region({ gpa: 2 ** 47 }), "option memory.regions[0].gpa"],
    [region({ gpa: "0" }), "option memory.regions[0].gpa"],
    [region({ file: "" }), "option memory.regions[0].file"],
    [region({ file: "a\0b" }), "option memory.regions[0].file"],
    [region({ file: new URL("https://example.com/") }), "expected a path or a file: URL"],
    [region({ readOnly: "yes" }), "option memory.regions[0].readOnly: found yes"],
    [region({ shared: 1 }), "option memory.regions[0].shared: found 1"],
    [region({ size: 1 }), "option memory.regions[0].size: found unknown option"],
  ];
  for (const [given, text] of wrong) {
    const check = () => checkMemory(given as MemoryOptions);
    assertEquals(assertThrows(check, DenovisorError, text).code, "usage");
  }
});
