/** The instruction table's part for the x87 FPU. */

import type { Row } from "../row.ts";
import { X87_CONTROL } from "./control.ts";
import { X87_ENVIRONMENT } from "./environment.ts";

export const X87: readonly Row[] = [
  ...X87_CONTROL,
  ...X87_ENVIRONMENT,
];
