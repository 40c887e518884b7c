/**
 * The part of translated code that is the same for all guests: the dispatcher, which goes from region
 * to region, and the rules of the status flags.
 */

import { State } from "../../../cpu/state.ts";
import { CodeWriter, Memory } from "./code_writer.ts";
import { floatRule } from "./float_rules.ts";
import {
  FlagKind,
  Jit,
  JUMP_BYTES,
  JUMP_PLACE_BITS,
  JUMP_WAYS,
  JUMPS_AT,
  LOW_32,
  RETURNS_AT,
  RETURNS_MASK,
  Status,
} from "./layout.ts";
import { type FunctionCode, type Signature, writeModule } from "./module_writer.ts";
import { Op, Type } from "./opcodes.ts";
import { stringRule } from "./string_rules.ts";

const { I32, I64, F64, V128 } = Type;

/** Types of functions, by their indices in all modules. */
export const Types = {
  REGION: 0,
  MISS: 1,
  FLAGS: 2,
  GET: 3,
  FILL: 4,
  FLOATS: 5,
  STRINGS: 6,
  TSC: 7,
  READ_TSC: 8,
} as const;
/** @see Types */
export const SIGNATURES: readonly Signature[] = [
  { params: [I32], results: [I32] },
  { params: [I64, I32], results: [I32] },
  { params: [I32, I64, I64, I64], results: [I32] },
  { params: [], results: [I32] },
  { params: [I32, I32, I32], results: [I32] },
  { params: [I32, F64, F64, F64], results: [I32] },
  { params: [V128, V128, I32], results: [I32] },
  { params: [I32], results: [I64] },
  { params: [I32], results: [] },
];

/** What the runtime offers. */
export interface RuntimeExports {
  /** Runs translated code from RIP on; returns the `Status` that TypeScript has to deal with. */
  readonly run: () => Status;
  /** The status flags in their places. */
  readonly statusFlags: () => number;
  /** The same of given values; for regions. */
  readonly flags: WebAssembly.ExportValue;
  /** Fills the TLB for a region; for regions. */
  readonly miss: WebAssembly.ExportValue;
  /** `floatRule`; for regions. */
  readonly floats: WebAssembly.ExportValue;
  /** `stringRule`; for regions. */
  readonly strings: WebAssembly.ExportValue;
  /** The time-stamp counter, given the budget with the instruction that reads it; for regions. */
  readonly tsc: WebAssembly.ExportValue;
  /** 1 when an interrupt waits for RFLAGS.IF; for regions. */
  readonly waits: WebAssembly.ExportValue;
}

/** The module of the runtime. */
export function runtimeModule(): Uint8Array<ArrayBuffer> {
  return writeModule({
    types: SIGNATURES,
    // `step` interprets an instruction: 1 to go on. `fill`: see `miss`. `readTsc`: see `tsc`.
    imports: [
      ["step", Types.GET],
      ["fill", Types.FILL],
      ["readTsc", Types.READ_TSC],
      ["hasInterrupt", Types.GET],
    ],
    functions: [
      dispatcher(),
      statusFlags(),
      flags(),
      miss(),
      floatRule(Types.FLOATS),
      stringRule(Types.STRINGS),
      tsc(),
      waits(),
    ],
  });
}
const Imported = { STEP: 0, FILL: 1, READ_TSC: 2, HAS_INTERRUPT: 3 } as const;
const FLAGS_FUNCTION = 6;

