import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { Cr0, Cr4, Efer } from "../../../src/cpu/modes.ts";
import { CpuRole, type CpuRoleFields, PagingMode } from "../../../src/mmu/role.ts";
import { directRootRole } from "../../../src/mmu/root_role.ts";
import { roleOf } from "../../support/guest_tables.ts";
import { Random, seed } from "../../support/random.ts";

const FEATURES = { maxPhyAddrBits: 46, gbPages: true, amd: false };
const PAGED = Cr0.PE | Cr0.PG;

function role(cr0: number, cr4: number, efer: number): CpuRole {
  return CpuRole.fromRegisters(cr0, cr4, efer, FEATURES, false, false);
}

Deno.test("the control registers give the paging mode", () => {
  const lma = Efer.LME | Efer.LMA;
  assertEquals(role(Cr0.PE, Cr4.PAE, 0).mode, PagingMode.NONE);
  assertEquals(role(Cr0.PE, Cr4.PAE, Efer.LME).mode, PagingMode.NONE);
  assertEquals(role(PAGED, 0, 0).mode, PagingMode.BITS32);
  assertEquals(role(PAGED, Cr4.PAE, 0).mode, PagingMode.PAE);
  assertEquals(role(PAGED, Cr4.PAE | Cr4.LA57, 0).mode, PagingMode.PAE);
  assertEquals(role(PAGED, Cr4.PAE, lma).mode, PagingMode.LEVEL4);
  assertEquals(role(PAGED, Cr4.PAE | Cr4.LA57, lma).mode, PagingMode.LEVEL5);
});

Deno.test("the word of a role is the golden one", () => {
  // MAXPHYADDR 23:18, 1 GiB 12, LMA 10, NXE 9, PGE 8, PKE 6, SMAP 5, SMEP 4, WP 3, mode 2:0.
  const linux = role(
    PAGED | Cr0.WP,
    Cr4.PAE | Cr4.PGE | Cr4.SMEP | Cr4.SMAP | Cr4.PKE,
    Efer.LME | Efer.LMA | Efer.NXE,
  );
  assertEquals(linux.word, 46 << 18 | 0x1000 | 0x400 | 0x200 | 0x100 | 0x40 | 0x20 | 0x10 | 8 | 3);
  assertEquals(role(0, 0, 0).word, 46 << 18);
  assertEquals(role(PAGED, Cr4.PSE, 0).word, 46 << 18 | 0x80 | 1);
});

Deno.test("what the mode makes void does not tell roles apart", () => {
  const off = role(Cr0.PE, 0, 0);
  assertStrictEquals(role(Cr0.PE | Cr0.WP, Cr4.PSE | Cr4.SMEP | Cr4.SMAP, Efer.NXE), off);
  assertStrictEquals(role(PAGED, Cr4.PKE, Efer.NXE), role(PAGED, 0, 0));
  const pae = role(PAGED, Cr4.PAE, 0);
  assertStrictEquals(role(PAGED, Cr4.PAE | Cr4.PSE | Cr4.LA57, 0), pae);
});

/**
 * KVM's words of 2019 as far as they could differ under TDP: the root's level is the host's, LA57
 * had a bit that was never filled and LMA had none.
 */
function wordsOf2019(cr0: number, cr4: number, efer: number): string {
  const pg = (cr0 & Cr0.PG) !== 0;
  const base = { level: 4, direct: true, nxe: (efer & Efer.NXE) !== 0, wp: (cr0 & Cr0.WP) !== 0 };
  const ext = {
    pg,
    pae: (cr4 & Cr4.PAE) !== 0,
    pse: (cr4 & Cr4.PSE) !== 0,
    pke: (cr4 & Cr4.PKE) !== 0,
    smap: (cr4 & Cr4.SMAP) !== 0,
    smep: (cr4 & Cr4.SMEP) !== 0,
    la57: false,
  };
  return JSON.stringify({ base, ext });
}

