/** Where JavaScript's arithmetic is used it gives what the library's own gives. */

import { assert, assertEquals } from "@std/assert";
import * as float from "../../../../src/cpu/float/mod.ts";
import { deliverF32, deliverF64, isOrdinaryF64, isPlain } from "../../../../src/cpu/float/fast.ts";
import { MXCSR_DEFAULT, PE, result } from "../../../../src/cpu/float/mod.ts";
import { Random, seed } from "../../../support/random.ts";

const random = new Random(seed(0xfa57));
/** With PE set JavaScript may compute; without it the library does. */
const FAST = MXCSR_DEFAULT | PE;

function f64Hi(): number {
  const exp = random.oneIn(3) ? random.below(0x800) : 0x3f0 + random.below(32);
  return (random.u32() & 0x800f_ffff | exp << 20) | 0;
}

function outcome(value: number): number[] {
  return [value, result.lo, result.flags | PE];
}

Deno.test("f64 operations are the same with PE set and with PE clear", () => {
  let fast = 0;
  for (const operate of [float.addF64, float.subF64, float.mulF64, float.divF64]) {
    for (let i = 0; i < 3000; i++) {
      const [aLo, aHi, bLo, bHi] = [random.u32() | 0, f64Hi(), random.u32() | 0, f64Hi()];
      const quick = [...outcome(operate(aLo, aHi, bLo, bHi, FAST)), result.hi];
      if (result.flags === 0) fast++;
      const exact = [...outcome(operate(aLo, aHi, bLo, bHi, MXCSR_DEFAULT)), result.hi];
      assertEquals(quick, exact, `${operate.name}, seed ${random.seed}, round ${i}`);
    }
  }
  assert(fast > 6000, `only ${fast} were fast`);
});

Deno.test("f32 operations are the same with PE set and with PE clear", () => {
  for (const operate of [float.addF32, float.subF32, float.mulF32, float.divF32]) {
    for (let i = 0; i < 3000; i++) {
      const [a, b] = [random.u32() | 0, random.oneIn(2) ? random.u32() | 0 : f64Hi() << 3];
      const quick = outcome(operate(a, b, FAST));
      const exact = outcome(operate(a, b, MXCSR_DEFAULT));
      assertEquals(quick, exact, `${operate.name}, seed ${random.seed}, round ${i}`);
    }
  }
});

Deno.test("square roots are the same with PE set and with PE clear", () => {
  for (let i = 0; i < 3000; i++) {
    const [lo, hi] = [random.u32() | 0, f64Hi()];
    const quick = [...outcome(float.sqrtF64(lo, hi, FAST)), result.hi];
    assertEquals(quick, [...outcome(float.sqrtF64(lo, hi, MXCSR_DEFAULT)), result.hi]);
    assertEquals(outcome(float.sqrtF32(hi, FAST)), outcome(float.sqrtF32(hi, MXCSR_DEFAULT)));
  }
});

Deno.test("JavaScript computes only to nearest and while an inexact result changes nothing", () => {
  assert(isPlain(FAST));
  assert(!isPlain(MXCSR_DEFAULT), "PE would be missed");
  assert(!isPlain(FAST & ~0x1000), "an unmasked PE traps");
  for (const rc of [1, 2, 3]) assert(!isPlain(FAST | rc << 13));
});

Deno.test("denormals, infinities and NaNs are not ordinary; zeros are", () => {
  assert(isOrdinaryF64(0, 0) && isOrdinaryF64(0, 0x8000_0000 | 0));
  assert(isOrdinaryF64(0, 0x0010_0000) && isOrdinaryF64(-1, 0x7fef_ffff));
  assert(!isOrdinaryF64(1, 0) && !isOrdinaryF64(-1, 0x000f_ffff));
  assert(!isOrdinaryF64(0, 0x7ff0_0000) && !isOrdinaryF64(0, 0xfff8_0000 | 0));
});

Deno.test("results at the ends of the range are left to the library", () => {
  assert(!deliverF64(0) && !deliverF64(2 ** -1022) && !deliverF64(Infinity) && !deliverF64(NaN));
  assert(deliverF64(2 ** -1021) && deliverF64(Number.MAX_VALUE));
  assert(!deliverF32(0) && !deliverF32(2 ** -126) && !deliverF32(2 ** 128) && !deliverF32(NaN));
  assert(deliverF32(2 ** -125) && deliverF32(2 ** 127));
});
