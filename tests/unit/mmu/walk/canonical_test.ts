import { assert, assertEquals } from "@std/assert";
import { PagingMode } from "../../../../src/mmu/role.ts";
import { isCanonical, linearAddressBits } from "../../../../src/mmu/walk/mod.ts";
import { roleOf } from "../../../support/guest_tables.ts";

function canonical(address: bigint, bits: number): boolean {
  return isCanonical(Number(address >> 32n), bits);
}

Deno.test("check 73: LA57 moves the canonical boundary from bit 47 to bit 56", () => {
  for (const bits of [48, 57]) {
    const half = 1n << BigInt(bits - 1);
    const highest = 2n ** 64n - half;
    assert(canonical(0n, bits));
    assert(canonical(half - 1n, bits), `last address of the lower half, ${bits} bits`);
    assert(!canonical(half, bits), `first address of the hole, ${bits} bits`);
    assert(!canonical(highest - 1n, bits), `last address of the hole, ${bits} bits`);
    assert(canonical(highest, bits), `first address of the upper half, ${bits} bits`);
    assert(canonical(2n ** 64n - 1n, bits));
  }
  assert(!canonical(1n << 47n, 48));
  assert(canonical(1n << 47n, 57));
  assertEquals(linearAddressBits(roleOf({ mode: PagingMode.LEVEL4 })), 48);
  assertEquals(linearAddressBits(roleOf({ mode: PagingMode.LEVEL5 })), 57);
  assertEquals(linearAddressBits(roleOf({ mode: PagingMode.PAE })), 32);
  assertEquals(linearAddressBits(roleOf({ mode: PagingMode.NONE })), 32);
});

Deno.test("an address is canonical when all its bits above the width repeat the top one", () => {
  for (const bits of [48, 57]) {
    for (let bit = bits - 1; bit < 64; bit++) {
      assert(!canonical(1n << BigInt(bit) & 2n ** 64n - 1n, bits) || bits === 64, `bit ${bit}`);
      assert(!canonical(2n ** 64n - 1n ^ 1n << BigInt(bit), bits), `bit ${bit}`);
    }
  }
});
