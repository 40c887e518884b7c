/** The constants of FLD1 to FLDZ. */

import { unready } from "./unready.ts";

/** The constant of opcode D9 E8+`index`: 1, log2(10), log2(e), pi, log10(2), ln(2), 0; rounded as RC says. */
export function constantF80(index: number, cw: number): void {
  return unready(index, cw);
}
