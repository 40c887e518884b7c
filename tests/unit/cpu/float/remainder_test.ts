/** FPREM and FPREM1 (SDM 2 FPREM): quotient bits, completeness, the loop that software runs. */

import { assertEquals } from "@std/assert";
import {
  CW_DEFAULT,
  IE,
  remainderF80,
  remainderNearestF80,
  result,
} from "../../../../src/cpu/float/mod.ts";
import {
  f80Of,
  INFINITY,
  LARGEST,
  MINUS_ZERO,
  partsText,
  resultText,
  SMALLEST_NORMAL,
  ZERO,
} from "../../../support/float_values.ts";
import { Random, seed } from "../../../support/random.ts";

type Remainder = typeof remainderF80;

function step(remainder: Remainder, a: number, b: number): (string | number)[] {
  remainder(...f80Of(a), ...f80Of(b), CW_DEFAULT);
  return [resultText(), result.quotient, result.incomplete, result.flags];
}

Deno.test("FPREM cuts the quotient, FPREM1 rounds it to nearest", () => {
  assertEquals(step(remainderF80, 17, 3), [partsText(f80Of(2)), 5, 0, 0]);
  assertEquals(step(remainderNearestF80, 17, 3), [partsText(f80Of(-1)), 6, 0, 0]);
  assertEquals(step(remainderF80, -17, 3), [partsText(f80Of(-2)), 5, 0, 0]);
  assertEquals(step(remainderNearestF80, -17, 3), [partsText(f80Of(1)), 6, 0, 0]);
});

Deno.test("FPREM1 takes the even quotient of two that are as near", () => {
  assertEquals(step(remainderNearestF80, 3, 2), [partsText(f80Of(-1)), 2, 0, 0]);
  assertEquals(step(remainderNearestF80, 5, 2), [partsText(f80Of(1)), 2, 0, 0]);
  assertEquals(step(remainderNearestF80, 1, 2), [partsText(f80Of(1)), 0, 0, 0]);
});

Deno.test("a dividend below the divisor stays", () => {
  assertEquals(step(remainderF80, 2, 3), [partsText(f80Of(2)), 0, 0, 0]);
  assertEquals(step(remainderNearestF80, 2, 3), [partsText(f80Of(-1)), 1, 0, 0]);
  assertEquals(step(remainderNearestF80, 1, 3), [partsText(f80Of(1)), 0, 0, 0]);
});

Deno.test("a remainder of zero has the dividend's sign", () => {
  assertEquals(step(remainderF80, -6, 3), [partsText(MINUS_ZERO), 2, 0, 0]);
});

Deno.test("exponents 64 or more apart take several steps", () => {
  assertEquals(step(remainderF80, 2 ** 63, 1)[2], 0);
  assertEquals(step(remainderF80, 2 ** 64, 1)[2], 1);
});

Deno.test("the largest number by the smallest needs no more than 1024 steps", () => {
  let parts = LARGEST;
  let steps = 0;
  do {
    remainderF80(...parts, ...SMALLEST_NORMAL, CW_DEFAULT);
    parts = [result.lo, result.hi, result.signExp];
    steps++;
  } while (result.incomplete === 1 && steps < 1024);
  assertEquals([result.incomplete, resultText()], [0, partsText(ZERO)]);
});

Deno.test("the loop ends with what BigInt says the remainder is", () => {
  const random = new Random(seed(0x9e3));
  for (let i = 0; i < 300; i++) {
    const a = random.u64() | 1n << 63n;
    const b = random.u64() | 1n << 63n;
    const distance = random.below(400);
    let parts = [
      Number(BigInt.asIntN(32, a)),
      Number(BigInt.asIntN(32, a >> 32n)),
      0x3fff + distance,
    ];
    const divisor = [Number(BigInt.asIntN(32, b)), Number(BigInt.asIntN(32, b >> 32n)), 0x3fff];
    do {
      remainderF80(parts[0], parts[1], parts[2], divisor[0], divisor[1], divisor[2], CW_DEFAULT);
      parts = [result.lo, result.hi, result.signExp];
    } while (result.incomplete === 1);
    const dividend = a << BigInt(distance);
    const significand = BigInt(result.hi >>> 0) << 32n | BigInt(result.lo >>> 0);
    const remainder = significand >> BigInt(Math.min(64, 0x3fff - result.signExp));
    assertEquals(remainder, dividend % b, `seed ${random.seed}, round ${i}`);
    assertEquals(BigInt(result.quotient), dividend / b & 7n, `seed ${random.seed}, round ${i}`);
  }
});

Deno.test("infinite dividends and zero divisors are invalid; infinite divisors change nothing", () => {
  for (const remainder of [remainderF80, remainderNearestF80]) {
    remainder(...INFINITY, ...f80Of(2), CW_DEFAULT);
    assertEquals(result.flags, IE);
    remainder(...f80Of(2), ...ZERO, CW_DEFAULT);
    assertEquals(result.flags, IE);
    remainder(...f80Of(2), ...INFINITY, CW_DEFAULT);
    assertEquals([resultText(), result.flags], [partsText(f80Of(2)), 0]);
  }
});
