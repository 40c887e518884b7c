/** How much translated code the wasm engine keeps. */

import { bytesOf, wrong } from "./memory_options.ts";

/** By default, in bytes. */
export const JIT_BYTES = 256 * 1024 ** 2;
/** The least that is not 0: one batch of translations must fit, and then some. */
const MIN_BYTES = 1024 ** 2;
const MAX_BYTES = 4 * 1024 ** 3;

/** What the option may be, for messages. */
export const JIT_MEMORY_EXPECTED =
  "0, or a number of bytes or a number with K, M or G, from 1M to 4G";

/**
 * Bytes of translated code; 0: none is made.
 * @throws DenovisorError `usage`
 */
export function parseJitMemory(given: string | number): number {
  const bytes = typeof given === "number" ? given : bytesOf(given);
  const fits = Number.isInteger(bytes) && bytes >= MIN_BYTES && bytes <= MAX_BYTES;
  if (bytes !== 0 && !fits) throw wrong("jitMemory", given, JIT_MEMORY_EXPECTED);
  return bytes;
}
