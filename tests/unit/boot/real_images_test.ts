/** Kernels as Debian's packages memtest86+ and ipxe install them, where they are installed. */

import { assertEquals, assertMatch, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { firmwareKernel } from "../../../src/boot/linux/firmware_kernel.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { kernel, load, MIB, refusal, Reg } from "../../support/boot.ts";
import { type Requirement, testWith } from "../../support/requirement.ts";

function file(path: string): Requirement {
  try {
    Deno.statSync(path);
    return { missing: undefined };
  } catch {
    return { missing: `no ${path}` };
  }
}

const MEMTEST_64 = "/boot/memtest86+x64.bin";
const MEMTEST_32 = "/boot/memtest86+ia32.bin";
const IPXE = "/boot/ipxe.lkrn";

testWith(file(MEMTEST_64), "memtest86+ for x86-64 starts at its 64-bit entry at 1 MiB", () => {
  const image = Deno.readFileSync(MEMTEST_64);
  const loaded = load(kernel(image, { append: "console=ttyS0" }));
  assertStrictEquals(loaded.rip, 0x10_0200);
  assertMatch(loaded.entry.description, /^bzImage Memtest86\+, Linux 64-bit entry$/);
  const setupBytes = (image[0x1f1] + 1) * 512;
  assertEquals(loaded.bytes(0x10_0000, 4096), image.subarray(setupBytes, setupBytes + 4096));
  assertStrictEquals(loaded.text(loaded.u32(loaded.reg(Reg.RSI) + 0x228)), "console=ttyS0");
  assertStringIncludes(refusal(kernel(image, { append: "a".repeat(256) })), "takes at most 255");
});

testWith(file(MEMTEST_32), "memtest86+ for i386 starts at its 32-bit entry at 1 MiB", () => {
  assertStrictEquals(load(Deno.readFileSync(MEMTEST_32)).rip, 0x10_0000);
});

testWith(file(IPXE), "iPXE starts in real mode: with firmware and not without", () => {
  const bytes = Deno.readFileSync(IPXE);
  assertStringIncludes(refusal(bytes), "it starts in real mode only");
  const memory = GuestMemory.allocate(32 * MIB);
  const { setup, kernel } = firmwareKernel(memory, { kernel: { name: IPXE, bytes } });
  assertStrictEquals(setup.bytes.length + kernel.bytes.length, bytes.length);
});
