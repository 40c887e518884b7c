import { assertEquals, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import {
  elf,
  multibootElf,
  multibootHeader,
  multibootImage,
  type MultibootOptions,
} from "../../support/images.ts";
import { assertFlat32, kernel, load, type Loaded, MIB, refusal, Reg } from "../../support/boot.ts";

function info(loaded: Loaded): number {
  return loaded.reg(Reg.RBX);
}

function assertStarted(loaded: Loaded): void {
  assertFlat32(loaded);
  assertStrictEquals(loaded.reg(Reg.RAX), 0x2bad_b002);
  assertStrictEquals(loaded.u32(info(loaded)), 0x24d, "flags: memory, cmdline, mods, mmap, name");
}

Deno.test("a Multiboot image with address fields is loaded by them", () => {
  const image = multibootImage({ headerOffset: 64, load: 0x20_0000, entry: 0x20_0080 });
  const loaded = load(image);
  assertStrictEquals(loaded.rip, 0x20_0080);
  assertStarted(loaded);
  assertEquals(loaded.bytes(0x20_0000, 256), image);
  assertStrictEquals(loaded.entry.description, "Multiboot, address fields");
});

Deno.test("a Multiboot image may start behind the file's beginning and end before its end", () => {
  // Address of the header less load_addr tells where in the file the image begins.
  const image = multibootImage({ headerOffset: 64, fileBytes: 512 });
  const header = multibootHeader(0x1_0003, [0x10_0020, 0x10_0000, 0x10_0100, 0x10_1000, 0x10_0000]);
  image.set(header, 64);
  image.fill(0x11, 0, 32);
  const loaded = load(image);
  assertEquals(loaded.bytes(0x10_0000, 256), image.subarray(32, 288));
  assertStrictEquals(loaded.u8(0x10_0100), 0);
});

Deno.test("a Multiboot kernel may be ELF, 32 or 64 bits, and starts in 32-bit mode", () => {
  for (const bits of [32, 64] as const) {
    const loaded = load(multibootElf({ bits }));
    assertStrictEquals(loaded.rip, 0x10_0000);
    assertStarted(loaded);
    assertStrictEquals(loaded.u32(0x10_0000), 0x1bad_b002);
    assertStrictEquals(loaded.entry.description, "Multiboot, ELF");
  }
});

Deno.test("address fields go before ELF headers", () => {
  const image = elf({ bits: 32, segments: [{ paddr: 0x10_0000, bytes: new Uint8Array(64) }] });
  const at = image.length - 64;
  image.set(multibootHeader(0x1_0003, [0x30_0000 + at, 0x30_0000, 0, 0, 0x30_0000]), at);
  assertStrictEquals(load(image).rip, 0x30_0000);
});

Deno.test("the command line is the image's name, and what is appended", () => {
  const named = (name: string, append: string) =>
    load({ kernel: { name, bytes: multibootImage() }, append });
  const loaded = named("tests/smp.flat", "one two");
  assertStrictEquals(loaded.text(loaded.u32(info(loaded) + 16)), "tests/smp.flat one two");
  const bare = named("smp.flat", "");
  assertStrictEquals(bare.text(bare.u32(info(bare) + 16)), "smp.flat");
});

Deno.test("the Multiboot information has memory sizes, memory map and the loader's name", () => {
  const loaded = load(multibootImage());
  const at = info(loaded);
  assertStrictEquals(loaded.u32(at + 4), 639, "mem_lower, KiB");
  assertStrictEquals(loaded.u32(at + 8), 31 * 1024, "mem_upper, KiB");
  assertStrictEquals(loaded.text(loaded.u32(at + 64)), "denovisor");
  const map = loaded.u32(at + 48);
  assertStrictEquals(loaded.u32(at + 44), 3 * 24);
  const entries = [0, 24, 48].map((offset) => [
    loaded.u32(map + offset),
    loaded.u64(map + offset + 4),
    loaded.u64(map + offset + 12),
    loaded.u32(map + offset + 20),
  ]);
  assertEquals(entries, [
    [20, 0, 0x9_fc00, 1],
    [20, 0x9_fc00, 0x6_0400, 2],
    [20, 0x10_0000, 31 * MIB, 1],
  ]);
});

Deno.test("modules lie above the kernel with its bss, each with its string", () => {
  const initrds = [
    { name: "a.elf", bytes: new Uint8Array(5000).fill(1), commandLine: "a.elf -v" },
    { name: "b", bytes: Uint8Array.of(7) },
  ];
  const loaded = load(kernel(multibootImage({ bssEnd: 0x10_2001 }), { initrds }));
  const at = info(loaded);
  assertStrictEquals(loaded.u32(at + 20), 2);
  const list = loaded.u32(at + 24);
  const modules = [0, 16].map((offset) => [
    loaded.u32(list + offset),
    loaded.u32(list + offset + 4),
    loaded.text(loaded.u32(list + offset + 8)),
    loaded.u32(list + offset + 12),
  ]);
  assertEquals(modules, [
    [0x10_3000, 0x10_3000 + 5000, "a.elf -v", 0],
    [0x10_5000, 0x10_5001, "b", 0],
  ]);
  assertStrictEquals(loaded.u8(0x10_4387), 1);
  assertStrictEquals(loaded.u8(0x10_5000), 7);
});

Deno.test("a Multiboot header ends within the first 8192 bytes and lies at a multiple of 4", () => {
  const at = (headerOffset: number) =>
    load(multibootElf({ bits: 32, dataOffset: headerOffset })).entry.description;
  assertStrictEquals(at(8180), "Multiboot, ELF");
  assertStrictEquals(at(8184), "ELF32, Linux 32-bit entry");
  assertStrictEquals(at(8178), "ELF32, Linux 32-bit entry");
});

Deno.test("a Multiboot header with a wrong checksum is none", () => {
  const image = multibootElf();
  image[image.length - 1] ^= 1;
  assertStrictEquals(load(image).entry.description, "ELF32, Linux 32-bit entry");
});

Deno.test("requirements that the loader does not know are refused, options are ignored", () => {
  assertStringIncludes(refusal(multibootElf({}, 0x0008)), "requires features 0x8 (flags 0x8)");
  assertStringIncludes(refusal(multibootElf({}, 0x8000)), "requires features 0x8000");
  load(multibootElf({}, 0x0007));
  load(multibootElf({}, 0xfffe_0003));
});

Deno.test("contradicting address fields are refused", () => {
  const refuse = (options: MultibootOptions) => refusal(multibootImage(options));
  assertStringIncludes(refuse({ loadEnd: 0x10_0000 }), "load_end_addr 0x100000");
  assertStringIncludes(
    refuse({ bssEnd: 0x10_00ff }),
    "bss_end_addr 0x1000ff",
  );
  assertStringIncludes(refuse({ entry: 0x0f_ffff }), "entry_addr 0xfffff");
  assertStringIncludes(refuse({ entry: 0x10_0100 }), "the image has 0x100000 to 0x100100");
  assertStringIncludes(refuse({ loadEnd: 0x10_0101 }), "truncated");
  load(multibootImage({ bssEnd: 0x10_0100, entry: 0x10_00ff, loadEnd: 0x10_0100 }));
  const before = multibootImage();
  before.set(multibootHeader(0x1_0003, [0x10_0011, 0x10_0000, 0, 0, 0x10_0000]), 16);
  assertStringIncludes(refusal(before), "load_addr 0x100000 for a header at offset 0x10");
  const above = multibootImage();
  above.set(multibootHeader(0x1_0003, [0x10_0000, 0x10_0001, 0, 0, 0x10_0001]), 16);
  assertStringIncludes(refusal(above), "load_addr 0x100001 for a header");
});

Deno.test("a Multiboot image and its bss end where RAM ends", () => {
  load(multibootImage({ bssEnd: 32 * MIB }));
  assertStringIncludes(refusal(multibootImage({ bssEnd: 32 * MIB + 1 })), "RAM there ends");
});

Deno.test("a Multiboot header without address fields needs an ELF file", () => {
  assertStringIncludes(refusal(multibootHeader(3)), "no address fields and it is not an ELF file");
});

Deno.test("a cut-off Multiboot header is refused", () => {
  const image = multibootImage().subarray(0, 47);
  assertStringIncludes(refusal(image), "truncated: the Multiboot header");
});

Deno.test("a Multiboot kernel's entry point above 4 GiB is refused", () => {
  const segments = [{ paddr: 2 ** 32, bytes: new Uint8Array(16) }];
  const image = multibootElf({ bits: 64, segments, entry: 2 ** 32 });
  assertThrows(
    () => load(image, 3 * 1024 * MIB + 2 * MIB),
    DenovisorError,
    "its entry point is 0x100000000, expected it below 4 GiB",
  );
});
