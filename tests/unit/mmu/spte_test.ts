import { assertEquals, assertNotEquals } from "@std/assert";
import { bigFrom32, type Gfn, type Pfn } from "../../../src/base/u64.ts";
import { blockStart, offsetInBlock } from "../../../src/mmu/level.ts";
import {
  EPT_MMIO,
  longMmioFormat,
  mmioAccess,
  mmioGeneration,
  mmioGfn,
  mmioHi,
  mmioLo,
} from "../../../src/mmu/mmio_spte.ts";
import {
  isMmio,
  isPresent,
  pfnOf,
  restoredHi,
  restoredLo,
  saveRights,
  withoutRights,
} from "../../../src/mmu/spte.ts";
import { LeafHow, SpteMaker } from "../../../src/mmu/make_spte.ts";
import { Acc } from "../../../src/mmu/pferr.ts";
import { Memslot } from "../../../src/mmu/memslot.ts";
import { MmuCore } from "../../../src/mmu/core.ts";
import { HostModel } from "../../support/host_model.ts";
import { Random, seed } from "../../support/random.ts";

const random = new Random(seed(0x5e7e));
const UW = 6;

Deno.test("an SPTE for frame 0x12345 with all rights, accessed, dirty, writable is 0x12345c67", () => {
  const core = new MmuCore({ host: new HostModel(), tables: "shadow" });
  const maker = new SpteMaker(core);
  const slot = new Memslot({ id: 0, baseGfn: 0 as Gfn, frames: 64, hostPage: 0 }, 0);
  maker.leaf(
    slot,
    1 as Gfn,
    0x12345 as Pfn,
    1,
    Acc.ALL,
    LeafHow.HOST_WRITABLE | LeafHow.WRITTEN,
  );
  assertEquals(bigFrom32(maker.lo, maker.hi), 0x1234_5c67n);
});

Deno.test("an MMIO SPTE for frame 0x80fee01 has KVM's bits at generations 0 and 600", () => {
  const format = longMmioFormat(46, false);
  const at = (generation: number) =>
    bigFrom32(
      mmioLo(format, 0x80f_ee01 as Gfn, UW, generation),
      mmioHi(format, 0x80f_ee01 as Gfn, generation),
    );
  assertEquals(at(0), 0x0038_0080_fee0_1007n);
  assertEquals(at(600), 0x0078_0080_fee0_12c7n);
});

Deno.test("MMIO SPTEs of every format keep frame, rights and generation", () => {
  const formats = [EPT_MMIO, longMmioFormat(46, false), longMmioFormat(46, true)]
    .concat(longMmioFormat(52, false), longMmioFormat(39, true));
  for (let round = 0; round < 2000; round++) {
    for (const format of formats) {
      const gfn = random.below(
        format.l1tfHi === 0 || format.l1tfHi > 2 ** 8 ? 2 ** 34 : 2 ** 27,
      ) as Gfn;
      const generation = random.below(2 ** 18);
      const access = random.below(8);
      const lo = mmioLo(format, gfn, access, generation);
      const hi = mmioHi(format, gfn, generation);
      const seen = `seed ${random.seed}: gfn ${gfn} generation ${generation}`;
      assertEquals(mmioGfn(format, lo, hi) as number, gfn as number, seen);
      assertEquals(mmioGeneration(lo, hi), generation, seen);
      assertEquals(mmioAccess(format, lo), access & format.accessMask, seen);
      assertEquals(isMmio(hi), true, seen);
      assertEquals(isPresent(lo, hi), false, seen);
    }
  }
});

Deno.test("check 11: an MMIO frame survives the L1TF bits, which are set in every entry", () => {
  const format = longMmioFormat(46, true);
  for (const gfn of [0, 1, 0x1f * 2 ** 29, 0x15 * 2 ** 29 + 0x1234_5678, 2 ** 34 - 1]) {
    const lo = mmioLo(format, gfn as Gfn, UW, 0);
    const hi = mmioHi(format, gfn as Gfn, 0);
    assertEquals(mmioGfn(format, lo, hi) as number, gfn);
    assertEquals(bigFrom32(lo, hi) >> 41n & 0x1fn, 0x1fn, "bits 45:41 are set");
  }
});

Deno.test("a host of 52 address bits has no reserved bit: its MMIO SPTEs are not present", () => {
  const lo = mmioLo(longMmioFormat(52, false), 5 as Gfn, UW, 0);
  assertEquals(lo & 1, 0);
  assertEquals(mmioLo(longMmioFormat(51, false), 5 as Gfn, UW, 0) & 1, 1);
});

Deno.test("an EPT MMIO SPTE is a misconfiguration: write and execute without read", () => {
  assertEquals(mmioLo(EPT_MMIO, 5 as Gfn, UW, 0) & 7, 6);
});

Deno.test("check 10: an SPTE with NX and P keeps both halves", () => {
  const core = new MmuCore({ host: new HostModel(), tables: "shadow" });
  core.pool.store(2048, 1, 1 << 31);
  assertEquals(bigFrom32(core.pool.words[2048], core.pool.words[2049]), 2n ** 63n + 1n);
  // The same as a double loses P: this is why entries travel as halves.
  assertNotEquals(BigInt(Number(2n ** 63n + 1n)), 2n ** 63n + 1n);
});

Deno.test("check 09: a frame of 2^39 + 0x123 aligned to 2 MiB keeps bit 39", () => {
  const gfn = 2 ** 39 + 0x123 as Gfn;
  assertEquals(blockStart(gfn, 2) as number, 2 ** 39);
  assertEquals(offsetInBlock(gfn, 2), 0x123);
  assertEquals(blockStart(2 ** 39 + 0x3_ffff as Gfn, 3) as number, 2 ** 39);
});

Deno.test("access tracking saves R and X at bits 54 and 56 and gives them back, never W", () => {
  const lo = 0x1234_5000 | 0xc07;
  const hi = 1 << 20 | 3;
  const trackedLo = withoutRights(lo);
  const trackedHi = saveRights(lo, hi);
  assertEquals(trackedLo & 7, 0);
  assertEquals(bigFrom32(trackedLo, trackedHi) >> 54n & 7n, 5n);
  assertEquals(restoredLo(trackedLo, trackedHi) & 7, 5);
  assertEquals(restoredHi(trackedHi), hi);
  assertEquals(pfnOf(trackedLo, trackedHi), pfnOf(lo, hi));
});
