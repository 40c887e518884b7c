import { assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { elf, pvhElf, xenNote } from "../../support/images.ts";
import { assertFlat32, kernel, load, refusal, Reg, RSDP, Seg } from "../../support/boot.ts";

const CODE = new Uint8Array(64).fill(0xf4);

function withNotes(notes: Uint8Array, align = 4): Uint8Array {
  return elf({
    segments: [{ paddr: 0x10_0000, bytes: CODE }, { type: 4, paddr: 0, bytes: notes, align }],
  });
}

Deno.test("a PVH kernel starts in flat 32-bit mode with EBX at the start info", () => {
  for (const bits of [32, 64] as const) {
    const loaded = load(pvhElf(0x10_0010, { bits }));
    assertStrictEquals(loaded.rip, 0x10_0010);
    assertFlat32(loaded);
    assertStrictEquals(loaded.entry.state.segment(Seg.TR).limit, 0x67);
    assertStrictEquals(loaded.u32(loaded.reg(Reg.RBX)), 0x336e_c578);
    assertStrictEquals(loaded.entry.description, `ELF${bits}, PVH entry`);
  }
});

Deno.test("the start info has command line, RSDP and memory map", () => {
  const loaded = load(kernel(pvhElf(), { append: "console=ttyS0" }));
  const info = loaded.reg(Reg.RBX);
  assertStrictEquals(loaded.u32(info + 4), 1, "version");
  assertStrictEquals(loaded.u32(info + 8), 0, "flags");
  assertStrictEquals(loaded.u32(info + 12), 0, "no modules");
  assertStrictEquals(loaded.text(loaded.u64(info + 24)), "console=ttyS0");
  assertStrictEquals(loaded.u64(info + 32), RSDP);
  const map = loaded.u64(info + 40);
  const entries = Array.from({ length: loaded.u32(info + 48) }, (_, i) => [
    loaded.u64(map + 24 * i),
    loaded.u64(map + 24 * i + 8),
    loaded.u32(map + 24 * i + 16),
    loaded.u32(map + 24 * i + 20),
  ]);
  assertEquals(entries, [
    [0, 0x9_fc00, 1, 0],
    [0x9_fc00, 0x6_0400, 2, 0],
    [0x10_0000, 0x1f0_0000, 1, 0],
  ]);
});

Deno.test("modules lie above the kernel on pages of their own, with a string each", () => {
  const initrds = [
    { name: "one.img", bytes: new Uint8Array(5).fill(1) },
    { name: "two.img", bytes: new Uint8Array(4096).fill(2), commandLine: "two.img verbose" },
  ];
  const loaded = load(kernel(pvhElf(), { initrds }));
  const info = loaded.reg(Reg.RBX);
  assertStrictEquals(loaded.u32(info + 12), 2);
  const list = loaded.u64(info + 16);
  const modules = [0, 1].map((i) => ({
    start: loaded.u64(list + 32 * i),
    sizeBytes: loaded.u64(list + 32 * i + 8),
    string: loaded.text(loaded.u64(list + 32 * i + 16)),
    reserved: loaded.u64(list + 32 * i + 24),
  }));
  assertEquals(modules, [
    { start: 0x10_1000, sizeBytes: 5, string: "one.img", reserved: 0 },
    { start: 0x10_2000, sizeBytes: 4096, string: "two.img verbose", reserved: 0 },
  ]);
  assertEquals([...loaded.bytes(0x10_1000, 6)], [1, 1, 1, 1, 1, 0]);
  assertStrictEquals(loaded.u8(0x10_2fff), 2);
});

Deno.test("the PVH note is found behind other notes, in segments aligned to 4 and to 8", () => {
  const entry = Uint8Array.of(0x20, 0, 0x10, 0);
  for (const align of [4, 8]) {
    const notes = [xenNote(6, new Uint8Array(6), align), xenNote(18, entry, align)];
    const loaded = load(withNotes(Uint8Array.from(notes.flatMap((note) => [...note])), align));
    assertStrictEquals(loaded.rip, 0x10_0020);
  }
});

Deno.test("notes of other owners and other types are no PVH note", () => {
  const note = xenNote(18, Uint8Array.of(0, 0, 0x10, 0));
  note[12] = 0x58 + 1;
  assertStrictEquals(load(withNotes(note)).entry.description, "ELF64, Linux 64-bit entry");
  const other = xenNote(17, Uint8Array.of(0, 0, 0x10, 0));
  assertStrictEquals(load(withNotes(other)).entry.description, "ELF64, Linux 64-bit entry");
});

Deno.test("notes that claim to be longer than their segment end the search", () => {
  const note = xenNote(6, new Uint8Array(4));
  new DataView(note.buffer).setUint32(4, 0xffff_ffff, true);
  const both = Uint8Array.from([...note, ...xenNote(18, Uint8Array.of(0, 0, 0x10, 0))]);
  assertStrictEquals(load(withNotes(both)).entry.description, "ELF64, Linux 64-bit entry");
});

Deno.test("a PVH note without its entry point is refused", () => {
  const note = xenNote(18, new Uint8Array());
  assertStringIncludes(refusal(withNotes(note)), "its PVH note ends at offset");
});

Deno.test("more notes than a kernel has are refused, not searched", () => {
  const notes = new Uint8Array(12 * 4097);
  assertStringIncludes(refusal(withNotes(notes)), "more than 4096 ELF notes");
  load(withNotes(notes.subarray(12)));
});

Deno.test("a PVH entry point outside of the segments is refused", () => {
  load(pvhElf(0x10_003f));
  assertStringIncludes(refusal(pvhElf(0x10_0040)), "entry point 0x100040 is outside");
});

Deno.test("a Linux kernel's command line has 2047 bytes, that of others may be longer", () => {
  const linux = pvhElf(0x10_0000, {
    segments: [{ paddr: 0x10_0000, bytes: new TextEncoder().encode("Linux version 6.1") }],
  });
  load(kernel(linux, { append: "a".repeat(2047) }));
  assertStringIncludes(
    refusal(kernel(linux, { append: "a".repeat(2048) })),
    "the command line has 2048 bytes, the kernel takes at most 2047",
  );
  load(kernel(pvhElf(), { append: "a".repeat(2048) }));
  assertStringIncludes(
    refusal(kernel(pvhElf(), { append: "a".repeat(0x9_0000) })),
    "no room for the command line",
  );
});

Deno.test("a module that does not fit, and an empty one, are refused by their names", () => {
  const modules = (length: number) => ({ initrds: [{ name: "m", bytes: new Uint8Array(length) }] });
  load(kernel(pvhElf(), modules(0x1ef_f000)));
  assertEquals(
    refusal(kernel(pvhElf(), modules(0x1ef_f001))),
    "Cannot load m: the module has 32501761 bytes, the guest has room for 32505792 above 0x100040",
  );
  assertEquals(
    refusal(kernel(pvhElf(), modules(0))),
    "Cannot load m: the file is empty, expected a module",
  );
});
