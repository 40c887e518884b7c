/**
 * The instruction table's format. One table, in parts by family, drives decoder, interpreter and
 * tests (and, to come, the translator): each line has an encoding in the manual's notation, the
 * operands in the letters of the opcode map (SDM 2D appendix A.2), and what carries it out.
 */

import type { Handler } from "../insn.ts";

/** Handlers by operand size. */
export interface BySize {
  readonly 16: Handler;
  readonly 32: Handler;
  readonly 64: Handler;
}

/** What does not hold for every instruction. */
export interface RowOptions {
  /** LOCK is allowed when the first operand is in memory. */
  readonly lock?: boolean;
  /** The first operand is only read. */
  readonly reads?: boolean;
  /** Nothing behind it is in the same block: it may change RIP, the mode, or what is to be checked. */
  readonly ends?: boolean;
  /** Where it exists; elsewhere #UD. */
  readonly mode?: "64" | "legacy";
  /** Operand size in 64-bit mode: 64 bits unless 0x66 ("d64"), or always ("f64"). */
  readonly size64?: "d64" | "f64";
  /** Status flags that the manual leaves undefined, of "oszapc", always or for some operands. */
  readonly undef?: string;
  /** It needs more than an enabled CPU: #NM and #UD rules of the FPU, MMX or SSE (SDM 2A §2.4). */
  readonly unit?: "x87" | "mmx" | "sse";
  /** CPUID feature, by its name in `cpuid_model.ts`, which offers all that a row names: a test sees to it. */
  readonly feature?: string;
  /** Only at CPL 0: else #GP(0). */
  readonly cpl0?: boolean;
  /** Bytes of the memory operand where the operand's letter does not say. */
  readonly memSize?: number;
  /** The condition that the handler finds in `Insn.imm2` (SDM 2A, "cc"). */
  readonly condition?: number;
  /**
   * Only the register form, or only the memory form, of an operand that could be either. MOV CR and
   * DR ignore ModRM.mod: always a register.
   */
  readonly form?: "reg" | "mem" | "mod-ignored";
}

/** One line. All have the same properties: V8 finds them faster so. */
export interface Row extends EveryOption {
  /** Its own: lines are numbered from 0 on. */
  readonly number: number;
  /**
   * Opcode bytes and what follows, as in the manual: "00 /r", "80 /0 ib", "66 0f 6f /r",
   * "f3 0f b8 /r", "0f c8+r", "vex 0f 38 f2 /r", "vex f2 0f 38 f5 /r". A mandatory prefix stands
   * first; "np" asks for none of 66, F2, F3. "w0", "w1" behind "vex" or a prefix ask for REX.W.
   * "d8 c0+i" and "0f 01 f9" name the ModRM byte.
   */
  readonly encoding: string;
  readonly mnemonic: string;
  /** Such as ["Ev", "Gv"]; see `decode/operands.ts` for the letters. */
  readonly operands: readonly string[];
  readonly exec: Handler | BySize;
}

/** Options, those that have not been given undefined. */
type EveryOption = { readonly [Name in keyof RowOptions]-?: RowOptions[Name] | undefined };

let lines = 0;

/** A line: `row("00 /r", "add Eb,Gb", add8, { lock: true })`. */
export function row(
  encoding: string,
  syntax: string,
  exec: Handler | BySize,
  options: RowOptions = {},
): Row {
  const [mnemonic, operands = ""] = syntax.split(" ");
  return {
    number: lines++,
    encoding,
    mnemonic,
    operands: operands === "" ? [] : operands.split(","),
    exec,
    lock: options.lock,
    reads: options.reads,
    ends: options.ends,
    mode: options.mode,
    size64: options.size64,
    undef: options.undef,
    unit: options.unit,
    feature: options.feature,
    cpl0: options.cpl0,
    memSize: options.memSize,
    condition: options.condition,
    form: options.form,
  };
}

/** A function of lines that is worked out once for each. */
export function perRow<T extends object | string | number | boolean>(
  find: (row: Row) => T,
): (row: Row) => T {
  // Made when all lines are there. All such tables are of one kind for V8, and none ever grows.
  let found: (T | undefined)[] | undefined;
  return (row) => {
    found ??= new Array<T | undefined>(lines).fill(undefined);
    return found[row.number] ??= find(row);
  };
}

/** Handlers for operand sizes of 16, 32 and 64 bits. */
export function bySize(h16: Handler, h32: Handler, h64: Handler): BySize {
  return { 16: h16, 32: h32, 64: h64 };
}