function dispatcher(): FunctionCode {
  const code = new CodeWriter();
  const key = 0;
  const entry = 1;
  const status = 2;
  /** Pushes whether the entry is the one for the key. */
  const isFound = () => {
    code.get(entry);
    code.access(Op.I64_LOAD, Memory.PRIVATE, JUMPS_AT);
    code.get(key);
    code.op(Op.I64_EQ);
  };
  /** Calls the region of the entry at `at`, an offset beside `entry`. */
  const callRegion = (at: number) => {
    code.get(entry);
    code.access(Op.I32_LOAD, Memory.PRIVATE, at + 12);
    code.get(entry);
    code.access(Op.I32_LOAD, Memory.PRIVATE, at + 8);
    code.op(Op.CALL_INDIRECT);
    code.unsigned(Types.REGION);
    code.unsigned(0);
    code.set(status);
  };
  code.open(Op.LOOP, Type.NONE);
  code.i32(0);
  code.access(Op.I64_LOAD, Memory.PRIVATE, State.RIP);
  code.tee(key);
  code.op(Op.I32_WRAP_I64);
  code.tee(entry);
  code.get(entry);
  code.i32(JUMP_PLACE_BITS);
  code.op(Op.I32_SHR_U);
  code.op(Op.I32_XOR);
  code.i32((1 << JUMP_PLACE_BITS) - 1);
  code.op(Op.I32_AND);
  code.i32(Math.log2(JUMP_BYTES * JUMP_WAYS));
  code.op(Op.I32_SHL);
  code.set(entry);
  code.get(key);
  code.i32(0);
  code.access(Op.I64_LOAD, Memory.PRIVATE, Jit.MODE);
  code.op(Op.I64_XOR);
  code.set(key);
  for (let way = 1; way < JUMP_WAYS; way++) {
    isFound();
    code.op(Op.I32_EQZ);
    code.openUnlikely();
    code.get(entry);
    code.i32(JUMP_BYTES);
    code.op(Op.I32_ADD);
    code.set(entry);
  }
  isFound();
  code.op(Op.I32_EQZ);
  code.openUnlikely();
  code.i32(Status.JUMP);
  code.op(Op.RETURN);
  for (let way = 0; way < JUMP_WAYS; way++) code.end();
  callRegion(JUMPS_AT);
  code.open(Op.LOOP, Type.NONE);
  code.get(status);
  code.op(Op.I32_EQZ);
  code.brIf(1);
  code.get(status);
  code.i32(Status.RETURN);
  code.op(Op.I32_EQ);
  code.open(Op.IF, Type.NONE);
  pushReturnsTop(code, JUMP_BYTES);
  code.set(entry);
  callRegion(RETURNS_AT);
  code.br(1);
  code.end();
  code.end();
  code.get(status);
  code.i32(Status.STEP);
  code.op(Op.I32_EQ);
  code.openUnlikely();
  code.call(Imported.STEP);
  code.brIf(1);
  code.end();
  code.end();
  code.get(status);
  code.end();
  return {
    type: Types.GET,
    locals: [[1, I64], [2, I32]],
    code: code.bytes.slice(),
    unlikely: code.unlikely,
    name: "run",
  };
}

/** Pushes the offset of the ring's entry `more` bytes behind the last call's. */
export function pushReturnsTop(code: CodeWriter, more: number): void {
  code.i32(0);
  code.access(Op.I32_LOAD, Memory.PRIVATE, Jit.RETURNS_TOP);
  code.i32(more);
  code.op(Op.I32_ADD);
  code.i32(RETURNS_MASK);
  code.op(Op.I32_AND);
}

function statusFlags(): FunctionCode {
  const code = new CodeWriter();
  code.i32(0);
  code.access(Op.I32_LOAD, Memory.PRIVATE, Jit.FLAG_KIND);
  for (const at of [Jit.FLAG_A, Jit.FLAG_B, Jit.FLAG_RESULT]) {
    code.i32(0);
    code.access(Op.I64_LOAD, Memory.PRIVATE, at);
  }
  code.call(FLAGS_FUNCTION);
  code.end();
  return { type: Types.GET, locals: [], code: code.bytes.slice(), name: "statusFlags" };
}

