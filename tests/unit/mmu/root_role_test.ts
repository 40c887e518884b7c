import { assert, assertEquals } from "@std/assert";
import { Acc } from "../../../src/mmu/pferr.ts";
import { PagingMode } from "../../../src/mmu/role.ts";
import {
  childRole,
  directRootRole,
  invalidated,
  packRootRole,
  quadrantOf,
  roleAccess,
  roleIsDirect,
  roleIsInvalid,
  roleIsShadowEpt,
  roleLevel,
  RoleMask,
  type RootRole,
  type RootRoleFields,
  shadowRootRole,
  unpackRootRole,
} from "../../../src/mmu/root_role.ts";
import { roleOf } from "../../support/guest_tables.ts";
import { Random, seed } from "../../support/random.ts";

function randomFields(random: Random): RootRoleFields {
  const bit = () => random.oneIn(2);
  return {
    level: 1 + random.below(5),
    gpte8: bit(),
    quadrant: random.below(4),
    direct: bit(),
    access: random.below(8),
    invalid: bit(),
    nxe: bit(),
    cr0Wp: bit(),
    smepAndNotWp: bit(),
    smapAndNotWp: bit(),
    adDisabled: bit(),
    guestMode: bit(),
    smm: bit(),
  };
}

Deno.test("roots have KVM's golden words", () => {
  const kernel = roleOf({ smep: true, smap: true });
  assertEquals(directRootRole(kernel, 4, false), 0x794 as RootRole);
  assertEquals(directRootRole(kernel, 5, true), 0x1_0795 as RootRole);
  assertEquals(shadowRootRole(kernel), 0x3714 as RootRole);
  assertEquals(shadowRootRole(roleOf({ mode: PagingMode.LEVEL5 })), 0x3715 as RootRole);
  assertEquals(shadowRootRole(roleOf({ mode: PagingMode.PAE })), 0x3713 as RootRole);
  const bits32 = roleOf({ mode: PagingMode.BITS32, wp: false, smep: true, smap: true });
  assertEquals(shadowRootRole(bits32), 0xc703 as RootRole);
  assertEquals(shadowRootRole(roleOf({ mode: PagingMode.NONE })), 0x793 as RootRole);
  assertEquals(shadowRootRole(roleOf({ mode: PagingMode.EPT4 })), 0xa714 as RootRole);
  const plainEpt = { mode: PagingMode.EPT5, eptAccessedDirty: false, guestMode: true };
  assertEquals(shadowRootRole(roleOf(plainEpt)), 0x3_a715 as RootRole);
  assertEquals(shadowRootRole(roleOf({ smm: true })), 0x100_3714 as RootRole);
});

Deno.test("packing and unpacking are inverse, and each mask covers its field alone", () => {
  const random = new Random(seed(4));
  for (let i = 0; i < 5000; i++) {
    const fields = randomFields(random);
    const role = packRootRole(fields);
    assertEquals(unpackRootRole(role), fields, `seed ${random.seed}`);
    assertEquals(roleLevel(role), fields.level);
    assertEquals(roleAccess(role), fields.access);
    assertEquals(roleIsDirect(role), fields.direct);
    assertEquals(roleIsInvalid(role), fields.invalid);
  }
  const masks = Object.values(RoleMask);
  assertEquals(masks.reduce((all, mask) => all | mask, 0), masks.reduce((sum, mask) => sum + mask));
});

Deno.test("only the shadow of a guest's EPT carries its mark", () => {
  const bit = [false, true];
  for (const mode of Object.values(PagingMode)) {
    for (const wp of bit) {
      for (const smap of bit) {
        const role = shadowRootRole(roleOf({ mode, wp, smap, smep: true }));
        assertEquals(roleIsShadowEpt(role), mode >= PagingMode.EPT4);
      }
    }
  }
});

Deno.test("a child keeps the context of its parent and takes its own place", () => {
  const random = new Random(seed(5));
  for (let i = 0; i < 5000; i++) {
    const parent = packRootRole(randomFields(random));
    const [level, access, quadrant] = [1 + random.below(4), random.below(8), random.below(4)];
    const fields = unpackRootRole(parent);
    const own = { level, access, quadrant, invalid: false };
    assertEquals(
      unpackRootRole(childRole(parent, level, false, access, quadrant)),
      { ...fields, ...own, direct: false },
      `seed ${random.seed}`,
    );
    assertEquals(
      unpackRootRole(childRole(parent, level, true, access, 0)),
      { ...fields, ...own, quadrant: 0, direct: true, gpte8: true },
      `seed ${random.seed}`,
    );
  }
});

Deno.test("an invalidated role is its own, and no longer found", () => {
  const role = shadowRootRole(roleOf());
  assert(roleIsInvalid(invalidated(role)));
  assertEquals((invalidated(role) ^ role) >>> 0, RoleMask.INVALID);
});

Deno.test("quadrants split a guest's 32-bit tables as its addresses do", () => {
  const random = new Random(seed(6));
  for (let i = 0; i < 1000; i++) {
    const address = random.u32();
    const wide = BigInt(address);
    assertEquals(quadrantOf(address, 1), Number(wide >> 21n & 1n), `seed ${random.seed}`);
    assertEquals(quadrantOf(address, 2), Number(wide >> 30n & 3n), `seed ${random.seed}`);
  }
});

Deno.test("CR0.WP changes the key of shadow pages, and not that of stage-2 pages", () => {
  const [on, off] = [roleOf({ wp: true }), roleOf({ wp: false })];
  assert(shadowRootRole(on) !== shadowRootRole(off));
  assertEquals(directRootRole(on, 4, false), directRootRole(off, 4, false));
  assertEquals(roleAccess(directRootRole(on, 4, false)), Acc.ALL);
});
