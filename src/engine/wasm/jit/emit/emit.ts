/** The table of what translated code has of its own; everything else is interpreted. */

import { Seg } from "../../../../cpu/state.ts";
import type { Insn } from "../../insn.ts";
import type { Emitter } from "../emitter.ts";

/** What the translator has to know of an instruction that it emits. */
export interface Emission {
  /**
   * Emits the instruction `e.insn`, with operands of `width` bytes.
   */
  readonly emit: (e: Emitter, width: number) => void;
  /** What it does to the status flags: leaves them, sets all of them, or some. */
  readonly sets?: "all" | "some";
  /** It needs the flags as they are. */
  readonly reads?: boolean;
  /** In these forms it sets all of them, and needs none, whatever it does in others. */
  readonly replaces?: (insn: Insn) => boolean;
  /** It may be left to the interpreter though it has no memory operand. */
  readonly bails?: boolean;
  /** Code goes on behind it, though the interpreter's block ends there for the sake of other forms. */
  readonly endless?: boolean;
  /** The interpreter has it only at CPL 0; it looks at that itself. */
  readonly privileged?: boolean;
  /** It can be emitted in this form; by default always. */
  readonly when?: (insn: Insn, is64: boolean) => boolean;
}

/** A family's part of the table, by mnemonic. */
export type Emissions = Readonly<Record<string, Emission>>;

/**
 * Addresses of 16 bits are left to the interpreter, and outside of 64-bit mode the code segment, which
 * cannot be written.
 */
export function canAddress(insn: Insn, is64: boolean): boolean {
  const { seg } = insn;
  return !insn.isMem || insn.addrSize !== 2 && (is64 || seg !== Seg.CS);
}
