/** Where everything is in the guest that runs random programs: physical and linear addresses. */

/** RAM of the guest. */
export const RAM_BYTES = 0x2_0000;

/** Physical addresses. */
export const At = {
  /** PML4, or the page directory of 32-bit code. */
  ROOT: 0x1000,
  PDPT: 0x2000,
  PD: 0x3000,
  PT: 0x4000,
  GDT: 0x5000,
  TSS: 0x5100,
  IDT: 0x5400,
  HANDLERS: 0x6000,
  VARIABLES: 0x7000,
  KERNEL_STACK: 0x8000,
  /** Two pages that programs read and write, one that they read, one that ring 0 alone has. */
  DATA: 0xa000,
  READ_ONLY: 0xc000,
  SUPERVISOR: 0xd000,
  STACK: 0xe000,
  CODE: 0x1_0000,
  /** Not RAM. */
  DEVICE: 0x3000_0000,
} as const;

/** Linear addresses; the same pages once more at the end of the address space. */
export const Linear = {
  DATA: 0x10_0000,
  READ_ONLY: 0x10_2000,
  ABSENT: 0x10_3000,
  /** `DATA` again. */
  ALIAS: 0x10_4000,
  SUPERVISOR: 0x10_6000,
  DEVICE: 0x10_7000,
  /** The code, writable. */
  CODE_ALIAS: 0x11_0000,
  STACK: 0x18_0000,
  CODE: 0x1c_0000,
} as const;
/** Bytes of address space that repeat at its end: what one table maps. */
export const MAPPED = { 32: 0x40_0000, 64: 0x20_0000 } as const;

/** Programs whose code is in memory at once, and the room that each has. */
export const SLOTS = 64;
export const SLOT_BYTES = 256;
/** So that some of them cross pages. */
export const SLOT_SHIFT = 128;
export const CODE_PAGES = 5;

/** Byte offsets from `At.VARIABLES`. */
export const Variable = {
  /** Exceptions so far, and interrupts. */
  COUNT: 0,
  TICKS: 8,
  /** Where exceptions go on: 8 addresses. */
  TARGETS: 64,
  /** What they set RSP, RSI and RDI to. */
  RSP: 128,
  RSI: 136,
  RDI: 144,
} as const;
export const TARGETS = 8;

/** Selectors of the guest's GDT. */
export const Selector = {
  CODE: { 64: 0x08, 32: 0x10 },
  DATA: 0x18,
  USER_CODE: { 64: 0x23, 32: 0x2b },
  USER_DATA: 0x33,
  TSS: 0x38,
  END: 0x48,
} as const;

/** Vector of the timer's interrupt. */
export const TIMER = 0x40;
