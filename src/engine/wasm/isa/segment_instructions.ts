/** Segment registers: MOV, PUSH, POP, LDS and its kin, SWAPGS, and FS and GS bases (SDM 2A, 2B). */

import { Cr4 } from "../../../cpu/modes.ts";
import { Seg, State, STATE_MSRS } from "../../../cpu/state.ts";
import { type Cpu, Word } from "../cpu.ts";
import { Vector } from "../exception.ts";
import { pointer, readFarPointer } from "../far_pointer.ts";
import type { Insn } from "../insn.ts";
import { isCanonical } from "../modes.ts";
import { readSrc16, writeDst16, writeDst32, writeDst64 } from "../operands.ts";
import { loadSegment } from "../segments.ts";
import { push } from "../stack.ts";
import { StackFrame } from "../stack_frame.ts";
import { type Row, row } from "./row.ts";

/** The shadow of MOV SS and POP SS (`Event.SHADOW`): one instruction without events. */
const MOV_SS = 1 << 1;
const KERNEL_GS_BASE = Word.MSRS + STATE_MSRS.indexOf(0xc000_0102) * 2;
/** Words of the bases of FS and GS. */
const FS_BASE = (State.SEGMENTS + Seg.FS * 16) / 4;
const GS_BASE = (State.SEGMENTS + Seg.GS * 16) / 4;

const frame = new StackFrame();

/** The segment register in ModRM.reg, which takes no REX.R; 6 and 7 are none. */
function segmentOf(cpu: Cpu, insn: Insn): number {
  const seg = insn.reg & 7;
  if (seg > Seg.GS) cpu.raise(Vector.UD);
  return seg;
}

/** Writes `value`, zero-extended to the operand size. */
function writeRegister(cpu: Cpu, insn: Insn, lo: number, hi: number): void {
  if (insn.opSize === 2) writeDst16(cpu, insn, lo);
  else if (insn.opSize === 4) writeDst32(cpu, insn, lo);
  else writeDst64(cpu, insn, lo, hi);
}

function movFromSegment(cpu: Cpu, insn: Insn): void {
  writeRegister(cpu, insn, cpu.selector(segmentOf(cpu, insn)), 0);
}
function storeSegment(cpu: Cpu, insn: Insn): void {
  writeDst16(cpu, insn, cpu.selector(segmentOf(cpu, insn)));
}
function movToSegment(cpu: Cpu, insn: Insn): void {
  const seg = segmentOf(cpu, insn);
  if (seg === Seg.CS) cpu.raise(Vector.UD);
  loadSegment(cpu, seg, readSrc16(cpu, insn));
  if (seg === Seg.SS) cpu.shadow |= MOV_SS;
}

function pushSegment(cpu: Cpu, insn: Insn, seg: number): void {
  push(cpu, insn.opSize, cpu.selector(seg), 0);
}
function popSegment(cpu: Cpu, insn: Insn, seg: number): void {
  frame.useCurrent(cpu);
  const selector = frame.pop(cpu, insn.opSize) & 0xffff;
  loadSegment(cpu, seg, selector);
  frame.commit(cpu);
  if (seg === Seg.SS) cpu.shadow |= MOV_SS;
}

function pushEs(cpu: Cpu, insn: Insn): void {
  pushSegment(cpu, insn, Seg.ES);
}
function pushCs(cpu: Cpu, insn: Insn): void {
  pushSegment(cpu, insn, Seg.CS);
}
function pushSs(cpu: Cpu, insn: Insn): void {
  pushSegment(cpu, insn, Seg.SS);
}
function pushDs(cpu: Cpu, insn: Insn): void {
  pushSegment(cpu, insn, Seg.DS);
}
function pushFs(cpu: Cpu, insn: Insn): void {
  pushSegment(cpu, insn, Seg.FS);
}
function pushGs(cpu: Cpu, insn: Insn): void {
  pushSegment(cpu, insn, Seg.GS);
}
function popEs(cpu: Cpu, insn: Insn): void {
  popSegment(cpu, insn, Seg.ES);
}
function popSs(cpu: Cpu, insn: Insn): void {
  popSegment(cpu, insn, Seg.SS);
}
function popDs(cpu: Cpu, insn: Insn): void {
  popSegment(cpu, insn, Seg.DS);
}
function popFs(cpu: Cpu, insn: Insn): void {
  popSegment(cpu, insn, Seg.FS);
}
function popGs(cpu: Cpu, insn: Insn): void {
  popSegment(cpu, insn, Seg.GS);
}

