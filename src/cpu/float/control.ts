/**
 * Exception flags, masks and rounding modes: the six exceptions and the four rounding modes have the
 * same encodings in the x87 words and in MXCSR (SDM 1 §8.1.3, §8.1.5, §10.2.3).
 */

/** Invalid operation. */
export const IE = 1;
/** Denormal operand. */
export const DE = 2;
/** Division by zero. */
export const ZE = 4;
/** Overflow. */
export const OE = 8;
/** Underflow. */
export const UE = 16;
/** Inexact result (precision). */
export const PE = 32;
/** The exceptions that are found before a result is computed (SDM 1 §4.9.2). */
export const BEFORE = IE | DE | ZE;
/** All six exceptions. */
export const EXCEPTIONS = 63;

/** Round to nearest, ties to even. */
export const NEAREST = 0;
/** Round toward minus infinity. */
export const DOWN = 1;
/** Round toward plus infinity. */
export const UP = 2;
/** Round toward zero. */
export const TO_ZERO = 3;

/** First bit of RC in the x87 control word. */
export const CW_RC_SHIFT = 10;
/** RC = toward zero in the x87 control word: `cw | CW_TO_ZERO` gives FISTTP its rounding. */
export const CW_TO_ZERO = TO_ZERO << CW_RC_SHIFT;
/** The x87 control word after FNINIT: everything masked, 64 bits, to nearest. */
export const CW_DEFAULT = 0x37f;

/** First bit of the exception masks in MXCSR. */
export const MXCSR_MASK_SHIFT = 7;
/** First bit of RC in MXCSR. */
export const MXCSR_RC_SHIFT = 13;
/** Denormals are zeros. */
export const MXCSR_DAZ = 1 << 6;
/** Flush to zero. */
export const MXCSR_FTZ = 1 << 15;
/** MXCSR after reset: everything masked, to nearest. */
export const MXCSR_DEFAULT = 0x1f80;

/** Outcomes of comparisons. */
export const LESS: number = -1;
/** See `LESS`. */
export const EQUAL = 0;
/** See `LESS`. */
export const GREATER = 1;
/** See `LESS`: one operand at least is a NaN or has no supported format. */
export const UNORDERED = 2;

/**
 * The flags that a packed SSE instruction raises, from the union over its elements: an unmasked
 * exception found before computing in any element keeps all elements from being computed
 * (SDM 1 §11.5.3).
 */
export function packedFlags(union: number, mxcsr: number): number {
  return (union & BEFORE & ~(mxcsr >> MXCSR_MASK_SHIFT)) !== 0 ? union & BEFORE : union;
}
