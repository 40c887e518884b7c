/** PCMPISTRx of bytes (SDM 2B §4.1): a function of the runtime. See `isa/simd/string_compare.ts`. */

import { CodeWriter } from "./code_writer.ts";
import type { FunctionCode } from "./module_writer.ts";
import { Op, Simd, Type } from "./opcodes.ts";

/** Bits of the immediate. */
export const Control = {
  WORDS: 1,
  AGGREGATION: 0xc,
  NEGATIVE: 0x10,
  MASKED: 0x20,
  MOST: 0x40,
} as const;
/** Values of the aggregation field. */
export const Aggregation = { ANY: 0, RANGES: 4, EACH: 8, ORDERED: 0xc } as const;
/** Bits of the result behind the 16 of the comparison: the first or second string ends in its register. */
export const Ends = { FIRST: 1 << 16, SECOND: 1 << 17 } as const;

const ALL = 0xffff;

/** (first, second, control): a bit for each byte of the second string, and `Ends`. Not of ranges. */
export function stringRule(type: number): FunctionCode {
  const code = new CodeWriter();
  const [first, second, control] = [0, 1, 2];
  const [firstValid, secondValid, bits, matches, j] = [3, 4, 5, 6, 7];
  const get = (local: number) => code.get(local);
  const not = () => {
    code.i32(-1);
    code.op(Op.I32_XOR);
  };
  /** Bits of the bytes before the first 0. */
  const valid = (string: number, into: number) => {
    get(string);
    code.v128(new Uint8Array(16));
    code.simd(Simd.I8X16_EQ);
    code.simd(Simd.I8X16_BITMASK);
    code.i32(ALL + 1);
    code.op(Op.I32_OR);
    code.tee(into);
    get(into);
    code.i32(1);
    code.op(Op.I32_SUB);
    code.op(Op.I32_XOR);
    code.i32(1);
    code.op(Op.I32_SHR_U);
    code.set(into);
  };
  const isAggregation = (value: number) => {
    get(control);
    code.i32(Control.AGGREGATION);
    code.op(Op.I32_AND);
    code.i32(value);
    code.op(Op.I32_EQ);
  };
  valid(first, firstValid);
  valid(second, secondValid);
  isAggregation(Aggregation.EACH);
  code.open(Op.IF, Type.NONE);
  // Bytes are equal, or both are behind their strings' ends.
  get(first);
  get(second);
  code.simd(Simd.I8X16_EQ);
  code.simd(Simd.I8X16_BITMASK);
  get(firstValid);
  code.op(Op.I32_AND);
  get(secondValid);
  code.op(Op.I32_AND);
  get(firstValid);
  get(secondValid);
  code.op(Op.I32_OR);
  not();
  code.i32(ALL);
  code.op(Op.I32_AND);
  code.op(Op.I32_OR);
  code.set(bits);
  code.op(Op.ELSE);
  isAggregation(Aggregation.ORDERED);
  code.open(Op.IF, Type.NONE);
  code.i32(ALL);
  code.set(bits);
  code.end();
  // Each byte of the first string against all of the second.
  code.open(Op.BLOCK, Type.NONE);
  code.open(Op.LOOP, Type.NONE);
  get(firstValid);
  get(j);
  code.op(Op.I32_SHR_U);
  code.i32(1);
  code.op(Op.I32_AND);
  code.op(Op.I32_EQZ);
  code.brIf(1);
  get(first);
  get(j);
  code.simd(Simd.I8X16_SPLAT);
  code.simd(Simd.SWIZZLE);
  get(second);
  code.simd(Simd.I8X16_EQ);
  code.simd(Simd.I8X16_BITMASK);
  get(secondValid);
  code.op(Op.I32_AND);
  code.set(matches);
  isAggregation(Aggregation.ORDERED);
  code.open(Op.IF, Type.NONE);
  // Where the first string begins so late that this byte is behind the register, it is not asked.
  get(bits);
  get(matches);
  get(j);
  code.op(Op.I32_SHR_U);
  code.i32(ALL);
  get(j);
  code.op(Op.I32_SHR_U);
  not();
  code.op(Op.I32_OR);
  code.op(Op.I32_AND);
  code.set(bits);
  code.op(Op.ELSE);
  get(bits);
  get(matches);
  code.op(Op.I32_OR);
  code.set(bits);
  code.end();
  get(j);
  code.i32(1);
  code.op(Op.I32_ADD);
  code.set(j);
  code.br(0);
  code.end();
  code.end();
  code.end();
  get(control);
  code.i32(Control.NEGATIVE);
  code.op(Op.I32_AND);
  code.open(Op.IF, Type.NONE);
  get(secondValid);
  code.i32(ALL);
  get(control);
  code.i32(Control.MASKED);
  code.op(Op.I32_AND);
  code.op(Op.SELECT);
  get(bits);
  code.op(Op.I32_XOR);
  code.set(bits);
  code.end();
  get(bits);
  ([[firstValid, Ends.FIRST], [secondValid, Ends.SECOND]] as const).forEach(([local, bit]) => {
    get(local);
    code.i32(ALL);
    code.op(Op.I32_NE);
    code.i32(Math.log2(bit));
    code.op(Op.I32_SHL);
    code.op(Op.I32_OR);
  });
  code.end();
  return { type, locals: [[5, Type.I32]], code: code.finish(), name: "strings" };
}