/** The rules of `FlagKind`. */
function flags(): FunctionCode {
  const code = new CodeWriter();
  const kind = 0;
  const a = 1;
  const b = 2;
  const result = 3;
  const word = 4;
  code.get(b);
  code.op(Op.I32_WRAP_I64);
  code.set(word);
  code.get(kind);
  code.i32(FlagKind.EXPLICIT);
  code.op(Op.I32_EQ);
  code.open(Op.IF, Type.NONE);
  code.get(word);
  code.op(Op.RETURN);
  code.end();
  code.get(kind);
  code.i32(LOW_32);
  code.op(Op.I32_GE_U);
  code.open(Op.IF, Type.NONE);
  for (const value of [a, b, result]) {
    code.get(value);
    code.op(Op.I64_EXTEND32_S);
    code.set(value);
  }
  code.get(kind);
  code.i32(LOW_32);
  code.op(Op.I32_SUB);
  code.set(kind);
  code.end();
  code.get(kind);
  code.i32(FlagKind.PRODUCT);
  code.op(Op.I32_EQ);
  code.open(Op.IF, Type.NONE);
  productOverflow(code, a, b, result);
  code.i32(0x801);
  code.op(Op.I32_MUL);
  code.set(word);
  code.end();
  code.get(kind);
  code.i32(FlagKind.RESULT);
  code.op(Op.I32_LT_U);
  code.open(Op.IF, Type.NONE);
  code.get(kind);
  code.i32(FlagKind.ADD);
  code.op(Op.I32_EQ);
  code.open(Op.IF, I32);
  carryOfSum(code, a, b, result);
  overflowOfSum(code, a, b, result);
  code.op(Op.I32_OR);
  code.op(Op.ELSE);
  borrowOfDifference(code, a, b, result);
  overflowOfDifference(code, a, b, result);
  code.op(Op.I32_OR);
  code.end();
  // AF is the carry out of bit 3: bit 4 of both operands and the result together.
  code.get(a);
  code.get(b);
  code.op(Op.I64_XOR);
  code.get(result);
  code.op(Op.I64_XOR);
  code.op(Op.I32_WRAP_I64);
  code.i32(16);
  code.op(Op.I32_AND);
  code.op(Op.I32_OR);
  code.set(word);
  code.end();
  code.get(word);
  zeroSignParity(code, result);
  code.op(Op.I32_OR);
  code.end();
  return { type: Types.FLAGS, locals: [[1, I32]], code: code.bytes.slice(), name: "flags" };
}

/** CF in bit 0: a carry out of bit `top` where both have a one, or one has and the sum has not. */
export function carryOfSum(
  code: CodeWriter,
  a: number,
  b: number,
  result: number,
  top = 63,
): void {
  code.get(a);
  code.get(b);
  code.op(Op.I64_AND);
  code.get(a);
  code.get(b);
  code.op(Op.I64_OR);
  code.get(result);
  code.i64(-1);
  code.op(Op.I64_XOR);
  code.op(Op.I64_AND);
  code.op(Op.I64_OR);
  flagOf(code, top, 0);
}

/** CF in bit 0: a borrow where the subtrahend alone has a one, or where result and that agree. */
export function borrowOfDifference(
  code: CodeWriter,
  a: number,
  b: number,
  result: number,
  top = 63,
): void {
  const notA = () => {
    code.get(a);
    code.i64(-1);
    code.op(Op.I64_XOR);
  };
  notA();
  code.get(b);
  code.op(Op.I64_AND);
  notA();
  code.get(b);
  code.op(Op.I64_OR);
  code.get(result);
  code.op(Op.I64_AND);
  code.op(Op.I64_OR);
  flagOf(code, top, 0);
}

/** OF in bit 11. */
function overflowOfSum(code: CodeWriter, a: number, b: number, result: number): void {
  code.get(a);
  code.get(result);
  code.op(Op.I64_XOR);
  code.get(b);
  code.get(result);
  code.op(Op.I64_XOR);
  code.op(Op.I64_AND);
  flagOf(code, 63, OF_PLACE);
}
function overflowOfDifference(code: CodeWriter, a: number, b: number, result: number): void {
  code.get(a);
  code.get(b);
  code.op(Op.I64_XOR);
  code.get(a);
  code.get(result);
  code.op(Op.I64_XOR);
  code.op(Op.I64_AND);
  flagOf(code, 63, OF_PLACE);
}

