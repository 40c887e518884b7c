/**
 * The cover letter's two debugging hunks on a running guest. Hunk B puts device memory at addresses
 * with the top physical bit set; hunk A cuts the address of an exit to 32 bits, of the exit only.
 * Guest mmio_top does the accesses: page A has RAM at its low alias, page B a hole.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { gpa } from "../../src/base/u64.ts";
import type { MachineOutcome } from "../../src/machine/outcome.ts";
import { TopMmio } from "../support/guest_devices.ts";
import { testOnEngines } from "../support/engines.ts";
import { type GuestRun, type MmioExit, runOn } from "../support/guest_machine.ts";
import { Rig } from "../support/mmu_rig.ts";
import { testWith, toolchain } from "../support/requirement.ts";
import { bootCode, kvmGuests } from "../support/vm_guest.ts";

const PASSED: MachineOutcome = { kind: "debug-exit", value: 0x10 };
const PASSED_WITHOUT_DEVICE: MachineOutcome = { kind: "debug-exit", value: 0x11 };
const LARGE_PAGE = 0x20_0000;
const LOW_BITS = 2 ** 32;
const RAM_ALIAS = gpa(0x40_0000);
const HOLE_ALIAS = gpa(0xd000_0000);
/** What the guest's RAM takes: `RAM_ALIAS` is in it, `HOLE_ALIAS` is not. */
const RAM_BYTES = 16 * 1024 ** 2;

/** The accesses that the guest makes to each page, one exit for each, and no other. */
function accessesTo(page: number): MmioExit[] {
  return [
    { kind: "w", gpa: page + 0x001, sizeBytes: 1 },
    { kind: "w", gpa: page + 0x012, sizeBytes: 2 },
    { kind: "w", gpa: page + 0x024, sizeBytes: 4 },
    { kind: "w", gpa: page + 0x048, sizeBytes: 8 },
    { kind: "r", gpa: page, sizeBytes: 8 },
    { kind: "r", gpa: page + 0x101, sizeBytes: 1 },
    { kind: "r", gpa: page + 0x112, sizeBytes: 2 },
    { kind: "r", gpa: page + 0x124, sizeBytes: 4 },
    { kind: "r", gpa: page + 0x148, sizeBytes: 8 },
    { kind: "r", gpa: page + LARGE_PAGE - 8, sizeBytes: 8 },
  ];
}

/** The addresses of pages A, B and C, as the guest prints them. */
function pagesOf({ output }: GuestRun): number[] {
  return [...output.matchAll(/^mmio_top: (0x[0-9a-f]{16}) \w+\r$/gm)].map((found) =>
    Number(found[1])
  );
}

/** The exits that concern page `index` of three: the guest does one page after the other. */
function exitsOf({ mmioExits }: GuestRun, index: number): readonly MmioExit[] {
  const each = mmioExits.length / 3;
  return mmioExits.slice(index * each, (index + 1) * each);
}

for (
  const { index, low, alias } of [
    { index: 0, low: "RAM", alias: RAM_ALIAS },
    { index: 1, low: "a hole", alias: HOLE_ALIAS },
  ]
) {
  testOnEngines(
    toolchain,
    `hunk B: MMIO with the top physical bit set and ${low} at its low alias is one exit with the exact address`,
    async (engine) => {
      const device = new TopMmio();
      const result = await runOn(engine, "mmio_top", (pc) => device.attach(pc));
      // The guest itself has checked that RAM at the alias has not changed.
      assertEquals(result.outcome, PASSED, result.output);
      const page = pagesOf(result)[index];
      assert(page >= 2 ** 35, `page at ${page}`);
      assertEquals(page % LOW_BITS, alias);
      assertEquals(exitsOf(result, index), accessesTo(page));
    },
  );

  testWith(
    kvmGuests,
    `hunk A: with exits cut to 32 bits and ${low} at the low alias, the entry keeps the whole frame number`,
    async () => {
      const masked = { maskMmioTo32Bits: true };
      const result = await runOn("kvm", "mmio_top", () => {}, masked);
      // The guest sees its own RAM unchanged, so the processor's mapping has kept the whole address.
      assertEquals(result.outcome, PASSED_WITHOUT_DEVICE, result.output);
      const pages = pagesOf(result);
      const page = pages[index];
      assert(page >= 2 ** 35, `page at ${page}`);
      const accesses = accessesTo(page);
      const cut = accesses.map((access) => ({ ...access, gpa: access.gpa % LOW_BITS }));
      assertEquals(cut[0].gpa, alias + 1);
      assertEquals(exitsOf(result, index), cut);

      const width = Math.log2(pages[2] + LARGE_PAGE);
      const rig = new Rig({ tables: "ept", maxPhyAddrBits: width, rootLevel: width > 48 ? 5 : 4 });
      rig.slot(0, RAM_BYTES);
      rig.maskExits = true;
      for (const { gpa: address, kind } of accesses) {
        assertEquals(rig.access(address, kind), { how: "emulated", faults: 1 });
        const entry = rig.entry(address);
        assert(entry.mmio);
        assertEquals(Number(entry.value >> 12n & (2n ** 40n - 1n)), rig.gfn(address) as number);
      }
      assertEquals(rig.exits, cut.map((exit) => ({ physAddr: exit.gpa, kind: exit.kind })));
      assert(!rig.entry(alias).present, "the alias is not mapped");
      assert(!rig.entry(alias).mmio, "the alias is not taken for MMIO");
    },
  );
}

testWith(
  kvmGuests,
  "hunk A: with exits cut to 32 bits, a device at the low alias is found",
  async () => {
    const stores: number[] = [];
    const device = {
      name: "test low alias",
      readMmio: () => 0,
      writeMmio: (offset: number) => void stores.push(offset),
    };
    const result = await runOn(
      "kvm",
      "mmio_top",
      (pc) => pc.mmio.claim(HOLE_ALIAS, LARGE_PAGE, device),
      { maskMmioTo32Bits: true },
    );
    assertEquals(result.outcome, PASSED_WITHOUT_DEVICE, result.output);
    assertStringIncludes(result.output, "nobody");
    assertEquals(stores, [0x001, 0x012, 0x024, 0x048, 0x04c]);
  },
);

/** Real-mode code that enters 32-bit protected mode and jumps to `HOLE_ALIAS`. */
const JUMP_INTO_HOLE = [
  ...[0xfa], // cli
  ...[0x0f, 0x01, 0x16, 0x16, 0x7c], // lgdt [0x7c16]
  ...[0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0], // CR0.PE = 1
  ...[0x66, 0xea, 0x00, 0x00, 0x00, 0xd0, 0x08, 0x00], // jmp 8:0xd0000000
  ...[0x0f, 0x00, 0x1c, 0x7c, 0x00, 0x00], // 0x7c16: the GDT has 16 bytes at 0x7c1c
  ...[0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
  ...[0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xcf, 0x00], // flat 32-bit code
];

testWith(
  kvmGuests,
  "a fetch from a hole, which nothing can emulate, ends in an error that names the address",
  async () => {
    await using vm = await bootCode(JUMP_INTO_HOLE, { engine: "kvm" });
    const outcome = await vm.wait();
    assert(outcome.kind === "failed", outcome.kind);
    assertStringIncludes(outcome.reason, "0xd0000000");
  },
);
