import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../src/base/u64.ts";
import { Access, Pferr } from "../../../../src/mmu/pferr.ts";
import { type CpuRole, type CpuRoleFields, PagingMode } from "../../../../src/mmu/role.ts";
import { WalkFault } from "../../../../src/mmu/walk/mod.ts";
import {
  A,
  D,
  EPT_R,
  EPT_X,
  isEpt,
  NX,
  P,
  PS,
  roleOf,
  U,
  W,
  WalkWorld,
} from "../../../support/guest_tables.ts";

/** An address whose index is not 0 at any level. */
const GVA = 0x40_6020_1000n + (1n << 48n);
const GVA32 = 0x4060_1000n;
const PRESENT_RSVD = Pferr.PRESENT | Pferr.RSVD;

function addressFor(mode: PagingMode): bigint {
  if (mode === PagingMode.BITS32 || mode === PagingMode.PAE) return GVA32;
  return mode === PagingMode.LEVEL5 || mode === PagingMode.EPT5 ? GVA : GVA & 0x7fff_ffff_ffffn;
}

/** A world with one page of `leaf` level mapped at the mode's address. */
function mapped(fields: Partial<CpuRoleFields>, leaf = 1): { world: WalkWorld; gva: bigint } {
  const role = roleOf(fields);
  const world = new WalkWorld(role);
  const gva = addressFor(role.mode);
  world.map(gva, 0n, leaf);
  return { world, gva };
}

const MODES = Object.entries(PagingMode).filter(([, mode]) => mode !== PagingMode.NONE);

Deno.test("check 57: a page or table that is not present faults with P clear, at every level of every mode", () => {
  for (const [name, mode] of MODES) {
    const top = mapped({ mode }).world.walker.topLevel;
    for (let level = 1; level <= top; level++) {
      const { world, gva } = mapped({ mode });
      world.builder.write(gva, level, world.builder.read(gva, level) & ~7n);
      const result = world.walk(gva, Access.WRITE);
      assertEquals(result.fault, WalkFault.NOT_PRESENT, `${name} level ${level}`);
      assertEquals(result.errorCode, Pferr.WRITE, `${name} level ${level}`);
      assertEquals(result.level, level, name);
    }
  }
});

Deno.test("a PDPTE that is not present faults at level 3 with P clear", () => {
  const { world } = mapped({ mode: PagingMode.PAE });
  const result = world.walk(0xc000_0000n, Access.USER);
  assertEquals(result.fault, WalkFault.NOT_PRESENT);
  assertEquals(result.errorCode, Pferr.USER);
  assertEquals(result.level, 3);
});

/** Reserved bits of one kind of entry: pairs of last and first bit, for MAXPHYADDR = `m`. */
interface Kind {
  readonly name: string;
  readonly fields: Partial<CpuRoleFields>;
  /** Level of the entry, and whether it maps a large page. */
  readonly level: number;
  readonly large: boolean;
  readonly reserved: (m: number) => [number, number][];
}

function kind(
  name: string,
  fields: Partial<CpuRoleFields>,
  level: number,
  large: boolean,
  reserved: (m: number) => [number, number][],
): Kind {
  return { name, fields, level, large, reserved };
}

