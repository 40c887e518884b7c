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
  /** It changes the bases of FS or GS. */
  readonly bases: boolean;
}

/** Instructions whose results differ between processors or runs, or that the host's KVM gets wrong. */
const EXCLUDED: ReadonlySet<string> = new Set([
  // Time, identity, randomness
  ...["cpuid", "rdtsc", "rdtscp", "rdpid", "rdpmc", "rdrand", "rdseed"],
  // The host's own EFER.SCE and XCR0 count here, and SYSENTER is not in AMD's 64-bit mode
  ...["syscall", "sysenter", "xgetbv", "xsetbv"],
  ...["xsave", "xsave64", "xsavec", "xsavec64", "xsaveopt", "xsaveopt64", "xrstor", "xrstor64"],
  // Not on AMD in ring 3, or intercepted
  ...["monitor", "mwait", "rdpkru", "wrpkru", "vmcall"],
  // This KVM has no INT n, takes INT1 for a fault, and emulates what follows SMSW
  ...["int", "int1", "smsw"],
  // This KVM runs ring 3 on segment registers and descriptor tables of its own
  ...["sgdt", "sidt", "sldt", "str", "lar", "lsl", "verr", "verw", "retf", "iret", "sysret"],
]);

/** Compatibility mode is this KVM's emulator, which does not know these. */
const UNKNOWN32: ReadonlySet<string> = new Set([
  ...["daa", "aaa", "aas", "bound", "arpl", "int3", "into", "fwait", "movbe", "crc32", "clwb"],
  ...["adcx", "adox", "popcnt", "tzcnt", "lzcnt", "nop"],
  // It nests no ENTER, keeps NT in POPF, and has flags of AAM and AAD from all of EAX
  ...["enter", "popf", "aam", "aad", "cmpxchg16b"],
  // It takes flags of a string instruction that faults from its first repetition
  ...["scas", "scasb", "cmps", "cmpsb", "ins", "insb", "outs", "outsb"],
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

/**
 * The rows that ring-3 code of this size can execute, with `onHost` those alone that have the same
 * result on this host as here.
 */
export function forms(bits: 32 | 64, onHost: boolean): Form[] {
  const host = new Set(hostFeatures());
  return ROWS.filter((row) => {
    if (row.cpl0 === true || EXCLUDED.has(row.mnemonic)) return false;
    if (row.operands.some((text) => /^([CSA]|D[^X]|Mp)/.test(text) && text !== "CL")) return false;
    if (/^(push|pop)$/.test(row.mnemonic) && row.operands.length === 0) return false;
    if (row.mode !== undefined && (row.mode === "64") !== (bits === 64)) return false;
    if (!onHost) return true;
    if (
      bits === 32 &&
      (row.unit !== undefined || /^vex/.test(row.encoding) || UNKNOWN32.has(row.mnemonic))
    ) return false;
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
    bases: row.mnemonic === "wrfsbase" || row.mnemonic === "wrgsbase",
  };
}

function hostFeatures(): string[] {
  const text = Deno.readTextFileSync("/proc/cpuinfo");
  return (/^flags\s*: (.*)$/m.exec(text)?.[1] ?? "").split(" ");
}
