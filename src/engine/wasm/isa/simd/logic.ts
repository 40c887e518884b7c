/**
 * Bitwise logic, and the integer instructions that string functions and ciphers are made of: their
 * XMM forms are written out, because a call for each word takes twice the time.
 */

import type { Cpu } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { type Row, row } from "../row.ts";
import { mmxWords } from "./lane_rows.ts";
import { MMX, MMX_SSE, SSE, SSE2 } from "./units.ts";
import { source128 as importedSource128 } from "./vector.ts";
import * as words from "./words.ts";

// V8 folds a module's own constants, not those of others.
const source128 = importedSource128;
const { equalBytes, minUnsignedBytes } = words;

function pand(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const a = insn.dst;
  const { s } = cpu;
  s[a] &= s[b];
  s[a + 1] &= s[b + 1];
  s[a + 2] &= s[b + 2];
  s[a + 3] &= s[b + 3];
}
function pandn(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const a = insn.dst;
  const { s } = cpu;
  s[a] = ~s[a] & s[b];
  s[a + 1] = ~s[a + 1] & s[b + 1];
  s[a + 2] = ~s[a + 2] & s[b + 2];
  s[a + 3] = ~s[a + 3] & s[b + 3];
}
function por(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const a = insn.dst;
  const { s } = cpu;
  s[a] |= s[b];
  s[a + 1] |= s[b + 1];
  s[a + 2] |= s[b + 2];
  s[a + 3] |= s[b + 3];
}
function pxor(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const a = insn.dst;
  const { s } = cpu;
  s[a] ^= s[b];
  s[a + 1] ^= s[b + 1];
  s[a + 2] ^= s[b + 2];
  s[a + 3] ^= s[b + 3];
}
function paddd(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const a = insn.dst;
  const { s } = cpu;
  s[a] += s[b];
  s[a + 1] += s[b + 1];
  s[a + 2] += s[b + 2];
  s[a + 3] += s[b + 3];
}
function pcmpeqb(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const a = insn.dst;
  const { s } = cpu;
  s[a] = equalBytes(s[a], s[b]);
  s[a + 1] = equalBytes(s[a + 1], s[b + 1]);
  s[a + 2] = equalBytes(s[a + 2], s[b + 2]);
  s[a + 3] = equalBytes(s[a + 3], s[b + 3]);
}
function pminub(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const a = insn.dst;
  const { s } = cpu;
  s[a] = minUnsignedBytes(s[a], s[b]);
  s[a + 1] = minUnsignedBytes(s[a + 1], s[b + 1]);
  s[a + 2] = minUnsignedBytes(s[a + 2], s[b + 2]);
  s[a + 3] = minUnsignedBytes(s[a + 3], s[b + 3]);
}

export const LOGIC: readonly Row[] = [
  row("np 0f db /r", "pand Pq,Qq", mmxWords(words.and), MMX),
  row("66 0f db /r", "pand Vx,Wx", pand, SSE2),
  row("np 0f df /r", "pandn Pq,Qq", mmxWords(words.andNot), MMX),
  row("66 0f df /r", "pandn Vx,Wx", pandn, SSE2),
  row("np 0f eb /r", "por Pq,Qq", mmxWords(words.or), MMX),
  row("66 0f eb /r", "por Vx,Wx", por, SSE2),
  row("np 0f ef /r", "pxor Pq,Qq", mmxWords(words.xor), MMX),
  row("66 0f ef /r", "pxor Vx,Wx", pxor, SSE2),

  row("np 0f 54 /r", "andps Vx,Wx", pand, SSE),
  row("66 0f 54 /r", "andpd Vx,Wx", pand, SSE2),
  row("np 0f 55 /r", "andnps Vx,Wx", pandn, SSE),
  row("66 0f 55 /r", "andnpd Vx,Wx", pandn, SSE2),
  row("np 0f 56 /r", "orps Vx,Wx", por, SSE),
  row("66 0f 56 /r", "orpd Vx,Wx", por, SSE2),
  row("np 0f 57 /r", "xorps Vx,Wx", pxor, SSE),
  row("66 0f 57 /r", "xorpd Vx,Wx", pxor, SSE2),

  row("np 0f fe /r", "paddd Pq,Qq", mmxWords(words.addWords), MMX),
  row("66 0f fe /r", "paddd Vx,Wx", paddd, SSE2),
  row("np 0f 74 /r", "pcmpeqb Pq,Qq", mmxWords(words.equalBytes), MMX),
  row("66 0f 74 /r", "pcmpeqb Vx,Wx", pcmpeqb, SSE2),
  row("np 0f da /r", "pminub Pq,Qq", mmxWords(words.minUnsignedBytes), MMX_SSE),
  row("66 0f da /r", "pminub Vx,Wx", pminub, SSE2),
];
