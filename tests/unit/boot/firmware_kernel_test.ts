import { assertEquals, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { firmwareKernel } from "../../../src/boot/linux/firmware_kernel.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { bzImage, elf } from "../../support/images.ts";
import { MIB } from "../../support/boot.ts";

/** An image that starts in real mode only, as iPXE's. */
const REAL_MODE = { version: 0x207, relocatable: false, kernelAlignment: 0, xloadflags: 0 };

function parts(
  bytes: Uint8Array,
  rest: { append?: string; initrds?: { name: string; bytes: Uint8Array }[] } = {},
  ramBytes = 32 * MIB,
) {
  const kernel = { name: "kernel", bytes };
  return firmwareKernel(GuestMemory.allocate(ramBytes), { kernel, ...rest });
}

function header(setup: Uint8Array): DataView {
  return new DataView(setup.buffer, setup.byteOffset);
}

function refusal(...given: Parameters<typeof parts>): string {
  const error = assertThrows(() => parts(...given), DenovisorError);
  assertStrictEquals(error.code, "image");
  return error.message;
}

Deno.test("firmware gets a kernel's real-mode and protected-mode code", () => {
  const image = bzImage({ ...REAL_MODE, codeBytes: 0x2000 });
  const { setup, kernel, initrd } = parts(image);
  assertStrictEquals(setup.address, 0x1_0000);
  assertStrictEquals(setup.bytes.length, 5 * 512);
  assertStrictEquals(kernel.address, 0x10_0000);
  assertEquals(kernel.bytes, image.subarray(5 * 512));
  assertStrictEquals(initrd, undefined);
});

Deno.test("firmware gets the header with all that the loader has to write", () => {
  const image = bzImage(REAL_MODE);
  const initrds = [{ name: "a", bytes: Uint8Array.of(1) }, { name: "b", bytes: Uint8Array.of(2) }];
  const { setup, initrd, commandLine } = parts(image, { append: "quiet vga=ext", initrds });
  const fields = header(setup.bytes);
  assertStrictEquals(fields.getUint16(0x1fa, true), 0xfffe, "vid_mode");
  assertStrictEquals(fields.getUint8(0x210), 0xff, "type_of_loader");
  assertStrictEquals(fields.getUint8(0x211), 0x81, "loadflags");
  assertStrictEquals(fields.getUint16(0x224, true), 0xde00, "heap_end_ptr");
  assertStrictEquals(fields.getUint32(0x228, true), 0x2_0000, "cmd_line_ptr");
  assertEquals(commandLine, {
    address: 0x2_0000,
    bytes: new TextEncoder().encode("quiet vga=ext\0"),
  });
  // The last MiB is the firmware's.
  assertEquals(initrd, { address: 31 * MIB - 4096, bytes: Uint8Array.of(1, 0, 0, 0, 2) });
  assertStrictEquals(fields.getUint32(0x218, true), 31 * MIB - 4096, "ramdisk_image");
  assertStrictEquals(fields.getUint32(0x21c, true), 5, "ramdisk_size");
  assertEquals(setup.bytes.subarray(0, 0x1f1), image.subarray(0, 0x1f1));
});

Deno.test("firmware gets a relocatable kernel for its preferred address", () => {
  const { setup, kernel } = parts(bzImage());
  assertStrictEquals(kernel.address, 0x100_0000);
  assertStrictEquals(header(setup.bytes).getUint32(0x214, true), 0x100_0000, "code32_start");
});

Deno.test("firmware gets a kernel before 2.02 for 0x90000", () => {
  const image = bzImage({ ...REAL_MODE, version: 0x201 });
  const { setup, commandLine } = parts(image, { append: "ro" });
  const fields = header(setup.bytes);
  assertStrictEquals(setup.address, 0x9_0000);
  assertStrictEquals(commandLine?.address, 0x9_9800);
  assertStrictEquals(fields.getUint16(0x20, true), 0xa33f);
  assertStrictEquals(fields.getUint16(0x22, true), 0x9800);
  assertStrictEquals(fields.getUint16(0x212, true), 0x9803, "setup_move_size");
  assertStrictEquals(fields.getUint16(0x224, true), 0x9600, "heap_end_ptr");
  const newer = parts(bzImage({ ...REAL_MODE, version: 0x202 }));
  assertStrictEquals(newer.setup.address, 0x1_0000);
  assertStrictEquals(header(newer.setup.bytes).getUint16(0x20, true), 0);
});

Deno.test("the kernel's file stays as it is", () => {
  const image = bzImage(REAL_MODE);
  parts(image, { append: "quiet" });
  assertEquals(image, bzImage(REAL_MODE));
});

Deno.test("firmware is not given what it cannot start", () => {
  assertStringIncludes(refusal(elf()), "firmware starts Linux bzImages only, and it is none");
  assertStringIncludes(refusal(bzImage({ loadflags: 0 })), "it is a zImage");
  parts(bzImage({ setupSects: 63 }));
  assertStringIncludes(
    refusal(bzImage({ setupSects: 64 })),
    "its real-mode code has 33280 bytes, expected at most 32768",
  );
});

Deno.test("firmware is not given what does not fit", () => {
  const image = bzImage({ ...REAL_MODE, cmdlineSize: 3 });
  parts(image, { append: "abc" });
  assertStringIncludes(refusal(image, { append: "abcd" }), "the kernel takes at most 3");
  const initrd = (length: number) => ({ initrds: [{ name: "i", bytes: new Uint8Array(length) }] });
  parts(image, initrd(30 * MIB - 0x2000));
  assertStringIncludes(refusal(image, initrd(30 * MIB - 0x2000 + 1)), "the guest has room for");
  assertStringIncludes(refusal(image, {}, MIB), "there is no RAM there");
});
