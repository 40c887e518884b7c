/** Options of rows: the registers that an instruction needs, and the CPUID feature it belongs to. */

import type { RowOptions } from "../row.ts";

export const MMX = { unit: "mmx", feature: "mmx" } as const satisfies RowOptions;
/** MMX instructions that came with SSE and its successors. */
export const MMX_SSE = { unit: "mmx", feature: "sse" } as const satisfies RowOptions;
export const MMX_SSE2 = { unit: "mmx", feature: "sse2" } as const satisfies RowOptions;
export const MMX_SSSE3 = { unit: "mmx", feature: "ssse3" } as const satisfies RowOptions;
export const SSE = { unit: "sse", feature: "sse" } as const satisfies RowOptions;
export const SSE2 = { unit: "sse", feature: "sse2" } as const satisfies RowOptions;
export const SSE3 = { unit: "sse", feature: "sse3" } as const satisfies RowOptions;
export const SSSE3 = { unit: "sse", feature: "ssse3" } as const satisfies RowOptions;
export const SSE41 = { unit: "sse", feature: "sse4.1" } as const satisfies RowOptions;
export const SSE42 = { unit: "sse", feature: "sse4.2" } as const satisfies RowOptions;
export const AES = { unit: "sse", feature: "aes" } as const satisfies RowOptions;
export const PCLMULQDQ = { unit: "sse", feature: "pclmulqdq" } as const satisfies RowOptions;
export const SHA = { unit: "sse", feature: "sha" } as const satisfies RowOptions;
