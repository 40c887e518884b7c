/** Instructions that control the FPU: its control and status words, and waiting (SDM 1 §8.3.11). */

import { type Cpu, Word } from "../../cpu.ts";
import { Vector } from "../../exception.ts";
import type { Insn } from "../../insn.ts";
import { readDst16, writeDst16 } from "../../operands.ts";
import { type Row, row } from "../row.ts";
import { checkPending } from "../simd/mmx_operands.ts";

/** CR0.MP and CR0.TS: with both, WAIT raises #NM (SDM 3A §2.5). */
const MONITORED_SWITCH = 1 << 1 | 1 << 3;
/** Exceptions, stack fault, exception summary, busy: what FNCLEX clears in the status word. */
const EXCEPTION_BITS = 0x80ff;

function fninit(cpu: Cpu): void {
  cpu.x87.init();
}

function fnclex(cpu: Cpu): void {
  cpu.x87.status &= ~EXCEPTION_BITS;
}

function fnop(cpu: Cpu): void {
  checkPending(cpu);
}

/** What the 8087 and the 287 needed and later FPUs ignore. */
function obsolete(): void {}

function fwait(cpu: Cpu): void {
  if ((cpu.s[Word.CR0] & MONITORED_SWITCH) === MONITORED_SWITCH) cpu.raise(Vector.NM);
  checkPending(cpu);
}

/** All registers become empty, TOP 0 (SDM 3A table 12-1). */
function emms(cpu: Cpu): void {
  checkPending(cpu);
  cpu.x87.top = 0;
  cpu.x87.used = 0;
}

function fldcw(cpu: Cpu, insn: Insn): void {
  checkPending(cpu);
  cpu.x87.setControl(readDst16(cpu, insn));
  cpu.x87.summarize();
}

function fnstcw(cpu: Cpu, insn: Insn): void {
  writeDst16(cpu, insn, cpu.x87.control);
}

function fnstsw(cpu: Cpu, insn: Insn): void {
  writeDst16(cpu, insn, cpu.x87.statusWord);
}

function fnstswAx(cpu: Cpu): void {
  cpu.u16[0] = cpu.x87.statusWord;
}

const X87 = { unit: "x87" } as const;
const STORE = { unit: "x87", form: "mem" } as const;

export const X87_CONTROL: readonly Row[] = [
  row("db e3", "fninit", fninit, X87),
  row("db e2", "fnclex", fnclex, X87),
  row("db e0", "fneni", obsolete, X87),
  row("db e1", "fndisi", obsolete, X87),
  row("db e4", "fnsetpm", obsolete, X87),
  row("d9 d0", "fnop", fnop, X87),
  row("9b", "fwait", fwait),
  row("0f 77", "emms", emms, { unit: "mmx", feature: "mmx" }),
  row("d9 /5", "fldcw Mw", fldcw, { ...STORE, reads: true }),
  row("d9 /7", "fnstcw Mw", fnstcw, STORE),
  row("dd /7", "fnstsw Mw", fnstsw, STORE),
  row("df e0", "fnstsw", fnstswAx, X87),
];
