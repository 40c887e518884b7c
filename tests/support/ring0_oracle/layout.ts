/**
 * Where everything is in the guest of the ring-0 oracle: linear addresses are physical ones, and low
 * enough for 16-bit code.
 */

export const At = {
  /** Interrupt vectors of real mode. */
  IVT: 0x0000,
  /** `HANDLER_BYTES` for each vector. */
  HANDLERS: 0x1000,
  GDT: 0x2000,
  LDT: 0x2800,
  IDT: 0x3000,
  TSS: 0x4000,
  /** Another TSS, for LTR and task switches. */
  TSS_OTHER: 0x4200,
  /** The code under test ends here: what comes next is on a landing place. */
  CODE_END: 0x5800,
  STACK: 0x6800,
  /** Stacks of the TSS. */
  STACK0: 0x7400,
  STACK1: 0x7600,
  STACK2: 0x7800,
  IST: 0x7a08,
  /** Operands in memory. */
  DATA: 0x8000,
  /** With paging: not writable; not present; for supervisors only. */
  READ_ONLY: 0xa000,
  ABSENT: 0xb000,
  SUPERVISOR: 0xc000,
  /** Behind RAM, not writable, full of `LANDING_CODE`: where transfers lead to. */
  LANDING: 0xd000,
  /** Page tables: beyond what real mode reaches, not writable, in no linear address. */
  TABLES: 0x11_0000,
} as const;

/** RAM of the guest: what a case may change, and what is restored. */
export const RAM_BYTES = At.LANDING;
/** Page tables. */
export const TABLES_BYTES = 0x8000;

export const HANDLER_BYTES = 16;

/**
 * NOP; OUT DX, AL; NOP; NOP: ends a case wherever it is entered, after an instruction that a single
 * step may stop at. Whether RIP is before the OUT or behind it is cut off with the low bits.
 */
export const LANDING_CODE: readonly number[] = [0x90, 0xee, 0x90, 0x90];
/** DX: a port that nothing in the host's kernel answers. */
export const PORT = 0xea;

/** Selectors of the GDT, RPL 0. */
export const Selector = {
  CODE32: 0x08,
  CODE64: 0x10,
  CODE16: 0x18,
  DATA32: 0x20,
  DATA16: 0x28,
  USER_CODE32: 0x30,
  USER_CODE64: 0x38,
  USER_CODE16: 0x40,
  USER_DATA32: 0x48,
  USER_DATA16: 0x50,
  /** 16 bytes each in IA-32e mode. */
  TSS: 0x58,
  LDT: 0x68,
  /** From here on random descriptors, 16 bytes apart. */
  FREE: 0x78,
  END: 0xd8,
} as const;

/** Limit of the LDT. */
export const LDT_LIMIT = 0x3f;
