/** Shifts of integer lanes and of whole registers (SDM 2B). */

import type { Cpu } from "../../cpu.ts";
import type { Handler, Insn } from "../../insn.ts";
import { type Row, row } from "../row.ts";
import { checkPending, mmxDestination, mmxSource } from "./mmx_operands.ts";
import { MMX, SSE2 } from "./units.ts";
import { put128, source128 } from "./vector.ts";

/** Shifts the 64 bits at word `a` of `s` by `count`, at least 0: lanes beyond their width to 64. */
type Shift = (s: Int32Array, a: number, count: number) => void;

function psrlw(s: Int32Array, a: number, count: number): void {
  const mask = count > 15 ? 0 : (0xffff >>> count) * 0x1_0001;
  s[a] = s[a] >>> (count & 15) & mask;
  s[a + 1] = s[a + 1] >>> (count & 15) & mask;
}
function psrld(s: Int32Array, a: number, count: number): void {
  s[a] = count > 31 ? 0 : s[a] >>> count;
  s[a + 1] = count > 31 ? 0 : s[a + 1] >>> count;
}
function psrlq(s: Int32Array, a: number, count: number): void {
  const lo = s[a], hi = s[a + 1];
  if (count === 0) return;
  s[a] = count < 32 ? lo >>> count | hi << 32 - count : count < 64 ? hi >>> count - 32 : 0;
  s[a + 1] = count < 32 ? hi >>> count : 0;
}
function psraw(s: Int32Array, a: number, count: number): void {
  const n = count > 15 ? 15 : count;
  s[a] = s[a] << 16 >> 16 + n & 0xffff | s[a] >> 16 + n << 16;
  s[a + 1] = s[a + 1] << 16 >> 16 + n & 0xffff | s[a + 1] >> 16 + n << 16;
}
function psrad(s: Int32Array, a: number, count: number): void {
  const n = count > 31 ? 31 : count;
  s[a] >>= n;
  s[a + 1] >>= n;
}
function psllw(s: Int32Array, a: number, count: number): void {
  const mask = count > 15 ? 0 : (0xffff << count & 0xffff) * 0x1_0001;
  s[a] = s[a] << (count & 15) & mask;
  s[a + 1] = s[a + 1] << (count & 15) & mask;
}
function pslld(s: Int32Array, a: number, count: number): void {
  s[a] = count > 31 ? 0 : s[a] << count;
  s[a + 1] = count > 31 ? 0 : s[a + 1] << count;
}
function psllq(s: Int32Array, a: number, count: number): void {
  const lo = s[a], hi = s[a + 1];
  if (count === 0) return;
  s[a] = count < 32 ? lo << count : 0;
  s[a + 1] = count < 32 ? hi << count | lo >>> 32 - count : count < 64 ? lo << count - 32 : 0;
}

/** The count in the 64 bits at word `b`: all large ones shift everything out. */
function countAt(s: Int32Array, b: number): number {
  return s[b + 1] !== 0 || s[b] >>> 0 > 63 ? 64 : s[b];
}

function mmxByRegister(shift: Shift): Handler {
  return (cpu, insn) => {
    const b = mmxSource(cpu, insn);
    const count = countAt(cpu.s, b);
    shift(cpu.s, mmxDestination(cpu, insn), count);
  };
}

function mmxByImmediate(shift: Shift): Handler {
  return (cpu, insn) => {
    checkPending(cpu);
    shift(cpu.s, mmxDestination(cpu, insn), insn.immLo & 255);
  };
}

function xmmByRegister(shift: Shift): Handler {
  return (cpu, insn) => {
    const count = countAt(cpu.s, source128(cpu, insn));
    shift(cpu.s, insn.dst, count);
    shift(cpu.s, insn.dst + 2, count);
  };
}

function xmmByImmediate(shift: Shift): Handler {
  return (cpu, insn) => {
    const count = insn.immLo & 255;
    shift(cpu.s, insn.dst, count);
    shift(cpu.s, insn.dst + 2, count);
  };
}

/** By bytes. */
function psrldq({ s }: Cpu, { dst, immLo }: Insn): void {
  const bytes = immLo & 255;
  if (bytes > 15) return put128(s, dst, 0, 0, 0, 0);
  const words = bytes >>> 2;
  const bits = (bytes & 3) * 8;
  for (let i = 0; i < 4; i++) {
    const low = i + words < 4 ? s[dst + i + words] : 0;
    const high = i + words < 3 ? s[dst + i + words + 1] : 0;
    s[dst + i] = bits === 0 ? low : low >>> bits | high << 32 - bits;
  }
}

function pslldq({ s }: Cpu, { dst, immLo }: Insn): void {
  const bytes = immLo & 255;
  if (bytes > 15) return put128(s, dst, 0, 0, 0, 0);
  const words = bytes >>> 2;
  const bits = (bytes & 3) * 8;
  for (let i = 3; i >= 0; i--) {
    const high = i >= words ? s[dst + i - words] : 0;
    const low = i > words ? s[dst + i - words - 1] : 0;
    s[dst + i] = bits === 0 ? high : high << bits | low >>> 32 - bits;
  }
}

/** By a register or memory, then by an immediate, each with MMX and XMM registers. */
function forms(byRegister: string, byImmediate: string, mnemonic: string, shift: Shift): Row[] {
  return [
    row(`np 0f ${byRegister} /r`, `${mnemonic} Pq,Qq`, mmxByRegister(shift), MMX),
    row(`66 0f ${byRegister} /r`, `${mnemonic} Vx,Wx`, xmmByRegister(shift), SSE2),
    row(`np 0f ${byImmediate} ib`, `${mnemonic} Nq,Ib`, mmxByImmediate(shift), MMX),
    row(`66 0f ${byImmediate} ib`, `${mnemonic} Ux,Ib`, xmmByImmediate(shift), SSE2),
  ];
}

export const SIMD_SHIFT: readonly Row[] = [
  ...forms("d1", "71 /2", "psrlw", psrlw),
  ...forms("d2", "72 /2", "psrld", psrld),
  ...forms("d3", "73 /2", "psrlq", psrlq),
  ...forms("e1", "71 /4", "psraw", psraw),
  ...forms("e2", "72 /4", "psrad", psrad),
  ...forms("f1", "71 /6", "psllw", psllw),
  ...forms("f2", "72 /6", "pslld", pslld),
  ...forms("f3", "73 /6", "psllq", psllq),
  row("66 0f 73 /3 ib", "psrldq Ux,Ib", psrldq, SSE2),
  row("66 0f 73 /7 ib", "pslldq Ux,Ib", pslldq, SSE2),
];
