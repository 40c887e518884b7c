/** Differences that the manual allows, or that are known of processors and of this KVM: one list. */

import type { Form } from "./forms.ts";

/** What is not compared of a case; bits. */
export const Lenient = {
  /** CR2: where in a large operand a fault is reported, and which bytes of a masked one count. */
  CR2: 1,
  /** Behind an exception, x87 state: some processors change to MMX before the operand faults. */
  X87_AT_FAULT: 2,
  /** XMM lanes are approximations: a relative error of 1.5 * 2^-12 (SDM 2B "RCPPS"). */
  APPROXIMATE: 4,
  /** ST0 and ST1 are within a unit of the last place or two, and C1 says which (SDM 1 §8.3.10). */
  TRANSCENDENTAL: 8,
  /** #GP(0) may be #PF: this KVM emulates what raises it, and its emulator knows them by other rules. */
  EMULATED: 16,
  /** #GP(0) for an operand that is not aligned may be missing: this KVM's emulator does not look. */
  UNALIGNED: 32,
  /**
   * #GP(0) for the target may be #PF or #SS(0) of the push: Intel checks the target first, AMD
   * pushes first (SDM 2A and APM 3, CALL).
   */
  ORDER: 64,
} as const;

const BY_NAME: readonly (readonly [RegExp, number])[] = [
  [/^(fx(save|rstor)|fn(stenv|save)|fldenv|frstor)$/, Lenient.CR2],
  [/^(stos|movs|lods|scas|cmps)b?$|^fxrstor$/, Lenient.EMULATED],
  [/^fxrstor$/, Lenient.UNALIGNED],
  [/^call$/, Lenient.ORDER],
  [/^pusha$/, Lenient.CR2],
  [/^maskmov/, Lenient.CR2 | Lenient.X87_AT_FAULT],
  [/^cvtt?p[sd]2pi$|^cvtpi2p[sd]$/, Lenient.X87_AT_FAULT],
  [/^(fsin|fcos|fsincos|fptan|fpatan|f2xm1|fyl2x|fyl2xp1)$/, Lenient.TRANSCENDENTAL],
  [/^(rcp|rsqrt)[ps]s$/, Lenient.APPROXIMATE],
];

/** Bits of `Lenient` for an instruction. */
export function lenience({ row }: Form): number {
  let bits = 0;
  if (/^M[dq],Pq$|^[EQ].,Pq$/.test(row.operands.join(","))) bits |= Lenient.X87_AT_FAULT;
  for (const [name, some] of BY_NAME) if (name.test(row.mnemonic)) bits |= some;
  return bits;
}

/** Results as small as this may be 0 on one side: what is denormal is. */
export const APPROXIMATE_ZERO = 0x80_3000;
/** The difference of two approximations in units of the last place of singles, at most. */
export const APPROXIMATE_UNITS = 0x3000;

/** The difference of two significands, at most. */
export const TRANSCENDENTAL_UNITS = 2n;

/** Byte ranges of what instructions store that processors fill in differently. */
const VAGUE: readonly (readonly [RegExp, readonly (readonly [from: number, to: number])[]])[] = [
  // FIP, FOP and FDP with their selectors
  // FOP, FIP, FDP, MXCSR_MASK (the host's has the misaligned mode), what is reserved
  [/^fn(stenv|save)$/, [[12, 28]]],
  [/^fxsave/, [[6, 24], [28, 32], [416, 512]]],
];

/** Byte ranges in the memory operand of `form` that are not compared. */
export function vagueBytes({ row }: Form): readonly (readonly [from: number, to: number])[] {
  return VAGUE.find(([name]) => name.test(row.mnemonic))?.[1] ?? [];
}
