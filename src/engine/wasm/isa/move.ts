/** MOV, MOVZX, MOVSX, LEA, XCHG, BSWAP, MOVBE, CMOVcc, SETcc and what else only moves (SDM 2A, 2B). */

import { effectiveAddress, linearAddress, segmentAddress } from "../address.ts";
import { condition } from "../branch.ts";
import { type Cpu, Flag, STATUS_FLAGS, Word } from "../cpu.ts";
import type { Insn } from "../insn.ts";
import { load8 } from "../memory.ts";
import * as operands from "../operands.ts";
import { bySize, type Row, row } from "./row.ts";

// V8 folds a module's own constants, not those of others.
const { fetchDst8, fetchDst16, fetchDst32, fetchDst64 } = operands;
const { readSrc8, readSrc16, readSrc32, readSrc64 } = operands;
const { updateDst8, updateDst16, updateDst32, updateDst64 } = operands;
const { writeDst8, writeDst16, writeDst32, writeDst64 } = operands;

function mov8(cpu: Cpu, insn: Insn): void {
  writeDst8(cpu, insn, readSrc8(cpu, insn));
}
function mov16(cpu: Cpu, insn: Insn): void {
  writeDst16(cpu, insn, readSrc16(cpu, insn));
}
function mov32(cpu: Cpu, insn: Insn): void {
  writeDst32(cpu, insn, readSrc32(cpu, insn));
}
function mov64(cpu: Cpu, insn: Insn): void {
  const lo = readSrc64(cpu, insn);
  writeDst64(cpu, insn, lo, cpu.hi);
}

function movzxByte16(cpu: Cpu, insn: Insn): void {
  writeDst16(cpu, insn, readSrc8(cpu, insn));
}
function movzxByte32(cpu: Cpu, insn: Insn): void {
  writeDst32(cpu, insn, readSrc8(cpu, insn));
}
function movzxByte64(cpu: Cpu, insn: Insn): void {
  writeDst64(cpu, insn, readSrc8(cpu, insn), 0);
}
function movzxWord16(cpu: Cpu, insn: Insn): void {
  writeDst16(cpu, insn, readSrc16(cpu, insn));
}
function movzxWord32(cpu: Cpu, insn: Insn): void {
  writeDst32(cpu, insn, readSrc16(cpu, insn));
}
function movzxWord64(cpu: Cpu, insn: Insn): void {
  writeDst64(cpu, insn, readSrc16(cpu, insn), 0);
}

function movsxByte16(cpu: Cpu, insn: Insn): void {
  writeDst16(cpu, insn, readSrc8(cpu, insn) << 24 >> 24);
}
function movsxByte32(cpu: Cpu, insn: Insn): void {
  writeDst32(cpu, insn, readSrc8(cpu, insn) << 24 >> 24);
}
function movsxByte64(cpu: Cpu, insn: Insn): void {
  const value = readSrc8(cpu, insn) << 24 >> 24;
  writeDst64(cpu, insn, value, value >> 31);
}
function movsxWord32(cpu: Cpu, insn: Insn): void {
  writeDst32(cpu, insn, readSrc16(cpu, insn) << 16 >> 16);
}
function movsxWord64(cpu: Cpu, insn: Insn): void {
  const value = readSrc16(cpu, insn) << 16 >> 16;
  writeDst64(cpu, insn, value, value >> 31);
}
function movsxd16(cpu: Cpu, insn: Insn): void {
  writeDst16(cpu, insn, readSrc32(cpu, insn));
}
function movsxd64(cpu: Cpu, insn: Insn): void {
  const value = readSrc32(cpu, insn);
  writeDst64(cpu, insn, value, value >> 31);
}

function lea16(cpu: Cpu, insn: Insn): void {
  cpu.u16[insn.dst] = effectiveAddress(cpu, insn);
}
function lea32(cpu: Cpu, insn: Insn): void {
  cpu.s[insn.dst] = effectiveAddress(cpu, insn);
  cpu.s[insn.dst + 1] = 0;
}
function lea64(cpu: Cpu, insn: Insn): void {
  // The forms without a segment and with 64-bit addresses share the way of all loads.
  const lo = insn.ea < 4 ? linearAddress(cpu, insn) : effectiveAddress(cpu, insn);
  cpu.s[insn.dst] = lo;
  cpu.s[insn.dst + 1] = cpu.hi;
}

