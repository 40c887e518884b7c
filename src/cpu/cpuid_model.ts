/**
 * The processor that the wasm engine is, as CPUID tells it (SDM 2A "CPUID"). Rows of the instruction
 * table name its features by the names in `FEATURES`.
 */

import { type CpuidLeaf, hypervisorLeaves, withTopology } from "./cpuid.ts";

/** Where a feature's bit is: leaf, register, bit; subleaf 0 but where a fourth number says. */
type FeatureBit = readonly [leaf: number, register: Register, bit: number, subleaf?: number];
type Register = "eax" | "ebx" | "ecx" | "edx";

/** The features that there are, by the manual's names in lower case. All others are absent. */
export const FEATURES: Readonly<Record<string, FeatureBit>> = {
  "fpu": [1, "edx", 0],
  "de": [1, "edx", 2],
  "pse": [1, "edx", 3],
  "tsc": [1, "edx", 4],
  "msr": [1, "edx", 5],
  "pae": [1, "edx", 6],
  "mce": [1, "edx", 7],
  "cx8": [1, "edx", 8],
  "apic": [1, "edx", 9],
  "sep": [1, "edx", 11],
  "mtrr": [1, "edx", 12],
  "pge": [1, "edx", 13],
  "mca": [1, "edx", 14],
  "cmov": [1, "edx", 15],
  "pat": [1, "edx", 16],
  "pse36": [1, "edx", 17],
  "clfsh": [1, "edx", 19],
  "mmx": [1, "edx", 23],
  "fxsr": [1, "edx", 24],
  "sse": [1, "edx", 25],
  "sse2": [1, "edx", 26],
  "sse3": [1, "ecx", 0],
  "pclmulqdq": [1, "ecx", 1],
  "monitor": [1, "ecx", 3],
  "ssse3": [1, "ecx", 9],
  "cmpxchg16b": [1, "ecx", 13],
  "pcid": [1, "ecx", 17],
  "sse4.1": [1, "ecx", 19],
  "sse4.2": [1, "ecx", 20],
  "x2apic": [1, "ecx", 21],
  "movbe": [1, "ecx", 22],
  "popcnt": [1, "ecx", 23],
  "tsc_deadline": [1, "ecx", 24],
  "aes": [1, "ecx", 25],
  "xsave": [1, "ecx", 26],
  "rdrand": [1, "ecx", 30],
  "hypervisor": [1, "ecx", 31],
  "arat": [6, "eax", 2],
  "fsgsbase": [7, "ebx", 0],
  "tsc_adjust": [7, "ebx", 1],
  "bmi1": [7, "ebx", 3],
  "fdp_excptn_only": [7, "ebx", 6],
  "smep": [7, "ebx", 7],
  "bmi2": [7, "ebx", 8],
  "erms": [7, "ebx", 9],
  "invpcid": [7, "ebx", 10],
  "fcs_fds_deprecated": [7, "ebx", 13],
  "rdseed": [7, "ebx", 18],
  "adx": [7, "ebx", 19],
  "smap": [7, "ebx", 20],
  "clflushopt": [7, "ebx", 23],
  "clwb": [7, "ebx", 24],
  "sha": [7, "ebx", 29],
  "umip": [7, "ecx", 2],
  "pku": [7, "ecx", 3],
  "la57": [7, "ecx", 16],
  "rdpid": [7, "ecx", 22],
  "fsrm": [7, "edx", 4],
  "xsaveopt": [0xd, "eax", 0, 1],
  "xsavec": [0xd, "eax", 1, 1],
  "xgetbv1": [0xd, "eax", 2, 1],
  "xsaves": [0xd, "eax", 3, 1],
  "lahf64": [0x8000_0001, "ecx", 0],
  "lzcnt": [0x8000_0001, "ecx", 5],
  "prefetchw": [0x8000_0001, "ecx", 8],
  "nx": [0x8000_0001, "edx", 20],
  "pdpe1gb": [0x8000_0001, "edx", 26],
  "rdtscp": [0x8000_0001, "edx", 27],
  "lm": [0x8000_0001, "edx", 29],
  "invariant_tsc": [0x8000_0007, "edx", 8],
};

/**
 * Family 6, model 0x1c, stepping 10: of an Intel processor, because only from Intel's do systems take
 * the frequencies of leaves 0x15 and 0x16, and of one that executes in order, because systems then
 * leave out what protects others from speculation, of which an interpreter has none.
 */
