/** Which NaN comes out of an operation: SDM 1 table 4-7, the x87 and the SSE column. */

import { assertEquals } from "@std/assert";
import {
  addF32,
  addF64,
  addF80,
  CW_DEFAULT,
  DE,
  f32ToF64,
  IE,
  loadF32,
  maxF64,
  minF64,
  mulF80,
  MXCSR_DEFAULT,
  result,
  sqrtF64,
  widenF32,
} from "../../../../src/cpu/float/mod.ts";
import {
  DENORMAL,
  f80,
  type F80Parts,
  INDEFINITE,
  INFINITY,
  ONE,
  partsText,
  quiet,
  resultText,
  signalling,
  ZERO,
} from "../../../support/float_values.ts";

function x87(a: F80Parts, b: F80Parts, expected: F80Parts, flags: number): void {
  addF80(...a, ...b, CW_DEFAULT);
  assertEquals(resultText(), partsText(expected));
  assertEquals(result.flags, flags);
  addF80(...b, ...a, CW_DEFAULT);
  assertEquals(resultText(), partsText(expected), "with the operands exchanged");
  assertEquals(result.flags, flags);
}

Deno.test("x87: of a signalling and a quiet NaN the quiet one comes through", () => {
  x87(signalling(9n), quiet(5n), quiet(5n), IE);
});

Deno.test("x87: of two signalling NaNs the one with the larger significand comes through, quieted", () => {
  x87(signalling(5n), signalling(9n), quiet(9n), IE);
});

Deno.test("x87: of two quiet NaNs the one with the larger significand comes through", () => {
  x87(quiet(5n), quiet(9n), quiet(9n), 0);
  x87(quiet(1n << 40n), quiet(9n), quiet(1n << 40n), 0);
});

Deno.test("x87: of NaNs that differ in sign alone the positive one comes through", () => {
  x87(quiet(5n, 1), quiet(5n, 0), quiet(5n, 0), 0);
});

Deno.test("x87: a NaN and a number give the NaN; a denormal beside it raises nothing", () => {
  x87(signalling(5n), ONE, quiet(5n), IE);
  x87(quiet(5n), ONE, quiet(5n), 0);
  x87(quiet(5n), DENORMAL, quiet(5n), 0);
});

Deno.test("x87: encodings that are not supported are invalid, even beside a NaN", () => {
  const unnormal = f80(5, 7n);
  const pseudoNan = f80(0x7fff, 5n);
  const pseudoInfinity = f80(0x7fff, 0n);
  for (const odd of [unnormal, pseudoNan, pseudoInfinity]) {
    x87(odd, ONE, INDEFINITE, IE);
    x87(odd, quiet(5n), INDEFINITE, IE);
  }
});

Deno.test("x87: invalid operations give the indefinite NaN", () => {
  mulF80(...ZERO, ...INFINITY, CW_DEFAULT);
  assertEquals([resultText(), result.flags], [partsText(INDEFINITE), IE]);
});

Deno.test("x87: loading a signalling f32 quiets it, widening an operand does not", () => {
  loadF32(0x7f80_0001, CW_DEFAULT);
  assertEquals([resultText(), result.flags], [partsText(quiet(1n << 40n)), IE]);
  widenF32(0x7f80_0001);
  assertEquals([resultText(), result.flags], [partsText(signalling(1n << 40n)), 0]);
});

Deno.test("x87: a widened denormal is told by its flag, and raises it in the operation", () => {
  widenF32(1);
  assertEquals([resultText(), result.flags], ["3f6a:8000000000000000", DE]);
  addF80(...ZERO, result.lo, result.hi, result.signExp, CW_DEFAULT, result.flags);
  assertEquals([resultText(), result.flags], ["3f6a:8000000000000000", DE]);
});

Deno.test("SSE: of two NaNs the first comes through, quieted", () => {
  assertEquals(addF32(0x7f80_0001, 0x7fc0_0005, MXCSR_DEFAULT), 0x7fc0_0001);
  assertEquals(result.flags, IE);
  assertEquals(addF32(0x7fc0_0005, 0x7f80_0001, MXCSR_DEFAULT), 0x7fc0_0005);
  assertEquals(result.flags, IE);
  assertEquals(addF32(0x7fc0_0005, 0x7fc0_0009, MXCSR_DEFAULT), 0x7fc0_0005);
  assertEquals(result.flags, 0);
});

Deno.test("SSE: a NaN and a number give the NaN", () => {
  assertEquals(addF64(1, 0x3ff0_0000, 7, 0x7ff0_0000, MXCSR_DEFAULT), 7);
  assertEquals([result.hi, result.flags], [0x7ff8_0000, IE]);
});

Deno.test("SSE: the root of a negative number is the indefinite NaN", () => {
  assertEquals(sqrtF64(0, 0xbff0_0000 | 0, MXCSR_DEFAULT), 0);
  assertEquals([result.hi, result.flags], [0xfff8_0000 | 0, IE]);
});

Deno.test("SSE: conversions keep the payload's upper bits", () => {
  assertEquals(f32ToF64(0xffc1_2345 | 0, MXCSR_DEFAULT), 0xa000_0000 | 0);
  assertEquals([result.hi, result.flags], [0xfff8_2468 | 0, 0]);
});

Deno.test("SSE: MIN and MAX give the second operand untouched when there is a NaN", () => {
  for (const choose of [minF64, maxF64]) {
    assertEquals(choose(0, 0x7ff8_0000, 3, 0x3ff0_0000, MXCSR_DEFAULT), 3);
    assertEquals([result.hi, result.flags], [0x3ff0_0000, IE]);
    assertEquals(choose(0, 0x3ff0_0000, 3, 0x7ff0_0000, MXCSR_DEFAULT), 3);
    assertEquals([result.hi, result.flags], [0x7ff0_0000, IE]);
  }
});

Deno.test("SSE: MIN and MAX of two zeros give the second", () => {
  for (const choose of [minF64, maxF64]) {
    choose(0, 0x8000_0000 | 0, 0, 0, MXCSR_DEFAULT);
    assertEquals(result.hi, 0);
    choose(0, 0, 0, 0x8000_0000 | 0, MXCSR_DEFAULT);
    assertEquals(result.hi, 0x8000_0000 | 0);
  }
});
