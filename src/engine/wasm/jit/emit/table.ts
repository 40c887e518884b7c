/** Every instruction that translated code has of its own. */

import type { Insn } from "../../insn.ts";
import { perRow, type Row } from "../../isa/row.ts";
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
import { FROM_CONTROL, KERNEL } from "./kernel.ts";
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
import { WHOLE_FLAGS } from "./whole_flags.ts";

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
    KERNEL,
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
    WHOLE_FLAGS,
  ].flatMap((family) => Object.entries(family)),
);

function extension(signed: boolean): Emission {
  return {
    emit: (e: Emitter, width: number) =>
      emitExtension(e, width, e.insn.row!.operands[1] === "Eb" ? 1 : 2, signed),
  };
}

/** MOV from special registers, by the second operand. */
const FROM_SPECIAL: ReadonlyMap<string | undefined, Emission> = new Map([
  ["Sw", FROM_SEGMENT],
  ["Cd", FROM_CONTROL],
]);

/** Mnemonics of which translated code has at least one form, but for branches. */
export const EMITTED: readonly string[] = [...EMISSIONS.keys()];

/** Everything that is known of an emission, what does not hold undefined. */
type Whole = { readonly [Name in keyof Emission]-?: Emission[Name] | undefined };

/** How the instructions of one line of the instruction table are emitted. */
export interface RowEmission extends Whole {
  readonly emit: Emission["emit"];
  /** It has no memory operand, whatever it looks like. */
  readonly addressless: boolean;
}

/** What `perRow` keeps of lines that are interpreted. */
const INTERPRETED = false;

const emissionOfRow = perRow((row): RowEmission | typeof INTERPRETED => {
  const { mnemonic, operands } = row;
  if (row.unit === "mmx" || row.unit === "x87") return INTERPRETED;
  const special = FROM_SPECIAL.get(operands[1]);
  const emission = special ?? EMISSIONS.get(mnemonic);
  if (emission === undefined) return INTERPRETED;
  const { emit, sets, reads, replaces, bails, endless, privileged, when } = emission;
  if (row.cpl0 === true && privileged !== true) return INTERPRETED;
  if (row.ends === true && endless !== true) return INTERPRETED;
  if (special === undefined && hasSpecial(row)) return INTERPRETED;
  const addressless = mnemonic === "nop";
  return { emit, sets, reads, replaces, bails, endless, privileged, when, addressless };
});

/** Whether it is on segment, control or debug registers: another instruction by the same name. */
export function hasSpecial({ operands }: Row): boolean {
  return operands.some((operand) => /^[SCD]/.test(operand) && operand !== "CL");
}

/** How the instruction is emitted; undefined: it is interpreted. */
export function emissionOf(insn: Insn, is64: boolean): RowEmission | undefined {
  const { row } = insn;
  if (row === undefined) return undefined;
  const emission = emissionOfRow(row);
  if (emission === INTERPRETED) return undefined;
  if (emission.when !== undefined && !emission.when(insn, is64)) return undefined;
  return emission.addressless || canAddress(insn, is64) ? emission : undefined;
}

/** What `widthOfRow` gives where the instruction decides. */
const OPERAND_SIZE = 0;
const WIDE_OR_NOT = -1;

const widthOfRow = perRow(({ operands: [first = ""] }) => {
  if (first === "AL" || first[1] === "b") return 1;
  if (first[1] === "w") return 2; // MOVBE, where 66 is a part of the opcode
  return first[1] === "y" ? WIDE_OR_NOT : OPERAND_SIZE;
});

/** Bytes of the instruction's operands. */
export function widthOf({ row, opSize }: Insn): number {
  const width = row === undefined ? OPERAND_SIZE : widthOfRow(row);
  if (width > 0) return width;
  return width === OPERAND_SIZE || opSize === 8 ? opSize : 4;
}