const SIGNATURE = 0x000106ca;
/** Physical and linear address bits. */
const PHYSICAL_BITS = 48;
const LINEAR_BITS = 57;
/** Frequency of the time-stamp counter, of its crystal and of the APIC timer. */
const CLOCK_HZ = 1_000_000_000;
const BRAND = "denovisor x86-64 processor";

/** XCR0 bits that there are: x87, SSE, PKRU (SDM 1 §13.3). */
export const XCR0_BITS = 0x203;
/** Where PKRU is in the standard format of the XSAVE area, and its size (SDM 1 §13.4.3, §13.5.7). */
export const PKRU_OFFSET = 2688;
export const PKRU_SIZE = 8;

/** A state component beyond x87 and SSE; one that is all zeros is in its initial state. */
export interface XsaveComponent {
  /** In XCR0. */
  readonly bit: number;
  /** Where it is in the standard format, and how long it is: multiples of 8. */
  readonly offset: number;
  readonly sizeBytes: number;
  /** In the compacted format it begins at a multiple of 64. */
  readonly aligned: boolean;
}

const COMPONENTS: readonly XsaveComponent[] = [
  { bit: 1 << 9, offset: PKRU_OFFSET, sizeBytes: PKRU_SIZE, aligned: false },
];

/** What a guest may see of the processor that the interpreter does not take from its own model. */
export interface OtherProcessor {
  readonly maxPhyAddrBits: number;
  /** In the order of their bits. */
  readonly components: readonly XsaveComponent[];
}

/** CPUID of one vCPU: `query` fills in the registers. */
export class Cpuid {
  readonly maxPhyAddrBits: number;
  readonly components: readonly XsaveComponent[];
  eax = 0;
  ebx = 0;
  ecx = 0;
  edx = 0;
  readonly #table: readonly CpuidLeaf[];
  readonly #last: CpuidLeaf;

  /** vCPU `index` of `cpus`. `other`: code runs that believes to be on another processor. */
  constructor(index: number, cpus: number, other?: OtherProcessor) {
    this.maxPhyAddrBits = other?.maxPhyAddrBits ?? PHYSICAL_BITS;
    this.components = other?.components ?? COMPONENTS;
    this.#table = [
      ...withTopology(modelTable(), index, cpus),
      ...hypervisorLeaves({
        ...{ signature: "denovisor", features: 0, hints: 0 },
        ...{ tscKhz: CLOCK_HZ / 1000, apicKhz: CLOCK_HZ / 1000 },
      }),
    ];
    const [first] = this.#table;
    this.#last = this.#find(first.eax, 0) ?? first;
  }

  /** Whether there is a feature of `FEATURES`. */
  has(feature: string): boolean {
    return Object.hasOwn(FEATURES, feature);
  }

  /**
   * Fills in what CPUID returns, as far as it does not depend on the vCPU's state. Beyond the last
   * leaf of a range stands what the last basic leaf has; a leaf that does not exist is 0.
   */
  query(leaf: number, subleaf: number): void {
    const found = this.#find(leaf, subleaf) ?? (this.#isInRange(leaf) ? undefined : this.#last);
    this.eax = found === undefined ? 0 : found.eax | 0;
    this.ebx = found === undefined ? 0 : found.ebx | 0;
    this.ecx = found === undefined ? 0 : found.ecx | 0;
    this.edx = found === undefined ? 0 : found.edx | 0;
    // Topology leaves echo the subleaf and have the APIC id even behind their last level.
    if (found === undefined && leaf === 0xb) {
      this.ecx = subleaf & 0xff;
      this.edx = this.#find(leaf, 0)?.edx ?? 0;
    }
  }

  #find(leaf: number, subleaf: number): CpuidLeaf | undefined {
    const table = this.#table;
    for (let i = 0; i < table.length; i++) {
      const entry = table[i];
      if (entry.leaf === leaf && (!entry.indexed || entry.subleaf === subleaf)) return entry;
    }
    return undefined;
  }

  /** `leaf` is not beyond the last leaf of the basic, the hypervisor's or the extended range. */
  #isInRange(leaf: number): boolean {
    const first = this.#find(leaf >= 0x4000_0000 ? (leaf & 0xffff_0000) >>> 0 : 0, 0);
    return first !== undefined && leaf <= first.eax >>> 0;
  }
}

