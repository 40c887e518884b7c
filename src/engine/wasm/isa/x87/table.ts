/** The instruction table's part for the x87 FPU. */

import type { Row } from "../row.ts";
import { X87_ARITHMETIC } from "./arithmetic.ts";
import { X87_COMPARE } from "./compare.ts";
import { X87_CONTROL } from "./control.ts";
import { X87_ENVIRONMENT } from "./environment.ts";
import { X87_LOAD } from "./load.ts";
import { X87_STACK } from "./stack.ts";
import { X87_STORE } from "./store.ts";
import { X87_TRANSCENDENTAL } from "./transcendental.ts";

export const X87: readonly Row[] = [
  ...X87_ARITHMETIC,
  ...X87_COMPARE,
  ...X87_CONTROL,
  ...X87_ENVIRONMENT,
  ...X87_LOAD,
  ...X87_STACK,
  ...X87_STORE,
  ...X87_TRANSCENDENTAL,
];
