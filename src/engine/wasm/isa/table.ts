/** The instruction table: all families. */

import { ARITHMETIC } from "./arithmetic.ts";
import { BITS } from "./bits.ts";
import { BMI } from "./bmi.ts";
import { BRANCHES } from "./branches.ts";
import { CONTROL_REGISTERS } from "./control_registers.ts";
import { CPUID } from "./cpuid.ts";
import { DECIMAL } from "./decimal.ts";
import { DESCRIPTOR_TABLES } from "./descriptor_tables.ts";
import { DIVIDE } from "./divide.ts";
import { DOUBLE_SHIFT } from "./double_shift.ts";
import { EXCHANGE } from "./exchange.ts";
import { FAR } from "./far.ts";
import { FLAG_INSTRUCTIONS } from "./flag_instructions.ts";
import { FXSAVE } from "./fxsave.ts";
import { HALT } from "./halt.ts";
import { INVALIDATE } from "./invalidate.ts";
import { LOGIC } from "./logic.ts";
import { MOVE } from "./move.ts";
import { MSR } from "./msr.ts";
import { MULTIPLY } from "./multiply.ts";
import { PORT_IO } from "./port_io.ts";
import { PROTECTION_KEYS } from "./protection_keys.ts";
import { RANDOM } from "./random.ts";
import { SEGMENT_INSTRUCTIONS } from "./segment_instructions.ts";
import { SHIFT } from "./shift.ts";
import { SIMD } from "./simd/table.ts";
import { STACK } from "./stack_instructions.ts";
import { STRING } from "./string.ts";
import { SYSCALL } from "./syscall.ts";
import { TSC } from "./tsc.ts";
import { X87 } from "./x87/table.ts";
import { XSAVE } from "./xsave.ts";
import type { Row } from "./row.ts";

/** Every instruction. */
export const ROWS: readonly Row[] = [
  ...ARITHMETIC,
  ...BITS,
  ...BMI,
  ...BRANCHES,
  ...CONTROL_REGISTERS,
  ...CPUID,
  ...DECIMAL,
  ...DESCRIPTOR_TABLES,
  ...DIVIDE,
  ...DOUBLE_SHIFT,
  ...EXCHANGE,
  ...FAR,
  ...FLAG_INSTRUCTIONS,
  ...FXSAVE,
  ...HALT,
  ...INVALIDATE,
  ...LOGIC,
  ...MOVE,
  ...MSR,
  ...MULTIPLY,
  ...PORT_IO,
  ...PROTECTION_KEYS,
  ...RANDOM,
  ...SEGMENT_INSTRUCTIONS,
  ...SHIFT,
  ...SIMD,
  ...STACK,
  ...STRING,
  ...SYSCALL,
  ...TSC,
  ...X87,
  ...XSAVE,
];
