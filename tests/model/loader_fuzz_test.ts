/**
 * Malformed images against every loader. Whatever is in a file, loading it either works or throws
 * one DenovisorError of code `image`, quickly, and never writes outside of what the memory map calls
 * RAM. DENOVISOR_SEED repeats a run.
 */

import { assertMatch, assertStrictEquals } from "@std/assert";
import { DenovisorError } from "../../src/base/errors.ts";
import { gpa } from "../../src/base/u64.ts";
import type { BootSource } from "../../src/boot/boot.ts";
import { firmwareBytes } from "../../src/boot/firmware.ts";
import { loadGuest } from "../../src/boot/load_guest.ts";
import { unpackKernel } from "../../src/boot/unpack/unpack.ts";
import { State } from "../../src/cpu/state.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import {
  bzImage,
  elf,
  multibootElf,
  multibootHeader,
  multibootImage,
  pvhElf,
} from "../support/images.ts";
import { damaged } from "../support/mutate.ts";
import { packedKernel } from "../support/packed_kernels.ts";
import { Random, seed } from "../support/random.ts";

const SEED = seed(0xb007);
/** A hang is anything above; loads take well under a millisecond. */
const HANG_MS = 1000;
const SENTINEL = 0x5a;
const MIB = 1024 * 1024;

const SMALL = {
  prefAddress: 0x10_0000,
  kernelAlignment: 0x1000,
  initSize: 0x4000,
  codeBytes: 0x400,
};
const BZIMAGES = [
  bzImage(SMALL),
  bzImage({ ...SMALL, xloadflags: 0 }),
  bzImage({ ...SMALL, relocatable: false }),
  bzImage({ ...SMALL, version: 0x203, relocatable: false }),
  bzImage({ ...SMALL, version: 0x200, relocatable: false }),
];
const SEGMENTS = [
  { paddr: 0x10_0000, bytes: new Uint8Array(64).fill(0xf4), memsz: 0x1000 },
  { paddr: 0x20_0000, vaddr: 0xc020_0000, bytes: new Uint8Array(32).fill(1) },
  { paddr: 0x2_0000, bytes: new Uint8Array(16).fill(2), memsz: 0x1_0000 },
];
const ELVES = [
  elf({ segments: SEGMENTS }),
  elf({ bits: 32, segments: SEGMENTS }),
  pvhElf(0x10_0000, { segments: SEGMENTS }),
  pvhElf(0x10_0000, { bits: 32 }),
];
const MULTIBOOTS = [
  multibootImage({ bssEnd: 0x10_2000 }),
  multibootImage({ load: 0x20_0000, loadEnd: 0x20_0080 }),
  multibootElf({ segments: SEGMENTS.slice(1) }),
  multibootElf({ bits: 64 }),
];
const FLATS = [new Uint8Array(512).fill(0x90), new Uint8Array([...multibootHeader(3), 1, 2, 3])];
const ALL = [...BZIMAGES, ...ELVES, ...MULTIBOOTS, ...FLATS];

/** A Multiboot image whose checksum holds, so that its fields are looked at. */
function oddMultiboot(random: Random): Uint8Array {
  const address = () =>
    random.pick([0, 0x7c00, 0xf_fff0, 0x10_0000, 0x10_0010, 0x10_0100, 0x3f_f000, 0xffff_ffff]) +
    random.below(17);
  return multibootImage({
    flags: random.oneIn(8) ? random.u32() : 0x1_0003,
    headerOffset: random.below(4) * 16,
    load: address() >>> 0,
    loadEnd: random.oneIn(2) ? 0 : address() >>> 0,
    bssEnd: random.oneIn(2) ? 0 : address() >>> 0,
    entry: address() >>> 0,
    fileBytes: random.below(512),
  });
}

/** Guest memories with sentinels wherever no loader may write. */
class Guarded {
  readonly memory: GuestMemory;
  readonly #bytes: Uint8Array;
  readonly #ramBytes: number;

