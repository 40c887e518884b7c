/** Every instruction that translated code has of its own. */

import type { Insn } from "../../insn.ts";
import type { Emitter } from "../emitter.ts";
import { ARITHMETIC } from "./arithmetic.ts";
import { BITS } from "./bits.ts";
import { BMI } from "./bmi.ts";
import { canAddress, type Emission, type Emissions } from "./emit.ts";
import { EXCHANGE } from "./exchange.ts";
import { FLOAT_CONVERT } from "./float_convert.ts";
import { FLOAT_CONVERT_PACKED } from "./float_convert_packed.ts";
import { FLOAT_PACKED } from "./float_packed.ts";
import { FLOAT_SCALAR } from "./float_scalar.ts";
import { LOGIC } from "./logic.ts";
import { emitExtension, FROM_SEGMENT, MOVE } from "./move.ts";
import { MULTIPLY } from "./multiply.ts";
import { SHIFTS } from "./shift.ts";
import { STACK } from "./stack.ts";
import { STRING } from "./string.ts";
import { STRING_COMPARE } from "./string_compare.ts";
import { SYSTEM } from "./system.ts";
import { VECTOR_INTEGER } from "./vector_integer.ts";
import { VECTOR_MOVE } from "./vector_move.ts";
import { VECTOR_SHUFFLE } from "./vector_shuffle.ts";

const EXTENSIONS: Emissions = {
  movzx: extension(false),
  movsx: extension(true),
};

const EMISSIONS = new Map<string, Emission>(
  [
    ARITHMETIC,
    BITS,
    BMI,
    EXCHANGE,
    EXTENSIONS,
    FLOAT_CONVERT,
    FLOAT_CONVERT_PACKED,
    FLOAT_PACKED,
    FLOAT_SCALAR,
    LOGIC,
    MOVE,
    MULTIPLY,
    SHIFTS,
    STACK,
    STRING,
    STRING_COMPARE,
    SYSTEM,
    VECTOR_INTEGER,
    VECTOR_MOVE,
    VECTOR_SHUFFLE,
  ].flatMap((family) => Object.entries(family)),
);

function extension(signed: boolean): Emission {
  return {
    emit: (e: Emitter, width: number) =>
      emitExtension(e, width, e.insn.row!.operands[1] === "Eb" ? 1 : 2, signed),
  };
}

/** Mnemonics of which translated code has at least one form, but for branches. */
export const EMITTED: readonly string[] = [...EMISSIONS.keys()];

/** How the instruction is emitted; undefined: it is interpreted. */
export function emissionOf(insn: Insn, is64: boolean): Emission | undefined {
  const { row } = insn;
  if (row === undefined || row.cpl0 === true) return undefined;
  if (row.unit === "mmx" || row.unit === "x87") return undefined;
  const emission = row.operands[1] === "Sw" ? FROM_SEGMENT : EMISSIONS.get(row.mnemonic);
  if (emission === undefined) return undefined;
  if (row.ends === true && emission.endless !== true) return undefined;
  if (emission.when !== undefined && !emission.when(insn, is64)) return undefined;
  // Segment and control registers are other instructions by the same name.
  const special = emission !== FROM_SEGMENT &&
    row.operands.some((operand) => /^[SCD]/.test(operand) && operand !== "CL");
  if (special) return undefined;
  return row.mnemonic === "nop" || canAddress(insn, is64) ? emission : undefined;
}

/** Bytes of the instruction's operands. */
export function widthOf(insn: Insn): number {
  const first = insn.row?.operands[0] ?? "";
  if (first === "AL" || first[1] === "b") return 1;
  if (first[1] === "w") return 2; // MOVBE, where 66 is a part of the opcode
  if (first[1] === "y") return insn.opSize === 8 ? 8 : 4;
  return insn.opSize;
}
