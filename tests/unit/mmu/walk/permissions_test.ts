import { assertEquals } from "@std/assert";
import { Access, accessWord, Pferr } from "../../../../src/mmu/pferr.ts";
import { type CpuRoleFields, PagingMode } from "../../../../src/mmu/role.ts";
import { permissionBitmap, WalkFault } from "../../../../src/mmu/walk/mod.ts";
import { NX, roleOf, U, W, WalkWorld } from "../../../support/guest_tables.ts";

const GVA = 0x7f_1234_5000n;
const { PRESENT, WRITE, USER, FETCH, PK } = Pferr;

/** A world with one page, from whose leaf `cleared` bits are taken. */
function page(fields: Partial<CpuRoleFields>, cleared = 0n, set = 0n): WalkWorld {
  const world = new WalkWorld(roleOf(fields));
  world.map(GVA, 0x3000n);
  world.builder.clear(GVA, 1, cleared);
  world.builder.set(GVA, 1, set);
  return world;
}

/** 0 when the access is allowed, else the error code; asked twice, of the full and the fast walk. */
function code(world: WalkWorld, access: number): number {
  const first = world.walk(GVA, access);
  const expected = first.fault === WalkFault.NONE ? 0 : first.errorCode;
  const second = world.walk(GVA, access);
  assertEquals(second.fault === WalkFault.NONE ? 0 : second.errorCode, expected);
  return expected;
}

Deno.test("check 63: with CR0.WP clear the supervisor may write a read-only page", () => {
  assertEquals(code(page({ wp: false }, W), Access.WRITE), 0);
  assertEquals(code(page({ wp: false }, W | U), Access.WRITE), 0);
  assertEquals(code(page({ wp: true }, W), Access.WRITE), PRESENT | WRITE);
});

Deno.test("check 64: with CR0.WP clear a user's write to a read-only page still faults", () => {
  const world = page({ wp: false }, W);
  assertEquals(code(world, Access.WRITE | Access.USER), PRESENT | WRITE | USER);
});

Deno.test("check 65: SMEP refuses a supervisor's fetch from a user page", () => {
  assertEquals(code(page({ smep: true }), Access.FETCH), PRESENT | FETCH);
  assertEquals(code(page({ smep: true }), Access.FETCH | Access.USER), 0);
  assertEquals(code(page({ smep: true }, U), Access.FETCH), 0);
  assertEquals(code(page({ smep: false }), Access.FETCH), 0);
});

Deno.test("check 66: SMAP refuses a supervisor's access to a user page unless EFLAGS.AC is set", () => {
  for (const kind of [Access.READ, Access.WRITE]) {
    const bits = kind & WRITE;
    assertEquals(code(page({ smap: true }), accessWord(kind, 0, false, false)), PRESENT | bits);
    assertEquals(code(page({ smap: true }), accessWord(kind, 0, false, true)), 0);
    assertEquals(code(page({ smap: true }, U), accessWord(kind, 0, false, false)), 0);
    assertEquals(code(page({ smap: true }), accessWord(kind, 3, false, false)), 0);
    assertEquals(code(page({ smap: false }), accessWord(kind, 0, false, false)), 0);
  }
  assertEquals(code(page({ smap: true }), accessWord(Access.FETCH, 0, false, false)), 0);
});

Deno.test("check 67: an implicit supervisor access ignores EFLAGS.AC, at CPL 3 and below it", () => {
  for (const cpl of [0, 1, 2, 3]) {
    const access = accessWord(Access.READ, cpl, true, true);
    assertEquals(code(page({ smap: true }), access), PRESENT, `CPL ${cpl}`);
    assertEquals(code(page({ smap: true }, U), access), 0, `CPL ${cpl}`);
  }
});

Deno.test("check 68: PKRU.AD refuses data accesses with P and PK, and fetches ignore it", () => {
  const key = 5n;
  const world = page({ pke: true }, 0n, key << 59n);
  assertEquals(code(world, Access.READ | Access.USER), 0);
  world.walker.pkru = 1 << Number(key) * 2;
  assertEquals(code(world, Access.READ), PRESENT | PK);
  assertEquals(code(world, Access.READ | Access.USER), PRESENT | PK | USER);
  assertEquals(code(world, Access.WRITE), PRESENT | PK | WRITE);
  assertEquals(code(world, Access.FETCH | Access.USER), 0);
  world.walker.pkru = ~(1 << Number(key) * 2) & 0x5555_5555;
  assertEquals(code(world, Access.READ | Access.USER), 0, "the bits of other keys");
});