  constructor(ramBytes: number) {
    // Not a whole WebAssembly page, so that bytes follow the guest's own.
    this.memory = GuestMemory.allocate(ramBytes, 4096);
    this.#ramBytes = ramBytes;
    this.#bytes = new Uint8Array(this.memory.wasm.buffer);
    for (const part of this.#guards()) part.fill(SENTINEL);
  }

  /** Fails when a guard has changed. */
  check(what: string): void {
    for (const part of this.#guards()) {
      assertStrictEquals(part.every((byte) => byte === SENTINEL), true, `${what} left RAM`);
    }
  }

  /** True when `address` is RAM by the memory map. */
  isRam(address: number): boolean {
    return address < Math.min(this.#ramBytes, 0x9_fc00) ||
      (address >= 0x10_0000 && address < this.#ramBytes);
  }

  /** The EBDA and BIOS area, firmware, and what follows it in the WebAssembly memory. */
  #guards(): Uint8Array[] {
    const low = this.#bytes.subarray(0x9_fc00, Math.min(0x10_0000, this.#ramBytes));
    return [low, this.#bytes.subarray(this.#ramBytes)];
  }
}

const MEMORIES = [64 * 1024 + 4096, MIB + 8192, 4 * MIB + 4096].map((size) => new Guarded(size));

/** Initrds and a command line as users give them, and as they should not. */
function source(random: Random, bytes: Uint8Array): BootSource {
  const initrds = Array.from({ length: random.oneIn(3) ? random.below(4) : 0 }, (_, i) => ({
    name: `initrd ${i}`,
    bytes: new Uint8Array(random.pick([0, 1, 4095, 4096, 65536])),
  }));
  const append = random.oneIn(3)
    ? random.pick([
      "quiet",
      "mem=1M vga=ask",
      "a\0b",
      "a".repeat(300),
      "a".repeat(random.below(5000)),
    ])
    : "";
  return { kernel: { name: "image", bytes }, initrds, append };
}

/** Loads image number `index` of a run; true when it was accepted. */
function loadOne(index: number, make: (random: Random) => Uint8Array): boolean {
  const random = new Random(SEED + index);
  const guest = random.pick(MEMORIES);
  const given = source(random, make(random));
  const what = `image ${index} of seed ${SEED}`;
  const started = performance.now();
  let accepted = true;
  try {
    const { state } = loadGuest(guest.memory, given, { rsdp: gpa(0xe_0000) });
    const rip = Number(state.get(State.RIP));
    assertStrictEquals(guest.isRam(rip), true, `${what} starts at ${rip.toString(16)}`);
  } catch (error) {
    if (!(error instanceof DenovisorError)) throw new Error(`${what} threw`, { cause: error });
    assertStrictEquals(error.code, "image", `${what}: ${error.message}`);
    assertMatch(error.message, /^Cannot load .+: .+$/, what);
    accepted = false;
  }
  assertStrictEquals(performance.now() - started < HANG_MS, true, `${what} took too long`);
  return accepted;
}

function fuzz(name: string, count: number, make: (random: Random) => Uint8Array): void {
  Deno.test(`${count} malformed ${name} each load or give one error`, () => {
    let accepted = 0;
    for (let index = 0; index < count; index++) {
      if (loadOne(index, make)) accepted++;
      if (index % 1024 === 0) {
        for (const guest of MEMORIES) guest.check(`image ${index} or before`);
      }
    }
    for (const guest of MEMORIES) guest.check(`an image of seed ${SEED}`);
    // Were all of them refused, or none, the images would test nothing.
    assertStrictEquals(accepted > count / 100, true, `only ${accepted} were accepted`);
    assertStrictEquals(accepted < count, true, "all were accepted");
  });
}

fuzz("bzImages", 70_000, (random) => damaged(random, random.pick(BZIMAGES), ALL));
fuzz("ELF images", 70_000, (random) => damaged(random, random.pick(ELVES), ALL));
fuzz("Multiboot images", 50_000, (random) => damaged(random, random.pick(MULTIBOOTS), ALL));
fuzz("Multiboot headers with right checksums", 20_000, oddMultiboot);
fuzz(
  "flat and random images",
  15_000,
  (random) =>
    random.oneIn(2) ? damaged(random, random.pick(FLATS), ALL) : random.bytes(random.below(1024)),
);

Deno.test("2000 sizes of firmware each fit or give one error", () => {
  const random = new Random(SEED);
  for (let index = 0; index < 2000; index++) {
    const sizeBytes = random.oneIn(2) ? random.below(20 * MIB) : random.below(5000) * 4096;
    const right = sizeBytes > 0 && sizeBytes % 4096 === 0 && sizeBytes <= 16 * MIB;
    // The size alone decides: the bytes are those of a buffer that all share.
    const bytes = new Uint8Array(SHARED.buffer, 0, sizeBytes);
    try {
      assertStrictEquals(firmwareBytes({ name: "bios", bytes }), sizeBytes);
      assertStrictEquals(right, true, `${sizeBytes} bytes were accepted`);
    } catch (error) {
      if (!(error instanceof DenovisorError)) throw error;
      assertStrictEquals(right, false, `${sizeBytes} bytes were refused`);
    }
  }
});

const SHARED = new Uint8Array(20 * MIB);

Deno.test("3000 damaged kernels each unpack or give one error", async () => {
  const sized = (packed: Uint8Array) => Uint8Array.from([...packed, 0, 4, 0, 0]);
  const packed = (["lz4", "zstd", "xz", "xzX86"] as const).map((format) =>
    bzImage({ payload: sized(packedKernel(format)) })
  );
  for (let index = 0; index < 3000; index++) {
    const random = new Random(SEED + index);
    const what = `kernel ${index} of seed ${SEED}`;
    const started = performance.now();
    const bytes = damaged(random, random.pick(packed), packed);
    await unpackKernel({ name: "image", bytes }).catch((error) => {
      if (!(error instanceof DenovisorError)) throw new Error(`${what} threw`, { cause: error });
      assertMatch(error.message, /^Cannot unpack image: .+$/, what);
    });
    assertStrictEquals(performance.now() - started < HANG_MS, true, `${what} took too long`);
  }
});
