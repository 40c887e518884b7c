/**
 * MOVS, CMPS, SCAS, LODS, STOS with REP, REPE, REPNE (SDM 2B). Each repetition counts as one
 * instruction. Registers are up to date after each, so that a fault leaves a restartable state; an
 * instruction that has not come to its end leaves RIP where it is.
 */

import { Reg, Seg } from "../../../cpu/state.ts";
import { segmentAddress } from "../address.ts";
import { type Cpu, Flag, Word } from "../cpu.ts";
import { stepsRepetitions } from "../debug.ts";
import { type Handler, type Insn, Rep } from "../insn.ts";
import { load16, load32, load64, load8, store16, store32, store64, store8 } from "../memory.ts";
import { difference32, difference64, differenceNarrow } from "./arithmetic.ts";
import {
  advance,
  compareRun,
  copyRun,
  fillRun,
  pointer,
  repetitions,
  scanRun,
  skipRun,
} from "./string_runs.ts";
import { bySize, type Row, row } from "./row.ts";

/** Repetitions that one call makes at most, so that interrupts need not wait for long. */
const MAX_REPETITIONS = 4096;

/** Linear address of the source at SI, or of the destination at DI in ES. */
function source(cpu: Cpu, insn: Insn, size: number): number {
  const lo = pointer(cpu, insn, Reg.RSI);
  return segmentAddress(cpu, insn.seg, lo, cpu.hi, size, false);
}
function destination(cpu: Cpu, insn: Insn, size: number, write: boolean): number {
  const lo = pointer(cpu, insn, Reg.RDI);
  return segmentAddress(cpu, Seg.ES, lo, cpu.hi, size, write);
}

// One step of each: the access, the comparison, the pointers.
function movsStep(cpu: Cpu, insn: Insn, size: number): void {
  const from = source(cpu, insn, size);
  if (size === 8) {
    const lo = load64(cpu, from, cpu.hi);
    const { hi } = cpu;
    const to = destination(cpu, insn, 8, true);
    store64(cpu, to, cpu.hi, lo, hi);
  } else if (size === 4) {
    const value = load32(cpu, from, cpu.hi);
    const to = destination(cpu, insn, 4, true);
    store32(cpu, to, cpu.hi, value);
  } else if (size === 2) {
    const value = load16(cpu, from, cpu.hi);
    const to = destination(cpu, insn, 2, true);
    store16(cpu, to, cpu.hi, value);
  } else {
    const value = load8(cpu, from, cpu.hi);
    const to = destination(cpu, insn, 1, true);
    store8(cpu, to, cpu.hi, value);
  }
  advance(cpu, insn, Reg.RSI, size, 1);
  advance(cpu, insn, Reg.RDI, size, 1);
}
function stosStep(cpu: Cpu, insn: Insn, size: number): void {
  const to = destination(cpu, insn, size, true);
  if (size === 8) store64(cpu, to, cpu.hi, cpu.s[0], cpu.s[1]);
  else if (size === 4) store32(cpu, to, cpu.hi, cpu.s[0]);
  else if (size === 2) store16(cpu, to, cpu.hi, cpu.u16[0]);
  else store8(cpu, to, cpu.hi, cpu.u8[0]);
  advance(cpu, insn, Reg.RDI, size, 1);
}
function lodsStep(cpu: Cpu, insn: Insn, size: number): void {
  const from = source(cpu, insn, size);
  if (size === 8) {
    const lo = load64(cpu, from, cpu.hi);
    cpu.s[0] = lo;
    cpu.s[1] = cpu.hi;
  } else if (size === 4) {
    cpu.s[0] = load32(cpu, from, cpu.hi);
    cpu.s[1] = 0;
  } else if (size === 2) cpu.u16[0] = load16(cpu, from, cpu.hi);
  else cpu.u8[0] = load8(cpu, from, cpu.hi);
  advance(cpu, insn, Reg.RSI, size, 1);
}
/** Of two operands that fault, processors report the one at RDI. */
function cmpsStep(cpu: Cpu, insn: Insn, size: number): void {
  const to = destination(cpu, insn, size, false);
  if (size === 8) {
    const otherLo = load64(cpu, to, cpu.hi);
    const { hi } = cpu;
    const from = source(cpu, insn, 8);
    const lo = load64(cpu, from, cpu.hi);
    difference64(cpu, lo, cpu.hi, otherLo, hi, 0);
  } else if (size === 4) {
    const other = load32(cpu, to, cpu.hi);
    const from = source(cpu, insn, 4);
    difference32(cpu, load32(cpu, from, cpu.hi), other, 0);
  } else {
    const other = size === 2 ? load16(cpu, to, cpu.hi) : load8(cpu, to, cpu.hi);
    const from = source(cpu, insn, size);
    const value = size === 2 ? load16(cpu, from, cpu.hi) : load8(cpu, from, cpu.hi);
    differenceNarrow(cpu, value, other, 0, size * 8);
  }
  advance(cpu, insn, Reg.RSI, size, 1);
  advance(cpu, insn, Reg.RDI, size, 1);
}
function scasStep(cpu: Cpu, insn: Insn, size: number): void {
  const to = destination(cpu, insn, size, false);
  if (size === 8) {
    const lo = load64(cpu, to, cpu.hi);
    difference64(cpu, cpu.s[0], cpu.s[1], lo, cpu.hi, 0);
  } else if (size === 4) difference32(cpu, cpu.s[0], load32(cpu, to, cpu.hi), 0);
  else if (size === 2) differenceNarrow(cpu, cpu.u16[0], load16(cpu, to, cpu.hi), 0, 16);
  else differenceNarrow(cpu, cpu.u8[0], load8(cpu, to, cpu.hi), 0, 8);
  advance(cpu, insn, Reg.RDI, size, 1);
}

