/**
 * The operand letters of the instruction table (SDM 2D appendix A.2), and what the decoder fills in
 * for each.
 *
 * | letter | operand |
 * | --- | --- |
 * | E | ModRM.rm: general register or memory |
 * | G | ModRM.reg: general register |
 * | R | ModRM.rm, a register only |
 * | M | ModRM.rm, memory only |
 * | Z | the register in the opcode |
 * | I | immediate: Ib and Iz sign-extended, Iw not, Iv whole |
 * | J | relative branch target: Jb, Jz |
 * | O | memory at an address that stands in the instruction |
 * | A | far pointer in the instruction |
 * | S, C, D | segment, control, debug register in ModRM.reg |
 * | V, W, U | XMM: ModRM.reg; ModRM.rm or memory; ModRM.rm |
 * | P, Q, N | MMX likewise |
 * | B | VEX.vvvv: general register |
 *
 * Sizes: b 1, w 2, d 4, q 8, v the operand size, z that but at most 4, y 4 or with REX.W 8, x 16
 * bytes (dq is the same), p a far pointer (operand size + 2), s a pseudo-descriptor (6 or 10).
 * AL, rAX, CL, DX and 1 stand for themselves.
 */

import type { Row } from "../isa/row.ts";

/** An operand of the table, parsed. */
export interface Operand {
  /** One of the letters, or AL, rAX, CL, DX, 1. */
  readonly letter: string;
  /** What follows the letter. */
  readonly size: string;
}

// By text the same text: V8 compares a literal faster than what has been cut out of a longer text.
const FIXED = byItself("AL", "rAX", "CL", "DX", "1");
const SIZES = byItself("", "b", "w", "d", "q", "v", "z", "y", "x", "dq", "p", "s");
const LETTERS = "EGRMZIJOASCDVWUPQNB";

function byItself(...texts: readonly string[]): ReadonlyMap<string, string> {
  return new Map(texts.map((text) => [text, text]));
}

/** @throws RangeError for an operand that is not of the notation: a mistake in the table. */
export function parseOperands(row: Row): Operand[] {
  return row.operands.map((text) => {
    const fixed = FIXED.get(text);
    if (fixed !== undefined) return { letter: fixed, size: "" };
    const size = SIZES.get(text.slice(1));
    if (!LETTERS.includes(text[0]) || size === undefined) {
      throw new RangeError(`Cannot read the operand ${text} of ${row.mnemonic} (${row.encoding})`);
    }
    return { letter: text[0], size };
  });
}

/** Bytes of an operand. */
export function sizeOf(size: string, opSize: number, wide: boolean, is64: boolean): number {
  switch (size) {
    case "b":
      return 1;
    case "w":
      return 2;
    case "d":
      return 4;
    case "q":
      return 8;
    case "v":
      return opSize;
    case "z":
      return opSize === 8 ? 4 : opSize;
    case "y":
      return wide ? 8 : 4;
    case "x":
    case "dq":
      return 16;
    case "p":
      return opSize + 2;
    case "s":
      return is64 ? 10 : 6;
    default:
      return 0;
  }
}
