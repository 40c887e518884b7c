/** Conversions and comparisons of x87 and SSE: integers, BCD, rounding, classes. */

import { assertEquals } from "@std/assert";
import {
  bcdToF80,
  classifyF80,
  compareF64,
  compareF80,
  constantF80,
  CW_DEFAULT,
  CW_TO_ZERO,
  EMPTY_CLASS,
  EQUAL,
  extractF80,
  f32ToInt32,
  f64ToInt32,
  f64ToInt64,
  f80ToBcd,
  f80ToInt16,
  f80ToInt32,
  f80ToInt64,
  GREATER,
  IE,
  int32ToF80,
  int64ToF32,
  int64ToF80,
  LESS,
  MXCSR_DEFAULT,
  PE,
  predicateF32,
  pushed,
  result,
  roundF64,
  roundToIntF80,
  UNORDERED,
  ZE,
} from "../../../../src/cpu/float/mod.ts";
import {
  DENORMAL,
  f80,
  f80Of,
  type F80Parts,
  INFINITY,
  MINUS_INFINITY,
  MINUS_ZERO,
  ONE,
  partsText,
  quiet,
  resultText,
  signalling,
  textOf,
  ZERO,
} from "../../../support/float_values.ts";

type Store = (lo: number, hi: number, se: number, cw: number) => void;

function stored(store: Store, value: F80Parts, cw = CW_DEFAULT): number[] {
  store(...value, cw);
  return [result.lo, result.flags, result.roundedUp];
}

Deno.test("FIST rounds as RC says and tells inexactness and direction", () => {
  for (
    const [rc, expected] of [[0, [2, -2]], [1, [2, -3]], [2, [3, -2]], [3, [2, -2]]] as const
  ) {
    const cw = CW_DEFAULT | rc << 10;
    assertEquals(stored(f80ToInt32, f80Of(2.5), cw), [expected[0], PE, expected[0] === 3 ? 1 : 0]);
    assertEquals(stored(f80ToInt32, f80Of(-2.5), cw), [
      expected[1],
      PE,
      expected[1] === -3 ? 1 : 0,
    ]);
  }
  assertEquals(stored(f80ToInt32, f80Of(3.5)), [4, PE, 1]);
  assertEquals(stored(f80ToInt32, f80Of(7)), [7, 0, 0]);
});

Deno.test("FISTTP cuts whatever RC says", () => {
  assertEquals(stored(f80ToInt32, f80Of(-2.75), CW_DEFAULT | 0x400 | CW_TO_ZERO), [-2, PE, 0]);
});

Deno.test("FIST of what does not fit is invalid alone and gives the integer indefinite", () => {
  assertEquals(stored(f80ToInt16, f80Of(32767)), [32767, 0, 0]);
  assertEquals(stored(f80ToInt16, f80Of(-32768)), [-32768, 0, 0]);
  assertEquals(stored(f80ToInt16, f80Of(32767.5)), [-32768, IE, 0]);
  assertEquals(stored(f80ToInt16, f80Of(-32769)), [-32768, IE, 0]);
  assertEquals(stored(f80ToInt32, f80Of(2 ** 31)), [-(2 ** 31), IE, 0]);
  assertEquals(stored(f80ToInt32, f80Of(-(2 ** 31))), [-(2 ** 31), 0, 0]);
  for (const odd of [INFINITY, MINUS_INFINITY, quiet(1n), f80(5, 7n), f80Of(2 ** 63)]) {
    assertEquals(stored(f80ToInt64, odd), [0, IE, 0]);
    assertEquals(result.hi, 0x8000_0000 | 0);
  }
});

Deno.test("a denormal stores as zero, inexactly and without a denormal exception", () => {
  assertEquals(stored(f80ToInt32, DENORMAL), [0, PE, 0]);
});

Deno.test("an unmasked invalid store leaves memory", () => {
  f80ToInt32(...INFINITY, CW_DEFAULT & ~IE);
  assertEquals([result.flags, result.stored], [IE, 0]);
});

Deno.test("FILD is exact up to both ends of 64 bits", () => {
  int64ToF80(-1, 0x7fff_ffff);
  assertEquals(resultText(), "403d:fffffffffffffffe");
  int64ToF80(0, 0x8000_0000 | 0);
  assertEquals(resultText(), "c03e:8000000000000000");
  int32ToF80(-1);
  assertEquals(resultText(), "bfff:8000000000000000");
  int32ToF80(0);
  assertEquals(resultText(), partsText(ZERO));
});