/** The manual's tables, written down once more (SDM 3A tables 4-4 to 4-20, SDM 3C §28.3.2). */
function kinds(): Kind[] {
  const all: Kind[] = [
    kind("32-bit PTE", { mode: PagingMode.BITS32 }, 1, false, () => []),
    kind("32-bit PDE", { mode: PagingMode.BITS32 }, 2, false, () => []),
    kind("32-bit 4 MiB", { mode: PagingMode.BITS32 }, 2, true, (m) => [[21, Math.min(m, 40) - 19]]),
    kind("32-bit PDE, PS ignored", { mode: PagingMode.BITS32, pse: false }, 2, true, () => []),
    kind("PAE PTE", { mode: PagingMode.PAE }, 1, false, (m) => [[62, m]]),
    kind("PAE PDE", { mode: PagingMode.PAE }, 2, false, (m) => [[62, m]]),
    kind("PAE 2 MiB", { mode: PagingMode.PAE }, 2, true, (m) => [[62, m], [20, 13]]),
    kind("PAE PTE, no NX", { mode: PagingMode.PAE, nxe: false }, 1, false, (m) => [[63, m]]),
    kind("PAE PDE, no NX", { mode: PagingMode.PAE, nxe: false }, 2, false, (m) => [[63, m]]),
    kind("PAE 2 MiB, no NX", { mode: PagingMode.PAE, nxe: false }, 2, true, (m) => [
      [63, m],
      [20, 13],
    ]),
  ];
  for (const mode of [PagingMode.LEVEL4, PagingMode.LEVEL5]) {
    const top = mode === PagingMode.LEVEL4 ? 4 : 5;
    for (const nxe of [true, false]) {
      const fields = { mode, nxe };
      const name = `${top}-level${nxe ? "" : ", no NX"}`;
      const nx: [number, number][] = nxe ? [] : [[63, 63]];
      for (let level = 1; level <= top; level++) {
        const bit7: [number, number][] = level >= 4 ? [[7, 7]] : [];
        all.push(kind(`${name} entry`, fields, level, false, (m) => [[51, m], ...nx, ...bit7]));
      }
      all.push(kind(`${name} 2 MiB`, fields, 2, true, (m) => [[51, m], [20, 13], ...nx]));
      all.push(kind(`${name} 1 GiB`, fields, 3, true, (m) => [[51, m], [29, 13], ...nx]));
    }
    const amd = { mode, amd: true };
    for (let level = 1; level <= top; level++) {
      const bits: [number, number][] = level >= 4 ? [[8, 7]] : [];
      all.push(kind(`${top}-level, AMD entry`, amd, level, false, (m) => [[51, m], ...bits]));
    }
  }
  for (const mode of [PagingMode.EPT4, PagingMode.EPT5]) {
    const top = mode === PagingMode.EPT4 ? 4 : 5;
    all.push(kind(`${top}-level EPT entry`, { mode }, 1, false, (m) => [[51, m]]));
    for (let level = 2; level <= top; level++) {
      const low: [number, number] = level >= 4 ? [7, 3] : [6, 3];
      all.push(kind(`${top}-level EPT entry`, { mode }, level, false, (m) => [[51, m], low]));
    }
    all.push(kind(`${top}-level EPT 2 MiB`, { mode }, 2, true, (m) => [[51, m], [20, 12]]));
    all.push(kind(`${top}-level EPT 1 GiB`, { mode }, 3, true, (m) => [[51, m], [29, 12]]));
  }
  return all;
}

/** Bits whose meaning is tested elsewhere: P, PS, and of EPT entries the rights and memory type. */
function isOtherwiseTested(mode: PagingMode, level: number, large: boolean, bit: number): boolean {
  if (isEpt(mode)) {
    return bit < 3 || (bit < 6 && (large || level === 1)) || (bit === 7 && level < 4);
  }
  return bit === 0 || (bit === 7 && level < 4);
}

Deno.test("check 58: each reserved bit of each entry of each mode faults with P and RSVD, and no other does", () => {
  let cases = 0;
  for (const { name, fields, level, large, reserved } of kinds()) {
    for (const maxPhyAddrBits of [32, 36, 39, 40, 46, 51, 52]) {
      const { world, gva } = mapped({ ...fields, maxPhyAddrBits }, large ? level : 1);
      const valid = world.builder.read(gva, level);
      const width = world.role.mode === PagingMode.BITS32 ? 32 : 64;
      for (let bit = 0; bit < width; bit++) {
        if (isOtherwiseTested(world.role.mode, level, large, bit)) continue;
        const expected = reserved(maxPhyAddrBits).some(([last, first]) =>
          bit <= last && bit >= first
        );
        world.builder.write(gva, level, valid | 1n << BigInt(bit));
        const result = world.walk(gva);
        const where = `${name} level ${level}, M=${maxPhyAddrBits}, bit ${bit}`;
        assertEquals(result.fault === WalkFault.RESERVED, expected, where);
        if (expected) assertEquals(result.errorCode, PRESENT_RSVD, where);
        if (expected) assertEquals(result.level, level, where);
        world.builder.write(gva, level, valid);
        cases++;
      }
    }
  }
  assert(cases > 10_000, `only ${cases} cases`);
});

