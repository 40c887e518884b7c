/** The instruction table as the decoder searches it: by opcode map and opcode. */

import type { BySize, Row } from "../isa/row.ts";
import type { Handler } from "../insn.ts";
import { ROWS } from "../isa/table.ts";
import { guardOf } from "./guards.ts";
import { type Operand, parseOperands } from "./operands.ts";

/** Opcode maps. */
export const OpcodeMap = { ONE_BYTE: 0, TWO_BYTE: 1, MAP_38: 2, MAP_3A: 3 } as const;
/** Matches everything. */
const ANY = -1;

/** A line of the table with its encoding taken apart. */
export interface Encoding {
  readonly row: Row;
  readonly map: number;
  readonly opcode: number;
  readonly vex: boolean;
  /** Mandatory prefix: 0x66, 0xf3, 0xf2, 0 for none of them, or ANY. */
  readonly prefix: number;
  /** REX.W or VEX.W, or ANY. */
  readonly w: number;
  /** ModRM.reg as a part of the opcode, or ANY. */
  readonly digit: number;
  /** ModRM bytes that match: (byte & modrmMask) === modrm. */
  readonly modrm: number;
  readonly modrmMask: number;
  readonly hasModrm: boolean;
  /** The opcode's low three bits are a register. */
  readonly plusR: boolean;
  readonly operands: readonly Operand[];
  /** One of them is the register that VEX.vvvv names. */
  readonly usesVvvv: boolean;
  /** Whether there are 64 bits of it depends on REX.W alone. */
  readonly sizedByW: boolean;
  /** What comes before the handler. */
  readonly guard: Handler | undefined;
}

/**
 * Takes a row's encoding apart; see `Row.encoding`.
 * @throws RangeError for one that is not in the notation: a mistake in the table.
 */
export function parseEncoding(row: Row): Encoding {
  const words = row.encoding.split(" ");
  let vex = false, prefix = ANY, w = ANY;
  for (;;) {
    const word = words[0];
    if (word === "vex") vex = true;
    else if (word === "np") prefix = 0;
    else if (word === "w0" || word === "w1") w = Number(word[1]);
    else if (words.length > 1 && MANDATORY.has(word) && isOpcode(words[1])) {
      prefix = parseInt(word, 16);
    } else break;
    words.shift();
  }
  if (vex && prefix === ANY) prefix = 0;
  let map: number = OpcodeMap.ONE_BYTE;
  if (words[0] === "0f" && words.length > 1) {
    words.shift();
    map = OpcodeMap.TWO_BYTE;
    const second = words.length > 1 && isOpcode(words[1]) ? words[0] as string : "";
    if (second === "38" || second === "3a") {
      words.shift();
      map = second === "38" ? OpcodeMap.MAP_38 : OpcodeMap.MAP_3A;
    }
  }
  const first = words.shift() ?? "";
  const plusR = first.endsWith("+r");
  const opcode = byte(row, plusR ? first.slice(0, 2) : first);
  let digit = ANY, modrm = 0, modrmMask = 0, hasModrm = false;
  for (const word of words) {
    if (word === "/r") hasModrm = true;
    else if (/^\/[0-7]$/.test(word)) {
      hasModrm = true;
      digit = Number(word[1]);
    } else if (word.endsWith("+i")) {
      hasModrm = true;
      modrm = byte(row, word.slice(0, 2));
      modrmMask = 0xf8;
    } else if (/^[0-9a-f]{2}$/.test(word) && !isDisplacement(row, word)) {
      hasModrm = true;
      modrm = byte(row, word);
      modrmMask = 0xff;
    } else if (!IMMEDIATES.has(word)) {
      throw new RangeError(
        `Cannot read the encoding "${row.encoding}" of ${row.mnemonic}: ${word}`,
      );
    }
  }
  const operands = parseOperands(row);
  return {
    row,
    map,
    opcode,
    vex,
    prefix,
    w,
    digit,
    modrm,
    modrmMask,
    hasModrm,
    plusR,
    operands,
    usesVvvv: operands.some(({ letter }) => letter === "B"),
    sizedByW: operands.some(({ size }) => size === "y") &&
      !operands.some(({ size }) => size === "v"),
    guard: guardOf(row, vex),
  };
}

