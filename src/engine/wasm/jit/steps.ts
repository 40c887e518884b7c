/** Instructions that translated code has the interpreter execute, to go on behind them (`Status.STEP`). */

import { Memory } from "./code_writer.ts";
import type { Emitter } from "./emitter.ts";
import { Jit, Status } from "./layout.ts";
import { Local } from "./locals.ts";
import { Op } from "./opcodes.ts";

/** Has the current instruction, which has not been counted, interpreted. */
export function exitToStep(e: Emitter, site: number): void {
  const { code } = e;
  code.i32(0);
  code.i32(site);
  code.access(Op.I32_STORE, Memory.PRIVATE, Jit.SITE);
  e.exitTo(e.insn.offset, Status.STEP);
}

/**
 * Pops a condition: where it holds, the current instruction is stepped over, as if it had no emission.
 * That costs less than `Emitter.bailIf`, and is for what is not rare.
 */
export function stepIf(e: Emitter): void {
  const { code } = e;
  e.openUnlikely();
  code.get(Local.BUDGET);
  code.i32(e.counted - e.done);
  code.op(Op.I32_ADD);
  code.set(Local.BUDGET);
  exitToStep(e, e.siteOf(e.insn));
  e.end();
}
