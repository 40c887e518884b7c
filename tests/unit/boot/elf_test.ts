import { assertEquals, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { elf, type ElfOptions } from "../../support/images.ts";
import { assertFlat32, kernel, load, MIB, refusal, Reg, State } from "../../support/boot.ts";

const CODE = Uint8Array.of(0xf4, 0xeb, 0xfd);

function patched(options: ElfOptions, patch: (view: DataView) => void): Uint8Array {
  const image = elf(options);
  patch(new DataView(image.buffer));
  return image;
}

Deno.test("a 64-bit vmlinux starts at its entry in long mode with RSI at boot_params", () => {
  const loaded = load(kernel(elf(), { append: "quiet" }));
  assertStrictEquals(loaded.rip, 0x10_0000);
  assertStrictEquals(Number(loaded.entry.state.get(State.EFER)), 0x500);
  assertStrictEquals(loaded.entry.description, "ELF64, Linux 64-bit entry");
  const params = loaded.reg(Reg.RSI);
  assertStrictEquals(loaded.u16(params + 0x1fe), 0xaa55);
  assertStrictEquals(loaded.u32(params + 0x202), 0x5372_6448);
  assertStrictEquals(loaded.u16(params + 0x206), 0x20c);
  assertStrictEquals(loaded.u8(params + 0x210), 0xff);
  assertStrictEquals(loaded.u8(params + 0x211), 1);
  assertStrictEquals(loaded.text(loaded.u32(params + 0x228)), "quiet");
  assertStrictEquals(loaded.u8(params + 0x1e8), 3, "e820_entries");
});

Deno.test("a 32-bit vmlinux starts at its entry in 32-bit mode", () => {
  const loaded = load(elf({ bits: 32 }));
  assertStrictEquals(loaded.rip, 0x10_0000);
  assertFlat32(loaded);
  assertStrictEquals(loaded.u32(loaded.reg(Reg.RSI) + 0x202), 0x5372_6448);
});

Deno.test("segments go to their physical addresses, and an entry may be virtual", () => {
  for (const bits of [32, 64] as const) {
    const loaded = load(elf({
      bits,
      entry: 0xc010_0002,
      segments: [
        { paddr: 0x10_0000, vaddr: 0xc010_0000, bytes: CODE, memsz: 0x1000 },
        { paddr: 0x20_0000, vaddr: 0xc020_0000, bytes: Uint8Array.of(1, 2) },
        { paddr: 0x20_0000, bytes: new Uint8Array(), memsz: 0 },
      ],
    }));
    assertStrictEquals(loaded.rip, 0x10_0002);
    assertEquals([...loaded.bytes(0x10_0000, 4)], [...CODE, 0]);
    assertEquals([...loaded.bytes(0x20_0000, 3)], [1, 2, 0]);
  }
});

Deno.test("boot structures and initrd keep clear of every segment", () => {
  const segments = [
    { paddr: 0x10_0000, bytes: CODE },
    { paddr: 0x1_0000, bytes: CODE, memsz: 0x1_0000 },
    { paddr: 32 * MIB - 4096, bytes: CODE, memsz: 4096 },
  ];
  const initrds = [{ name: "initrd", bytes: new Uint8Array(4096).fill(9) }];
  const loaded = load(kernel(elf({ segments }), { initrds }));
  assertStrictEquals(loaded.reg(Reg.RSI), 0x2_0000);
  assertStrictEquals(loaded.u32(loaded.reg(Reg.RSI) + 0x218), 32 * MIB - 8192);
  assertEquals([...loaded.bytes(32 * MIB - 4096, 3)], [...CODE]);
});

Deno.test("a vmlinux takes a command line of 2047 bytes and no longer", () => {
  load(kernel(elf(), { append: "a".repeat(2047) }));
  assertStringIncludes(
    refusal(kernel(elf(), { append: "a".repeat(2048) })),
    "the command line has 2048 bytes, the kernel takes at most 2047",
  );
});

Deno.test("segments that overlap, even in one byte, are refused", () => {
  const two = (paddr: number) =>
    elf({ segments: [{ paddr: 0x10_0000, bytes: CODE, memsz: 0x1000 }, { paddr, bytes: CODE }] });
  load(two(0x10_1000));
  assertEquals(
    refusal(two(0x10_0fff)),
    "Cannot load kernel: segment 1 needs 3 bytes at 0x100fff, but segment 0 has 0x100000 to 0x101000",
  );
});

Deno.test("segments end where RAM ends", () => {
  const last = (memsz: number) =>
    elf({ segments: [{ paddr: 32 * MIB - 4096, bytes: CODE, memsz }] });
  load(last(4096));
  assertEquals(
    refusal(last(4097)),
    "Cannot load kernel: segment 0 needs 4097 bytes at 0x1fff000, RAM there ends at 0x2000000",
  );
  assertStringIncludes(
    refusal(elf({ segments: [{ paddr: 0xa_0000, bytes: CODE }] })),
    "there is no RAM there",
  );
  assertStringIncludes(
    refusal(elf({ segments: [{ paddr: 2 ** 63, bytes: CODE }] })),
    "at 0x8000000000000000, there is no RAM there",
  );
});

Deno.test("an ELF file cut off anywhere is refused", () => {
  const image = elf();
  for (const end of [4, 16, 19, 63, 64, 119, image.length - 1]) {
    assertStringIncludes(refusal(image.subarray(0, end)), "truncated", `cut at ${end}`);
  }
});

Deno.test("an ELF file that is not for x86 is refused with what it is", () => {
  assertEquals(
    refusal(patched({}, (view) => view.setUint16(18, 183, true))),
    "Cannot load kernel: it is an ELF file of class 2, data 1, type 2, machine 183, " +
      "expected an executable for i386 (class 1, machine 3) or x86-64 (class 2, machine 62)",
  );
  assertStringIncludes(refusal(patched({}, (view) => view.setUint16(16, 1, true))), "type 1");
  assertStringIncludes(refusal(patched({}, (view) => view.setUint8(5, 2))), "data 2");
  assertStringIncludes(refusal(patched({}, (view) => view.setUint8(4, 1))), "class 1");
});

Deno.test("program headers of a wrong number or size are refused", () => {
  const refuseAt = (offset: number, value: number) =>
    refusal(patched({}, (view) => view.setUint16(offset, value, true)));
  assertStringIncludes(refuseAt(56, 0), "it has 0 program headers of 56 bytes");
  assertStringIncludes(refuseAt(56, 257), "it has 257 program headers");
  assertStringIncludes(refuseAt(56, 256), "truncated");
  assertStringIncludes(refuseAt(54, 55), "of 55 bytes, expected 1 to 256 of 56 bytes");
  assertStringIncludes(
    refusal(patched({}, (view) => view.setBigUint64(32, 2n ** 64n - 1n, true))),
    "truncated",
  );
});

Deno.test("a segment that is larger in the file than in memory is refused", () => {
  assertEquals(
    refusal(elf({ segments: [{ paddr: 0x10_0000, bytes: CODE, memsz: 2 }] })),
    "Cannot load kernel: segment 0 has 3 bytes in the file, but only 2 in memory",
  );
});

Deno.test("an entry point outside of the segments is refused", () => {
  assertEquals(
    refusal(elf({ entry: 0x10_0040 })),
    "Cannot load kernel: its entry point 0x100040 is outside of its segments",
  );
  assertStringIncludes(
    refusal(elf({ segments: [{ type: 4, paddr: 0, bytes: CODE }] })),
    "it has no loadable segment",
  );
});

Deno.test("a segment may lie above 4 GiB, an entry point may not", () => {
  const ramBytes = 3 * 1024 * MIB + 2 * MIB;
  const segments = [{ paddr: 2 ** 32, bytes: CODE }, { paddr: 0x10_0000, bytes: CODE }];
  const loaded = load(elf({ segments, entry: 0x10_0000 }), ramBytes);
  assertEquals([...loaded.bytes(2 ** 32, 4)], [...CODE, 0]);
  assertThrows(
    () => load(elf({ segments }), ramBytes),
    DenovisorError,
    "Cannot load kernel: its entry point is 0x100000000, expected it below 4 GiB",
  );
});
