import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import {
  checkOptions,
  checkWasmMemory,
  parseMemory,
  type VmOptions,
} from "../../../src/vm/options.ts";

Deno.test("options have a default each", () => {
  assertEquals(checkOptions({}), {
    kernel: undefined,
    initrds: [],
    bios: undefined,
    append: "",
    memoryBytes: 256 * 1024 ** 2,
    paging: undefined,
    cpus: 1,
    engine: "auto",
    mmu: undefined,
    clock: undefined,
    jitMemory: undefined,
    jitTrace: undefined,
    profile: false,
    assist: true,
    debugExit: false,
    timeoutMs: undefined,
  });
});

Deno.test("an option given as undefined is an option not given", () => {
  assertEquals(checkOptions({ kernel: undefined, memory: undefined, cpus: undefined }).cpus, 1);
});

Deno.test("memory for translated code is a size, or 0 for none", () => {
  assertEquals(checkOptions({ jitMemory: "64M" }).jitMemory, 64 * 1024 ** 2);
  assertEquals(checkOptions({ jitMemory: 0 }).jitMemory, 0);
  assertEquals(checkOptions({ jitMemory: "0" }).jitMemory, 0);
});

Deno.test("one initrd and a list of them are both taken", () => {
  const kernel = "/vmlinuz";
  assertEquals(checkOptions({ kernel, initrd: "a" }).initrds, ["a"]);
  assertEquals(checkOptions({ kernel, initrd: ["a", "b"] }).initrds, ["a", "b"]);
  const bytes = new Uint8Array(3);
  assertEquals(checkOptions({ kernel, initrd: bytes }).initrds, [bytes]);
});

Deno.test("memory is a number of bytes or a number with a unit", () => {
  assertEquals(parseMemory("256M"), 256 * 1024 ** 2);
  assertEquals(parseMemory("2g"), 2 * 1024 ** 3);
  assertEquals(parseMemory("65536K"), 64 * 1024 ** 2);
  assertEquals(parseMemory("4194304"), 4 * 1024 ** 2);
  assertEquals(parseMemory(2 * 1024 ** 2), 2 * 1024 ** 2);
  assertEquals(parseMemory("16G"), 16 * 1024 ** 3);
});

Deno.test("memory that is malformed, too small, too large or not in pages is refused", () => {
  const wrong = [
    "0",
    "1M",
    "1T",
    "256X",
    "",
    "M",
    "-2M",
    "2.5M",
    "0x1000000",
    " 2M",
    "17G",
    "4097K",
  ];
  for (const memory of [...wrong, 0, NaN, 2 ** 21 + 1, 2 ** 40, "9".repeat(400)]) {
    const error = assertThrows(() => parseMemory(memory), DenovisorError);
    assertEquals(error.code, "usage", String(memory));
    assertStringIncludes(error.message, "from 2M to 16G");
  }
});

Deno.test("each wrong option is named with what was found and expected", () => {
  const cases: [unknown, RegExp][] = [
    [{ kernal: "x" }, /option kernal: found unknown option, expected one of kernel, /],
    [{ kernel: 5 }, /option kernel: found number, expected a path, a URL or a Uint8Array/],
    [{ kernel: "" }, /option kernel: found "", expected/],
    [{ bios: {} }, /option bios: found object/],
    [{ kernel: "k", initrd: 5 }, /option initrd: found number/],
    [{ kernel: "k", initrd: ["a", null] }, /option initrd: found object/],
    [{ initrd: "a" }, /option initrd: found no kernel to give it to/],
    [{ append: 1 }, /option append: found 1, expected a string/],
    [{ append: "a\0b" }, /option append: found a NUL character/],
    [{ cpus: 0 }, /option cpus: found 0, expected an integer from 1 to 64/],
    [{ cpus: 65 }, /option cpus: found 65/],
    [{ cpus: 1.5 }, /option cpus: found 1.5/],
    [{ cpus: "2" }, /option cpus: found 2/],
    [{ engine: "xen" }, /option engine: found xen, expected auto, kvm or wasm/],
    [{ mmu: "ept" }, /option mmu: found ept, expected tdp or shadow/],
    [{ clock: "fast" }, /option clock: found fast, expected real or virtual/],
    [{ engine: "kvm", mmu: "tdp" }, /option mmu: found tdp with the engine kvm, expected .* wasm/],
    [{ engine: "kvm", clock: "real" }, /option clock: found real with the engine kvm, expected/],
    [{ engine: "kvm", jitMemory: 0 }, /option jitMemory: found 0 with the engine kvm, expected/],
    [{ jitMemory: "1K" }, /option jitMemory: found 1K, expected 0, or a number .* from 1M to 4G/],
    [{ jitMemory: -1 }, /option jitMemory: found -1/],
    [{ jitMemory: "lots" }, /option jitMemory: found lots/],
    [{ engine: "wasm", memory: { paging: "mmu" } }, /option memory.paging: found mmu with .* wasm/],
    [{ engine: "wasm", cpus: 9 }, /option cpus: found 9 with .* expected an integer from 1 to 8/],
    [{ debugExit: 1 }, /option debugExit: found 1, expected true or false/],
    [{ timeoutMs: 0 }, /option timeoutMs: found 0, expected milliseconds/],
    [{ timeoutMs: 2 ** 31 }, /option timeoutMs: found 2147483648/],
    [{ timeoutMs: NaN }, /option timeoutMs: found NaN/],
  ];
  for (const [options, message] of cases) {
    const error = assertThrows(() => checkOptions(options as VmOptions), DenovisorError);
    assertEquals(error.code, "usage");
    assertEquals(message.test(error.message), true, error.message);
  }
});

Deno.test("a trace is a path, a file: URL or -, and needs paging by the MMU", () => {
  const traced = (trace: string | URL, paging: "mmu" | "kernel" = "mmu") =>
    checkOptions({ memory: { paging, trace } }).paging?.trace;
  assertEquals(traced("-"), "-");
  assertEquals(traced(new URL("file:///tmp/a%20b")), "/tmp/a b");
  assertThrows(() => traced("a", "kernel"), DenovisorError, 'expected memory.paging "mmu" with it');
  for (const bad of ["", "a\0b", new URL("https://example.org/a")]) {
    assertThrows(() => traced(bad), DenovisorError, "the option memory.trace");
  }
});

Deno.test("the wasm engine takes RAM and firmware of 4 GiB in all, and no byte more", () => {
  checkWasmMemory(2 ** 32, 0);
  checkWasmMemory(2 ** 32 - 65536, 65536);
  assertThrows(
    () => checkWasmMemory(2 ** 32, 4096),
    DenovisorError,
    "found 4294967296 bytes and 4096 of firmware with the engine wasm, expected at most 4294967296",
  );
});