Deno.test("PAE, 4-level and 5-level paging have different roles, which 2019's words could not tell apart", () => {
  const registers = [
    [PAGED, Cr4.PAE, Efer.NXE | Efer.LME],
    [PAGED, Cr4.PAE, Efer.NXE | Efer.LME | Efer.LMA],
    [PAGED, Cr4.PAE | Cr4.LA57, Efer.NXE | Efer.LME | Efer.LMA],
  ] as const;
  const old = registers.map(([cr0, cr4, efer]) => wordsOf2019(cr0, cr4, efer));
  assertEquals(new Set(old).size, 1, "the defect is not what this test thinks it is");
  const roles = registers.map(([cr0, cr4, efer]) => role(cr0, cr4, efer));
  assertEquals(new Set(roles.map(({ word }) => word)).size, 3);
  assertEquals(roles.map(({ lma, la57 }) => [lma, la57]), [[false, false], [true, false], [
    true,
    true,
  ]]);
  const roots = roles.map((each) => directRootRole(each, 4, false));
  assertEquals(new Set(roots).size, 1, "the stage-2 root does not depend on it, rightly");
});

function randomFields(random: Random): CpuRoleFields {
  const bit = () => random.oneIn(2);
  return {
    mode: random.pick(Object.values(PagingMode)),
    wp: bit(),
    smep: bit(),
    smap: bit(),
    pke: bit(),
    pse: bit(),
    pge: bit(),
    nxe: bit(),
    eptAccessedDirty: bit(),
    eptExecuteOnly: bit(),
    smm: bit(),
    guestMode: bit(),
    maxPhyAddrBits: 32 + random.below(21),
    gbPages: bit(),
    amd: bit(),
  };
}

Deno.test("a role made again from its own fields is the same object", () => {
  const random = new Random(seed(1));
  for (let i = 0; i < 5000; i++) {
    const made = CpuRole.of(randomFields(random));
    assertStrictEquals(CpuRole.of(made), made, `seed ${random.seed}`);
  }
});

Deno.test("two roles have the same word only if all their fields are the same", () => {
  const random = new Random(seed(2));
  const seen = new Map<number, string>();
  for (let i = 0; i < 5000; i++) {
    const made = CpuRole.of(randomFields(random));
    const { word, ...fields } = made;
    const text = JSON.stringify(fields);
    assertEquals(seen.get(word) ?? text, text, `seed ${random.seed}`);
    seen.set(word, text);
  }
});

Deno.test("the registers give the same role as its fields", () => {
  const random = new Random(seed(3));
  const cr0Bits = [Cr0.PE, Cr0.PG, Cr0.WP];
  const cr4Bits = Object.values(Cr4);
  const eferBits = Object.values(Efer);
  const some = (bits: number[]) => bits.reduce((all, bit) => random.oneIn(2) ? all | bit : all, 0);
  for (let i = 0; i < 5000; i++) {
    const cr0 = some(cr0Bits);
    const cr4 = some(cr4Bits);
    const efer = some(eferBits);
    const features = { maxPhyAddrBits: 32 + random.below(21), gbPages: random.oneIn(2), amd: true };
    const [smm, guestMode] = [random.oneIn(2), random.oneIn(2)];
    const made = CpuRole.fromRegisters(cr0, cr4, efer, features, smm, guestMode);
    const again = CpuRole.of({
      ...features,
      mode: made.mode,
      wp: (cr0 & Cr0.WP) !== 0,
      smep: (cr4 & Cr4.SMEP) !== 0,
      smap: (cr4 & Cr4.SMAP) !== 0,
      pke: (cr4 & Cr4.PKE) !== 0,
      pse: (cr4 & Cr4.PSE) !== 0,
      pge: (cr4 & Cr4.PGE) !== 0,
      nxe: (efer & Efer.NXE) !== 0,
      eptAccessedDirty: true,
      eptExecuteOnly: true,
      smm,
      guestMode,
    });
    assertStrictEquals(made, again, `seed ${random.seed}`);
  }
});

Deno.test("a role differs in SMM and in guest mode", () => {
  const plain = roleOf();
  assertNotEquals(roleOf({ smm: true }).word, plain.word);
  assertNotEquals(roleOf({ guestMode: true }).word, plain.word);
});

Deno.test("a MAXPHYADDR that CPUID cannot report is refused", () => {
  for (const maxPhyAddrBits of [31, 53, 40.5, NaN]) {
    const error = assertThrows(() => roleOf({ maxPhyAddrBits }), RangeError);
    assert((error as Error).message.includes(String(maxPhyAddrBits)));
  }
});
