/** Masked and unmasked responses to the floating-point exceptions (SDM 1 §4.9.1, §8.5, §11.5). */

import { assertEquals } from "@std/assert";
import {
  addF64,
  addF80,
  CW_DEFAULT,
  DE,
  divF64,
  divF80,
  IE,
  mulF32,
  mulF64,
  mulF80,
  MXCSR_DAZ,
  MXCSR_DEFAULT,
  MXCSR_FTZ,
  MXCSR_MASK_SHIFT,
  OE,
  packedFlags,
  PE,
  result,
  scaleF80,
  storeF32,
  storeF64,
  UE,
  ZE,
} from "../../../../src/cpu/float/mod.ts";
import {
  DENORMAL,
  f80Of,
  INFINITY,
  LARGEST,
  MINUS_INFINITY,
  ONE,
  partsText,
  resultText,
  SMALLEST_NORMAL,
  ZERO,
} from "../../../support/float_values.ts";

/** RC in place in the x87 control word. */
const [TO_NEAREST, DOWN, UP, TO_ZERO] = [0, 1, 2, 3].map((rc) => CW_DEFAULT | rc << 10);

function outcome(): (string | number)[] {
  return [resultText(), result.flags, result.roundedUp, result.stored];
}

Deno.test("x87: a masked overflow gives infinity or the largest number, as the rounding mode says", () => {
  for (
    const [cw, expected, up] of [
      [TO_NEAREST, INFINITY, 1],
      [DOWN, LARGEST, 0],
      [UP, INFINITY, 1],
      [TO_ZERO, LARGEST, 0],
    ] as const
  ) {
    mulF80(...LARGEST, ...LARGEST, cw);
    assertEquals(outcome(), [partsText(expected), OE | PE, up, 1]);
  }
});

Deno.test("x87: an unmasked overflow takes 24576 from the exponent", () => {
  mulF80(...LARGEST, ...LARGEST, CW_DEFAULT & ~OE);
  assertEquals(outcome(), ["5ffe:fffffffffffffffe", OE | PE, 0, 1]);
});

Deno.test("x87: an unmasked underflow adds 24576 to the exponent, and is none of being inexact", () => {
  mulF80(...SMALLEST_NORMAL, ...SMALLEST_NORMAL, CW_DEFAULT & ~UE);
  assertEquals(outcome(), ["2003:8000000000000000", UE, 0, 1]);
});

Deno.test("x87: a masked underflow gives a denormal; an exact one is no exception", () => {
  mulF80(...SMALLEST_NORMAL, ...f80Of(0.5), CW_DEFAULT);
  assertEquals(outcome(), ["0000:4000000000000000", 0, 0, 1]);
  mulF80(...SMALLEST_NORMAL, ...f80Of(2 ** -64), CW_DEFAULT);
  assertEquals(outcome(), ["0000:0000000000000000", UE | PE, 0, 1]);
  mulF80(...SMALLEST_NORMAL, ...f80Of(2 ** -64), UP);
  assertEquals(outcome(), ["0000:0000000000000001", UE | PE, 1, 1]);
});

Deno.test("x87: tininess is detected after rounding", () => {
  // (1 + 2^-40)(1 - 2^-40) rounds to 1 to nearest, but not toward zero.
  const [lo, hi] = f80Of(1 + 2 ** -40);
  mulF80(lo, hi, 1, ...f80Of(1 - 2 ** -40), CW_DEFAULT);
  assertEquals(outcome(), [partsText(SMALLEST_NORMAL), PE, 1, 1]);
  mulF80(lo, hi, 1, ...f80Of(1 - 2 ** -40), TO_ZERO);
  assertEquals(outcome(), ["0000:7fffffffffffffff", UE | PE, 0, 1]);
});

Deno.test("x87: FSCALE beyond the adjusted exponents gives infinity or zero", () => {
  scaleF80(...ONE, ...f80Of(65536), CW_DEFAULT & ~OE);
  assertEquals(outcome(), [partsText(INFINITY), OE | PE, 1, 1]);
  scaleF80(...ONE, ...f80Of(40959), CW_DEFAULT & ~OE);
  assertEquals(outcome(), ["7ffe:8000000000000000", OE, 0, 1]);
  scaleF80(...ONE, ...f80Of(40960), CW_DEFAULT & ~OE);
  assertEquals(outcome(), [partsText(INFINITY), OE | PE, 1, 1]);
  scaleF80(...ONE, ...f80Of(-40958), CW_DEFAULT & ~UE);
  assertEquals(outcome(), [partsText(SMALLEST_NORMAL), UE, 0, 1]);
  scaleF80(...ONE, ...f80Of(-40959), CW_DEFAULT & ~UE);
  assertEquals(outcome(), [partsText(ZERO), UE | PE, 0, 1]);
  scaleF80(...ONE, ...f80Of(-65536), CW_DEFAULT & ~UE);
  assertEquals(outcome(), [partsText(ZERO), UE | PE, 0, 1]);
});

Deno.test("x87: division by zero gives infinity, or leaves the operands when unmasked", () => {
  divF80(...f80Of(-3), ...ZERO, CW_DEFAULT);
  assertEquals(outcome(), [partsText(MINUS_INFINITY), ZE, 0, 1]);
  divF80(...f80Of(-3), ...ZERO, CW_DEFAULT & ~ZE);
  assertEquals([result.flags, result.stored], [ZE, 0]);
});

Deno.test("x87: an unmasked denormal operand stops the operation before anything else is found", () => {
  mulF80(...DENORMAL, ...DENORMAL, CW_DEFAULT & ~DE);
  assertEquals([result.flags, result.stored], [DE, 0]);
  mulF80(...DENORMAL, ...DENORMAL, CW_DEFAULT);
  assertEquals([result.flags, result.stored], [DE | UE | PE, 1]);
});