// With a register and memory, `src` is the register.
function xchg8(cpu: Cpu, insn: Insn): void {
  const a = fetchDst8(cpu, insn);
  updateDst8(cpu, insn, cpu.u8[insn.src]);
  cpu.u8[insn.src] = a;
}
function xchg16(cpu: Cpu, insn: Insn): void {
  const a = fetchDst16(cpu, insn);
  updateDst16(cpu, insn, cpu.u16[insn.src]);
  cpu.u16[insn.src] = a;
}
function xchg32(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const a = fetchDst32(cpu, insn);
  updateDst32(cpu, insn, s[insn.src]);
  s[insn.src] = a;
  s[insn.src + 1] = 0;
}
/** 90 is NOP: EAX with itself does not even clear RAX's upper half (SDM 2B NOP). */
function xchgAccumulator32(cpu: Cpu, insn: Insn): void {
  if (insn.dst !== 0) xchg32(cpu, insn);
}
function xchg64(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const lo = fetchDst64(cpu, insn);
  const { hi } = cpu;
  updateDst64(cpu, insn, s[insn.src], s[insn.src + 1]);
  s[insn.src] = lo;
  s[insn.src + 1] = hi;
}

function swap(value: number): number {
  return value << 24 | (value & 0xff00) << 8 | value >>> 8 & 0xff00 | value >>> 24;
}
/** Of 16 bits undefined: zero, as processors give (SDM 2A BSWAP). */
function bswap16(cpu: Cpu, insn: Insn): void {
  cpu.u16[insn.dst] = 0;
}
function bswap32(cpu: Cpu, insn: Insn): void {
  cpu.s[insn.dst] = swap(cpu.s[insn.dst]);
  cpu.s[insn.dst + 1] = 0;
}
function bswap64(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const lo = s[insn.dst];
  s[insn.dst] = swap(s[insn.dst + 1]);
  s[insn.dst + 1] = swap(lo);
}

function movbe16(cpu: Cpu, insn: Insn): void {
  const value = readSrc16(cpu, insn);
  writeDst16(cpu, insn, value << 8 | value >>> 8);
}
function movbe32(cpu: Cpu, insn: Insn): void {
  writeDst32(cpu, insn, swap(readSrc32(cpu, insn)));
}
function movbe64(cpu: Cpu, insn: Insn): void {
  const lo = readSrc64(cpu, insn);
  writeDst64(cpu, insn, swap(cpu.hi), swap(lo));
}

// The source is read, and a 32-bit destination's upper half cleared, whatever the condition says.
function cmov16(cpu: Cpu, insn: Insn): void {
  const value = readSrc16(cpu, insn);
  if (condition(cpu, insn.imm2)) cpu.u16[insn.dst] = value;
}
function cmov32(cpu: Cpu, insn: Insn): void {
  const value = readSrc32(cpu, insn);
  if (condition(cpu, insn.imm2)) cpu.s[insn.dst] = value;
  cpu.s[insn.dst + 1] = 0;
}
function cmov64(cpu: Cpu, insn: Insn): void {
  const lo = readSrc64(cpu, insn);
  const { hi } = cpu;
  if (!condition(cpu, insn.imm2)) return;
  cpu.s[insn.dst] = lo;
  cpu.s[insn.dst + 1] = hi;
}
function setcc(cpu: Cpu, insn: Insn): void {
  writeDst8(cpu, insn, condition(cpu, insn.imm2) ? 1 : 0);
}

function cbw(cpu: Cpu): void {
  cpu.u16[0] = cpu.u8[0] << 24 >> 24;
}
function cwde(cpu: Cpu): void {
  cpu.s[0] = cpu.u16[0] << 16 >> 16;
  cpu.s[1] = 0;
}
function cdqe(cpu: Cpu): void {
  cpu.s[1] = cpu.s[0] >> 31;
}
function cwd(cpu: Cpu): void {
  cpu.u16[8] = cpu.u16[0] << 16 >> 31;
}
function cdq(cpu: Cpu): void {
  cpu.s[4] = cpu.s[0] >> 31;
  cpu.s[5] = 0;
}
function cqo(cpu: Cpu): void {
  cpu.s[4] = cpu.s[5] = cpu.s[1] >> 31;
}

/** AL = [rBX + AL]. */
function xlat(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const index = cpu.u8[0];
  let lo = (s[6] + index) | 0;
  let hi = 0;
  if (insn.addrSize === 8) hi = lo >>> 0 < index ? s[7] + 1 | 0 : s[7];
  else if (insn.addrSize === 2) lo &= 0xffff;
  const at = segmentAddress(cpu, insn.seg, lo, hi, 1, false);
  cpu.u8[0] = load8(cpu, at, cpu.hi);
}

function lahf(cpu: Cpu): void {
  cpu.u8[1] = cpu.statusFlags | 2;
}
function sahf(cpu: Cpu): void {
  cpu.setStatusFlags(cpu.u8[1] & ~Flag.OF | cpu.statusFlags & Flag.OF & STATUS_FLAGS);
}
function cmc(cpu: Cpu): void {
  cpu.cf ^= 1;
}
function clc(cpu: Cpu): void {
  cpu.cf = 0;
}
function stc(cpu: Cpu): void {
  cpu.cf = 1;
}
function cld(cpu: Cpu): void {
  cpu.s[Word.RFLAGS] &= ~Flag.DF;
}
function std(cpu: Cpu): void {
  cpu.s[Word.RFLAGS] |= Flag.DF;
}
function nop(): void {}

