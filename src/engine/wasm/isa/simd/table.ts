/** The instruction table's part for MMX and SSE, AES, SHA and carry-less multiplication. */

import type { Row } from "../row.ts";
import { AES_NI } from "./aes.ts";
import { CLMUL } from "./clmul.ts";
import { CONVERT } from "./convert.ts";
import { FLOAT_ARITHMETIC } from "./float_arithmetic.ts";
import { FLOAT_COMPARE } from "./float_compare.ts";
import { INTEGER_ARITHMETIC } from "./integer_arithmetic.ts";
import { INTEGER_COMPARE } from "./integer_compare.ts";
import { LANES } from "./lanes.ts";
import { LOGIC } from "./logic.ts";
import { SIMD_MMX } from "./mmx.ts";
import { SIMD_MOVES } from "./moves.ts";
import { PACK } from "./pack.ts";
import { RECIPROCAL } from "./reciprocal.ts";
import { SHA_NI } from "./sha.ts";
import { SIMD_SHIFT } from "./shift.ts";
import { SHUFFLE } from "./shuffle.ts";
import { STRING_COMPARE } from "./string_compare.ts";

export const SIMD: readonly Row[] = [
  ...AES_NI,
  ...CLMUL,
  ...CONVERT,
  ...FLOAT_ARITHMETIC,
  ...FLOAT_COMPARE,
  ...INTEGER_ARITHMETIC,
  ...INTEGER_COMPARE,
  ...LANES,
  ...LOGIC,
  ...PACK,
  ...RECIPROCAL,
  ...SHA_NI,
  ...SHUFFLE,
  ...SIMD_MMX,
  ...SIMD_MOVES,
  ...SIMD_SHIFT,
  ...STRING_COMPARE,
];
