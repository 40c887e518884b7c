/**
 * AES-NI (SDM 2A "AESENC" and its like; FIPS 197). A state is four words, one a column, row 0 in the
 * low byte.
 */

import type { Cpu } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { type Row, row } from "../row.ts";
import { AES } from "./units.ts";
import { put128, source128 } from "./vector.ts";

/** Multiplies by x in GF(2^8) (FIPS 197 §4.2.1). */
function double(value: number): number {
  return (value << 1 ^ (value >>> 7) * 0x11b) & 255;
}

/** Multiplies in GF(2^8). */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let bit = 1; bit < 256; bit <<= 1) {
    if ((b & bit) !== 0) product ^= a;
    a = double(a);
  }
  return product;
}

const SBOX = new Uint8Array(256);
const INVERSE_SBOX = new Uint8Array(256);
/** A column of MixColumns for the substitute of a byte in row 0; the inverse for a plain byte. */
const MIXED = new Int32Array(256);
const UNMIXED = new Int32Array(256);

// 3 generates the field, and 0xf6 is its inverse (FIPS 197 §5.1.1).
for (let i = 0, power = 1, inverse = 1; i < 255; i++) {
  let affine = inverse;
  for (let turn = 1; turn < 5; turn++) affine ^= inverse << turn | inverse >>> 8 - turn;
  SBOX[power] = affine ^ 0x63;
  power = multiply(power, 3);
  inverse = multiply(inverse, 0xf6);
}
SBOX[0] = 0x63;
for (let i = 0; i < 256; i++) {
  const value = SBOX[i];
  INVERSE_SBOX[value] = i;
  MIXED[i] = double(value) | value << 8 | value << 16 | multiply(value, 3) << 24;
  UNMIXED[i] = multiply(i, 14) | multiply(i, 9) << 8 | multiply(i, 13) << 16 |
    multiply(i, 11) << 24;
}

function rotateLeft(word: number, count: number): number {
  return word << count | word >>> 32 - count;
}

/** ShiftRows, SubBytes and MixColumns: the column whose rows 0 to 3 are in the four words. */
function mixed(w0: number, w1: number, w2: number, w3: number): number {
  return MIXED[w0 & 255] ^ rotateLeft(MIXED[w1 >>> 8 & 255], 8) ^
    rotateLeft(MIXED[w2 >>> 16 & 255], 16) ^ rotateLeft(MIXED[w3 >>> 24], 24);
}

/** ShiftRows and SubBytes likewise. */
function substituted(box: Uint8Array, w0: number, w1: number, w2: number, w3: number): number {
  return box[w0 & 255] | box[w1 >>> 8 & 255] << 8 | box[w2 >>> 16 & 255] << 16 |
    box[w3 >>> 24] << 24;
}

/** InvMixColumns of a column. */
function unmixed(word: number): number {
  return UNMIXED[word & 255] ^ rotateLeft(UNMIXED[word >>> 8 & 255], 8) ^
    rotateLeft(UNMIXED[word >>> 16 & 255], 16) ^ rotateLeft(UNMIXED[word >>> 24], 24);
}

function aesenc(cpu: Cpu, insn: Insn): void {
  const key = source128(cpu, insn);
  const { s } = cpu;
  const a = insn.dst;
  const w0 = s[a], w1 = s[a + 1], w2 = s[a + 2], w3 = s[a + 3];
  const c0 = mixed(w0, w1, w2, w3) ^ s[key], c1 = mixed(w1, w2, w3, w0) ^ s[key + 1];
  const c2 = mixed(w2, w3, w0, w1) ^ s[key + 2], c3 = mixed(w3, w0, w1, w2) ^ s[key + 3];
  put128(s, a, c0, c1, c2, c3);
}

function aesenclast(cpu: Cpu, insn: Insn): void {
  const key = source128(cpu, insn);
  const { s } = cpu;
  const a = insn.dst;
  const w0 = s[a], w1 = s[a + 1], w2 = s[a + 2], w3 = s[a + 3];
  const c0 = substituted(SBOX, w0, w1, w2, w3) ^ s[key];
  const c1 = substituted(SBOX, w1, w2, w3, w0) ^ s[key + 1];
  const c2 = substituted(SBOX, w2, w3, w0, w1) ^ s[key + 2];
  const c3 = substituted(SBOX, w3, w0, w1, w2) ^ s[key + 3];
  put128(s, a, c0, c1, c2, c3);
}

function aesdec(cpu: Cpu, insn: Insn): void {
  const key = source128(cpu, insn);
  const { s } = cpu;
  const a = insn.dst;
  const w0 = s[a], w1 = s[a + 1], w2 = s[a + 2], w3 = s[a + 3];
  const c0 = unmixed(substituted(INVERSE_SBOX, w0, w3, w2, w1)) ^ s[key];
  const c1 = unmixed(substituted(INVERSE_SBOX, w1, w0, w3, w2)) ^ s[key + 1];
  const c2 = unmixed(substituted(INVERSE_SBOX, w2, w1, w0, w3)) ^ s[key + 2];
  const c3 = unmixed(substituted(INVERSE_SBOX, w3, w2, w1, w0)) ^ s[key + 3];
  put128(s, a, c0, c1, c2, c3);
}

function aesdeclast(cpu: Cpu, insn: Insn): void {
  const key = source128(cpu, insn);
  const { s } = cpu;
  const a = insn.dst;
  const w0 = s[a], w1 = s[a + 1], w2 = s[a + 2], w3 = s[a + 3];
  const c0 = substituted(INVERSE_SBOX, w0, w3, w2, w1) ^ s[key];
  const c1 = substituted(INVERSE_SBOX, w1, w0, w3, w2) ^ s[key + 1];
  const c2 = substituted(INVERSE_SBOX, w2, w1, w0, w3) ^ s[key + 2];
  const c3 = substituted(INVERSE_SBOX, w3, w2, w1, w0) ^ s[key + 3];
  put128(s, a, c0, c1, c2, c3);
}

function aesimc(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  const c0 = unmixed(s[b]), c1 = unmixed(s[b + 1]), c2 = unmixed(s[b + 2]);
  put128(s, insn.dst, c0, c1, c2, unmixed(s[b + 3]));
}

function aeskeygenassist(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s } = cpu;
  const x1 = s[b + 1], x3 = s[b + 3];
  const w1 = substituted(SBOX, x1, x1, x1, x1);
  const w3 = substituted(SBOX, x3, x3, x3, x3);
  const constant = insn.immLo & 255;
  put128(s, insn.dst, w1, rotateLeft(w1, 24) ^ constant, w3, rotateLeft(w3, 24) ^ constant);
}

export const AES_NI: readonly Row[] = [
  row("66 0f 38 db /r", "aesimc Vx,Wx", aesimc, AES),
  row("66 0f 38 dc /r", "aesenc Vx,Wx", aesenc, AES),
  row("66 0f 38 dd /r", "aesenclast Vx,Wx", aesenclast, AES),
  row("66 0f 38 de /r", "aesdec Vx,Wx", aesdec, AES),
  row("66 0f 38 df /r", "aesdeclast Vx,Wx", aesdeclast, AES),
  row("66 0f 3a df /r ib", "aeskeygenassist Vx,Wx,Ib", aeskeygenassist, AES),
];