Deno.test("PKRU.WD stops a user's writes, and the supervisor's with CR0.WP", () => {
  for (const wp of [false, true]) {
    const world = page({ pke: true, wp }, 0n, 15n << 59n);
    world.walker.pkru = 0x8000_0000;
    assertEquals(code(world, Access.READ | Access.USER), 0);
    assertEquals(code(world, Access.WRITE | Access.USER), PRESENT | PK | WRITE | USER);
    assertEquals(code(world, Access.WRITE), wp ? PRESENT | PK | WRITE : 0);
  }
});

Deno.test("protection keys do not touch supervisor pages, nor pages when CR4.PKE is clear", () => {
  const supervisor = page({ pke: true }, U);
  supervisor.walker.pkru = 3;
  assertEquals(code(supervisor, Access.WRITE), 0);
  const off = page({ pke: false }, 0n, 1n << 59n);
  off.walker.pkru = 0xffff_ffff;
  assertEquals(code(off, Access.WRITE | Access.USER), 0);
  assertEquals(off.walker.pkey, 0);
});

Deno.test("rights are the AND of all levels", () => {
  for (const level of [1, 2, 3, 4]) {
    for (const [bit, access] of [[W, Access.WRITE | Access.USER], [U, Access.USER]] as const) {
      const world = page({});
      world.builder.clear(GVA, level, bit);
      assertEquals(code(world, access), PRESENT | access, `level ${level}`);
    }
    const world = page({});
    world.builder.set(GVA, level, NX);
    assertEquals(code(world, Access.FETCH), PRESENT | FETCH, `level ${level}`);
    assertEquals(code(world, Access.READ), 0);
    assertEquals(world.walker.accessAt(1), 6);
    assertEquals(world.walker.accessAt(4), level === 4 ? 6 : 7);
    assertEquals(world.walker.accessAt(2), level >= 2 ? 6 : 7);
  }
});

Deno.test("the error code shows a fetch only where fetches can be refused", () => {
  for (const nxe of [false, true]) {
    for (const smep of [false, true]) {
      const world = page({ nxe, smep });
      const expected = Access.USER | (nxe || smep ? FETCH : 0);
      assertEquals(world.walk(0n, Access.FETCH | Access.USER).errorCode, expected);
    }
  }
  const bits32 = new WalkWorld(roleOf({ mode: PagingMode.BITS32, nxe: true }));
  assertEquals(bits32.walk(0n, Access.FETCH).errorCode, 0, "32-bit paging has no NX");
});

Deno.test("guest EPT checks read, write and execute by themselves", () => {
  const allowed: [bigint, number[]][] = [
    [1n, [Access.READ]],
    [3n, [Access.READ, Access.WRITE]],
    [4n, [Access.FETCH]],
    [5n, [Access.READ, Access.FETCH]],
    [7n, [Access.READ, Access.WRITE, Access.FETCH]],
  ];
  for (const [rights, kinds] of allowed) {
    const world = new WalkWorld(roleOf({ mode: PagingMode.EPT4, eptExecuteOnly: true }));
    world.map(GVA, 0x3000n, 1, rights);
    for (const kind of [Access.READ, Access.WRITE, Access.FETCH]) {
      const result = world.walk(GVA, kind | Access.USER);
      const expected = kinds.includes(kind) ? WalkFault.NONE : WalkFault.PERMISSION;
      assertEquals(result.fault, expected, `rights ${rights}, access ${kind}`);
      if (expected !== WalkFault.NONE) assertEquals(result.errorCode, PRESENT | kind);
    }
  }
});

Deno.test("the permission bitmap of a 64-bit Linux kernel is the golden one", () => {
  const role = roleOf({ wp: true, smep: true, smap: true, nxe: true });
  const bitmap = [...permissionBitmap(role)].map((byte) => byte.toString(16).padStart(2, "0"));
  // Rows: data with SMAP, data with SMAP suspended, fetch. Columns: read, write, user read, user write.
  assertEquals(bitmap.slice(0, 4), ["f0", "f3", "0f", "3f"]);
  assertEquals(bitmap.slice(4, 8), ["00", "33", "0f", "3f"]);
  assertEquals(bitmap.slice(8, 12), ["f5", "f7", "5f", "7f"]);
  assertEquals(bitmap.slice(12, 16), ["f5", "f7", "5f", "7f"]);
});