Deno.test("x87: dividing a denormal by zero is a division by zero alone", () => {
  divF80(...DENORMAL, ...ZERO, CW_DEFAULT);
  assertEquals(outcome(), [partsText(INFINITY), ZE, 0, 1]);
});

Deno.test("x87: an unmasked overflow of a store leaves memory, and is not reported as inexact", () => {
  storeF32(...LARGEST, CW_DEFAULT & ~OE);
  assertEquals([result.flags, result.stored, result.roundedUp], [OE, 0, 0]);
  storeF64(...SMALLEST_NORMAL, CW_DEFAULT & ~UE);
  assertEquals([result.flags, result.stored, result.roundedUp], [UE, 0, 0]);
});

Deno.test("x87: precision control rounds the significand and leaves the exponent's range", () => {
  addF80(...ONE, ...f80Of(2 ** -30), CW_DEFAULT & ~0x300);
  assertEquals(outcome(), [partsText(ONE), PE, 0, 1]);
  addF80(...ONE, ...f80Of(2 ** -30), CW_DEFAULT & ~0x300 | 0x800);
  assertEquals(outcome(), ["3fff:8000010000000000", PE, 1, 1]);
  addF80(...ONE, ...f80Of(2 ** -60), CW_DEFAULT & ~0x100 | 0x800);
  assertEquals(outcome(), ["3fff:8000000000000800", PE, 1, 1]);
});

const unmasked = (flag: number) => MXCSR_DEFAULT & ~(flag << MXCSR_MASK_SHIFT);
/** High halves of f64 values whose low half is 0. */
const [F64_ONE, F64_SMALLEST, F64_DENORMAL, F64_HUGE] = [
  0x3ff0_0000,
  0x0010_0000,
  0x0008_0000,
  0x7fe0_0000,
];

Deno.test("SSE: any unmasked exception leaves the destination", () => {
  for (
    const [flag, run, flags] of [
      [IE, (mxcsr: number) => divF64(0, 0, 0, 0, mxcsr), IE],
      [ZE, (mxcsr: number) => divF64(0, F64_ONE, 0, 0, mxcsr), ZE],
      [DE, (mxcsr: number) => addF64(0, F64_DENORMAL, 0, F64_ONE, mxcsr), DE],
      [OE, (mxcsr: number) => addF64(0, F64_HUGE, 0, F64_HUGE, mxcsr), OE],
      [UE, (mxcsr: number) => mulF64(0, F64_SMALLEST, 0, F64_SMALLEST, mxcsr), UE],
      [PE, (mxcsr: number) => addF64(1, F64_ONE, 0, 0x3c00_0000, mxcsr), PE],
    ] as const
  ) {
    run(unmasked(flag));
    assertEquals([result.flags & flag, result.stored], [flags, 0]);
    run(MXCSR_DEFAULT);
    assertEquals([result.flags & flag, result.stored], [flag === UE ? UE : flags, 1]);
  }
});

Deno.test("SSE: an unmasked underflow is reported when the tiny result is exact", () => {
  mulF64(0, F64_SMALLEST, 0, 0x3fe0_0000, unmasked(UE));
  assertEquals([result.flags, result.stored], [UE, 0]);
  mulF64(0, F64_SMALLEST, 0, 0x3fe0_0000, MXCSR_DEFAULT);
  assertEquals([result.flags, result.hi], [0, F64_DENORMAL]);
});

Deno.test("SSE: tininess is detected after rounding", () => {
  // (1 + 2^-28)(1 - 2^-28) rounds to 1, so the product with 2^-1022 is not tiny.
  mulF64(0x0100_0000, F64_SMALLEST, 0xfe00_0000 | 0, 0x3fef_ffff, MXCSR_DEFAULT);
  assertEquals([result.lo, result.hi, result.flags], [0, F64_SMALLEST, PE]);
  // (1 + 2^-14)(1 - 2^-14) and 2^-126 in f32.
  assertEquals(mulF32(0x0080_0200, 0x3f7f_fc00, MXCSR_DEFAULT), 0x0080_0000);
  assertEquals(result.flags, PE);
});

Deno.test("SSE: flushing to zero reports underflow and inexactness even of exact results", () => {
  mulF64(0, F64_SMALLEST | 0x8000_0000, 0, 0x3fe0_0000, MXCSR_DEFAULT | MXCSR_FTZ);
  assertEquals([result.lo, result.hi, result.flags], [0, 0x8000_0000 | 0, UE | PE]);
});

Deno.test("SSE: flushing to zero gives way to an unmasked underflow", () => {
  mulF64(0, F64_SMALLEST, 0, 0x3fe0_0000, unmasked(UE) | MXCSR_FTZ);
  assertEquals([result.flags, result.stored], [UE, 0]);
});

Deno.test("SSE: denormals that are zeros raise nothing", () => {
  addF64(1, 0, 0, F64_ONE, MXCSR_DEFAULT | MXCSR_DAZ);
  assertEquals([result.lo, result.hi, result.flags], [0, F64_ONE, 0]);
  addF64(1, 0, 0, F64_ONE, MXCSR_DEFAULT);
  assertEquals([result.lo, result.hi, result.flags], [0, F64_ONE, DE | PE]);
});

Deno.test("SSE: an element's unmasked exception before computing hides what others raised after", () => {
  assertEquals(packedFlags(ZE | OE | PE, unmasked(ZE)), ZE);
  assertEquals(packedFlags(ZE | OE | PE, MXCSR_DEFAULT), ZE | OE | PE);
  assertEquals(packedFlags(ZE | OE | PE, unmasked(OE)), ZE | OE | PE);
});
