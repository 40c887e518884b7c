/** Products and shifts of more than 32 bits against BigInt. */

import { assertEquals } from "@std/assert";
import { mulHigh, multiply, normalize, shiftRightSticky } from "../../../../src/cpu/float/wide.ts";
import { Random, seed } from "../../../support/random.ts";

const random = new Random(seed(0x1d3));
const big = (word: number) => BigInt(word >>> 0);
const join = (w: { hi: number; lo: number; ext: number }) =>
  big(w.hi) << 64n | big(w.lo) << 32n | big(w.ext);
const edgy = () => random.oneIn(4) ? random.pick([0, 1, -1, 0x8000_0000, 0xffff]) : random.u32();

Deno.test("mulHigh gives the upper half of the unsigned product", () => {
  for (let i = 0; i < 5000; i++) {
    const [a, b] = [edgy(), edgy()];
    assertEquals(big(mulHigh(a, b)), big(a) * big(b) >> 32n, `${a} * ${b}`);
  }
});

Deno.test("multiply keeps 96 bits of the product and a sticky bit", () => {
  const out = { hi: 0, lo: 0, ext: 0 };
  for (let i = 0; i < 5000; i++) {
    const [aLo, aHi, bLo, bHi] = [edgy(), edgy(), edgy(), edgy()];
    const product = (big(aHi) << 32n | big(aLo)) * (big(bHi) << 32n | big(bLo));
    const sticky = (product & 0xffff_ffffn) === 0n ? 0n : 1n;
    multiply(aLo, aHi, bLo, bHi, out);
    assertEquals(join(out), product >> 32n | sticky, `seed ${random.seed}, round ${i}`);
  }
});

Deno.test("shiftRightSticky keeps what falls out in the lowest bit", () => {
  for (let count = 0; count < 130; count++) {
    for (let i = 0; i < 20; i++) {
      const w = { hi: edgy() | 0, lo: edgy() | 0, ext: edgy() | 0 };
      const value = join(w);
      const kept = value >> BigInt(count);
      const sticky = kept << BigInt(count) === value ? 0n : 1n;
      shiftRightSticky(w, count);
      assertEquals(join(w), kept | sticky, `${value.toString(16)} by ${count}`);
    }
  }
});

Deno.test("normalize brings the highest bit to the top and counts the places", () => {
  for (let bit = 0; bit < 96; bit++) {
    const value = 1n << BigInt(bit);
    const w = {
      hi: Number(value >> 64n) | 0,
      lo: Number(value >> 32n & 0xffff_ffffn) | 0,
      ext: Number(value & 0xffff_ffffn) | 0,
    };
    assertEquals(normalize(w), 95 - bit);
    assertEquals(join(w), 1n << 95n);
  }
  assertEquals(normalize({ hi: 0, lo: 0, ext: 0 }), 0);
});
