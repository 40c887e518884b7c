/** Special cases and ranges of the transcendental instructions, from the tables of SDM 2. */

import { assert, assertEquals } from "@std/assert";
import {
  atanF80,
  cosF80,
  CW_DEFAULT,
  DE,
  exp2m1F80,
  IE,
  OE,
  PE,
  pushed,
  result,
  sinCosF80,
  sinF80,
  tanF80,
  UE,
  yLog2xF80,
  yLog2xp1F80,
  ZE,
} from "../../../../src/cpu/float/mod.ts";
import {
  DENORMAL,
  f80,
  f80Of,
  type F80Parts,
  INDEFINITE,
  INFINITY,
  MINUS_INFINITY,
  MINUS_ZERO,
  ONE,
  partsText,
  resultText,
  textOf,
  ZERO,
} from "../../../support/float_values.ts";

/** Multiples of pi as the CPU rounds them. */
const PI_4 = f80(0x3ffe, 0xc90f_daa2_2168_c235n);
const PI_2 = f80(0x3fff, 0xc90f_daa2_2168_c235n);
const PI = f80(0x4000, 0xc90f_daa2_2168_c235n);
const THREE_PI_4 = f80(0x4000, 0x96cb_e3f9_990e_91a8n);

Deno.test("FPATAN of zeros and infinities (SDM 2, table of FPATAN)", () => {
  for (
    const [y, x, expected] of [
      [ZERO, ONE, ZERO],
      [ZERO, ZERO, ZERO],
      [ZERO, MINUS_ZERO, PI],
      [ZERO, f80Of(-1), PI],
      [ONE, ZERO, PI_2],
      [ONE, MINUS_ZERO, PI_2],
      [ONE, ONE, PI_4],
      [ONE, f80Of(-1), THREE_PI_4],
      [ONE, INFINITY, ZERO],
      [ONE, MINUS_INFINITY, PI],
      [INFINITY, ONE, PI_2],
      [INFINITY, INFINITY, PI_4],
      [INFINITY, MINUS_INFINITY, THREE_PI_4],
    ] as const
  ) {
    atanF80(...y, ...x, CW_DEFAULT);
    assertEquals(resultText(), partsText(expected));
    assertEquals(result.flags, expected === ZERO ? 0 : PE);
    atanF80(y[0], y[1], y[2] | 0x8000, ...x, CW_DEFAULT);
    assertEquals(resultText(), partsText([expected[0], expected[1], expected[2] | 0x8000]));
  }
});

function log(y: F80Parts, x: F80Parts): [string, number] {
  yLog2xF80(...y, ...x, CW_DEFAULT);
  return [resultText(), result.flags];
}

Deno.test("FYL2X of zeros, infinities and negative numbers (SDM 2, table of FYL2X)", () => {
  const invalid = [partsText(INDEFINITE), IE] as const;
  assertEquals(log(ONE, f80Of(-1)), [...invalid]);
  assertEquals(log(ONE, MINUS_INFINITY), [...invalid]);
  assertEquals(log(ZERO, ZERO), [...invalid]);
  assertEquals(log(ZERO, INFINITY), [...invalid]);
  assertEquals(log(INFINITY, ONE), [...invalid]);
  assertEquals(log(ONE, ZERO), [partsText(MINUS_INFINITY), ZE]);
  assertEquals(log(f80Of(-1), MINUS_ZERO), [partsText(INFINITY), ZE]);
  assertEquals(log(INFINITY, ZERO), [partsText(MINUS_INFINITY), 0]);
  assertEquals(log(INFINITY, f80Of(0.5)), [partsText(MINUS_INFINITY), 0]);
  assertEquals(log(INFINITY, f80Of(2)), [partsText(INFINITY), 0]);
  assertEquals(log(ONE, INFINITY), [partsText(INFINITY), 0]);
  assertEquals(log(f80Of(-3), ONE), [partsText(MINUS_ZERO), 0]);
  assertEquals(log(f80Of(3), f80Of(8)), [partsText(f80Of(9)), PE]);
  assertEquals(log(f80Of(1.5), f80Of(0.25)), [partsText(f80Of(-3)), PE]);
});

Deno.test("FYL2X overflows and underflows like any other operation", () => {
  assertEquals(log(f80(0x7ffe, 1n << 63n), f80Of(2 ** 100)), [partsText(INFINITY), OE | PE]);
  assertEquals(log(f80(1, 1n << 63n), f80Of(1 + 2 ** -40))[1], UE | PE);
});

