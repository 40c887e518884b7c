/**
 * Lanes of 8, 16 and 32 bits within words: what MMX and SSE instructions do to each word of their
 * operands.
 */

import type { WordOp } from "./vector.ts";

/** A result from a lane of each operand; bits beyond the lane are cut off. */
type LaneOp = (a: number, b: number) => number;

/** `op` on the four signed bytes of words. */
function signedBytes(op: LaneOp): WordOp {
  return (a, b) =>
    op(a << 24 >> 24, b << 24 >> 24) & 255 | (op(a << 16 >> 24, b << 16 >> 24) & 255) << 8 |
    (op(a << 8 >> 24, b << 8 >> 24) & 255) << 16 | op(a >> 24, b >> 24) << 24;
}

/** `op` on the two signed 16-bit halves of words. */
function signedHalves(op: LaneOp): WordOp {
  return (a, b) => op(a << 16 >> 16, b << 16 >> 16) & 0xffff | op(a >> 16, b >> 16) << 16;
}

/** `op` on the two unsigned 16-bit halves of words. */
function unsignedHalves(op: LaneOp): WordOp {
  return (a, b) => op(a & 0xffff, b & 0xffff) & 0xffff | op(a >>> 16, b >>> 16) << 16;
}

// Sums and differences of bytes and halves: the top bit of each lane is kept out of the carries.
const BYTE_TOPS = 0x8080_8080 | 0;
const HALF_TOPS = 0x8000_8000 | 0;

export function addBytes(a: number, b: number): number {
  return (a & ~BYTE_TOPS) + (b & ~BYTE_TOPS) ^ (a ^ b) & BYTE_TOPS;
}
export function addHalves(a: number, b: number): number {
  return (a & ~HALF_TOPS) + (b & ~HALF_TOPS) ^ (a ^ b) & HALF_TOPS;
}
export function addWords(a: number, b: number): number {
  return a + b | 0;
}
export function subBytes(a: number, b: number): number {
  return (a | BYTE_TOPS) - (b & ~BYTE_TOPS) ^ (a ^ ~b) & BYTE_TOPS;
}
export function subHalves(a: number, b: number): number {
  return (a | HALF_TOPS) - (b & ~HALF_TOPS) ^ (a ^ ~b) & HALF_TOPS;
}
export function subWords(a: number, b: number): number {
  return a - b | 0;
}

export function and(a: number, b: number): number {
  return a & b;
}
export function andNot(a: number, b: number): number {
  return ~a & b;
}
export function or(a: number, b: number): number {
  return a | b;
}
export function xor(a: number, b: number): number {
  return a ^ b;
}

/** Bytes of ones for the top bits that are set. */
function spread(tops: number): number {
  return (tops >>> 7) * 255 | 0;
}

/** All ones in bytes that are equal. */
export function equalBytes(a: number, b: number): number {
  const x = a ^ b;
  // The top bit of each byte that is not 0, then of each that is.
  return spread(~((x & ~BYTE_TOPS) + ~BYTE_TOPS | x) & BYTE_TOPS);
}
export function equalHalves(a: number, b: number): number {
  const x = a ^ b;
  return ((x & 0xffff) === 0 ? 0xffff : 0) | (x >>> 16 === 0 ? ~0xffff : 0);
}
export function equalWords(a: number, b: number): number {
  return a === b ? -1 : 0;
}
/** All ones in bytes of `a` that are not below those of `b`, both unsigned. */
function atLeastBytes(a: number, b: number): number {
  // Top bits: whether the seven bits below are at least those of `b`.
  const low = (a | BYTE_TOPS) - (b & ~BYTE_TOPS);
  return spread((a & ~b | ~(a ^ b) & low) & BYTE_TOPS);
}
export function greaterBytes(a: number, b: number): number {
  return ~atLeastBytes(b ^ BYTE_TOPS, a ^ BYTE_TOPS);
}
export const greaterHalves: WordOp = signedHalves(greaterWords);
export function greaterWords(a: number, b: number): number {
  return a > b ? -1 : 0;
}

/** `value` as near as a signed byte gets to it. */
function toSignedByte(value: number): number {
  return value > 127 ? 127 : value < -128 ? -128 : value;
}
/** `value` as near as an unsigned byte gets to it. */
function toUnsignedByte(value: number): number {
  return value > 255 ? 255 : value < 0 ? 0 : value;
}
function toSignedHalf(value: number): number {
  return value > 32767 ? 32767 : value < -32768 ? -32768 : value;
}
function toUnsignedHalf(value: number): number {
  return value > 65535 ? 65535 : value < 0 ? 0 : value;
}

export const addSaturatedBytes: WordOp = signedBytes((a, b) => toSignedByte(a + b));
export const addSaturatedHalves: WordOp = signedHalves((a, b) => toSignedHalf(a + b));
export function addUnsignedBytes(a: number, b: number): number {
  return ~subUnsignedBytes(~a, b);
}
export const addUnsignedHalves: WordOp = unsignedHalves((a, b) => toUnsignedHalf(a + b));
export const subSaturatedBytes: WordOp = signedBytes((a, b) => toSignedByte(a - b));
export const subSaturatedHalves: WordOp = signedHalves((a, b) => toSignedHalf(a - b));
export function subUnsignedBytes(a: number, b: number): number {
  return subBytes(a, b) & atLeastBytes(a, b);
}
export const subUnsignedHalves: WordOp = unsignedHalves((a, b) => toUnsignedHalf(a - b));

