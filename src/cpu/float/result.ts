/**
 * Where every operation of this library leaves its result. There is one record for all, so that an
 * operation allocates nothing; read it before the next operation.
 */

/** A value in the 80-bit extended format (SDM 1 §4.2.2): 64 bits of significand, sign and exponent. */
export interface F80 {
  /** Bits 31:0 of the significand, signed. */
  lo: number;
  /** Bits 63:32 of the significand, signed; bit 31 is the integer bit. */
  hi: number;
  /** Bits 79:64: the sign in bit 15, the biased exponent below it. 0 to 0xffff. */
  signExp: number;
}

/** What an operation gives. */
export interface FloatResult extends F80 {
  /**
   * The value: f32 and int32 in `lo` alone, f64 and int64 in `lo` and `hi`, f80 with `signExp`.
   * All are signed int32 halves.
   */
  lo: number;
  /** See `lo`. */
  hi: number;
  /** See `lo`. */
  signExp: number;
  /** Exception flags that the operation raised, as bits of MXCSR and of the x87 status word. */
  flags: number;
  /** 1 when the magnitude was rounded up: condition code C1 (SDM 1 §8.1.3.2). x87 only. */
  roundedUp: number;
  /**
   * 1 when the destination is to be written; 0 when an unmasked exception leaves the operands as
   * they were (SDM 1 §8.5, §11.5).
   */
  stored: number;
  /** Condition code C2: 1 when a partial remainder is incomplete or an argument is out of range. */
  incomplete: number;
  /** Bits 2:0 of the quotient, from the partial remainders: C0 = bit 2, C3 = bit 1, C1 = bit 0. */
  quotient: number;
}

/** The result of the last operation. */
export const result: FloatResult = {
  lo: 0,
  hi: 0,
  signExp: 0,
  flags: 0,
  roundedUp: 0,
  stored: 1,
  incomplete: 0,
  quotient: 0,
};

/** The value that FXTRACT and FSINCOS push above their first result. */
export const pushed: F80 = { lo: 0, hi: 0, signExp: 0 };