Deno.test("a denormal that FYL2X computes counts as inexact even when it is exact", () => {
  assertEquals(log(DENORMAL, f80Of(2)), [partsText(DENORMAL), DE | UE | PE]);
});

Deno.test("FYL2XP1 is exact about small arguments and defined at its ends", () => {
  yLog2xp1F80(...ONE, ...f80Of(1), CW_DEFAULT);
  assertEquals(resultText(), partsText(ONE));
  yLog2xp1F80(...ONE, ...f80Of(2 ** -70), CW_DEFAULT);
  assertEquals(resultText(), "3fb9:b8aa3b295c17f0bc");
  yLog2xp1F80(...INFINITY, ...ZERO, CW_DEFAULT);
  assertEquals([resultText(), result.flags], [partsText(INDEFINITE), IE]);
  yLog2xp1F80(...ONE, ...MINUS_INFINITY, CW_DEFAULT);
  assertEquals(result.flags, IE);
});

Deno.test("F2XM1 is exact at its ends and keeps zeros", () => {
  const of = (x: F80Parts) => {
    exp2m1F80(...x, CW_DEFAULT);
    return resultText();
  };
  assertEquals(of(ONE), partsText(ONE));
  assertEquals(of(f80Of(-1)), partsText(f80Of(-0.5)));
  assertEquals(of(MINUS_ZERO), partsText(MINUS_ZERO));
  assertEquals(of(MINUS_INFINITY), partsText(f80Of(-1)));
  assertEquals(of(f80Of(0.5)), "3ffd:d413cccfe7799211");
});

Deno.test("angles from 2^63 on are left alone and set C2", () => {
  const large = f80(0x3fff + 63, 1n << 63n);
  for (const run of [sinF80, cosF80, tanF80, sinCosF80]) {
    run(...large, CW_DEFAULT);
    assertEquals([resultText(), result.incomplete, result.flags], [partsText(large), 1, 0]);
    run(...f80(0x3fff + 62, 1n << 63n), CW_DEFAULT);
    assertEquals([result.incomplete, result.flags], [0, PE]);
  }
});

Deno.test("angles are reduced by a pi of 66 bits", () => {
  sinF80(...PI, CW_DEFAULT);
  assertEquals(resultText(), "bfbf:8000000000000000");
  cosF80(...PI_2, CW_DEFAULT);
  assertEquals(resultText(), "bfbe:8000000000000000");
});

Deno.test("the sine of something tiny is less than it", () => {
  sinF80(...DENORMAL, CW_DEFAULT | 0xc00);
  assertEquals(resultText(), "0000:000000000000007a");
  tanF80(...DENORMAL, CW_DEFAULT | 0x800);
  assertEquals(resultText(), "0000:000000000000007c");
  cosF80(...DENORMAL, CW_DEFAULT | 0xc00);
  assertEquals(resultText(), "3ffe:ffffffffffffffff");
});

Deno.test("zero has an exact sine, cosine and tangent; infinity has none", () => {
  sinCosF80(...MINUS_ZERO, CW_DEFAULT);
  assertEquals([resultText(), textOf(pushed)], [partsText(MINUS_ZERO), partsText(ONE)]);
  assertEquals(result.flags, 0);
  for (const run of [sinF80, cosF80, tanF80, sinCosF80]) {
    run(...INFINITY, CW_DEFAULT);
    assertEquals([resultText(), result.flags], [partsText(INDEFINITE), IE]);
  }
});

Deno.test("sines and logarithms agree with JavaScript's", () => {
  for (let x = -20; x < 20; x += 0.37) {
    sinF80(...f80Of(x), CW_DEFAULT);
    assert(Math.abs(numberOf() - Math.sin(x)) < 1e-15, `sin(${x})`);
    atanF80(...f80Of(x), ...f80Of(3), CW_DEFAULT);
    assert(Math.abs(numberOf() - Math.atan2(x, 3)) < 1e-15, `atan2(${x}, 3)`);
    yLog2xF80(...ONE, ...f80Of(x * x), CW_DEFAULT);
    assert(Math.abs(numberOf() - Math.log2(x * x)) < 1e-14, `log2(${x * x})`);
  }
});

/** `result` as a double, by way of its parts. */
function numberOf(): number {
  const significand = (result.hi >>> 0) / 2 ** 31 + (result.lo >>> 0) / 2 ** 63;
  const value = significand * 2 ** ((result.signExp & 0x7fff) - 16383);
  return (result.signExp & 0x8000) !== 0 ? -value : value;
}