Deno.test("a PDPTE with a reserved bit is refused when it is loaded, and the old ones stay", () => {
  for (const maxPhyAddrBits of [32, 36, 40, 46, 52]) {
    const { world, gva } = mapped({ mode: PagingMode.PAE, maxPhyAddrBits });
    const valid = world.builder.read(gva, 3);
    for (let bit = 1; bit < 64; bit++) {
      const expected = bit >= maxPhyAddrBits || bit >= 5 && bit <= 8 || bit <= 2;
      world.builder.write(gva, 3, valid | 1n << BigInt(bit));
      const loaded = world.walker.loadPdptrs(world.builder.root);
      assertEquals(loaded, !expected, `M=${maxPhyAddrBits}, bit ${bit}`);
      if (!loaded) assertEquals(world.walker.result.fault, WalkFault.RESERVED);
      if (!loaded) {
        assertEquals(world.walk(gva).fault, WalkFault.NONE, `bit ${bit}: old PDPTE used`);
      }
      world.builder.write(gva, 3, valid);
      world.loadRoot();
    }
    world.builder.write(gva, 3, 0xffff_ffff_ffff_fffen);
    assert(
      world.walker.loadPdptrs(world.builder.root),
      "a PDPTE that is not present is not checked",
    );
  }
});

Deno.test("PDPTEs are used as they were loaded until the next load", () => {
  const { world, gva } = mapped({ mode: PagingMode.PAE });
  world.builder.write(gva, 3, 0n);
  assertEquals(world.walk(gva).fault, WalkFault.NONE);
  world.loadRoot();
  assertEquals(world.walk(gva).fault, WalkFault.NOT_PRESENT);
});

Deno.test("a PDPT need only be aligned to 32 bytes", () => {
  const { world, gva } = mapped({ mode: PagingMode.PAE });
  const table = new Uint8Array(32);
  world.memory.read(world.builder.root, table);
  world.memory.write(gpa(0xf_0fe0), table);
  world.memory.fill(world.builder.root, 32, 0);
  assert(world.walker.loadPdptrs(0xf_0fe0 | 0x18), "bits 4:0 of CR3 are ignored");
  assertEquals(world.walk(gva).fault, WalkFault.NONE);
});

Deno.test("the four PDPTEs are loaded whole, each in its place", () => {
  const { world } = mapped({ mode: PagingMode.PAE, maxPhyAddrBits: 40 });
  const pdptes = [0x11_1111_1001n, 0x22_2222_2001n, 0x44_4444_4000n, 0x88_8888_8019n];
  for (const [i, pdpte] of pdptes.entries()) world.memory.writeU64(gpa(0xf_0020 + i * 8), pdpte);
  assert(world.walker.loadPdptrs(0xf_0020));
  const halves = pdptes.flatMap((pdpte) => [Number(pdpte & 0xffff_ffffn), Number(pdpte >> 32n)]);
  assertEquals([...world.walker.pdptrs], halves);
});

Deno.test("loading PDPTEs from outside RAM is refused", () => {
  const { world } = mapped({ mode: PagingMode.PAE });
  assert(!world.walker.loadPdptrs(0xd000_0000));
  assertEquals(world.walker.result.fault, WalkFault.OUTSIDE_RAM);
});