/** All leaves but the hypervisor's, without the topology of several vCPUs. */
function modelTable(): CpuidLeaf[] {
  const table: CpuidLeaf[] = [
    entry(0, { eax: 0x16, ...vendor("GenuineIntel") }),
    // EBX 15:8: CLFLUSH lines of 64 bytes
    entry(1, { eax: SIGNATURE, ebx: 8 << 8 }),
    // One descriptor, 0xff: caches are in leaf 4
    entry(2, { eax: 0x0000_ff01 }),
    cache(0, 1, 1, 64, 8), // 32 KiB data
    cache(1, 2, 1, 64, 8), // 32 KiB instructions
    cache(2, 3, 2, 1024, 16), // 1 MiB
    cache(3, 3, 3, 8192, 16), // 8 MiB
    indexed(4, 4, {}),
    // Monitored lines of 64 bytes; extensions, but no C-states: systems halt by HLT
    entry(5, { eax: 64, ebx: 64, ecx: 3 }),
    entry(6, {}),
    indexed(7, 0, {}),
    entry(0xb, {}),
    // EBX and subleaf 1's EBX depend on XCR0: isa/cpuid.ts
    indexed(0xd, 0, { eax: XCR0_BITS, ebx: 576, ecx: PKRU_OFFSET + PKRU_SIZE }),
    indexed(0xd, 1, { ebx: 576 }),
    indexed(0xd, 9, { eax: PKRU_SIZE, ebx: PKRU_OFFSET }),
    // TSC = crystal * EBX / EAX; ECX in Hz
    entry(0x15, { eax: 1, ebx: 1, ecx: CLOCK_HZ }),
    // Base, maximum and bus frequency in MHz
    entry(0x16, { eax: CLOCK_HZ / 1e6, ebx: CLOCK_HZ / 1e6, ecx: 100 }),
    entry(0x8000_0000, { eax: 0x8000_0008 }),
    entry(0x8000_0001, {}),
    ...brandLeaves(),
    // Level 2 cache: ECX 31:16 KiB, 15:12 associativity (8: 16 ways), 7:0 line
    entry(0x8000_0006, { ecx: (1024 << 16 | 8 << 12 | 64) >>> 0 }),
    entry(0x8000_0007, {}),
    entry(0x8000_0008, { eax: LINEAR_BITS << 8 | PHYSICAL_BITS }),
  ];
  for (const [leaf, register, bit, subleaf = 0] of Object.values(FEATURES)) {
    const at = table.find((e) => e.leaf === leaf && e.subleaf === subleaf)!;
    at[register] = (at[register] | 1 << bit) >>> 0;
  }
  return table;
}

type Registers = Partial<Pick<CpuidLeaf, Register>>;

function entry(leaf: number, registers: Registers): CpuidLeaf {
  return { leaf, subleaf: 0, indexed: false, eax: 0, ebx: 0, ecx: 0, edx: 0, ...registers };
}
function indexed(leaf: number, subleaf: number, registers: Registers): CpuidLeaf {
  return { ...entry(leaf, registers), subleaf, indexed: true };
}

/** Leaf 4: a cache of lines of 64 bytes. `type`: 1 data, 2 instructions, 3 both. */
function cache(subleaf: number, type: number, level: number, sets: number, ways: number) {
  return indexed(4, subleaf, {
    eax: type | level << 5 | 1 << 8, // bit 8: self-initializing
    ebx: ((ways - 1) << 22 | 64 - 1) >>> 0,
    ecx: sets - 1,
  });
}

/** A vendor's 12 characters: EBX, EDX, ECX. */
function vendor(name: string): Registers {
  const [ebx, edx, ecx] = words(name, 3);
  return { ebx, ecx, edx };
}

/** The brand string in leaves 0x80000002 to 0x80000004. */
function brandLeaves(): CpuidLeaf[] {
  const all = words(BRAND, 12);
  return [0, 1, 2].map((i) => {
    const [eax, ebx, ecx, edx] = all.slice(i * 4, i * 4 + 4);
    return entry(0x8000_0002 + i, { eax, ebx, ecx, edx });
  });
}

/** Characters as little-endian words, filled up with zeros. */
function words(text: string, count: number): number[] {
  const view = new DataView(new ArrayBuffer(count * 4));
  new Uint8Array(view.buffer).set(new TextEncoder().encode(text));
  return Array.from({ length: count }, (_, i) => view.getUint32(i * 4, true));
}
