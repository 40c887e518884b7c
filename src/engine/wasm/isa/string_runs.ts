/**
 * String instructions' pointers and counts, and runs of their repetitions that are made at once:
 * within one page, on plain RAM that is in the TLB, forwards.
 */

import { Reg, Seg } from "../../../cpu/state.ts";
import { segmentAddress } from "../address.ts";
import { type Cpu, Flag, Word } from "../cpu.ts";
import { type Insn, Rep } from "../insn.ts";
import { entryAt } from "../tlb.ts";

const PAGE = 4096;
/** Counts beyond what any call does: enough to be more than that. */
const MANY = 0x7fff_ffff;

/** The pointer register, cut to the address size: low half; the high half is in `cpu.hi`. */
export function pointer(cpu: Cpu, insn: Insn, register: number): number {
  if (insn.addrSize === 8) {
    cpu.hi = cpu.s[register * 2 + 1];
    return cpu.s[register * 2];
  }
  cpu.hi = 0;
  return insn.addrSize === 4 ? cpu.s[register * 2] : cpu.u16[register * 4];
}

/** What the count register still asks for, of the address size; huge ones as some large number. */
export function repetitions(cpu: Cpu, insn: Insn): number {
  const lo = cpu.s[Reg.RCX * 2];
  if (insn.addrSize === 2) return lo & 0xffff;
  const hi = insn.addrSize === 8 ? cpu.s[Reg.RCX * 2 + 1] : 0;
  return hi !== 0 || lo < 0 ? MANY : lo;
}

/** Moves a pointer register by `count` elements of `size` bytes, in the direction of DF. */
export function advance(
  cpu: Cpu,
  insn: Insn,
  register: number,
  size: number,
  count: number,
): void {
  const { s } = cpu;
  const bytes = (s[Word.RFLAGS] & Flag.DF) === 0 ? size * count : -size * count;
  if (insn.addrSize === 2) {
    cpu.u16[register * 4] = cpu.u16[register * 4] + bytes;
    return;
  }
  const at = register * 2;
  const before = s[at];
  const lo = (before + bytes) | 0;
  s[at] = lo;
  if (insn.addrSize === 4) s[at + 1] = 0;
  else if (bytes > 0 && lo >>> 0 < before >>> 0) s[at + 1]++;
  else if (bytes < 0 && lo >>> 0 > before >>> 0) s[at + 1]--;
}

/**
 * Offset in guest RAM of what a pointer points to, or -1 when the access needs a closer look.
 * @param set First word of the TLB set.
 */
export function plainOffset(cpu: Cpu, lo: number, hi: number, set: number): number {
  const { s } = cpu;
  const at = entryAt(set, lo);
  return s[at] === (lo & -PAGE) && s[at + 1] === hi ? (s[at + 2] + lo) >>> 0 : -1;
}

/** Whether an offset in segment `seg` needs no check and wraps nowhere in its page. */
function isFlat(cpu: Cpu, insn: Insn, seg: number, flat: number): boolean {
  return cpu.is64 ? insn.addrSize === 8 : insn.addrSize === 4 && (flat >>> seg & 1) !== 0;
}

/** Elements of `size` bytes from linear address `lo` to the end of its page. */
function leftInPage(lo: number, size: number): number {
  return (PAGE - (lo & PAGE - 1)) / size | 0;
}

/** REP MOVS: copies up to `limit` elements; returns how many, 0 where it cannot. */
export function copyRun(cpu: Cpu, insn: Insn, size: number, limit: number): number {
  const { seg } = insn;
  if (!isFlat(cpu, insn, seg, cpu.flatRead) || !isFlat(cpu, insn, Seg.ES, cpu.flatWrite)) return 0;
  const fromLo = segmentAddress(cpu, seg, pointer(cpu, insn, Reg.RSI), cpu.hi, size, false);
  const from = plainOffset(cpu, fromLo, cpu.hi, cpu.tlbRead);
  const toLo = pointer(cpu, insn, Reg.RDI);
  const to = plainOffset(cpu, toLo, cpu.hi, cpu.tlbWrite);
  if (from < 0 || to < 0) return 0;
  const count = Math.min(limit, leftInPage(fromLo, size), leftInPage(toLo, size));
  const bytes = count * size;
  // A destination inside the source repeats what has just been written.
  if (to > from && to < from + bytes) return 0;
  cpu.ramBytes.copyWithin(to, from, from + bytes);
  advance(cpu, insn, Reg.RSI, size, count);
  advance(cpu, insn, Reg.RDI, size, count);
  return count;
}

