/** The instruction table: all families. */

import { ARITHMETIC } from "./arithmetic.ts";
import type { Row } from "./row.ts";
import { SIMD } from "./simd/table.ts";

/** Every instruction. */
export const ROWS: readonly Row[] = [
  ...ARITHMETIC,
  ...SIMD,
];
