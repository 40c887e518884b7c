/**
 * The part of translated code that is the same for all guests: the dispatcher, which goes from region
 * to region, and the rules of what regions work out by calls.
 */

import { State } from "../../../cpu/state.ts";
import { CodeWriter, Memory } from "./code_writer.ts";
import { flagRules } from "./flag_rules.ts";
import { floatRule } from "./float_rules.ts";
import {
  Jit,
  JUMP_BYTES,
  JUMP_PLACE_BITS,
  JUMP_WAYS,
  JUMPS_AT,
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
      flagRules(Types.FLAGS),
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
  makeLink(code, entry);
  code.get(entry);
  code.access(Op.I32_LOAD, Memory.PRIVATE, JUMPS_AT + 12);
  code.get(entry);
  code.access(Op.I32_LOAD, Memory.PRIVATE, JUMPS_AT + 8);
  code.op(Op.CALL_INDIRECT);
  code.unsigned(Types.REGION);
  code.unsigned(0);
  code.tee(status);
  code.op(Op.I32_EQZ);
  code.brIf(0);
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
    code: code.finish(),
    unlikely: code.unlikely,
    name: "run",
  };
}

/** Has the link that translated code has left by lead to the jump cache's entry at `entry`. */
function makeLink(code: CodeWriter, entry: number): void {
  const load = () => {
    code.i32(0);
    code.access(Op.I32_LOAD, Memory.PRIVATE, Jit.LINK);
  };
  load();
  code.open(Op.IF, Type.NONE);
  load();
  code.i32(0);
  code.access(Op.I64_LOAD, Memory.PRIVATE, State.RIP);
  xorLinkMode(code);
  code.access(Op.I64_STORE, Memory.PRIVATE, 0);
  load();
  code.get(entry);
  code.access(Op.I64_LOAD, Memory.PRIVATE, JUMPS_AT + 8);
  code.access(Op.I64_STORE, Memory.PRIVATE, 8);
  code.i32(0);
  code.i32(0);
  code.access(Op.I32_STORE, Memory.PRIVATE, Jit.LINK);
  code.end();
}

/** Pushes the tag of links to the instruction pointer in a local variable. */
export function pushTag(code: CodeWriter, local: number): void {
  code.get(local);
  xorLinkMode(code);
}

function xorLinkMode(code: CodeWriter): void {
  code.i32(0);
  code.access(Op.I64_LOAD, Memory.PRIVATE, Jit.LINK_MODE);
  code.op(Op.I64_XOR);
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
  return { type: Types.GET, locals: [], code: code.finish(), name: "statusFlags" };
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
  return { type: Types.MISS, locals: [], code: code.finish(), name: "miss" };
}

/** What TypeScript has put into `Jit.TSC`, so that no BigInt is made of it. */
function tsc(): FunctionCode {
  const code = new CodeWriter();
  code.get(0);
  code.call(Imported.READ_TSC);
  code.i32(0);
  code.access(Op.I64_LOAD, Memory.PRIVATE, Jit.TSC);
  code.end();
  return { type: Types.TSC, locals: [], code: code.finish(), name: "tsc" };
}

function waits(): FunctionCode {
  const code = new CodeWriter();
  code.call(Imported.HAS_INTERRUPT);
  code.end();
  return { type: Types.GET, locals: [], code: code.finish(), name: "waits" };
}
