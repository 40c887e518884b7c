import { assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { bzImage, type BzImageOptions, pvhElf } from "../../support/images.ts";
import { kernel, load, type Loaded, MIB, refusal, Reg } from "../../support/boot.ts";

/** A file of `length` bytes `value`. */
function file(name: string, length: number, value = 0xaa) {
  return { name, bytes: new Uint8Array(length).fill(value) };
}

/** Where boot_params say that the initrd is. */
function initrd(loaded: Loaded): { start: number; sizeBytes: number } {
  const at = loaded.reg(Reg.RSI);
  return {
    start: loaded.u32(at + 0x218) + loaded.u32(at + 0x0c0) * 2 ** 32,
    sizeBytes: loaded.u32(at + 0x21c) + loaded.u32(at + 0x0c4) * 2 ** 32,
  };
}

function loadWith(options: BzImageOptions, initrds: { name: string; bytes: Uint8Array }[]) {
  return load(kernel(bzImage(options), { initrds }));
}

Deno.test("an initrd lies at the top of RAM, on a page boundary", () => {
  const loaded = loadWith({}, [file("a", 5000)]);
  assertEquals(initrd(loaded), { start: 32 * MIB - 8192, sizeBytes: 5000 });
  assertEquals([...loaded.bytes(32 * MIB - 8192, 5000)], new Array(5000).fill(0xaa));
});

Deno.test("several initrds are one after the other, each from a multiple of 4 bytes on", () => {
  const loaded = loadWith({}, [file("a", 5, 1), file("b", 3, 2), file("c", 4, 3)]);
  const { start, sizeBytes } = initrd(loaded);
  assertStrictEquals(sizeBytes, 16);
  assertEquals([...loaded.bytes(start, 17)], [1, 1, 1, 1, 1, 0, 0, 0, 2, 2, 2, 0, 3, 3, 3, 3, 0]);
});

Deno.test("an initrd ends at initrd_addr_max, which it may occupy", () => {
  const at = (initrdAddrMax: number) =>
    initrd(loadWith({ initrdAddrMax, xloadflags: 1 }, [file("a", 4096)])).start;
  assertStrictEquals(at(0x1bf_ffff), 0x1bf_f000);
  assertStrictEquals(at(0x1bf_fffe), 0x1bf_e000);
});

Deno.test("a kernel before 2.03 takes an initrd below 0x38000000", () => {
  const image = bzImage({ version: 0x202, relocatable: false, initrdAddrMax: 0x20_0000 });
  const loaded = load(kernel(image, { initrds: [file("a", 4096)] }), 1024 * MIB);
  assertStrictEquals(initrd(loaded).start, 0x37ff_f000);
});

Deno.test("an initrd that does not fit below initrd_addr_max goes above where the kernel allows", () => {
  const files = [file("a", 1 * MIB)];
  const low = { prefAddress: 0x40_0000, initrdAddrMax: 0x17_ffff };
  const above = loadWith({ ...low, xloadflags: 3 }, files);
  assertStrictEquals(initrd(above).start, 31 * MIB);
  assertEquals(
    refusal(kernel(bzImage({ ...low, xloadflags: 1 }), { initrds: files })),
    "Cannot load a: the initrd has 1048576 bytes, the guest has room for 524288 below 0x180000",
  );
});

Deno.test("an initrd beyond 4 GiB is named by both halves of its address", () => {
  const image = bzImage({ initrdAddrMax: 0x10_0fff });
  const memory = 3 * 1024 * MIB + 64 * MIB;
  const loaded = load(kernel(image, { initrds: [file("a", 8192)] }), memory);
  assertStrictEquals(initrd(loaded).start, 2 ** 32 + 64 * MIB - 8192);
});

Deno.test("an initrd fits to the byte between the kernel and the end of RAM", () => {
  // The kernel has 16 to 17 MiB, and 15 MiB follow, more than between 1 and 16 MiB less a byte.
  const initrds = (length: number) => ({ initrds: [file("a", length)] });
  const loaded = load(kernel(bzImage(), initrds(15 * MIB)));
  assertStrictEquals(initrd(loaded).start, 17 * MIB);
  assertEquals(
    refusal(kernel(bzImage(), initrds(15 * MIB + 1))),
    "Cannot load a: the initrd has 15728641 bytes, the guest has room for 15728640",
  );
});

Deno.test("mem= moves the initrd below the end of RAM that it names", () => {
  const source = { initrds: [file("a", 4096)], append: "mem=20M" };
  assertStrictEquals(initrd(load(kernel(bzImage(), source))).start, 20 * MIB - 4096);
});

Deno.test("an empty initrd is refused by its name", () => {
  assertEquals(
    refusal(kernel(bzImage(), { initrds: [file("a", 1), file("empty.img", 0)] })),
    "Cannot load empty.img: the file is empty, expected an initrd",
  );
});

Deno.test("for Linux by PVH several initrds are one module, for others each is its own", () => {
  const initrds = [file("a", 6), file("b", 4)];
  const banner = new TextEncoder().encode("Linux version 6.1.0");
  const linux = load(kernel(
    pvhElf(0x10_0000, {
      segments: [{ paddr: 0x10_0000, bytes: banner }],
    }),
    { initrds },
  ));
  assertStrictEquals(linux.u32(linux.reg(Reg.RBX) + 12), 1);
  const list = linux.u64(linux.reg(Reg.RBX) + 16);
  assertStrictEquals(linux.u64(list + 8), 12, "6 bytes, 2 of padding, 4 bytes");
  const other = load(kernel(pvhElf(), { initrds }));
  assertStrictEquals(other.u32(other.reg(Reg.RBX) + 12), 2);
});

Deno.test("an initrd is refused when nothing is left for it", () => {
  assertStringIncludes(
    refusal(kernel(bzImage({ prefAddress: 0x10_0000, kernelAlignment: 0x10_0000 }), {
      initrds: [file("big", 31 * MIB)],
    })),
    "Cannot load big: the initrd has 32505856 bytes, the guest has room for",
  );
});