function loadPointer(cpu: Cpu, insn: Insn, seg: number): void {
  readFarPointer(cpu, insn);
  loadSegment(cpu, seg, pointer.selector);
  writeRegister(cpu, insn, pointer.lo, pointer.hi);
}
function les(cpu: Cpu, insn: Insn): void {
  loadPointer(cpu, insn, Seg.ES);
}
function lds(cpu: Cpu, insn: Insn): void {
  loadPointer(cpu, insn, Seg.DS);
}
function lss(cpu: Cpu, insn: Insn): void {
  loadPointer(cpu, insn, Seg.SS);
}
function lfs(cpu: Cpu, insn: Insn): void {
  loadPointer(cpu, insn, Seg.FS);
}
function lgs(cpu: Cpu, insn: Insn): void {
  loadPointer(cpu, insn, Seg.GS);
}

function swapgs(cpu: Cpu): void {
  const { s } = cpu;
  const lo = s[GS_BASE];
  const hi = s[GS_BASE + 1];
  s[GS_BASE] = s[KERNEL_GS_BASE];
  s[GS_BASE + 1] = s[KERNEL_GS_BASE + 1];
  s[KERNEL_GS_BASE] = lo;
  s[KERNEL_GS_BASE + 1] = hi;
}

function readBase(cpu: Cpu, insn: Insn, at: number): void {
  const { s } = cpu;
  if ((s[Word.CR4] & Cr4.FSGSBASE) === 0) cpu.raise(Vector.UD);
  s[insn.rm * 2] = s[at];
  s[insn.rm * 2 + 1] = insn.opSize === 8 ? s[at + 1] : 0;
}
function writeBase(cpu: Cpu, insn: Insn, at: number): void {
  const { s } = cpu;
  if ((s[Word.CR4] & Cr4.FSGSBASE) === 0) cpu.raise(Vector.UD);
  const hi = insn.opSize === 8 ? s[insn.rm * 2 + 1] : 0;
  if (!isCanonical(cpu, hi)) cpu.raise(Vector.GP);
  s[at] = s[insn.rm * 2];
  s[at + 1] = hi;
}
function rdfsbase(cpu: Cpu, insn: Insn): void {
  readBase(cpu, insn, FS_BASE);
}
function rdgsbase(cpu: Cpu, insn: Insn): void {
  readBase(cpu, insn, GS_BASE);
}
function wrfsbase(cpu: Cpu, insn: Insn): void {
  writeBase(cpu, insn, FS_BASE);
}
function wrgsbase(cpu: Cpu, insn: Insn): void {
  writeBase(cpu, insn, GS_BASE);
}

const ENDS = { ends: true } as const;
const LEGACY = { mode: "legacy" } as const;
const D64 = { size64: "d64" } as const;
const BASE = { mode: "64", feature: "fsgsbase" } as const;

export const SEGMENT_INSTRUCTIONS: readonly Row[] = [
  row("8c /r", "mov Rv,Sw", movFromSegment, { form: "reg" }),
  row("8c /r", "mov Mw,Sw", storeSegment, { form: "mem" }),
  row("8e /r", "mov Sw,Ew", movToSegment, ENDS),

  row("06", "push", pushEs, LEGACY),
  row("0e", "push", pushCs, LEGACY),
  row("16", "push", pushSs, LEGACY),
  row("1e", "push", pushDs, LEGACY),
  row("0f a0", "push", pushFs, D64),
  row("0f a8", "push", pushGs, D64),
  row("07", "pop", popEs, { ...ENDS, ...LEGACY }),
  row("17", "pop", popSs, { ...ENDS, ...LEGACY }),
  row("1f", "pop", popDs, { ...ENDS, ...LEGACY }),
  row("0f a1", "pop", popFs, { ...ENDS, ...D64 }),
  row("0f a9", "pop", popGs, { ...ENDS, ...D64 }),

  row("c4 /r", "les Gv,Mp", les, { ...ENDS, ...LEGACY }),
  row("c5 /r", "lds Gv,Mp", lds, { ...ENDS, ...LEGACY }),
  row("0f b2 /r", "lss Gv,Mp", lss, ENDS),
  row("0f b4 /r", "lfs Gv,Mp", lfs, ENDS),
  row("0f b5 /r", "lgs Gv,Mp", lgs, ENDS),

  row("0f 01 f8", "swapgs", swapgs, { mode: "64", cpl0: true }),
  row("f3 0f ae /0", "rdfsbase Ry", rdfsbase, BASE),
  row("f3 0f ae /1", "rdgsbase Ry", rdgsbase, BASE),
  row("f3 0f ae /2", "wrfsbase Ry", wrfsbase, BASE),
  row("f3 0f ae /3", "wrgsbase Ry", wrgsbase, BASE),
];
