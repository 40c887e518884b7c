/**
 * Operands that are likely to be trouble: specials, ends of ranges, few bits set or clear, exponents
 * close to each other's.
 */

import type { Random } from "../../support/random.ts";

/** Writes a random significand of 64 bits: dense, sparse, all ones but a few, or short. */
function significand(random: Random, out: Int32Array): void {
  out[0] = random.u32();
  out[1] = random.u32();
  switch (random.below(6)) {
    case 0:
      out[0] = 0;
      out[1] = 1 << random.below(32);
      break;
    case 1:
      out[0] = -1 << random.below(32);
      out[1] = -1;
      break;
    case 2:
      out[0] = 1 << random.below(32);
      out[1] = 0;
      break;
    case 3:
      out[0] = 0;
      out[1] &= -1 << random.below(32);
      break;
  }
}

/** Exponents at and next to the ends of an exponent field, and anything. */
function exponent(random: Random, max: number): number {
  const bias = max >> 1;
  switch (random.below(8)) {
    case 0:
      return 0;
    case 1:
      return max;
    case 2:
      return random.below(4);
    case 3:
      return max - random.below(4);
    case 4:
      return random.below(max + 1);
    case 5:
      return Math.max(0, Math.min(max, bias + (random.below(2) * 2 - 1) * random.below(140)));
    default:
      return Math.max(0, Math.min(max, bias - 4 + random.below(8)));
  }
}

/** An f80 in three words; mostly of a supported encoding. */
export function randomF80(random: Random, out: Int32Array): void {
  significand(random, out);
  const exp = exponent(random, 0x7fff);
  if (exp === 0 && random.oneIn(3)) out[0] = out[1] = 0;
  else if (exp === 0x7fff && random.oneIn(2)) {
    out[0] = 0;
    out[1] = 0x8000_0000;
  } else if (!random.oneIn(20) && exp !== 0) out[1] |= 0x8000_0000;
  out[2] = exp | random.below(2) << 15;
  out[3] = 0;
}

/** An f64 in two words. */
export function randomF64(random: Random, out: Int32Array): void {
  significand(random, out);
  const exp = exponent(random, 0x7ff);
  if ((exp === 0 || exp === 0x7ff) && random.oneIn(3)) out[0] = out[1] = 0;
  out[1] = out[1] & 0xf_ffff | exp << 20 | random.below(2) << 31;
  out[2] = out[3] = 0;
}

/** An f32 in one word. */
export function randomF32(random: Random, out: Int32Array): void {
  significand(random, out);
  const exp = exponent(random, 0xff);
  if ((exp === 0 || exp === 0xff) && random.oneIn(3)) out[1] = 0;
  out[0] = out[1] & 0x7f_ffff | exp << 23 | random.below(2) << 31;
  out[1] = out[2] = out[3] = 0;
}

/** An integer of 64 bits in two words. */
export function randomInteger(random: Random, out: Int32Array): void {
  significand(random, out);
  const shift = random.below(64);
  const value = BigInt.asIntN(64, BigInt(out[1]) << 32n | BigInt(out[0] >>> 0)) >> BigInt(shift);
  out[0] = Number(BigInt.asIntN(32, value));
  out[1] = Number(BigInt.asIntN(32, value >> 32n));
  out[2] = out[3] = 0;
}

/**
 * Half of the time b gets a's exponent or one close to it, or a's very value, so that sums cancel
 * and quotients are near 1. `at` and `shift` say where the exponent is.
 */
export function relate(
  random: Random,
  a: Int32Array,
  b: Int32Array,
  at: number,
  shift: number,
  mask: number,
): void {
  if (random.oneIn(2)) return;
  const exp = a[at] >>> shift & mask;
  const near = Math.max(0, Math.min(mask, exp + random.below(5) - 2));
  b[at] = b[at] & ~(mask << shift) | near << shift;
  if (random.oneIn(8)) {
    b.set(a);
    if (random.oneIn(2)) b[at] ^= (mask + 1) << shift;
    if (random.oneIn(2)) b[0] ^= 1;
  }
}

/** An x87 control word: usually everything masked, any rounding and precision. */
export function randomControlWord(random: Random): number {
  const masks = random.oneIn(4) ? random.below(64) : 63;
  const precision = random.oneIn(3) ? random.pick([0, 2, 3]) : 3;
  return masks | 0x40 | precision << 8 | random.below(4) << 10;
}

/** An MXCSR: usually everything masked; flags sometimes set already. */
export function randomMxcsr(random: Random): number {
  const masks = random.oneIn(40) ? random.below(64) : 63;
  const flags = random.oneIn(3) ? random.below(64) : random.oneIn(2) ? 32 : 0;
  const daz = random.oneIn(4) ? 1 : 0;
  const ftz = random.oneIn(4) ? 1 : 0;
  const rc = random.oneIn(2) ? 0 : random.below(4);
  return flags | daz << 6 | masks << 7 | rc << 13 | ftz << 15;
}
