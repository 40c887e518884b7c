/** Comparisons, minima and maxima of integer lanes; PTEST (SDM 2B). Some are in logic.ts. */

import type { Cpu } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { type Row, row } from "../row.ts";
import { mmxAndXmm, xmm, xmmOfPairs } from "./lane_rows.ts";
import { MMX_SSE, SSE41, SSE42 } from "./units.ts";
import { source128 } from "./vector.ts";
import * as words from "./words.ts";

function equalPair(s: Int32Array, a: number, b: number): void {
  s[a] = s[a + 1] = s[a] === s[b] && s[a + 1] === s[b + 1] ? -1 : 0;
}

function greaterPair(s: Int32Array, a: number, b: number): void {
  const aHi = s[a + 1], bHi = s[b + 1];
  const isGreater = aHi !== bHi ? aHi > bHi : s[a] >>> 0 > s[b] >>> 0;
  s[a] = s[a + 1] = isGreater ? -1 : 0;
}

/** ZF: no bit in common; CF: all of the second's bits are in the first. */
function ptest(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const a = insn.dst;
  const { s } = cpu;
  const common = s[a] & s[b] | s[a + 1] & s[b + 1] | s[a + 2] & s[b + 2] | s[a + 3] & s[b + 3];
  const missing = ~s[a] & s[b] | ~s[a + 1] & s[b + 1] | ~s[a + 2] & s[b + 2] | ~s[a + 3] & s[b + 3];
  cpu.zero = common;
  cpu.cf = missing === 0 ? 1 : 0;
  cpu.sign = cpu.aux = cpu.over = 0;
  cpu.parity = 1;
}

/** The smallest of eight unsigned halves and its number. */
function phminposuw(cpu: Cpu, insn: Insn): void {
  const b = source128(cpu, insn);
  const { s, u16 } = cpu;
  let smallest = u16[b * 2];
  let at = 0;
  for (let i = 1; i < 8; i++) {
    const value = u16[b * 2 + i];
    if (value < smallest) {
      smallest = value;
      at = i;
    }
  }
  const { dst } = insn;
  s[dst] = smallest | at << 16;
  s[dst + 1] = s[dst + 2] = s[dst + 3] = 0;
}

export const INTEGER_COMPARE: readonly Row[] = [
  ...mmxAndXmm("0f 75 /r", "pcmpeqw", words.equalHalves),
  ...mmxAndXmm("0f 76 /r", "pcmpeqd", words.equalWords),
  xmmOfPairs("66 0f 38 29 /r", "pcmpeqq", equalPair, SSE41),
  ...mmxAndXmm("0f 64 /r", "pcmpgtb", words.greaterBytes),
  ...mmxAndXmm("0f 65 /r", "pcmpgtw", words.greaterHalves),
  ...mmxAndXmm("0f 66 /r", "pcmpgtd", words.greaterWords),
  xmmOfPairs("66 0f 38 37 /r", "pcmpgtq", greaterPair, SSE42),

  ...mmxAndXmm("0f de /r", "pmaxub", words.maxUnsignedBytes, MMX_SSE),
  ...mmxAndXmm("0f ea /r", "pminsw", words.minSignedHalves, MMX_SSE),
  ...mmxAndXmm("0f ee /r", "pmaxsw", words.maxSignedHalves, MMX_SSE),
  xmm("66 0f 38 38 /r", "pminsb", words.minSignedBytes, SSE41),
  xmm("66 0f 38 39 /r", "pminsd", words.minSignedWords, SSE41),
  xmm("66 0f 38 3a /r", "pminuw", words.minUnsignedHalves, SSE41),
  xmm("66 0f 38 3b /r", "pminud", words.minUnsignedWords, SSE41),
  xmm("66 0f 38 3c /r", "pmaxsb", words.maxSignedBytes, SSE41),
  xmm("66 0f 38 3d /r", "pmaxsd", words.maxSignedWords, SSE41),
  xmm("66 0f 38 3e /r", "pmaxuw", words.maxUnsignedHalves, SSE41),
  xmm("66 0f 38 3f /r", "pmaxud", words.maxUnsignedWords, SSE41),
  row("66 0f 38 41 /r", "phminposuw Vx,Wx", phminposuw, SSE41),
  row("66 0f 38 17 /r", "ptest Vx,Wx", ptest, { ...SSE41, reads: true }),
];
