import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { loadGuest } from "../../../src/boot/load_guest.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { bzImage, elf, multibootElf, multibootImage, pvhElf } from "../../support/images.ts";
import { load, MIB, refusal, RSDP } from "../../support/boot.ts";

Deno.test("the format of a kernel is seen from its contents", () => {
  const formats = [
    [bzImage(), "bzImage, Linux 64-bit entry"],
    [pvhElf(), "ELF64, PVH entry"],
    [elf(), "ELF64, Linux 64-bit entry"],
    [elf({ bits: 32 }), "ELF32, Linux 32-bit entry"],
    [multibootImage(), "Multiboot, address fields"],
    [multibootElf(), "Multiboot, ELF"],
    [Uint8Array.of(0xfa, 0xf4), "flat image at 0x7c00, 16-bit entry"],
  ] as const;
  assertEquals(
    formats.map(([image]) => load(image).entry.description),
    formats.map(([, is]) => is),
  );
});

Deno.test("a kernel with a Multiboot header and a PVH note is loaded as Multiboot", () => {
  const segments = [{ paddr: 0x10_0000, bytes: multibootElf().subarray(-12) }];
  assertStrictEquals(load(pvhElf(0x10_0000, { segments })).entry.description, "Multiboot, ELF");
});

Deno.test("a boot sector's signature makes no bzImage", () => {
  const sector = new Uint8Array(512).fill(0x90);
  sector.set([0x55, 0xaa], 510);
  assertStrictEquals(load(sector).rip, 0x7c00);
});

Deno.test("a source without a kernel is a mistake in usage", () => {
  const memory = GuestMemory.allocate(MIB);
  const error = assertThrows(() => loadGuest(memory, {}, { rsdp: RSDP }), DenovisorError);
  assertStrictEquals(error.code, "usage");
});

Deno.test("every kernel that needs a megabyte is refused by a guest that has none", () => {
  for (const image of [bzImage(), pvhElf(), elf(), multibootImage(), multibootElf()]) {
    refusal(image, 64 * 1024);
  }
});

Deno.test("images are read from views into larger buffers", () => {
  for (const image of [bzImage(), pvhElf(), multibootImage()]) {
    const padded = new Uint8Array(image.length + 24);
    padded.set(image, 13);
    const view = padded.subarray(13, 13 + image.length);
    assertEquals(load(view).entry.state, load(image).entry.state);
  }
});