Deno.test("FBLD and FBSTP carry 18 digits and the sign", () => {
  bcdToF80(0x5678_9012, 0x7890_1234, 0x8056);
  f80ToBcd(result.lo, result.hi, result.signExp, CW_DEFAULT);
  assertEquals([result.lo, result.hi, result.signExp], [0x5678_9012, 0x7890_1234, 0x8056]);
  bcdToF80(0, 0, 0x8000);
  assertEquals(resultText(), partsText(MINUS_ZERO));
});

Deno.test("FBSTP rounds, and gives the BCD indefinite for 10^18 and above", () => {
  f80ToBcd(...f80Of(-99.5), CW_DEFAULT);
  assertEquals([result.lo, result.hi, result.signExp, result.flags], [0x100, 0, 0x8000, PE]);
  for (const large of [f80Of(1e18), INFINITY, quiet(0n)]) {
    f80ToBcd(...large, CW_DEFAULT);
    const { lo, hi, signExp, flags } = result;
    assertEquals([lo, hi, signExp, flags], [0, 0xc000_0000 | 0, 0xffff, IE]);
  }
});

Deno.test("FRNDINT keeps the sign of zero and raises nothing for integers", () => {
  roundToIntF80(...f80Of(-0.25), CW_DEFAULT);
  assertEquals([resultText(), result.flags], [partsText(MINUS_ZERO), PE]);
  roundToIntF80(...f80Of(2 ** 62 + 2 ** 10), CW_DEFAULT);
  assertEquals([resultText(), result.flags], [partsText(f80Of(2 ** 62 + 2 ** 10)), 0]);
});

Deno.test("FXTRACT takes a number apart; of zero it divides by zero", () => {
  extractF80(...f80Of(-12), CW_DEFAULT);
  assertEquals([resultText(), textOf(pushed)], [partsText(f80Of(3)), partsText(f80Of(-1.5))]);
  extractF80(...MINUS_ZERO, CW_DEFAULT);
  assertEquals([resultText(), textOf(pushed)], [partsText(MINUS_INFINITY), partsText(MINUS_ZERO)]);
  assertEquals(result.flags, ZE);
});

Deno.test("comparisons order numbers, zeros and infinities; NaNs are unordered", () => {
  const ascending = [MINUS_INFINITY, f80Of(-2), f80Of(-1.5), ZERO, DENORMAL, ONE, INFINITY];
  for (const [i, a] of ascending.entries()) {
    for (const [j, b] of ascending.entries()) {
      const expected = i < j ? LESS : i > j ? GREATER : EQUAL;
      assertEquals(compareF80(...a, ...b, false, CW_DEFAULT), expected, `${i} to ${j}`);
    }
  }
  assertEquals(compareF80(...ZERO, ...MINUS_ZERO, false, CW_DEFAULT), EQUAL);
  assertEquals(compareF80(...quiet(1n), ...ONE, false, CW_DEFAULT), UNORDERED);
  assertEquals(result.flags, IE);
});

Deno.test("quiet comparisons take quiet NaNs, not signalling ones", () => {
  assertEquals(compareF80(...quiet(1n), ...ONE, true, CW_DEFAULT), UNORDERED);
  assertEquals(result.flags, 0);
  assertEquals(compareF80(...ONE, ...signalling(1n), true, CW_DEFAULT), UNORDERED);
  assertEquals(result.flags, IE);
  assertEquals(compareF64(0, 0x7ff8_0000, 0, 0, true, MXCSR_DEFAULT), UNORDERED);
  assertEquals(result.flags, 0);
  assertEquals(compareF64(0, 0x7ff8_0000, 0, 0, false, MXCSR_DEFAULT), UNORDERED);
  assertEquals(result.flags, IE);
});

Deno.test("FXAM tells the classes apart (SDM 2 FXAM)", () => {
  const [c0, c2, c3] = [0x100, 0x400, 0x4000];
  for (
    const [value, expected] of [
      [f80(5, 7n), 0],
      [quiet(1n), c0],
      [signalling(1n), c0],
      [ONE, c2],
      [INFINITY, c2 | c0],
      [ZERO, c3],
      [DENORMAL, c3 | c2],
    ] as const
  ) assertEquals(classifyF80(...value), expected);
  assertEquals(EMPTY_CLASS, c3 | c0);
});