Deno.test("check 59: bit 63 with EFER.NXE off is reserved, with NXE on it only forbids fetches", () => {
  for (const mode of [PagingMode.PAE, PagingMode.LEVEL4, PagingMode.LEVEL5]) {
    for (let level = 1; level <= mapped({ mode }).world.walker.topLevel; level++) {
      const off = mapped({ mode, nxe: false });
      off.world.builder.set(off.gva, level, NX);
      assertEquals(off.world.walk(off.gva).errorCode, PRESENT_RSVD);
      const on = mapped({ mode, nxe: true });
      on.world.builder.set(on.gva, level, NX);
      assertEquals(on.world.walk(on.gva).fault, WalkFault.NONE);
      const fetch = on.world.walk(on.gva, Access.FETCH);
      assertEquals(fetch.fault, WalkFault.PERMISSION);
      assertEquals(fetch.errorCode, Pferr.PRESENT | Pferr.FETCH);
    }
  }
});

Deno.test("check 60: with CR4.PSE off, a PDE with PS set points to a table", () => {
  const { world } = mapped({ mode: PagingMode.BITS32, pse: false });
  world.map(GVA32, 0x5000n);
  world.builder.set(GVA32, 2, PS);
  const result = world.walk(GVA32);
  assertEquals(result.fault, WalkFault.NONE);
  assertEquals(result.level, 1);
  assertEquals(result.gfn, 5);
});

Deno.test("check 61: bits 16:13 of a 4 MiB PDE are bits 35:32 of the address", () => {
  for (let high = 0n; high < 16n; high++) {
    const { world } = mapped({ mode: PagingMode.BITS32, maxPhyAddrBits: 36 });
    world.builder.write(GVA32, 2, 0x0080_0000n | high << 13n | PS | P | W | U | A | D);
    const result = world.walk(GVA32 + 0x12_3000n);
    assertEquals(result.fault, WalkFault.NONE);
    assertEquals(result.level, 2);
    const offset = GVA32 + 0x12_3000n & 0x3f_ffffn;
    assertEquals(BigInt(result.gfn), ((high << 32n | 0x0080_0000n) + offset) >> 12n);
  }
});

Deno.test("bits 20:17 of a 4 MiB PDE are bits 39:36 of the address where MAXPHYADDR is 40", () => {
  const { world } = mapped({ mode: PagingMode.BITS32, maxPhyAddrBits: 40 });
  world.builder.write(0n, 2, 0xa5n << 13n | PS | P | A | D);
  assertEquals(BigInt(world.walk(0x1000n).gfn), (0xa5n << 32n | 0x1000n) >> 12n);
});

Deno.test("check 62: a 1 GiB page without CPUID's leave for it is reserved", () => {
  for (const mode of [PagingMode.LEVEL4, PagingMode.LEVEL5, PagingMode.EPT4, PagingMode.EPT5]) {
    const without = mapped({ mode, gbPages: false }, 3);
    const refused = without.world.walk(without.gva);
    assertEquals(refused.fault, WalkFault.RESERVED);
    assertEquals(refused.errorCode, PRESENT_RSVD);
    assertEquals(refused.level, 3);
    const allowed = mapped({ mode, gbPages: true }, 3);
    const result = allowed.world.walk(allowed.gva);
    assertEquals(result.fault, WalkFault.NONE);
    assertEquals(result.level, 3);
    assertEquals(BigInt(result.gfn), (allowed.gva & 0x3fff_ffffn) >> 12n);
  }
});

Deno.test("guest EPT entries with rights or memory types that cannot be are misconfigured", () => {
  for (const eptExecuteOnly of [false, true]) {
    const { world, gva } = mapped({ mode: PagingMode.EPT4, eptExecuteOnly });
    const frame = world.builder.read(gva, 1) & ~0x3fn;
    for (let bits = 1n; bits < 64n; bits++) {
      const type = bits >> 3n;
      const rights = bits & 7n;
      if (rights === 0n) continue;
      const bad = [2n, 3n, 7n].includes(type) || [2n, 6n].includes(rights) ||
        rights === EPT_X && !eptExecuteOnly;
      world.builder.write(gva, 1, frame | bits);
      const access = (rights & EPT_R) !== 0n ? Access.READ : Access.FETCH;
      const result = world.walk(gva, access);
      assertEquals(result.fault, bad ? WalkFault.RESERVED : WalkFault.NONE, `bits ${bits}`);
    }
  }
});