/** REP STOS: fills up to `limit` elements; returns how many, 0 where it cannot. */
export function fillRun(cpu: Cpu, insn: Insn, size: number, limit: number): number {
  if (!isFlat(cpu, insn, Seg.ES, cpu.flatWrite)) return 0;
  const lo = pointer(cpu, insn, Reg.RDI);
  const to = plainOffset(cpu, lo, cpu.hi, cpu.tlbWrite);
  if (to < 0) return 0;
  const count = Math.min(limit, leftInPage(lo, size));
  if (count === 0) return 0;
  const { ramBytes } = cpu;
  for (let i = 0; i < size; i++) ramBytes[to + i] = cpu.u8[i];
  // What is there is doubled until all is there.
  const bytes = count * size;
  for (let have = size; have < bytes; have *= 2) {
    ramBytes.copyWithin(to + have, to, to + Math.min(have, bytes - have));
  }
  advance(cpu, insn, Reg.RDI, size, count);
  return count;
}

// The runs below leave the last element in the page, and the last that is wanted, to a step: what it
// loads or compares is what stays, and what a fault of the next page shows.

/** REP LODS: skips up to `limit` - 1 elements; returns how many, 0 where it cannot. */
export function skipRun(cpu: Cpu, insn: Insn, size: number, limit: number): number {
  const { seg } = insn;
  if (!isFlat(cpu, insn, seg, cpu.flatRead)) return 0;
  const lo = segmentAddress(cpu, seg, pointer(cpu, insn, Reg.RSI), cpu.hi, size, false);
  if (plainOffset(cpu, lo, cpu.hi, cpu.tlbRead) < 0) return 0;
  const count = Math.min(limit, leftInPage(lo, size)) - 1;
  if (count <= 0) return 0;
  advance(cpu, insn, Reg.RSI, size, count);
  return count;
}

/** REPE and REPNE SCAS: passes up to `limit` - 1 elements that do not end it; returns how many. */
export function scanRun(cpu: Cpu, insn: Insn, size: number, limit: number): number {
  if (!isFlat(cpu, insn, Seg.ES, cpu.flatRead)) return 0;
  const lo = pointer(cpu, insn, Reg.RDI);
  const at = plainOffset(cpu, lo, cpu.hi, cpu.tlbRead);
  if (at < 0) return 0;
  const most = Math.min(limit, leftInPage(lo, size)) - 1;
  const whileEqual = insn.rep === Rep.REP;
  let count = 0;
  while (
    count < most && areEqual(cpu.ram, at + count * size, cpu.view, 0, size) === whileEqual
  ) count++;
  if (count > 0) advance(cpu, insn, Reg.RDI, size, count);
  return count;
}

/** REPE and REPNE CMPS: passes up to `limit` - 1 pairs that do not end it; returns how many. */
export function compareRun(cpu: Cpu, insn: Insn, size: number, limit: number): number {
  const { seg } = insn;
  if (!isFlat(cpu, insn, seg, cpu.flatRead) || !isFlat(cpu, insn, Seg.ES, cpu.flatRead)) return 0;
  const oneLo = segmentAddress(cpu, seg, pointer(cpu, insn, Reg.RSI), cpu.hi, size, false);
  const one = plainOffset(cpu, oneLo, cpu.hi, cpu.tlbRead);
  const otherLo = pointer(cpu, insn, Reg.RDI);
  const other = plainOffset(cpu, otherLo, cpu.hi, cpu.tlbRead);
  if (one < 0 || other < 0) return 0;
  const most = Math.min(limit, leftInPage(oneLo, size), leftInPage(otherLo, size)) - 1;
  const whileEqual = insn.rep === Rep.REP;
  const { ram } = cpu;
  let count = 0;
  while (
    count < most &&
    areEqual(ram, one + count * size, ram, other + count * size, size) === whileEqual
  ) count++;
  if (count === 0) return 0;
  advance(cpu, insn, Reg.RSI, size, count);
  advance(cpu, insn, Reg.RDI, size, count);
  return count;
}

/** Whether two elements of `size` bytes are the same. */
function areEqual(a: DataView, i: number, b: DataView, j: number, size: number): boolean {
  if (size === 1) return a.getUint8(i) === b.getUint8(j);
  if (size === 2) return a.getUint16(i, true) === b.getUint16(j, true);
  if (a.getInt32(i, true) !== b.getInt32(j, true)) return false;
  return size === 4 || a.getInt32(i + 4, true) === b.getInt32(j + 4, true);
}
