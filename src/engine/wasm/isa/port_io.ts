/** IN, OUT, INS, OUTS, and who may use which port (SDM 1 chapter 19). */

import { Reg, Seg } from "../../../cpu/state.ts";
import type { PortSize } from "../../cpu_bus.ts";
import { segmentAddress } from "../address.ts";
import { type Cpu, Flag, Word } from "../cpu.ts";
import { notePort, stepsRepetitions } from "../debug.ts";
import { Vector } from "../exception.ts";
import type { Insn } from "../insn.ts";
import * as memory from "../memory.ts";
import { beginSystem, endSystem } from "../modes.ts";
import { bySize, type Row, row } from "./row.ts";

/** A 32- or 64-bit TSS: its type, and where it says where its I/O map is (SDM 3A §7.2.1). */
const TSS_TYPE = 9;
const IO_MAP_AT = 102;
/** Bytes of the smallest TSS. */
const TSS_BYTES = 104;
/** Repetitions between two looks at what else there is to do. */
const MAX_REPEATS = 1024;

/** Raises #GP(0) where the program may not use the ports. */
function checkPort(cpu: Cpu, port: number, size: number): void {
  const iopl = cpu.s[Word.RFLAGS] >>> 12 & 3;
  if (cpu.v86 || (cpu.protectedMode && cpu.cpl > iopl)) checkMap(cpu, port, size);
  if (cpu.stepping) notePort(cpu, port, size);
}

/** The I/O map has a 1 for each port that is not allowed (SDM 1 §19.5.2). */
function checkMap(cpu: Cpu, port: number, size: number): void {
  const limit = cpu.limit(Seg.TR);
  const attributes = cpu.attributes(Seg.TR);
  const usable = (attributes & 0x80) !== 0 && (attributes & 0xd) === TSS_TYPE;
  if (!usable || limit < TSS_BYTES - 1) cpu.raise(Vector.GP);
  beginSystem(cpu);
  const map = readTss(cpu, IO_MAP_AT);
  const at = map + (port >>> 3);
  // Two bytes are read, whatever the size.
  if (at + 1 > limit) cpu.raise(Vector.GP);
  const bits = readTss(cpu, at) >>> (port & 7);
  endSystem(cpu);
  if ((bits & (1 << size) - 1) !== 0) cpu.raise(Vector.GP);
}

function readTss(cpu: Cpu, offset: number): number {
  const base = cpu.baseLo(Seg.TR);
  const lo = (base + offset) | 0;
  const hi = cpu.baseHi(Seg.TR) + (lo >>> 0 < base >>> 0 ? 1 : 0);
  return memory.load16(cpu, lo, cpu.longMode ? hi | 0 : 0);
}

/** The port in the instruction, or in DX. */
function immediatePort(insn: Insn): number {
  return insn.immLo & 0xff;
}
function dx(cpu: Cpu): number {
  return cpu.u16[Reg.RDX * 4];
}

function input(cpu: Cpu, port: number, size: PortSize): number {
  checkPort(cpu, port, size);
  return cpu.bus.readPort(port, size);
}
function output(cpu: Cpu, port: number, size: PortSize, value: number): void {
  checkPort(cpu, port, size);
  cpu.bus.writePort(port, size, value);
}

function setAx(cpu: Cpu, value: number, size: PortSize): void {
  if (size === 1) cpu.u8[0] = value;
  else if (size === 2) cpu.u16[0] = value;
  else {
    cpu.s[0] = value;
    cpu.s[1] = 0;
  }
}

function in8(cpu: Cpu, insn: Insn): void {
  setAx(cpu, input(cpu, immediatePort(insn), 1), 1);
}
function in16(cpu: Cpu, insn: Insn): void {
  setAx(cpu, input(cpu, immediatePort(insn), 2), 2);
}
function in32(cpu: Cpu, insn: Insn): void {
  setAx(cpu, input(cpu, immediatePort(insn), 4), 4);
}
function inDx8(cpu: Cpu): void {
  setAx(cpu, input(cpu, dx(cpu), 1), 1);
}
function inDx16(cpu: Cpu): void {
  setAx(cpu, input(cpu, dx(cpu), 2), 2);
}
function inDx32(cpu: Cpu): void {
  setAx(cpu, input(cpu, dx(cpu), 4), 4);
}
function out8(cpu: Cpu, insn: Insn): void {
  output(cpu, immediatePort(insn), 1, cpu.u8[0]);
}
function out16(cpu: Cpu, insn: Insn): void {
  output(cpu, immediatePort(insn), 2, cpu.u16[0]);
}
function out32(cpu: Cpu, insn: Insn): void {
  output(cpu, immediatePort(insn), 4, cpu.s[0] >>> 0);
}
function outDx8(cpu: Cpu): void {
  output(cpu, dx(cpu), 1, cpu.u8[0]);
}
function outDx16(cpu: Cpu): void {
  output(cpu, dx(cpu), 2, cpu.u16[0]);
}
function outDx32(cpu: Cpu): void {
  output(cpu, dx(cpu), 4, cpu.s[0] >>> 0);
}

/** Low half of an index register, cut to the address size; the high half is in `cpu.hi`. */
function index(cpu: Cpu, register: number, addrSize: number): number {
  const lo = cpu.s[register * 2];
  cpu.hi = addrSize === 8 ? cpu.s[register * 2 + 1] : 0;
  return addrSize === 2 ? lo & 0xffff : lo;
}