const mov = bySize(mov16, mov32, mov64);
const movzxByte = bySize(movzxByte16, movzxByte32, movzxByte64);
const movzxWord = bySize(movzxWord16, movzxWord32, movzxWord64);
const movsxByte = bySize(movsxByte16, movsxByte32, movsxByte64);
const movsxWord = bySize(movzxWord16, movsxWord32, movsxWord64);
const xchg = bySize(xchg16, xchg32, xchg64);
const movbe = bySize(movbe16, movbe32, movbe64);
const cmov = bySize(cmov16, cmov32, cmov64);

/** One line for each of the 16 conditions; the handler finds its own in `imm2`. */
function byCondition(line: (digit: string, cc: number) => Row): Row[] {
  return Array.from({ length: 16 }, (_, cc) => ({ ...line(cc.toString(16), cc), condition: cc }));
}

export const MOVE: readonly Row[] = [
  row("88 /r", "mov Eb,Gb", mov8),
  row("89 /r", "mov Ev,Gv", mov),
  row("8a /r", "mov Gb,Eb", mov8),
  row("8b /r", "mov Gv,Ev", mov),
  row("a0 mo", "mov AL,Ob", mov8),
  row("a1 mo", "mov rAX,Ov", mov),
  row("a2 mo", "mov Ob,AL", mov8),
  row("a3 mo", "mov Ov,rAX", mov),
  row("b0+r ib", "mov Zb,Ib", mov8),
  row("b8+r iv", "mov Zv,Iv", mov),
  row("c6 /0 ib", "mov Eb,Ib", mov8),
  row("c7 /0 iz", "mov Ev,Iz", mov),
  row("np 0f c3 /r", "movnti My,Gy", mov),

  row("0f b6 /r", "movzx Gv,Eb", movzxByte),
  row("0f b7 /r", "movzx Gv,Ew", movzxWord),
  row("0f be /r", "movsx Gv,Eb", movsxByte),
  row("0f bf /r", "movsx Gv,Ew", movsxWord),
  row("63 /r", "movsxd Gv,Ed", bySize(movsxd16, mov32, movsxd64), { mode: "64" }),

  row("8d /r", "lea Gv,M", bySize(lea16, lea32, lea64)),
  row("86 /r", "xchg Eb,Gb", xchg8, { lock: true }),
  row("87 /r", "xchg Ev,Gv", xchg, { lock: true }),
  row("90+r", "xchg Zv,rAX", bySize(xchg16, xchgAccumulator32, xchg64)),
  row("0f c8+r", "bswap Zv", bySize(bswap16, bswap32, bswap64)),
  row("np 0f 38 f0 /r", "movbe Gv,Mv", movbe, { feature: "movbe" }),
  row("66 0f 38 f0 /r", "movbe Gw,Mw", movbe16, { feature: "movbe" }),
  row("66 w1 0f 38 f0 /r", "movbe Gv,Mv", movbe, { feature: "movbe" }),
  row("np 0f 38 f1 /r", "movbe Mv,Gv", movbe, { feature: "movbe" }),
  row("66 0f 38 f1 /r", "movbe Mw,Gw", movbe16, { feature: "movbe" }),
  row("66 w1 0f 38 f1 /r", "movbe Mv,Gv", movbe, { feature: "movbe" }),

  ...byCondition((digit) => row(`0f 4${digit} /r`, "cmov Gv,Ev", cmov)),
  ...byCondition((digit) => row(`0f 9${digit} /r`, "set Eb", setcc)),

  row("98", "cbw", bySize(cbw, cwde, cdqe)),
  row("99", "cwd", bySize(cwd, cdq, cqo)),
  row("d7", "xlat", xlat),
  row("9f", "lahf", lahf),
  row("9e", "sahf", sahf),
  row("f5", "cmc", cmc),
  row("f8", "clc", clc),
  row("f9", "stc", stc),
  row("fc", "cld", cld),
  row("fd", "std", std),

  // Hints: prefetches, ENDBR and the like, and the reserved ones that run as NOP (SDM 2B NOP).
  row("0f 0d /r", "prefetchw M", nop),
  row("0f 18 /r", "prefetch Ev", nop, { reads: true, memSize: 0 }),
  ...["19", "1a", "1b", "1c", "1d", "1e", "1f"].map((byte) =>
    row(`0f ${byte} /r`, "nop Ev", nop, { reads: true, memSize: 0 })
  ),
];
