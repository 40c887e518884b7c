/** The rows of the instruction table that can be tried in ring 3, with what generation wants to know. */

import { type Encoding, parseEncoding } from "../../../src/engine/wasm/decode/opcode_map.ts";
import { type Operand, parseOperands } from "../../../src/engine/wasm/decode/operands.ts";
import type { Row } from "../../../src/engine/wasm/isa/row.ts";
import { ROWS } from "../../../src/engine/wasm/isa/table.ts";

/** One row. */
export interface Form {
  readonly row: Row;
  readonly encoding: Encoding;
  readonly operands: readonly Operand[];
  /** The operand size matters: there are handlers by size, or an operand has the size. */
  readonly sized: boolean;
  /** REX.W matters. */
  readonly widened: boolean;
  /** It uses x87, MMX or SSE state. */
  readonly fx: boolean;
  /** It changes segment registers. */
  readonly segments: boolean;
}

/** Instructions whose results differ between processors or runs, or that the host's KVM gets wrong. */
const EXCLUDED: ReadonlySet<string> = new Set([
  // Time, identity, randomness
  ...["cpuid", "rdtsc", "rdtscp", "rdpid", "rdpmc", "rdrand", "rdseed"],
  // The host's own EFER.SCE and XCR0 count here, and SYSENTER is not in AMD's 64-bit mode
  ...["syscall", "sysenter", "xgetbv"],
  ...["xsave", "xsave64", "xsavec", "xsavec64", "xsaveopt", "xsaveopt64", "xrstor", "xrstor64"],
  // Not on AMD in ring 3, or intercepted
  ...["monitor", "mwait", "rdpkru", "wrpkru", "vmcall"],
  // Descriptor tables as the host has them
  ...["sgdt", "sidt"],
]);

/** What /proc/cpuinfo calls features that have other names in the manual. */
const HOST_NAMES: Readonly<Record<string, string>> = {
  "sse3": "pni",
  "cmpxchg16b": "cx16",
  "sse4.1": "sse4_1",
  "sse4.2": "sse4_2",
  "sha": "sha_ni",
  "lzcnt": "abm",
  "lahf64": "lahf_lm",
  "prefetchw": "3dnowprefetch",
  "clfsh": "clflush",
};

const SEGMENT_LOADS: ReadonlySet<string> = new Set([
  ...["les", "lds", "lss", "lfs", "lgs", "wrfsbase", "wrgsbase"],
]);

/** The rows that ring-3 code of this size can execute on this host and here with the same result. */
export function forms(bits: 32 | 64): Form[] {
  const host = new Set(hostFeatures());
  return ROWS.filter((row) => {
    if (row.cpl0 === true || EXCLUDED.has(row.mnemonic)) return false;
    if (row.operands.some((text) => text[0] === "C" || /^D[^X]/.test(text))) return false;
    if (row.mode !== undefined && (row.mode === "64") !== (bits === 64)) return false;
    return row.feature === undefined || host.has(HOST_NAMES[row.feature] ?? row.feature);
  }).map(form);
}

function form(row: Row): Form {
  const operands = parseOperands(row);
  const has = (letters: string) => operands.some(({ letter }) => letters.includes(letter));
  return {
    row,
    encoding: parseEncoding(row),
    operands,
    sized: typeof row.exec !== "function" || row.size64 !== undefined ||
      operands.some(({ letter, size }) => "vzp".includes(size) && size !== "" || letter === "rAX"),
    widened: operands.some(({ size }) => size === "y"),
    fx: row.unit !== undefined || has("VWUPQN") || row.mnemonic.startsWith("fx") ||
      /mxcsr$/.test(row.mnemonic),
    segments: operands[0]?.letter === "S" || SEGMENT_LOADS.has(row.mnemonic) ||
      row.mnemonic === "pop" && operands.length === 0,
  };
}

function hostFeatures(): string[] {
  const text = Deno.readTextFileSync("/proc/cpuinfo");
  return (/^flags\s*: (.*)$/m.exec(text)?.[1] ?? "").split(" ");
}