export function averageBytes(a: number, b: number): number {
  return (a | b) - ((a ^ b) >>> 1 & ~BYTE_TOPS) | 0;
}
export function averageHalves(a: number, b: number): number {
  return (a | b) - ((a ^ b) >>> 1 & ~HALF_TOPS) | 0;
}

const smaller = (a: number, b: number) => a < b ? a : b;
const larger = (a: number, b: number) => a > b ? a : b;
export function minSignedBytes(a: number, b: number): number {
  return a ^ (a ^ b) & greaterBytes(a, b);
}
export function maxSignedBytes(a: number, b: number): number {
  return b ^ (a ^ b) & greaterBytes(a, b);
}
export function minUnsignedBytes(a: number, b: number): number {
  return a ^ (a ^ b) & atLeastBytes(a, b);
}
export function maxUnsignedBytes(a: number, b: number): number {
  return b ^ (a ^ b) & atLeastBytes(a, b);
}
export const minSignedHalves: WordOp = signedHalves(smaller);
export const maxSignedHalves: WordOp = signedHalves(larger);
export const minUnsignedHalves: WordOp = unsignedHalves(smaller);
export const maxUnsignedHalves: WordOp = unsignedHalves(larger);
export const minSignedWords: WordOp = smaller;
export const maxSignedWords: WordOp = larger;
export function minUnsignedWords(a: number, b: number): number {
  return a >>> 0 < b >>> 0 ? a : b;
}
export function maxUnsignedWords(a: number, b: number): number {
  return a >>> 0 > b >>> 0 ? a : b;
}

export const mulLowHalves: WordOp = signedHalves((a, b) => a * b);
export const mulHighHalves: WordOp = signedHalves((a, b) => a * b >> 16);
export const mulHighUnsignedHalves: WordOp = unsignedHalves((a, b) => Math.imul(a, b) >>> 16);
/** PMULHRSW: the product's bits 30:15, rounded. */
export const mulRoundHalves: WordOp = signedHalves((a, b) => (a * b >> 14) + 1 >> 1);
export function mulLowWords(a: number, b: number): number {
  return Math.imul(a, b);
}
/** PMADDWD: the sum of the products of signed halves. */
export function mulAddHalves(a: number, b: number): number {
  return (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16) | 0;
}
/** PMADDUBSW: saturated sums of the products of unsigned bytes (a) and signed ones (b). */
export function mulAddBytes(a: number, b: number): number {
  const low = (a & 255) * (b << 24 >> 24) + (a >>> 8 & 255) * (b << 16 >> 24);
  const high = (a >>> 16 & 255) * (b << 8 >> 24) + (a >>> 24) * (b >> 24);
  return toSignedHalf(low) & 0xffff | toSignedHalf(high) << 16;
}

const sign = (a: number, b: number) => b < 0 ? -a : b === 0 ? 0 : a;
export const signBytes: WordOp = signedBytes(sign);
export const signHalves: WordOp = signedHalves(sign);
export function signWords(a: number, b: number): number {
  return sign(a, b) | 0;
}
export const absBytes: WordOp = signedBytes((_, b) => Math.abs(b));
export const absHalves: WordOp = signedHalves((_, b) => Math.abs(b));
export function absWords(_: number, b: number): number {
  return Math.abs(b) | 0;
}

/** Two words become the halves of one, saturated: PACKSSDW. */
export function packSignedWords(low: number, high: number): number {
  return toSignedHalf(low) & 0xffff | toSignedHalf(high) << 16;
}
/** PACKUSDW. */
export function packUnsignedWords(low: number, high: number): number {
  return toUnsignedHalf(low) | toUnsignedHalf(high) << 16;
}
/** The signed halves of two words become the bytes of one, saturated: PACKSSWB. */
export function packSignedHalves(low: number, high: number): number {
  return toSignedByte(low << 16 >> 16) & 255 | (toSignedByte(low >> 16) & 255) << 8 |
    (toSignedByte(high << 16 >> 16) & 255) << 16 | toSignedByte(high >> 16) << 24;
}
/** PACKUSWB. */
export function packUnsignedHalves(low: number, high: number): number {
  return toUnsignedByte(low << 16 >> 16) | toUnsignedByte(low >> 16) << 8 |
    toUnsignedByte(high << 16 >> 16) << 16 | toUnsignedByte(high >> 16) << 24;
}

/** PHADDW: the sums of the halves of each word. */
export function addAdjacentHalves(low: number, high: number): number {
  return low + (low >> 16) & 0xffff | high + (high >> 16) << 16;
}
export function subAdjacentHalves(low: number, high: number): number {
  return low - (low >> 16) & 0xffff | high - (high >> 16) << 16;
}
/** PHADDSW. */
export function addAdjacentSaturated(low: number, high: number): number {
  return toSignedHalf((low << 16 >> 16) + (low >> 16)) & 0xffff |
    toSignedHalf((high << 16 >> 16) + (high >> 16)) << 16;
}
export function subAdjacentSaturated(low: number, high: number): number {
  return toSignedHalf((low << 16 >> 16) - (low >> 16)) & 0xffff |
    toSignedHalf((high << 16 >> 16) - (high >> 16)) << 16;
}
