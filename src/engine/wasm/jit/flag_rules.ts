/**
 * The rules of the status flags: all six of them from what `FlagKind` says they are made of, and the
 * parts of that which translated code has in line.
 */

import { CodeWriter } from "./code_writer.ts";
import { CARRY_APART, FlagKind, KIND_SHIFT, KINDS, LOW_32, OVERFLOW_APART } from "./layout.ts";
import type { FunctionCode } from "./module_writer.ts";
import { Op, Type } from "./opcodes.ts";

const { I32 } = Type;

/** Place of OF (SDM 1 §3.4.3.1). */
const OF_PLACE = 11;
/** CF and OF. */
const CARRY_OVERFLOW = 0x801;

/** Local variables of the function, behind its parameters. */
const KIND = 0;
const A = 1;
const B = 2;
const RESULT = 3;
const WORD = 4;

/** By kinds: pushes CF, AF and OF in their places (i32). */
const RULES: readonly (readonly [kinds: readonly number[], push: (code: CodeWriter) => void])[] = [
  [[FlagKind.ADD, FlagKind.SUM], (code) => {
    carryOfSum(code, A, B, RESULT);
    overflowOfSum(code, A, B, RESULT);
    code.op(Op.I32_OR);
    auxiliary(code);
  }],
  [[FlagKind.SUB, FlagKind.DIFFERENCE, FlagKind.COMPARISON], (code) => {
    borrowOfDifference(code, A, B, RESULT);
    overflowOfDifference(code, A, B, RESULT);
    code.op(Op.I32_OR);
    auxiliary(code);
  }],
  [[FlagKind.RESULT], (code) => code.i32(0)],
  [[FlagKind.PRODUCT], (code) => {
    productOverflow(code, A, B, RESULT);
    code.i32(CARRY_OVERFLOW);
    code.op(Op.I32_MUL);
  }],
  [[FlagKind.HIGH], (code) => {
    code.i32(CARRY_OVERFLOW);
    code.i32(0);
    code.get(B);
    code.op(Op.I64_EQZ);
    code.op(Op.I32_EQZ);
    code.op(Op.SELECT);
  }],
  [[FlagKind.RIGHT], (code) => {
    carryOfShift(code, A, B);
    code.get(A);
    code.get(RESULT);
    code.op(Op.I64_XOR);
    flagOf(code, 63, OF_PLACE);
    code.op(Op.I32_OR);
  }],
  [[FlagKind.LEFT], (code) => {
    carryOfShift(code, A, B);
    code.tee(WORD);
    code.get(WORD);
    code.get(RESULT);
    flagOf(code, 63, 0);
    code.op(Op.I32_XOR);
    code.i32(OF_PLACE);
    code.op(Op.I32_SHL);
    code.op(Op.I32_OR);
  }],
];

/** The function of kind, A, B and result. */
export function flagRules(type: number): FunctionCode {
  const code = new CodeWriter();
  complete(code, FlagKind.COMPARISON, RESULT, Op.I64_SUB, A);
  complete(code, FlagKind.SUM, A, Op.I64_SUB, RESULT);
  complete(code, FlagKind.DIFFERENCE, A, Op.I64_ADD, RESULT);
  code.get(KIND);
  code.i32(LOW_32);
  code.op(Op.I32_AND);
  code.open(Op.IF, Type.NONE);
  for (const value of [A, B, RESULT]) {
    code.get(value);
    code.op(Op.I64_EXTEND32_S);
    code.set(value);
  }
  code.end();
  code.open(Op.BLOCK, I32);
  // One block ends where each kind's rule begins; that of explicit flags comes last.
  code.open(Op.BLOCK, I32);
  const labels = new Array<number>(KINDS).fill(RULES.length);
  RULES.forEach(([kinds], i) => {
    for (const kind of kinds) labels[kind >> KIND_SHIFT] = i;
  });
  for (let i = 0; i <= RULES.length; i++) code.open(Op.BLOCK, Type.NONE);
  code.get(KIND);
  code.i32(KIND_SHIFT);
  code.op(Op.I32_SHR_U);
  code.i32(KINDS - 1);
  code.op(Op.I32_AND);
  code.op(Op.BR_TABLE);
  code.unsigned(labels.length);
  for (const label of labels) code.unsigned(label);
  code.unsigned(RULES.length);
  RULES.forEach(([, push], i) => {
    code.end();
    push(code);
    code.br(RULES.length - i);
  });
  code.end();
  code.get(B);
  code.op(Op.I32_WRAP_I64);
  code.br(1);
  code.end();
  zeroSignParity(code, RESULT);
  code.op(Op.I32_OR);
  code.end();
  // The flags that the kind itself holds: those of its bits take the places of the others.
  code.tee(WORD);
  code.get(WORD);
  code.get(KIND);
  code.op(Op.I32_XOR);
  code.get(KIND);
  code.i32(CARRY_APART);
  code.op(Op.I32_AND);
  code.i32(1);
  code.op(Op.I32_SHR_U);
  code.get(KIND);
  code.i32(OVERFLOW_APART);
  code.op(Op.I32_AND);
  code.i32(1);
  code.op(Op.I32_SHL);
  code.op(Op.I32_OR);
  code.op(Op.I32_AND);
  code.op(Op.I32_XOR);
  code.end();
  return { type, locals: [[1, I32]], code: code.finish(), name: "flags" };
}

/** Flags of the kind have what is missing in `local` from the other one and B. */
function complete(code: CodeWriter, kind: FlagKind, local: number, op: Op, other: number): void {
  code.get(KIND);
  code.i32((KINDS - 1) << KIND_SHIFT);
  code.op(Op.I32_AND);
  code.i32(kind);
  code.op(Op.I32_EQ);
  code.open(Op.IF, Type.NONE);
  code.get(other);
  code.get(B);
  code.op(op);
  code.set(local);
  code.end();
}

/** Adds AF to what is on the stack: the carry out of bit 3, which all of bit 4 together are. */
function auxiliary(code: CodeWriter): void {
  code.get(A);
  code.get(B);
  code.op(Op.I64_XOR);
  code.get(RESULT);
  code.op(Op.I64_XOR);
  code.op(Op.I32_WRAP_I64);
  code.i32(16);
  code.op(Op.I32_AND);
  code.op(Op.I32_OR);
}

/** CF in bit 0: bit `b` of `a`, the one that left last. */
export function carryOfShift(code: CodeWriter, a: number, b: number): void {
  code.get(a);
  code.get(b);
  code.op(Op.I64_SHR_U);
  code.op(Op.I32_WRAP_I64);
  code.i32(1);
  code.op(Op.I32_AND);
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
  code.get(result);
  parity(code);
  code.i32(2);
  code.op(Op.I32_SHL);
  code.op(Op.I32_OR);
}

/** Pops a number (i64): 1 when its bits 7:0 have an even number of ones. */
export function parity(code: CodeWriter): void {
  code.op(Op.I32_WRAP_I64);
  code.i32(0xff);
  code.op(Op.I32_AND);
  code.op(Op.I32_POPCNT);
  code.i32(1);
  code.op(Op.I32_AND);
  code.op(Op.I32_EQZ);
}
