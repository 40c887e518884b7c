/** The instruction table: all families. */

import { ARITHMETIC } from "./arithmetic.ts";
import { CONTROL_REGISTERS } from "./control_registers.ts";
import { CPUID } from "./cpuid.ts";
import { DESCRIPTOR_TABLES } from "./descriptor_tables.ts";
import { FAR } from "./far.ts";
import { FLAG_INSTRUCTIONS } from "./flag_instructions.ts";
import { FXSAVE } from "./fxsave.ts";
import { HALT } from "./halt.ts";
import { INVALIDATE } from "./invalidate.ts";
import { MSR } from "./msr.ts";
import { PORT_IO } from "./port_io.ts";
import { PROTECTION_KEYS } from "./protection_keys.ts";
import { RANDOM } from "./random.ts";
import type { Row } from "./row.ts";
import { SEGMENT_INSTRUCTIONS } from "./segment_instructions.ts";
import { SIMD } from "./simd/table.ts";
import { SYSCALL } from "./syscall.ts";
import { TSC } from "./tsc.ts";
import { XSAVE } from "./xsave.ts";

/** Every instruction. */
export const ROWS: readonly Row[] = [
  ...ARITHMETIC,
  ...CONTROL_REGISTERS,
  ...CPUID,
  ...DESCRIPTOR_TABLES,
  ...FAR,
  ...FLAG_INSTRUCTIONS,
  ...FXSAVE,
  ...HALT,
  ...INVALIDATE,
  ...MSR,
  ...PORT_IO,
  ...PROTECTION_KEYS,
  ...RANDOM,
  ...SEGMENT_INSTRUCTIONS,
  ...SIMD,
  ...SYSCALL,
  ...TSC,
  ...XSAVE,
];