type Step = (cpu: Cpu, insn: Insn, size: number) => void;
/**
 * Makes up to `limit` repetitions at once where nothing can happen between; says how many. Of those
 * that compare, only such as do not end the instruction.
 */
type Run = (cpu: Cpu, insn: Insn, size: number, limit: number) => number;

/** Takes `count` repetitions off the count register. */
function countDown(cpu: Cpu, insn: Insn, count: number): void {
  const { s } = cpu;
  const at = Reg.RCX * 2;
  if (insn.addrSize === 2) {
    cpu.u16[Reg.RCX * 4] = cpu.u16[Reg.RCX * 4] - count;
    return;
  }
  const before = s[at];
  s[at] = before - count;
  s[at + 1] = insn.addrSize === 8 && before >>> 0 < count ? s[at + 1] - 1 : s[at + 1];
  if (insn.addrSize === 4) s[at + 1] = 0;
}

/** Backwards, a run would have to begin at its end. */
function forwards(cpu: Cpu): boolean {
  return (cpu.s[Word.RFLAGS] & Flag.DF) === 0;
}

/** REP and, for `compares`, REPE and REPNE. */
function repeat(
  cpu: Cpu,
  insn: Insn,
  size: number,
  step: Step,
  run: Run,
  compares: boolean,
): void {
  const wanted = repetitions(cpu, insn);
  if (wanted === 0) return;
  const most = stepsRepetitions(cpu)
    ? 1
    : Math.max(1, Math.min(wanted, cpu.budget - cpu.at - cpu.repeats, MAX_REPETITIONS));
  let done = 0;
  let ended = false;
  while (done < most) {
    const left = most - done;
    const atOnce = left > 1 && forwards(cpu) ? run(cpu, insn, size, left) : 0;
    if (atOnce === 0) step(cpu, insn, size);
    const count = Math.max(1, atOnce);
    countDown(cpu, insn, count);
    cpu.repeats += count;
    done += count;
    ended = compares && atOnce === 0 && (cpu.zero === 0) !== (insn.rep === Rep.REP);
    if (ended || cpu.attention !== 0) break;
  }
  cpu.repeats--; // The instruction itself is one of them, unless the next one has faulted.
  if (done < wanted && !ended) stay(cpu, insn);
}

/** RIP is the instruction's own again. */
function stay(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const length = insn.next - insn.offset;
  const before = s[Word.RIP];
  s[Word.RIP] = before - length;
  if (before >>> 0 < length) {
    s[Word.RIP + 1] = cpu.is64 ? s[Word.RIP + 1] - 1 : 0;
  }
}

/** The handlers of one instruction by size of element, from its step and its run. */
function handlers(step: Step, run: Run, compares: boolean): [byte: Handler, wide: Handler] {
  const execute = (cpu: Cpu, insn: Insn, size: number) => {
    if (insn.rep === Rep.NONE) step(cpu, insn, size);
    else repeat(cpu, insn, size, step, run, compares);
  };
  return [
    (cpu, insn) => execute(cpu, insn, 1),
    (cpu, insn) => execute(cpu, insn, insn.opSize),
  ];
}

const [movsb, movs] = handlers(movsStep, copyRun, false);
const [cmpsb, cmps] = handlers(cmpsStep, compareRun, true);
const [stosb, stos] = handlers(stosStep, fillRun, false);
const [lodsb, lods] = handlers(lodsStep, skipRun, false);
const [scasb, scas] = handlers(scasStep, scanRun, true);
const ENDS = { ends: true } as const;

export const STRING: readonly Row[] = [
  row("a4", "movsb", movsb, ENDS),
  row("a5", "movs", bySize(movs, movs, movs), ENDS),
  row("a6", "cmpsb", cmpsb, ENDS),
  row("a7", "cmps", bySize(cmps, cmps, cmps), ENDS),
  row("aa", "stosb", stosb, ENDS),
  row("ab", "stos", bySize(stos, stos, stos), ENDS),
  row("ac", "lodsb", lodsb, ENDS),
  row("ad", "lods", bySize(lods, lods, lods), ENDS),
  row("ae", "scasb", scasb, ENDS),
  row("af", "scas", bySize(scas, scas, scas), ENDS),
];
