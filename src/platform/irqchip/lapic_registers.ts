/**
 * Registers of the local APIC (SDM 3A §10.4.1, table 10-1). They are numbered as the x2APIC MSRs are
 * (table 10-6): MSR 0x800 + n is at offset 16 * n of the page.
 */

/** Numbers of the registers. */
export const Register = {
  ID: 0x02,
  VERSION: 0x03,
  TPR: 0x08,
  APR: 0x09,
  PPR: 0x0a,
  EOI: 0x0b,
  REMOTE_READ: 0x0c,
  LDR: 0x0d,
  DFR: 0x0e,
  SVR: 0x0f,
  /** Eight registers each. */
  ISR: 0x10,
  TMR: 0x18,
  IRR: 0x20,
  ESR: 0x28,
  ICR: 0x30,
  ICR_HIGH: 0x31,
  /** The first of the local vector table, in the order of `Lvt`. */
  LVT: 0x32,
  INITIAL_COUNT: 0x38,
  CURRENT_COUNT: 0x39,
  DIVIDE: 0x3e,
  /** In x2APIC mode only. */
  SELF_IPI: 0x3f,
} as const;

/** Entries of the local vector table (§10.5.1). There are no corrected machine checks: no CMCI. */
export const Lvt = { TIMER: 0, THERMAL: 1, PERFORMANCE: 2, LINT0: 3, LINT1: 4, ERROR: 5 } as const;
export const LVT_ENTRIES = 6;
/** Version 0x14, an integrated APIC (§10.4.8), and the number of the last entry. */
export const VERSION = 0x14 | (LVT_ENTRIES - 1) << 16;

/** Fields of an entry. */
export const LvtBit = { MASKED: 0x1_0000, RESET: 0x1_0000, EXTINT: 0x0700 } as const;
/** What software may write to each entry; bits 12 and 14 are status (figure 10-8). */
export const LVT_WRITABLE = [0x7_00ff, 0x1_07ff, 0x1_07ff, 0x1_a7ff, 0x1_a7ff, 0x1_00ff] as const;
const LVT_STATUS = 0x5000;

/** Delivery modes of LVT, ICR, I/O APIC and messages (§10.6.1). */
export const Delivery = {
  FIXED: 0,
  LOWEST_PRIORITY: 1,
  SMI: 2,
  NMI: 4,
  INIT: 5,
  STARTUP: 6,
  EXTINT: 7,
} as const;

/** Interrupt command register (figure 10-12). */
export const Icr = {
  LOGICAL: 0x0800,
  ASSERT: 0x4000,
  LEVEL: 0x8000,
  SHORTHAND_SHIFT: 18,
  /** Bit 12 only says that the last one is sent, which it always is. */
  WRITABLE: 0x000c_cfff,
} as const;

/** Destination shorthands. */
export const Shorthand = { NONE: 0, SELF: 1, ALL: 2, OTHERS: 3 } as const;

/** Spurious-interrupt vector register (figure 10-23). */
export const Svr = { ENABLED: 0x100, WRITABLE: 0x3ff, RESET: 0xff } as const;

/** Error status register (figure 10-9). */
export const ApicError = { SEND_ILLEGAL: 0x20, RECEIVE_ILLEGAL: 0x40, REGISTER: 0x80 } as const;

/** Vectors below are not for the APIC (§10.5.2). */
export const FIRST_VECTOR = 16;

/** IA32_APIC_BASE (§10.4.4, §10.12.1). Bits 7:0 and 9 are reserved. */
export const ApicBase = { BSP: 0x100, X2APIC: 0x400, ENABLED: 0x800, RESERVED: 0x2ff } as const;

/** MSRs of the local APIC. */
export const ApicMsr = {
  BASE: 0x1b,
  TSC_DEADLINE: 0x6e0,
  X2APIC: 0x800,
  X2APIC_END: 0x900,
} as const;

/** Bits that must be zero in what is written to an x2APIC register; none can be written without an entry. */
const RESERVED_BITS: ReadonlyMap<number, number> = new Map([
  [Register.TPR, ~0xff],
  [Register.EOI, ~0],
  [Register.SVR, ~Svr.WRITABLE],
  [Register.ESR, ~0],
  [Register.ICR, ~(Icr.WRITABLE | 0x1000)],
  ...LVT_WRITABLE.map((bits, i): [number, number] => [Register.LVT + i, ~(bits | LVT_STATUS)]),
  [Register.INITIAL_COUNT, 0],
  [Register.DIVIDE, ~0xb],
  [Register.SELF_IPI, ~0xff],
]);

/** Whether WRMSR takes `lo` for x2APIC register `register` (§10.12.1.2, table 10-6). */
export function x2apicTakes(register: number, lo: number): boolean {
  const reserved = RESERVED_BITS.get(register);
  return reserved !== undefined && (lo & reserved) === 0;
}
