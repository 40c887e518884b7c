/**
 * The SHA extensions (SDM 2B "SHA1RNDS4" and its like; FIPS 180-4). The manual wants operands in
 * memory to be aligned; processors of AMD take them as they are, and so do these.
 */

import { type Cpu, Word } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { type Row, row } from "../row.ts";
import { SHA } from "./units.ts";
import { put128, sourceUnaligned } from "./vector.ts";

/** SHA-1's constants, one for each twenty rounds (FIPS 180-4 §4.2.1). */
const SHA1_CONSTANTS = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc | 0, 0xca62c1d6 | 0];

function rotateLeft(word: number, count: number): number {
  return word << count | word >>> 32 - count;
}
function rotateRight(word: number, count: number): number {
  return word >>> count | word << 32 - count;
}

function choose(x: number, y: number, z: number): number {
  return x & y ^ ~x & z;
}
function majority(x: number, y: number, z: number): number {
  return x & y ^ x & z ^ y & z;
}

/** SHA-1's function of the rounds of twenty number `phase`. */
function mix(phase: number, b: number, c: number, d: number): number {
  return phase === 0 ? choose(b, c, d) : phase === 2 ? majority(b, c, d) : b ^ c ^ d;
}

/** Four rounds; A is in the top word. E has been added to the first of the message's words. */
function sha1rnds4(cpu: Cpu, insn: Insn): void {
  const w = sourceUnaligned(cpu, insn);
  const { s } = cpu;
  const { dst } = insn;
  const phase = insn.immLo & 3;
  let a = s[dst + 3], b = s[dst + 2], c = s[dst + 1], d = s[dst], e = 0;
  for (let i = 3; i >= 0; i--) {
    const next = mix(phase, b, c, d) + rotateLeft(a, 5) + s[w + i] + e + SHA1_CONSTANTS[phase] | 0;
    e = d;
    d = c;
    c = rotateLeft(b, 30);
    b = a;
    a = next;
  }
  put128(s, dst, d, c, b, a);
}

function sha1nexte(cpu: Cpu, insn: Insn): void {
  const b = sourceUnaligned(cpu, insn);
  const { s } = cpu;
  const e = rotateLeft(s[insn.dst + 3], 30);
  put128(s, insn.dst, s[b], s[b + 1], s[b + 2], s[b + 3] + e);
}

function sha1msg1(cpu: Cpu, insn: Insn): void {
  const b = sourceUnaligned(cpu, insn);
  const { s } = cpu;
  const a = insn.dst;
  const w0 = s[a + 3], w1 = s[a + 2], w2 = s[a + 1], w3 = s[a], w4 = s[b + 3], w5 = s[b + 2];
  put128(s, a, w5 ^ w3, w4 ^ w2, w3 ^ w1, w2 ^ w0);
}

function sha1msg2(cpu: Cpu, insn: Insn): void {
  const b = sourceUnaligned(cpu, insn);
  const { s } = cpu;
  const a = insn.dst;
  const w16 = rotateLeft(s[a + 3] ^ s[b + 2], 1), w17 = rotateLeft(s[a + 2] ^ s[b + 1], 1);
  const w18 = rotateLeft(s[a + 1] ^ s[b], 1);
  put128(s, a, rotateLeft(s[a] ^ w16, 1), w18, w17, w16);
}

// SHA-256's functions (FIPS 180-4 §4.1.2).
function sum0(x: number): number {
  return rotateRight(x, 2) ^ rotateRight(x, 13) ^ rotateRight(x, 22);
}
function sum1(x: number): number {
  return rotateRight(x, 6) ^ rotateRight(x, 11) ^ rotateRight(x, 25);
}
function sigma0(x: number): number {
  return rotateRight(x, 7) ^ rotateRight(x, 18) ^ x >>> 3;
}
function sigma1(x: number): number {
  return rotateRight(x, 17) ^ rotateRight(x, 19) ^ x >>> 10;
}

/** Two rounds: C, D, G, H in the first operand, A, B, E, F in the second, W + K in XMM0. */
function sha256rnds2(cpu: Cpu, insn: Insn): void {
  const from = sourceUnaligned(cpu, insn);
  const { s } = cpu;
  const { dst } = insn;
  let a = s[from + 3], b = s[from + 2], c = s[dst + 3], d = s[dst + 2];
  let e = s[from + 1], f = s[from], g = s[dst + 1], h = s[dst];
  for (let i = 0; i < 2; i++) {
    const t = h + sum1(e) + choose(e, f, g) + s[Word.XMM + i] | 0;
    h = g;
    g = f;
    f = e;
    e = d + t | 0;
    d = c;
    const next = t + sum0(a) + majority(a, b, c) | 0;
    c = b;
    b = a;
    a = next;
  }
  put128(s, dst, f, e, b, a);
}

function sha256msg1(cpu: Cpu, insn: Insn): void {
  const b = sourceUnaligned(cpu, insn);
  const { s } = cpu;
  const a = insn.dst;
  const w0 = s[a] + sigma0(s[a + 1]), w1 = s[a + 1] + sigma0(s[a + 2]);
  put128(s, a, w0, w1, s[a + 2] + sigma0(s[a + 3]), s[a + 3] + sigma0(s[b]));
}

function sha256msg2(cpu: Cpu, insn: Insn): void {
  const b = sourceUnaligned(cpu, insn);
  const { s } = cpu;
  const a = insn.dst;
  const w16 = s[a] + sigma1(s[b + 2]) | 0, w17 = s[a + 1] + sigma1(s[b + 3]) | 0;
  put128(s, a, w16, w17, s[a + 2] + sigma1(w16), s[a + 3] + sigma1(w17));
}

export const SHA_NI: readonly Row[] = [
  row("np 0f 38 c8 /r", "sha1nexte Vx,Wx", sha1nexte, SHA),
  row("np 0f 38 c9 /r", "sha1msg1 Vx,Wx", sha1msg1, SHA),
  row("np 0f 38 ca /r", "sha1msg2 Vx,Wx", sha1msg2, SHA),
  row("np 0f 38 cb /r", "sha256rnds2 Vx,Wx", sha256rnds2, SHA),
  row("np 0f 38 cc /r", "sha256msg1 Vx,Wx", sha256msg1, SHA),
  row("np 0f 38 cd /r", "sha256msg2 Vx,Wx", sha256msg2, SHA),
  row("np 0f 3a cc /r ib", "sha1rnds4 Vx,Wx,Ib", sha1rnds4, SHA),
];
