/** Sums, differences, products, averages and absolute values of integer lanes (SDM 2B). */

import { borrowOf as importedBorrowOf, carryOf as importedCarryOf } from "../../../../base/u64.ts";
import { mulHigh as importedMulHigh } from "../../../../cpu/float/wide.ts";
import type { Row } from "../row.ts";
import { mmxAndXmm, mmxAndXmmPairs, xmm, xmmOfPairs } from "./lane_rows.ts";
import { MMX_SSE, MMX_SSE2, MMX_SSSE3, SSE41, SSSE3 } from "./units.ts";
import * as words from "./words.ts";

// V8 folds a module's own constants, not those of others.
const carryOf = importedCarryOf;
const borrowOf = importedBorrowOf;
const mulHigh = importedMulHigh;

function addPair(s: Int32Array, a: number, b: number): void {
  const lo = s[a] + s[b] | 0;
  s[a + 1] = s[a + 1] + s[b + 1] + carryOf(s[a], s[b], lo);
  s[a] = lo;
}

function subPair(s: Int32Array, a: number, b: number): void {
  const lo = s[a] - s[b] | 0;
  s[a + 1] = s[a + 1] - s[b + 1] - borrowOf(s[a], s[b], lo);
  s[a] = lo;
}

/** The 64-bit product of the low words, unsigned. */
function mulUnsignedPair(s: Int32Array, a: number, b: number): void {
  const x = s[a], y = s[b];
  s[a] = Math.imul(x, y);
  s[a + 1] = mulHigh(x, y);
}

function mulSignedPair(s: Int32Array, a: number, b: number): void {
  const x = s[a], y = s[b];
  s[a] = Math.imul(x, y);
  s[a + 1] = mulHigh(x, y) - (x >> 31 & y) - (y >> 31 & x);
}

/** PSADBW: the sum of the distances of the eight bytes. */
function sumOfDistances(s: Int32Array, a: number, b: number): void {
  s[a] = distance(s[a], s[b]) + distance(s[a + 1], s[b + 1]);
  s[a + 1] = 0;
}

function distance(a: number, b: number): number {
  return Math.abs((a & 255) - (b & 255)) + Math.abs((a >>> 8 & 255) - (b >>> 8 & 255)) +
    Math.abs((a >>> 16 & 255) - (b >>> 16 & 255)) + Math.abs((a >>> 24) - (b >>> 24));
}

export const INTEGER_ARITHMETIC: readonly Row[] = [
  ...mmxAndXmm("0f fc /r", "paddb", words.addBytes),
  ...mmxAndXmm("0f fd /r", "paddw", words.addHalves),
  ...mmxAndXmmPairs("0f d4 /r", "paddq", addPair, MMX_SSE2),
  ...mmxAndXmm("0f f8 /r", "psubb", words.subBytes),
  ...mmxAndXmm("0f f9 /r", "psubw", words.subHalves),
  ...mmxAndXmm("0f fa /r", "psubd", words.subWords),
  ...mmxAndXmmPairs("0f fb /r", "psubq", subPair, MMX_SSE2),

  ...mmxAndXmm("0f ec /r", "paddsb", words.addSaturatedBytes),
  ...mmxAndXmm("0f ed /r", "paddsw", words.addSaturatedHalves),
  ...mmxAndXmm("0f dc /r", "paddusb", words.addUnsignedBytes),
  ...mmxAndXmm("0f dd /r", "paddusw", words.addUnsignedHalves),
  ...mmxAndXmm("0f e8 /r", "psubsb", words.subSaturatedBytes),
  ...mmxAndXmm("0f e9 /r", "psubsw", words.subSaturatedHalves),
  ...mmxAndXmm("0f d8 /r", "psubusb", words.subUnsignedBytes),
  ...mmxAndXmm("0f d9 /r", "psubusw", words.subUnsignedHalves),

  ...mmxAndXmm("0f d5 /r", "pmullw", words.mulLowHalves),
  ...mmxAndXmm("0f e5 /r", "pmulhw", words.mulHighHalves),
  ...mmxAndXmm("0f e4 /r", "pmulhuw", words.mulHighUnsignedHalves, MMX_SSE),
  ...mmxAndXmm("0f f5 /r", "pmaddwd", words.mulAddHalves),
  ...mmxAndXmmPairs("0f f4 /r", "pmuludq", mulUnsignedPair, MMX_SSE2),
  ...mmxAndXmm("0f 38 04 /r", "pmaddubsw", words.mulAddBytes, MMX_SSSE3, SSSE3),
  ...mmxAndXmm("0f 38 0b /r", "pmulhrsw", words.mulRoundHalves, MMX_SSSE3, SSSE3),
  xmm("66 0f 38 40 /r", "pmulld", words.mulLowWords, SSE41),
  xmmOfPairs("66 0f 38 28 /r", "pmuldq", mulSignedPair, SSE41),

  ...mmxAndXmm("0f e0 /r", "pavgb", words.averageBytes, MMX_SSE),
  ...mmxAndXmm("0f e3 /r", "pavgw", words.averageHalves, MMX_SSE),
  ...mmxAndXmmPairs("0f f6 /r", "psadbw", sumOfDistances, MMX_SSE),

  ...mmxAndXmm("0f 38 08 /r", "psignb", words.signBytes, MMX_SSSE3, SSSE3),
  ...mmxAndXmm("0f 38 09 /r", "psignw", words.signHalves, MMX_SSSE3, SSSE3),
  ...mmxAndXmm("0f 38 0a /r", "psignd", words.signWords, MMX_SSSE3, SSSE3),
  ...mmxAndXmm("0f 38 1c /r", "pabsb", words.absBytes, MMX_SSSE3, SSSE3),
  ...mmxAndXmm("0f 38 1d /r", "pabsw", words.absHalves, MMX_SSSE3, SSSE3),
  ...mmxAndXmm("0f 38 1e /r", "pabsd", words.absWords, MMX_SSSE3, SSSE3),
];