const MANDATORY: ReadonlySet<string> = new Set(["66", "f2", "f3"]);
/** Immediates in encodings are for readers: the decoder takes them from the operands. */
const IMMEDIATES: ReadonlySet<string> = new Set(
  ["ib", "iw", "id", "iz", "iv", "cb", "cw", "cd", "cz", "cp", "mo", "is4"],
);

/** "cb" is a displacement where the operand is a branch's, else a ModRM byte; so is "cd". */
function isDisplacement(row: Row, word: string): boolean {
  return IMMEDIATES.has(word) && row.operands.some((operand) => operand[0] === "J");
}

function isOpcode(word: string): boolean {
  return word === "w0" || word === "w1" || /^[0-9a-f]{2}(\+r)?$/.test(word);
}

function byte(row: Row, word: string): number {
  const value = parseInt(word, 16);
  if (!/^[0-9a-f]{2}$/.test(word)) {
    throw new RangeError(`Cannot read the encoding "${row.encoding}" of ${row.mnemonic}: ${word}`);
  }
  return value;
}

/** The encodings of each opcode of each map; those with more conditions stand first. */
const SLOTS: readonly (readonly Encoding[])[] = build(ROWS);

function build(rows: readonly Row[]): Encoding[][] {
  const slots: Encoding[][] = Array.from({ length: 4 * 256 }, () => []);
  for (const row of rows) {
    const encoding = parseEncoding(row);
    const at = encoding.map << 8 | encoding.opcode;
    for (let i = 0; i < (encoding.plusR ? 8 : 1); i++) slots[at + i].push(encoding);
  }
  for (const slot of slots) slot.sort((a, b) => conditions(b) - conditions(a));
  return slots;
}

/** How particular an encoding is. */
function conditions(encoding: Encoding): number {
  const { row } = encoding;
  return Number(encoding.prefix !== ANY) * 8 + Number(encoding.w !== ANY) * 4 +
    Number(encoding.modrmMask !== 0) * 16 + Number(row.form !== undefined) * 2 +
    Number(row.mode !== undefined);
}

/** By slot: whether a ModRM byte follows the opcode, for whatever stands there, and with VEX. */
const MODRM = SLOTS.map((slot) => slot.find(({ vex }) => !vex)?.hasModrm === true);
const VEX_MODRM = SLOTS.map((slot) => slot.find(({ vex }) => vex)?.hasModrm === true);

/** True when a ModRM byte follows the opcode, for whatever stands there. */
export function hasModrm(map: number, opcode: number, vex: boolean): boolean {
  return (vex ? VEX_MODRM : MODRM)[map << 8 | opcode];
}

/**
 * The encoding for what has been read, or undefined: #UD.
 * @param prefix The mandatory prefix that counts: F3 or F2 before 66 before none.
 * @param modrm The ModRM byte, 0 where there is none.
 */
export function findEncoding(
  map: number,
  opcode: number,
  vex: boolean,
  prefix: number,
  w: number,
  modrm: number,
  is64: boolean,
): Encoding | undefined {
  const slot = SLOTS[map << 8 | opcode];
  for (let i = 0; i < slot.length; i++) {
    const e = slot[i];
    if (e.vex !== vex || (e.prefix !== ANY && e.prefix !== prefix) || (e.w !== ANY && e.w !== w)) {
      continue;
    }
    if (e.digit !== ANY && e.digit !== (modrm >>> 3 & 7)) continue;
    if ((modrm & e.modrmMask) !== e.modrm) continue;
    const { form, mode } = e.row;
    if (form === "reg" && modrm < 0xc0 || form === "mem" && modrm >= 0xc0) continue;
    if (mode !== undefined && (mode === "64") !== is64) continue;
    return e;
  }
  return undefined;
}

/** The handler for an operand size of 2, 4 or 8 bytes. */
export function handlerFor(row: Row, opSize: number): Handler {
  const { exec } = row;
  if (typeof exec === "function") return exec;
  const sized: BySize = exec;
  return opSize === 8 ? sized[64] : opSize === 4 ? sized[32] : sized[16];
}
