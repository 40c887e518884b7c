import { assertEquals, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { gpa } from "../../../src/base/u64.ts";
import { bzImage, type BzImageOptions } from "../../support/images.ts";
import {
  assertFlat32,
  assertGdtMatches,
  kernel,
  load,
  type Loaded,
  MIB,
  refusal,
  Reg,
  RSDP,
  Seg,
  State,
} from "../../support/boot.ts";

/** A kernel of before 2.10, which says neither where it wants to be nor how much it needs. */
const OLD: BzImageOptions = { relocatable: false, xloadflags: 0 };

function params(loaded: Loaded): number {
  return loaded.reg(Reg.RSI);
}

Deno.test("a 64-bit kernel starts at its 64-bit entry in identity-mapped long mode", () => {
  const loaded = load(bzImage());
  const { state } = loaded.entry;
  assertStrictEquals(loaded.rip, 0x100_0200);
  assertStrictEquals(Number(state.get(State.CR0)) & 0x8000_0001, 0x8000_0001 | 0);
  assertStrictEquals(Number(state.get(State.CR4)), 1 << 5, "PAE");
  assertStrictEquals(Number(state.get(State.EFER)), 0x500, "LME and LMA");
  assertStrictEquals(Number(state.get(State.RFLAGS)), 2, "interrupts off");
  assertStrictEquals(state.segment(Seg.CS).attributes, 0xa09b);
  assertGdtMatches(loaded, 0x00af_9b00);
});

Deno.test("page tables map the first 4 GiB to themselves, and nothing else", () => {
  const loaded = load(bzImage());
  const cr3 = Number(loaded.entry.state.get(State.CR3));
  const table = (at: number) => Array.from({ length: 512 }, (_, i) => loaded.u64(at + 8 * i));
  const [pml4e, ...others] = table(cr3);
  assertStrictEquals(others.every((entry) => entry === 0), true);
  assertStrictEquals(pml4e % 4096, 3);
  const directories = table(pml4e - 3);
  assertStrictEquals(directories.slice(4).every((entry) => entry === 0), true);
  for (let gib = 0; gib < 4; gib++) {
    assertStrictEquals(directories[gib] % 4096, 3);
    const pages = table(directories[gib] - 3);
    pages.forEach((entry, i) => assertStrictEquals(entry, (gib * 512 + i) * 0x20_0000 + 0x83));
  }
});

Deno.test("a kernel without the 64-bit flag starts at its 32-bit entry with ESI at boot_params", () => {
  const loaded = load(bzImage({ xloadflags: 0 }));
  assertStrictEquals(loaded.rip, 0x100_0000);
  assertFlat32(loaded);
  for (const reg of [Reg.RBX, Reg.RBP, Reg.RDI]) assertStrictEquals(loaded.reg(reg), 0);
  assertStrictEquals(loaded.u32(params(loaded) + 0x202), 0x5372_6448);
});

Deno.test("a kernel before 2.12 has no 64-bit flag, whatever stands there", () => {
  assertStrictEquals(load(bzImage({ version: 0x20b, xloadflags: 1 })).rip, 0x100_0000);
  assertStrictEquals(load(bzImage({ version: 0x20c, xloadflags: 1 })).rip, 0x100_0200);
});

Deno.test("the protected-mode code lies at the load address, without what follows syssize", () => {
  const image = bzImage({ codeBytes: 0x2000 });
  const signed = new Uint8Array([...image, ...new Uint8Array(64).fill(0xee)]);
  const loaded = load(signed);
  assertEquals([...loaded.bytes(0x100_0000, 0x2000)], new Array(0x2000).fill(0xc5));
  assertEquals([...loaded.bytes(0x100_2000, 64)], new Array(64).fill(0));
});

Deno.test("setup_sects of 0 stands for 4", () => {
  const loaded = load(bzImage({ setupSects: 0 }));
  assertStrictEquals(loaded.u8(0x100_0000), 0xc5);
  assertStrictEquals(loaded.u8(0x100_1fff), 0xc5);
  assertStrictEquals(loaded.u8(0x100_2000), 0);
});

Deno.test("boot_params have the kernel's header with all that the loader has to write", () => {
  const loaded = load(kernel(bzImage(), { append: "console=ttyS0" }));
  const at = params(loaded);
  assertStrictEquals(at % 4096, 0);
  assertStrictEquals(loaded.u8(at + 0x1ef), 0, "sentinel");
  assertStrictEquals(loaded.u8(at + 0x1f1), 4, "setup_sects");
  assertStrictEquals(loaded.u16(at + 0x1fa), 0xffff, "vid_mode");
  assertStrictEquals(loaded.u16(at + 0x206), 0x20f, "version");
  assertStrictEquals(loaded.u8(at + 0x210), 0xff, "type_of_loader");
  assertStrictEquals(loaded.u8(at + 0x211), 0x81, "loadflags: LOADED_HIGH, CAN_USE_HEAP");
  assertStrictEquals(loaded.u32(at + 0x214), 0x100_0000, "code32_start");
  assertStrictEquals(loaded.u32(at + 0x218), 0, "ramdisk_image");
  assertStrictEquals(loaded.u32(at + 0x21c), 0, "ramdisk_size");
  assertStrictEquals(loaded.u16(at + 0x224), 0xde00, "heap_end_ptr");
  assertStrictEquals(loaded.text(loaded.u32(at + 0x228)), "console=ttyS0");
  assertStrictEquals(loaded.u32(at + 0x0c8), 0, "ext_cmd_line_ptr");
  assertStrictEquals(loaded.u32(at + 0x230), 0x20_0000, "kernel_alignment");
  assertStrictEquals(loaded.u32(at + 0x238), 2047, "cmdline_size");
  assertStrictEquals(loaded.u32(at + 0x23c), 0, "hardware_subarch");
  assertStrictEquals(loaded.u64(at + 0x250), 0, "setup_data");
  assertStrictEquals(loaded.u64(at + 0x258), 0x100_0000, "pref_address");
  assertStrictEquals(loaded.u32(at + 0x260), 0x10_0000, "init_size");
  assertStrictEquals(loaded.u64(at + 0x070), RSDP, "acpi_rsdp_addr");
});

Deno.test("boot_params have the memory map and the sizes of older kernels", () => {
  const reserved = [{ start: gpa(0xfeff_c000), sizeBytes: 0x4000 }];
  const loaded = load(bzImage(), 32 * MIB, { rsdp: RSDP, reserved });
  const at = params(loaded);
  assertStrictEquals(loaded.u8(at + 0x1e8), 4, "e820_entries");
  const map = Array.from({ length: 4 }, (_, i) => [
    loaded.u64(at + 0x2d0 + 20 * i),
    loaded.u64(at + 0x2d0 + 20 * i + 8),
    loaded.u32(at + 0x2d0 + 20 * i + 16),
  ]);
  assertEquals(map, [
    [0, 0x9_fc00, 1],
    [0x9_fc00, 0x6_0400, 2],
    [0x10_0000, 31 * MIB, 1],
    [0xfeff_c000, 0x4000, 2],
  ]);
  assertStrictEquals(loaded.u32(at + 0x1e0), 31 * 1024, "alt_mem_k");
  assertStrictEquals(loaded.u16(at + 0x002), 31 * 1024, "ext_mem_k");
  const large = load(bzImage(), 128 * MIB);
  assertStrictEquals(large.u32(params(large) + 0x1e0), 127 * 1024);
  assertStrictEquals(large.u16(params(large) + 0x002), 0xffff);
});

Deno.test("only the header that the jump spans is copied, and never past its room", () => {
  const image = bzImage();
  image.fill(0x77, 0x26c, 0x300);
  assertStrictEquals(load(image).u8(0x1_0000 + 0x26c), 0);
  image[0x201] = 0xff;
  const loaded = load(image);
  assertStrictEquals(loaded.u8(params(loaded) + 0x28f), 0x77);
  assertStrictEquals(loaded.u8(params(loaded) + 0x290), 0);
});

Deno.test("vga= sets the video mode", () => {
  const loaded = load(kernel(bzImage(), { append: "vga=0x318" }));
  assertStrictEquals(loaded.u16(params(loaded) + 0x1fa), 0x318);
});

Deno.test("a relocatable kernel goes to its preferred address, aligned", () => {
  assertStrictEquals(load(bzImage({ prefAddress: 0x80_0000 })).rip, 0x80_0200);
  assertStrictEquals(load(bzImage({ prefAddress: 0x80_0001 })).rip, 0xa0_0200);
  assertStrictEquals(load(bzImage({ prefAddress: 0 })).rip, 0x20_0200);
});

Deno.test("a kernel that does not fit at its alignment takes a lesser one, and is told", () => {
  // 1.5 MiB up to the end of RAM: not at 2 MiB, but at 1.5.
  const image = bzImage({ prefAddress: 0x18_0000, initSize: 0x28_0000, minAlignment: 12 });
  const loaded = load(image, 4 * MIB);
  assertStrictEquals(loaded.rip, 0x18_0200);
  assertStrictEquals(loaded.u32(params(loaded) + 0x230), 0x8_0000);
  const strict = bzImage({ prefAddress: 0x18_0000, initSize: 0x28_0000, minAlignment: 21 });
  assertStringIncludes(refusal(strict, 4 * MIB), "it needs 2621440 bytes of RAM between 0x180000");
});

Deno.test("a relocatable kernel of 2.05 to 2.09 is aligned above 1 MiB", () => {
  const loaded = load(bzImage({ version: 0x205, kernelAlignment: 0x40_0000 }));
  assertStrictEquals(loaded.rip, 0x40_0000);
  assertStrictEquals(loaded.u32(params(loaded) + 0x214), 0x40_0000, "code32_start");
});

Deno.test("a kernel that is not relocatable goes to 1 MiB and keeps its runtime address free", () => {
  const image = bzImage({ relocatable: false, initSize: 0x100_0000 });
  assertStrictEquals(load(image, 32 * MIB).rip, 0x10_0200);
  assertEquals(
    refusal(image, 31 * MIB),
    "Cannot load kernel: the kernel needs 16777216 bytes at 0x1000000, RAM there ends at 0x1f00000",
  );
});

Deno.test("init_size is honoured to the byte", () => {
  load(bzImage({ initSize: 16 * MIB }), 32 * MIB);
  assertEquals(
    refusal(bzImage({ initSize: 16 * MIB + 1 }), 32 * MIB),
    "Cannot load kernel: it needs 16777217 bytes of RAM between 0x1000000 and 4 GiB, " +
      "the guest has 16777216 there",
  );
});

Deno.test("a command line may be as long as cmdline_size and no longer", () => {
  const text = "a".repeat(100);
  const loaded = load(kernel(bzImage({ cmdlineSize: 100 }), { append: text }));
  assertStrictEquals(loaded.text(loaded.u32(params(loaded) + 0x228)), text);
  assertEquals(
    refusal(kernel(bzImage({ cmdlineSize: 99 }), { append: text })),
    "Cannot load kernel: the command line has 100 bytes, the kernel takes at most 99",
  );
  // A letter that takes two bytes counts as two.
  assertStringIncludes(
    refusal(kernel(bzImage({ cmdlineSize: 1 }), { append: "é" })),
    "the command line has 2 bytes",
  );
});

Deno.test("a kernel before 2.06 takes 255 bytes of command line", () => {
  const image = bzImage({ ...OLD, version: 0x205, cmdlineSize: 2047 });
  load(kernel(image, { append: "a".repeat(255) }));
  assertStringIncludes(refusal(kernel(image, { append: "a".repeat(256) })), "at most 255");
});

Deno.test("a command line with a zero byte is refused", () => {
  assertStringIncludes(refusal(kernel(bzImage(), { append: "a\0b" })), "has a zero byte");
});

Deno.test("a kernel before 2.02 finds parameters and command line at 0x90000", () => {
  const image = bzImage({ ...OLD, version: 0x201 });
  const loaded = load(kernel(image, { append: "root=/dev/hda1" }));
  assertStrictEquals(params(loaded), 0x9_0000);
  assertStrictEquals(loaded.u16(0x9_0020), 0xa33f);
  assertStrictEquals(loaded.text(0x9_0000 + loaded.u16(0x9_0022)), "root=/dev/hda1");
  assertStrictEquals(loaded.u16(0x9_0212), loaded.u16(0x9_0022) + 15, "setup_move_size");
  assertStrictEquals(loaded.u16(0x9_0224), 0x9600, "heap_end_ptr");
  assertFlat32(loaded);
});

Deno.test("fields that a kernel's version does not have are left alone", () => {
  const image = bzImage({ ...OLD, version: 0x200 });
  image[0x201] = 0x22; // 2.00 ends at 0x224
  const loaded = load(image);
  assertStrictEquals(loaded.u16(0x9_0224), 0, "no heap_end_ptr");
  assertStrictEquals(loaded.u8(0x9_0211), 1, "no CAN_USE_HEAP");
  assertStrictEquals(loaded.u8(0x9_0210), 0xff, "type_of_loader");
});

Deno.test("a kernel before 2.04 is as long as its file, whatever syssize says", () => {
  const loaded = load(bzImage({ ...OLD, version: 0x203, syssize: 1, codeBytes: 0x3000 }));
  assertStrictEquals(loaded.u8(0x10_2fff), 0xc5);
  const newer = load(bzImage({ ...OLD, version: 0x204, syssize: 1, codeBytes: 0x3000 }));
  assertStrictEquals(newer.u8(0x10_000f), 0xc5);
  assertStrictEquals(newer.u8(0x10_0010), 0);
});

Deno.test("the description has the first word of the kernel's version string", () => {
  const version = "6.1.0-18-amd64 (debian-kernel@lists.debian.org) #1 SMP";
  assertStrictEquals(
    load(bzImage({ kernelVersion: version })).entry.description,
    "bzImage 6.1.0-18-amd64, Linux 64-bit entry",
  );
  assertStrictEquals(
    load(bzImage({ xloadflags: 0 })).entry.description,
    "bzImage, Linux 32-bit entry",
  );
  // A string with a terminal's control characters ends before them.
  for (const control of ["\x1b[2J", "\x7f", "\n"]) {
    assertStrictEquals(
      load(bzImage({ kernelVersion: `6.1${control}` })).entry.description,
      "bzImage 6.1, Linux 64-bit entry",
    );
  }
});

Deno.test("a zImage is refused", () => {
  assertEquals(
    refusal(bzImage({ loadflags: 0 })),
    "Cannot load kernel: it is a zImage (loadflags has LOADED_HIGH clear), expected a bzImage",
  );
});

Deno.test("a truncated bzImage is refused wherever it ends", () => {
  const image = bzImage({ codeBytes: 0x400 });
  for (const end of [0x206, 0x210, 0x25f, 0x263, 0x9ff, 0xa00, image.length - 16]) {
    assertStringIncludes(refusal(image.subarray(0, end)), "truncated", `cut at ${end}`);
  }
  // Images that do not fill their last paragraph are not truncated.
  load(image.subarray(0, image.length - 15));
});

Deno.test("a setup header reaches as far as the fields of its version, and may end there", () => {
  const ends = [
    [0x200, 0x224],
    [0x201, 0x226],
    [0x202, 0x22c],
    [0x203, 0x230],
    [0x204, 0x230],
    [0x205, 0x235],
    [0x206, 0x23c],
    [0x207, 0x248],
    [0x208, 0x250],
    [0x209, 0x258],
    [0x20a, 0x264],
    [0x20f, 0x264],
  ];
  for (const [version, end] of ends) {
    const image = bzImage({ version, relocatable: false });
    image[0x201] = end - 0x202;
    load(image);
    image[0x201]--;
    const message = refusal(image);
    assertStringIncludes(message, `its setup header ends at 0x${(end - 1).toString(16)}`);
    assertStringIncludes(message, `an end at 0x${end.toString(16)} or later`);
  }
});

Deno.test("contradicting setup headers are refused", () => {
  const short = bzImage();
  short[0x201] = 0x61;
  assertStringIncludes(refusal(short), "its setup header ends at 0x263 by the jump");
  const noJump = bzImage();
  noJump[0x200] = 0x90;
  assertStringIncludes(refusal(noJump), "opcode 0x90");
  assertStringIncludes(refusal(bzImage({ version: 0x1ff })), "version is 0x1ff");
  assertStringIncludes(refusal(bzImage({ syssize: 0 })), "its syssize is 0");
  assertStringIncludes(refusal(bzImage({ kernelAlignment: 0x30_0000 })), "kernel_alignment is 0x3");
  assertStringIncludes(refusal(bzImage({ prefAddress: 2 ** 62 })), "it needs 1048576 bytes");
});

Deno.test("a memory map of 128 entries fits boot_params, one more does not", () => {
  // Three entries without them, and each splits one.
  const reserved = (count: number) =>
    Array.from({ length: count }, (_, i) => ({
      start: gpa(0x180_0000 + 0x2000 * i),
      sizeBytes: 0x1000,
    }));
  const last = { start: gpa(0xfeff_c000), sizeBytes: 0x1000 };
  const platform = { rsdp: RSDP, reserved: [...reserved(62), last] };
  const loaded = load(bzImage(), 32 * MIB, platform);
  assertStrictEquals(loaded.u8(params(loaded) + 0x1e8), 128);
  assertThrows(
    () => load(bzImage(), 32 * MIB, { rsdp: RSDP, reserved: reserved(63) }),
    DenovisorError,
    "the memory map has 129 entries, boot_params takes at most 128",
  );
});

Deno.test("an image that has no protected-mode entry is refused, and told to take firmware", () => {
  const ipxe = { version: 0x207, relocatable: false, kernelAlignment: 0 };
  assertEquals(
    refusal(bzImage(ipxe)),
    "Cannot load kernel: it starts in real mode only (its kernel_alignment is 0), " +
      "which takes firmware (--bios)",
  );
  load(bzImage({ ...ipxe, version: 0x204 }));
});

Deno.test("each field is written from the version on that brought it, and not before", () => {
  const fields = [
    { since: 0x201, offset: 0x224, bytes: 2, written: 0x9600 },
    { since: 0x202, offset: 0x228, bytes: 4, written: 0x1_1000 },
    { since: 0x207, offset: 0x23c, bytes: 4, written: 0 },
    { since: 0x209, offset: 0x250, bytes: 4, written: 0 },
    { since: 0x20a, offset: 0x230, bytes: 4, written: 0x8_0000 },
  ];
  for (const { since, offset, bytes, written } of fields) {
    for (const version of [since - 1, since]) {
      // At 2.10 and later the kernel fits only with an alignment less than the preferred one.
      const relocatable = offset === 0x230;
      const image = bzImage({
        version,
        relocatable,
        xloadflags: 0,
        prefAddress: relocatable ? 0x18_0000 : 0,
        initSize: 0x28_0000,
        minAlignment: 12,
      });
      if (!relocatable) image.fill(0x77, offset, offset + bytes);
      const left = relocatable ? 0x20_0000 : 0x7777_7777 % 2 ** (8 * bytes);
      const loaded = load(image, 4 * MIB);
      const at = params(loaded) + offset;
      const found = bytes === 2 ? loaded.u16(at) : loaded.u32(at);
      const what = `field ${offset.toString(16)} of version ${version.toString(16)}`;
      assertStrictEquals(found, version === since ? written : left, what);
    }
  }
});

Deno.test("the heap's end is that of a whole segment from 2.02 on", () => {
  const at = (version: number) => {
    const loaded = load(bzImage({ ...OLD, version }));
    return loaded.u16(params(loaded) + 0x224);
  };
  assertStrictEquals(at(0x201), 0x9600);
  assertStrictEquals(at(0x202), 0xde00);
});

Deno.test("a kernel that is not relocatable may run from inside of its code, or behind it", () => {
  const initrds = [{ name: "initrd", bytes: new Uint8Array(4096) }];
  // 8 KiB of code at 1 MiB, which runs from `prefAddress` on.
  const at = (prefAddress: number) =>
    kernel(bzImage({ relocatable: false, prefAddress, initSize: 0x1000 }), { initrds });
  const initrd = (loaded: Loaded) => loaded.u32(params(loaded) + 0x218);
  for (const prefAddress of [0x10_0000, 0x10_1000, 0x10_2000]) {
    const end = prefAddress + 0x2000;
    assertStrictEquals(initrd(load(at(prefAddress), end + 0x1000)), end);
    assertStringIncludes(refusal(at(prefAddress), end), "room for 0");
  }
  // One page further, the page between the two is left.
  assertStrictEquals(initrd(load(at(0x10_3000), 0x10_5000)), 0x10_2000);
});
