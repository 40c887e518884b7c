import { assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { kernel, load, refusal, Reg, Seg, State } from "../../support/boot.ts";

Deno.test("a flat image lies at 0x7c00 and starts in real mode as from a hard disk", () => {
  const image = new Uint8Array(512).fill(0x90);
  const loaded = load(image);
  const { state } = loaded.entry;
  assertStrictEquals(loaded.rip, 0x7c00);
  assertEquals(loaded.bytes(0x7c00, 513), new Uint8Array([...image, 0]));
  assertStrictEquals(Number(state.get(State.CR0)) & 1, 0, "real mode");
  assertStrictEquals(Number(state.get(State.RFLAGS)), 2, "interrupts off");
  for (const seg of [Seg.CS, Seg.DS, Seg.ES, Seg.SS]) {
    assertStrictEquals(state.segment(seg).selector, 0);
    assertStrictEquals(Number(state.segment(seg).base), 0);
  }
  assertStrictEquals(loaded.reg(Reg.RDX), 0x80);
  assertStrictEquals(loaded.reg(Reg.RSP), 0x7c00);
  assertStrictEquals(loaded.entry.description, "flat image at 0x7c00, 16-bit entry");
});

Deno.test("a flat image may reach the EBDA and no further", () => {
  load(new Uint8Array(0x9_8000).fill(0x90));
  assertEquals(
    refusal(new Uint8Array(0x9_8001).fill(0x90)),
    "Cannot load kernel: its format is unknown, and as a flat image its 622593 bytes are too " +
      "many: at most 622592 fit",
  );
  assertStringIncludes(refusal(new Uint8Array(0x8401).fill(0x90), 0x1_0000), "RAM there ends");
  load(new Uint8Array(0x8400).fill(0x90), 0x1_0000);
});

Deno.test("an empty file is refused", () => {
  assertStringIncludes(refusal(new Uint8Array()), "Cannot load kernel: the file is empty");
});

Deno.test("files that are known to be something else are not taken for flat images", () => {
  assertEquals(
    refusal(Uint8Array.of(0x1f, 0x8b, 8, 0)),
    "Cannot load kernel: it is a gzip file, " +
      "expected a Linux bzImage, an ELF or Multiboot kernel or a flat 16-bit image",
  );
  const beginnings: [string | number[], string][] = [
    ["BZh91AY&SY", "a bzip2 file"],
    [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04], "an xz file"],
    [[0x28, 0xb5, 0x2f, 0xfd, 0x04], "a zstd file"],
    [[0x02, 0x21, 0x4c, 0x18, 0x10], "an lz4 file"],
    [[0x04, 0x22, 0x4d, 0x18, 0x64], "an lz4 file"],
    ["PK\x03\x04", "a zip file"],
    ["MZ\x90\0", "an EFI or DOS program"],
    ["070701000002d1", "a cpio archive (an initrd)"],
    ["!<arch>\ndebian-binary", "a Debian package or ar archive"],
    [[0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3], "a qcow2 disk image"],
    ["#!/bin/sh\n", "a script"],
  ];
  for (const [beginning, is] of beginnings) {
    const bytes = typeof beginning === "string"
      ? new TextEncoder().encode(beginning)
      : Uint8Array.from(beginning);
    assertStringIncludes(refusal(bytes), `Cannot load kernel: it is ${is}, expected`);
  }
});

Deno.test("a flat image takes no initrd and no command line", () => {
  const image = new Uint8Array(16).fill(0x90);
  const initrds = [{ name: "initrd", bytes: new Uint8Array(1) }];
  for (const rest of [{ append: "quiet" }, { initrds }]) {
    assertStringIncludes(refusal(kernel(image, rest)), "takes no initrd and no command line");
  }
  load(kernel(image, { append: "", initrds: [] }));
});