Deno.test("a table outside RAM is a fault with P clear, whatever frame the guest names", () => {
  const frames = [0x100n, 0xf_ffffn, 0x10_0000n, 0x8_0fee0n, 0xff_ffff_ffffn];
  for (const [, mode] of MODES) {
    for (const frame of frames) {
      if (mode === PagingMode.BITS32 && frame > 0xf_ffffn) continue;
      const { world, gva } = mapped({ mode, maxPhyAddrBits: 52 });
      const flags = world.builder.tableFlags;
      world.builder.write(gva, 2, frame << 12n | flags);
      const result = world.walk(gva, Access.WRITE);
      assertEquals(result.fault, WalkFault.OUTSIDE_RAM);
      assertEquals(result.errorCode, Pferr.WRITE);
      assertEquals(result.level, 1);
    }
  }
});

Deno.test("a root outside RAM is a fault with P clear", () => {
  const { world, gva } = mapped({});
  world.walker.setRoot(0xffff_f000, 0xf_ffff);
  assertEquals(world.walk(gva, Access.USER).errorCode, Pferr.USER);
  assertEquals(world.walker.result.fault, WalkFault.OUTSIDE_RAM);
});

Deno.test("with paging off an address is its own frame and everything is allowed", () => {
  const world = new WalkWorld(roleOf({ mode: PagingMode.NONE }));
  const result = world.walk(0xffff_ffff_fee0_1234n, Access.WRITE | Access.USER);
  assertEquals(result.fault, WalkFault.NONE);
  assertEquals(result.gfn, 0xf_ee01);
  assertEquals(result.access, 7);
  assertEquals(result.level, 0);
  assertEquals(world.dirtied, []);
});

Deno.test("frames above 2^31 and addresses with the top physical bit come through whole", () => {
  const cases: [CpuRole, number, bigint][] = [
    [roleOf({ maxPhyAddrBits: 52 }), 1, 0xf_ffff_ffff_f000n],
    [roleOf({ maxPhyAddrBits: 52 }), 2, 0xf_ffff_ffe0_0000n],
    [roleOf({ maxPhyAddrBits: 52 }), 3, 0xf_ffff_c000_0000n],
    [roleOf({ mode: PagingMode.PAE, maxPhyAddrBits: 40 }), 1, 0x80_fee0_1000n],
    [roleOf({ mode: PagingMode.PAE, maxPhyAddrBits: 40 }), 2, 0x80_fee0_0000n],
  ];
  for (const [role, level, frame] of cases) {
    const world = new WalkWorld(role);
    world.map(0n, frame, level);
    const offset = level > 1 ? 0x1f_f000n : 0n;
    for (let times = 0; times < 2; times++) { // the full walk, then the fast one
      const result = world.walk(offset);
      assertEquals(BigInt(result.gfn), frame + offset >> 12n);
    }
  }
});

Deno.test("an EPT walk refuses addresses wider than its tables translate", () => {
  for (const [mode, bits] of [[PagingMode.EPT4, 48n], [PagingMode.EPT5, 57n]] as const) {
    const world = new WalkWorld(roleOf({ mode }));
    world.map(0n, 0n);
    assertEquals(world.walk(0n).fault, WalkFault.NONE);
    assertEquals(world.walk(1n << bits).fault, WalkFault.NOT_PRESENT);
    world.map(1n << bits - 1n, 0n);
    assertEquals(world.walk(1n << bits - 1n).fault, WalkFault.NONE);
  }
});
