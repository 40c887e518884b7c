/** Software floating point that gives x86 results bit for bit: x87 and the slow path of SSE. */
export * from "./control.ts";
export * from "./result.ts";
export * from "./f80_arith.ts";
export * from "./f80_compare.ts";
export * from "./f80_convert.ts";
export * from "./f80_bcd.ts";
export * from "./f80_scale.ts";
export * from "./f80_remainder.ts";
export * from "./f80_constants.ts";
export * from "./f80_trig.ts";
export * from "./f80_log.ts";
export * from "./sse64.ts";
export * from "./sse32.ts";
export * from "./sse_convert.ts";