/** 1 when the product of two signed numbers is not the result. */
function productOverflow(code: CodeWriter, a: number, b: number, result: number): void {
  // Narrow operands' products fit into 64 bits.
  code.get(a);
  code.get(b);
  code.op(Op.I64_MUL);
  code.get(result);
  code.op(Op.I64_NE);
  // Of 64 bits, dividing the result gives the other factor back; by 0 and -1 is to be looked at apart.
  code.get(a);
  code.i64(1);
  code.op(Op.I64_ADD);
  code.i64(1);
  code.op(Op.I64_GT_U);
  code.open(Op.IF, I32);
  code.get(a);
  code.get(b);
  code.op(Op.I64_MUL);
  code.get(a);
  code.op(Op.I64_DIV_S);
  code.get(b);
  code.op(Op.I64_NE);
  code.op(Op.ELSE);
  code.get(a);
  code.get(b);
  code.op(Op.I64_AND);
  code.i64(0, -0x8000_0000);
  code.op(Op.I64_EQ);
  code.end();
  code.op(Op.I32_OR);
}

/** Place of OF (SDM 1 §3.4.3.1). */
const OF_PLACE = 11;

/** Bit `top` of what is on the stack, alone, at `place` (i32). */
function flagOf(code: CodeWriter, top: number, place: number): void {
  moveDown(code, top - place);
  // Nothing is above bit 63.
  if (top === 63 && place === 0) return;
  code.i32(1 << place);
  code.op(Op.I32_AND);
}

/** What is on the stack, moved down by `by`, as 32 bits. */
function moveDown(code: CodeWriter, by: number): void {
  code.i64(by);
  code.op(Op.I64_SHR_U);
  code.op(Op.I32_WRAP_I64);
}

/** ZF, SF and PF of a result, in their places. */
function zeroSignParity(code: CodeWriter, result: number): void {
  code.get(result);
  code.op(Op.I64_EQZ);
  code.i32(6);
  code.op(Op.I32_SHL);
  code.get(result);
  moveDown(code, 63);
  code.i32(7);
  code.op(Op.I32_SHL);
  code.op(Op.I32_OR);
  parityOf(code, result);
  code.i32(2);
  code.op(Op.I32_SHL);
  code.op(Op.I32_OR);
}

/** 1 when bits 7:0 of a local have an even number of ones. */
export function parityOf(code: CodeWriter, local: number): void {
  code.get(local);
  code.op(Op.I32_WRAP_I64);
  code.i32(0xff);
  code.op(Op.I32_AND);
  code.op(Op.I32_POPCNT);
  code.i32(1);
  code.op(Op.I32_AND);
  code.op(Op.I32_EQZ);
}

/** An address by halves, so that no BigInt is made of it. */
function miss(): FunctionCode {
  const code = new CodeWriter();
  code.get(0);
  code.op(Op.I32_WRAP_I64);
  code.get(0);
  code.i64(32);
  code.op(Op.I64_SHR_U);
  code.op(Op.I32_WRAP_I64);
  code.get(1);
  code.call(Imported.FILL);
  code.end();
  return { type: Types.MISS, locals: [], code: code.bytes.slice(), name: "miss" };
}

/** What TypeScript has put into `Jit.TSC`, so that no BigInt is made of it. */
function tsc(): FunctionCode {
  const code = new CodeWriter();
  code.get(0);
  code.call(Imported.READ_TSC);
  code.i32(0);
  code.access(Op.I64_LOAD, Memory.PRIVATE, Jit.TSC);
  code.end();
  return { type: Types.TSC, locals: [], code: code.bytes.slice(), name: "tsc" };
}

function waits(): FunctionCode {
  const code = new CodeWriter();
  code.call(Imported.HAS_INTERRUPT);
  code.end();
  return { type: Types.GET, locals: [], code: code.bytes.slice(), name: "waits" };
}