Deno.test("CMPSS predicates: 4 to 7 are the opposites of 0 to 3", () => {
  const [one, two, nan] = [0x3f80_0000, 0x4000_0000, 0x7fc0_0000];
  const masks = (a: number, b: number) =>
    [0, 1, 2, 3].map((predicate) => predicateF32(a, b, predicate, MXCSR_DEFAULT));
  assertEquals(masks(one, one), [-1, 0, -1, 0]);
  assertEquals(masks(one, two), [0, -1, -1, 0]);
  assertEquals(masks(two, one), [0, 0, 0, 0]);
  assertEquals(masks(one, nan), [0, 0, 0, -1]);
  for (const [a, b] of [[one, one], [one, two], [two, one], [one, nan]]) {
    for (const predicate of [0, 1, 2, 3]) {
      const mask = predicateF32(a, b, predicate, MXCSR_DEFAULT);
      assertEquals(predicateF32(a, b, predicate + 4, MXCSR_DEFAULT), ~mask);
    }
  }
});

Deno.test("CMPSS with a quiet NaN is invalid for the orders alone", () => {
  const invalid = [0, 1, 2, 3, 4, 5, 6, 7].filter((predicate) => {
    predicateF32(0x7fc0_0000, 0, predicate, MXCSR_DEFAULT);
    return result.flags === IE;
  });
  assertEquals(invalid, [1, 2, 5, 6]);
});

Deno.test("SSE conversions to integers cut or round, and give the indefinite for what does not fit", () => {
  const hi = (value: number) => new Int32Array(new Float64Array([value]).buffer)[1];
  assertEquals(f64ToInt32(0, hi(-1.5), true, MXCSR_DEFAULT), -1);
  assertEquals(f64ToInt32(0, hi(-1.5), false, MXCSR_DEFAULT), -2);
  assertEquals(f64ToInt32(0, hi(2 ** 31), true, MXCSR_DEFAULT), -(2 ** 31));
  assertEquals(result.flags, IE);
  assertEquals(f64ToInt32(0, hi(-(2 ** 31)), true, MXCSR_DEFAULT), -(2 ** 31));
  assertEquals(result.flags, 0);
  assertEquals(f64ToInt64(0, hi(2 ** 40), true, MXCSR_DEFAULT), 0);
  assertEquals([result.hi, result.flags], [256, 0]);
  assertEquals(f32ToInt32(0x7f80_0000, true, MXCSR_DEFAULT), -(2 ** 31));
  assertEquals(result.flags, IE);
});

Deno.test("an unmasked inexact truncation leaves the register", () => {
  f64ToInt32(0, 0x3ff8_0000, true, MXCSR_DEFAULT & ~0x1000);
  assertEquals([result.flags, result.stored], [PE, 0]);
});

Deno.test("an integer of 64 bits is rounded once on its way to f32", () => {
  // 2^63 - 2^38 is half-way between two f32s; one more decides, which an f64 between would lose.
  assertEquals(int64ToF32(1, 0x4000_0040, MXCSR_DEFAULT), 0x5e80_0001);
  assertEquals(int64ToF32(0, 0x4000_0040, MXCSR_DEFAULT), 0x5e80_0000);
});

Deno.test("ROUNDSD takes its mode from the immediate or from MXCSR, and can be silent", () => {
  const round = (imm: number, mxcsr = MXCSR_DEFAULT) => {
    roundF64(0, 0x4004_0000, imm, mxcsr);
    return [result.hi, result.flags];
  };
  const [two, three] = [0x4000_0000, 0x4008_0000];
  assertEquals([0, 1, 2, 3].map((imm) => round(imm)[0]), [two, two, three, two]);
  assertEquals(round(4, MXCSR_DEFAULT | 2 << 13), [three, PE]);
  assertEquals(round(8 | 2), [three, 0]);
});

Deno.test("constants are rounded as RC says and raise nothing", () => {
  const pi = (cw: number) => {
    constantF80(3, cw);
    return [resultText(), result.flags];
  };
  assertEquals(pi(CW_DEFAULT), ["4000:c90fdaa22168c235", 0]);
  assertEquals(pi(CW_DEFAULT | 0x400), ["4000:c90fdaa22168c234", 0]);
  assertEquals(pi(CW_DEFAULT & ~0x300), ["4000:c90fdaa22168c235", 0]);
});
