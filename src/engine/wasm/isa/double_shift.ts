/** SHLD and SHRD (SDM 2B). With 16 bits, counts beyond 16 are undefined: what processors do. */

import type { Cpu } from "../cpu.ts";
import type { Insn } from "../insn.ts";
import { fetchDst16, fetchDst32, fetchDst64 } from "../operands.ts";
import { updateDst16, updateDst32, updateDst64 } from "../operands.ts";
import { bySize, type Row, row } from "./row.ts";

/** The count: CL, which the decoder has put into `src2`, or the immediate. */
function count(cpu: Cpu, insn: Insn, mask: number): number {
  return (insn.src2 !== 0 ? cpu.u8[insn.src2] : insn.immLo) & mask;
}

function setFlags(cpu: Cpu, lo: number, hi: number, before: number, carry: number): void {
  cpu.zero = lo | hi;
  cpu.sign = hi;
  cpu.parity = lo;
  cpu.aux = 0;
  cpu.cf = carry & 1;
  cpu.over = before ^ hi; // a change of sign
}

function shld16(cpu: Cpu, insn: Insn): void {
  const n = count(cpu, insn, 31);
  const a = fetchDst16(cpu, insn);
  const b = cpu.u16[insn.src];
  if (n === 0) return updateDst16(cpu, insn, a);
  // Beyond 16 the operand itself follows behind the source.
  const all = a << 16 | b;
  const result = n <= 16 ? all << n >>> 16 : (b << n - 16 | a >>> 32 - n) & 0xffff;
  const carry = n <= 16 ? a >>> 16 - n : b >>> 32 - n;
  setFlags(cpu, result, result << 16, a << 16, carry);
  cpu.zero = result;
  updateDst16(cpu, insn, result);
}
function shld32(cpu: Cpu, insn: Insn): void {
  const n = count(cpu, insn, 31);
  const a = fetchDst32(cpu, insn);
  if (n === 0) return updateDst32(cpu, insn, a);
  const result = a << n | cpu.s[insn.src] >>> 32 - n;
  setFlags(cpu, result, result, a, a >>> 32 - n);
  updateDst32(cpu, insn, result);
}
function shld64(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const n = count(cpu, insn, 63);
  const lo = fetchDst64(cpu, insn);
  const { hi } = cpu;
  if (n === 0) return updateDst64(cpu, insn, lo, hi);
  const bLo = s[insn.src];
  const bHi = s[insn.src + 1];
  const by = n & 31;
  // The three words from which the result's two are cut.
  const w2 = n < 32 ? hi : lo;
  const w1 = n < 32 ? lo : bHi;
  const w0 = n < 32 ? bHi : bLo;
  const newHi = by === 0 ? w2 : w2 << by | w1 >>> 32 - by;
  const newLo = by === 0 ? w1 : w1 << by | w0 >>> 32 - by;
  setFlags(cpu, newLo, newHi, hi, n <= 32 ? hi >>> 32 - n : lo >>> 64 - n);
  updateDst64(cpu, insn, newLo, newHi);
}

function shrd16(cpu: Cpu, insn: Insn): void {
  const n = count(cpu, insn, 31);
  const a = fetchDst16(cpu, insn);
  const b = cpu.u16[insn.src];
  if (n === 0) return updateDst16(cpu, insn, a);
  const all = b << 16 | a;
  const result = (n <= 16 ? all >>> n : b >>> n - 16 | a << 32 - n) & 0xffff;
  const carry = n <= 16 ? a >>> n - 1 : b >>> n - 17;
  setFlags(cpu, result, result << 16, a << 16, carry);
  cpu.zero = result;
  updateDst16(cpu, insn, result);
}
function shrd32(cpu: Cpu, insn: Insn): void {
  const n = count(cpu, insn, 31);
  const a = fetchDst32(cpu, insn);
  if (n === 0) return updateDst32(cpu, insn, a);
  const result = a >>> n | cpu.s[insn.src] << 32 - n;
  setFlags(cpu, result, result, a, a >>> n - 1);
  updateDst32(cpu, insn, result);
}
function shrd64(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const n = count(cpu, insn, 63);
  const lo = fetchDst64(cpu, insn);
  const { hi } = cpu;
  if (n === 0) return updateDst64(cpu, insn, lo, hi);
  const bLo = s[insn.src];
  const bHi = s[insn.src + 1];
  const by = n & 31;
  const w0 = n < 32 ? lo : hi;
  const w1 = n < 32 ? hi : bLo;
  const w2 = n < 32 ? bLo : bHi;
  const newLo = by === 0 ? w0 : w0 >>> by | w1 << 32 - by;
  const newHi = by === 0 ? w1 : w1 >>> by | w2 << 32 - by;
  setFlags(cpu, newLo, newHi, hi, n <= 32 ? lo >>> n - 1 : hi >>> n - 33);
  updateDst64(cpu, insn, newLo, newHi);
}

const shld = bySize(shld16, shld32, shld64);
const shrd = bySize(shrd16, shrd32, shrd64);
const UNDEF = { undef: "oa" } as const;

export const DOUBLE_SHIFT: readonly Row[] = [
  row("0f a4 /r ib", "shld Ev,Gv,Ib", shld, UNDEF),
  row("0f a5 /r", "shld Ev,Gv,CL", shld, UNDEF),
  row("0f ac /r ib", "shrd Ev,Gv,Ib", shrd, UNDEF),
  row("0f ad /r", "shrd Ev,Gv,CL", shrd, UNDEF),
];
