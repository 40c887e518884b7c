/**
 * What a vCPU keeps beyond `CpuState`, in its memory behind the scratch space: registers that
 * snapshots leave out, because systems set them up at their start only.
 */

/** Where 4 KiB are that an XSAVE area is put together in. */
export const AREA_AT = 8192;
/** First byte of the registers. */
const REGISTERS_AT = 12288;

/** Word indices in `Cpu.s` of model-specific registers, 2 words each. */
export const PrivateMsr = {
  DEBUGCTL: REGISTERS_AT / 4,
  MCG_STATUS: REGISTERS_AT / 4 + 2,
  /** 8 pairs of base and mask. */
  MTRR_VARIABLE: REGISTERS_AT / 4 + 4,
  /** 11 registers of 8 types each. */
  MTRR_FIXED: REGISTERS_AT / 4 + 36,
} as const;

/** First of the 4 words of the random numbers' state. */
export const RANDOM_WORD = REGISTERS_AT / 4 + 58;
