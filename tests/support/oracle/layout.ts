/**
 * Where everything is in the guest that runs cases: physical addresses, and the linear ones at which
 * ring 3 sees them. Data is in the low 64 KiB, where 16-bit addresses reach it; the rest is far from
 * every address that cases make by chance.
 */

/** Cases of a batch: one entry of the engine. */
export const BATCH = 192;

/** RAM of the guest. */
export const RAM_BYTES = 0x10_0000;

/** Physical addresses. */
export const At = {
  PML4: 0x1000,
  PDPT: 0x2000,
  PD_LOW: 0x3000,
  PT_LOW: 0x4000,
  PD_HIGH: 0x5000,
  PT_HIGH: 0x6000,
  /** `BATCH` slots of `SLOT_BYTES`: what cases read and write. */
  DATA: 0x8000,
  READ_ONLY: 0xe000,
  /** GDT, TSS and IDT. */
  TABLES: 0x1_0000,
  /** Ring-0 code. */
  STUBS: 0x1_1000,
  KERNEL_STACK: 0x1_2000,
  DRIVER: 0x1_3000,
  VARIABLES: 0x1_4000,
  CODE: 0x2_0000,
  IN: 0x4_0000,
  OUT: 0x8_0000,
} as const;

/** Linear address of physical 0, but for data, whose linear address is the physical one. */
export const BASE = 0x5a00_0000;

/** Bytes of data of a case, and of code. */
export const SLOT_BYTES = 128;
export const CODE_BYTES = 128;
/** Code slots start in the middle of lines, so that some of them cross pages. */
export const CODE_SHIFT = 64;
/** Where a taken branch lands in its slot. */
export const LANDING = 112;
/** End of the pages that cases can write. */
export const DATA_END = At.DATA + BATCH * SLOT_BYTES;
export const DATA_BYTES = At.READ_ONLY + 0x1000 - At.DATA;

/** Linear address of the code of case `i`. */
export function codeAddress(i: number): number {
  return BASE + At.CODE + CODE_SHIFT + i * CODE_BYTES;
}

/** Linear address of the data of case `i`. */
export function slotAddress(i: number): number {
  return At.DATA + i * SLOT_BYTES;
}

/** Byte offsets in a case's input. The driver pops what comes first. */
export const In = {
  /** In encoding order. */
  GPR: 0,
  /** Far pointer: offset and selector; a near one in 64-bit code. */
  CODE: 128,
  RFLAGS: 136,
  /** Addresses of the driver's code that loads the state and that stores it. */
  LOAD: 144,
  STORE: 152,
  /** FXSAVE area. */
  FX: 192,
  SIZE: 704,
} as const;

/** Byte offsets in a case's output. */
export const Out = {
  CR2: 0,
  VECTOR: 8,
  ERROR_CODE: 16,
  /** RIP, CS and RFLAGS as an exception has pushed them. */
  RIP: 24,
  CS: 32,
  FRAME_RFLAGS: 40,
  /** `End`. */
  END: 48,
  GPR: 56,
  RFLAGS: 184,
  FS_BASE: 192,
  GS_BASE: 200,
  FX: 256,
  SIZE: 768,
} as const;
/** Where the driver's stores of general registers end. */
export const OUT_TOP = Out.FS_BASE;

/** How a case has ended. */
export const End = {
  /** It never ran. */
  NONE: 0,
  FALLEN_THROUGH: 1,
  /** At its slot's landing place. */
  TAKEN: 2,
  EXCEPTION: 3,
} as const;

/** Selectors of the guest's GDT. */
export const Selector = {
  KERNEL_CODE: 0x08,
  USER_DATA: 0x1b,
  USER_CODE64: 0x23,
  USER_CODE32: 0x2b,
  USER_CODE16: 0x33,
  TSS: 0x38,
  /** Data at `FS_BASE`. */
  USER_FS: 0x4b,
  /** Data at `GS_LOW`, the low half of the GS base. */
  USER_GS: 0x53,
  /** Readable only; not present; expand-down; execute-only code; conforming code. */
  READ_ONLY: 0x5b,
  ABSENT: 0x63,
  EXPAND_DOWN: 0x6b,
  EXECUTE_ONLY: 0x73,
  CONFORMING: 0x7b,
  /** DPL 0. */
  KERNEL_DATA: 0x80,
  END: 0x88,
} as const;

/** Bases of FS and GS in 64-bit code: in the lower half, since this KVM keeps some of the upper. */
export const FS_BASE = 0x4000;
export const GS_LOW = 0x1234_5000;
export const GS_HIGH = 0x1000;
