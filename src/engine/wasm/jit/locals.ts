/** Local variables of a region's function. */
export const Local = {
  /** The parameter: number of the block to begin at. */
  ENTRY: 0,
  /** RAX; the other general registers follow. See `registers.ts`. */
  REG: 1,
  /** Linear address of the page the code is in. */
  BASE: 17,
  /** What the flags are made of, unless `FLAG_KIND` is `UNCHANGED`, as it is at first. */
  FLAG_A: 18,
  FLAG_B: 19,
  FLAG_RESULT: 20,
  /** Where to go on, at `exitDepth` and where the switch begins again. */
  RIP: 21,
  /** Linear address of a memory operand. */
  ADDRESS: 22,
  /** Free for an instruction (i64). */
  T0: 23,
  T1: 24,
  T2: 25,
  T3: 26,
  FLAG_KIND: 27,
  BUDGET: 28,
  /** Byte offset of the TLB set of reads. */
  TLB: 29,
  /** Byte offset of an entry of the TLB. */
  TLB_ENTRY: 30,
  /** Offset in guest RAM of a memory operand that is written. */
  RAM: 31,
  /** Where an instruction that cannot be finished stands: `setPoint`. */
  POINT: 32,
  /** `Status.JUMP` at first. */
  STATUS: 33,
  /** Offset of the link to leave by, or 0. */
  LINK: 34,
  /** Free for an instruction (i32). */
  I0: 35,
  V0: 36,
  V1: 37,
  V2: 38,
  F0: 39,
  F1: 40,
  F2: 41,
  F3: 42,
  /** Offsets in RAM of groups of accesses: `GROUPS` variables. */
  GROUP: 43,
  /** XMM0; the other ones follow. Only functions that use them have these. */
  XMM: 47,
} as const;

/** Groups of accesses (`accesses.ts`) that may be open at a time. */
export const GROUPS = 4;
