/** Kernels out of Debian's packages memtest86+ and ipxe. */

import { assertEquals, assertMatch, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { firmwareKernel } from "../../../src/boot/linux/firmware_kernel.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { kernel, load, MIB, refusal, Reg } from "../../support/boot.ts";
import { testWith } from "../../support/requirement.ts";
import { stockFile, stockFiles } from "../../support/stock.ts";

const memtest = await stockFiles("memtest");
const memtest32 = await stockFiles("memtest32");
const ipxe = await stockFiles("ipxe");

testWith(memtest, "memtest86+ for x86-64 starts at its 64-bit entry at 1 MiB", async () => {
  const image = await Deno.readFile(await stockFile("memtest"));
  const loaded = load(kernel(image, { append: "console=ttyS0" }));
  assertStrictEquals(loaded.rip, 0x10_0200);
  assertMatch(loaded.entry.description, /^bzImage Memtest86\+, Linux 64-bit entry$/);
  const setupBytes = (image[0x1f1] + 1) * 512;
  assertEquals(loaded.bytes(0x10_0000, 4096), image.subarray(setupBytes, setupBytes + 4096));
  assertStrictEquals(loaded.text(loaded.u32(loaded.reg(Reg.RSI) + 0x228)), "console=ttyS0");
  assertStringIncludes(refusal(kernel(image, { append: "a".repeat(256) })), "takes at most 255");
});

testWith(memtest32, "memtest86+ for i386 starts at its 32-bit entry at 1 MiB", async () => {
  assertStrictEquals(load(await Deno.readFile(await stockFile("memtest32"))).rip, 0x10_0000);
});

testWith(ipxe, "iPXE starts in real mode: with firmware and not without", async () => {
  const bytes = await Deno.readFile(await stockFile("ipxe"));
  assertStringIncludes(refusal(bytes), "it starts in real mode only");
  const memory = GuestMemory.allocate(32 * MIB);
  const { setup, kernel } = firmwareKernel(memory, { kernel: { name: "ipxe", bytes } });
  assertStrictEquals(setup.bytes.length + kernel.bytes.length, bytes.length);
});