/** Adds to an index register or the counter, by the address size. */
function advance(cpu: Cpu, register: number, addrSize: number, by: number): void {
  const { s } = cpu;
  const at = register * 2;
  if (addrSize === 2) {
    cpu.u16[register * 4] += by;
    return;
  }
  const old = s[at];
  s[at] = old + by;
  if (addrSize === 4) s[at + 1] = 0;
  else if (by > 0 ? s[at] >>> 0 < old >>> 0 : s[at] >>> 0 > old >>> 0) s[at + 1] += by > 0 ? 1 : -1;
}

/** INS: where it writes is checked first, so that no value is lost. */
function insOnce(cpu: Cpu, addrSize: number, size: PortSize): void {
  const port = dx(cpu);
  const offset = index(cpu, Reg.RDI, addrSize);
  const lo = segmentAddress(cpu, Seg.ES, offset, cpu.hi, size, true);
  const { hi } = cpu;
  if (size === 1) {
    memory.modifyLoad8(cpu, lo, hi);
    memory.modifyStore8(cpu, cpu.bus.readPort(port, 1));
  } else if (size === 2) {
    memory.modifyLoad16(cpu, lo, hi);
    memory.modifyStore16(cpu, cpu.bus.readPort(port, 2));
  } else {
    memory.modifyLoad32(cpu, lo, hi);
    memory.modifyStore32(cpu, cpu.bus.readPort(port, 4));
  }
  const down = (cpu.s[Word.RFLAGS] & Flag.DF) !== 0;
  advance(cpu, Reg.RDI, addrSize, down ? -size : size);
}

function outsOnce(cpu: Cpu, seg: number, addrSize: number, size: PortSize): void {
  const port = dx(cpu);
  const offset = index(cpu, Reg.RSI, addrSize);
  const lo = segmentAddress(cpu, seg, offset, cpu.hi, size, false);
  const { hi } = cpu;
  const value = size === 1
    ? memory.load8(cpu, lo, hi)
    : size === 2
    ? memory.load16(cpu, lo, hi)
    : memory.load32(cpu, lo, hi) >>> 0;
  cpu.bus.writePort(port, size, value);
  const down = (cpu.s[Word.RFLAGS] & Flag.DF) !== 0;
  advance(cpu, Reg.RSI, addrSize, down ? -size : size);
}

function counterIsZero(cpu: Cpu, addrSize: number): boolean {
  if (addrSize === 2) return cpu.u16[Reg.RCX * 4] === 0;
  const lo = cpu.s[Reg.RCX * 2];
  return lo === 0 && (addrSize === 4 || cpu.s[Reg.RCX * 2 + 1] === 0);
}

/** One or, with REP, several: as long as nothing else wants attention. RIP stays until all are done. */
function ports(cpu: Cpu, insn: Insn, size: PortSize, isInput: boolean): void {
  const { addrSize, seg } = insn;
  // Even where nothing is to be repeated: processors look at the rights first.
  checkPort(cpu, dx(cpu), size);
  if (insn.rep === 0) {
    if (isInput) insOnce(cpu, addrSize, size);
    else outsOnce(cpu, seg, addrSize, size);
    return;
  }
  if (counterIsZero(cpu, addrSize)) return;
  const limit = stepsRepetitions(cpu) ? 1 : Math.min(MAX_REPEATS, cpu.budget - cpu.at);
  for (let done = 1;; done++) {
    if (isInput) insOnce(cpu, addrSize, size);
    else outsOnce(cpu, seg, addrSize, size);
    advance(cpu, Reg.RCX, addrSize, -1);
    if (counterIsZero(cpu, addrSize)) return;
    if (done >= limit || cpu.attention !== 0) break;
    cpu.repeats++;
  }
  stay(cpu, insn);
}

/** RIP goes back to the instruction. */
function stay(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const lo = (cpu.codeBaseLo + insn.offset) | 0;
  s[Word.RIP] = lo;
  if (!cpu.is64) return;
  s[Word.RIP + 1] = cpu.codeBaseHi + (lo >>> 0 < cpu.codeBaseLo >>> 0 ? 1 : 0);
}

function insb(cpu: Cpu, insn: Insn): void {
  ports(cpu, insn, 1, true);
}
function insw(cpu: Cpu, insn: Insn): void {
  ports(cpu, insn, 2, true);
}
function insd(cpu: Cpu, insn: Insn): void {
  ports(cpu, insn, 4, true);
}
function outsb(cpu: Cpu, insn: Insn): void {
  ports(cpu, insn, 1, false);
}
function outsw(cpu: Cpu, insn: Insn): void {
  ports(cpu, insn, 2, false);
}
function outsd(cpu: Cpu, insn: Insn): void {
  ports(cpu, insn, 4, false);
}

/** IN, OUT, INS, OUTS: REX.W does not make them 64 bits wide. */
export const PORT_IO: readonly Row[] = [
  row("e4 ib", "in AL,Ib", in8),
  row("e5 ib", "in rAX,Ib", bySize(in16, in32, in32)),
  row("ec", "in AL,DX", inDx8),
  row("ed", "in rAX,DX", bySize(inDx16, inDx32, inDx32)),
  row("e6 ib", "out Ib,AL", out8),
  row("e7 ib", "out Ib,rAX", bySize(out16, out32, out32)),
  row("ee", "out DX,AL", outDx8),
  row("ef", "out DX,rAX", bySize(outDx16, outDx32, outDx32)),
  row("6c", "insb", insb, { ends: true }),
  row("6d", "ins", bySize(insw, insd, insd), { ends: true }),
  row("6e", "outsb", outsb, { ends: true }),
  row("6f", "outs", bySize(outsw, outsd, outsd), { ends: true }),
];
