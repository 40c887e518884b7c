/** What makes a vCPU wait, and what is there for the order of memory accesses or to be undefined. */

import { MpState, Reg } from "../../../cpu/state.ts";
import { segmentAddress } from "../address.ts";
import { Attention, type Cpu, MONITOR_LINE, Waiting } from "../cpu.ts";
import { Vector } from "../exception.ts";
import type { Insn } from "../insn.ts";
import { load8 } from "../memory.ts";
import { type Row, row } from "./row.ts";
import { plainOffset } from "./string_runs.ts";

/** The engine wakes the vCPU for interrupts that RFLAGS.IF allows, NMIs and INIT. */
function hlt(cpu: Cpu): void {
  cpu.mpState = MpState.HALTED;
  cpu.attention |= Attention.HALT;
}

function pause(cpu: Cpu): void {
  if (!cpu.isAlone) cpu.attention |= Attention.YIELD;
}

/** #UD for programs (SDM 2B MONITOR, MWAIT): the privilege check comes first. */
function checkPrivilege(cpu: Cpu): void {
  if (cpu.cpl !== 0) cpu.raise(Vector.UD);
}

/** There are no extensions: ECX is 0. The line must be readable. */
function monitor(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  checkPrivilege(cpu);
  if (s[Reg.RCX * 2] !== 0) cpu.raise(Vector.GP);
  const lo = insn.addrSize === 2 ? s[Reg.RAX * 2] & 0xffff : s[Reg.RAX * 2];
  const hi = insn.addrSize === 8 ? s[Reg.RAX * 2 + 1] : 0;
  const at = segmentAddress(cpu, insn.seg, lo, hi, 1, false);
  const linearHi = cpu.hi;
  load8(cpu, at, linearHi);
  cpu.monitoring = true;
  const offset = plainOffset(cpu, at, linearHi, cpu.tlbRead);
  if (offset < 0) {
    cpu.monitorAt = -1;
    return;
  }
  const line = offset - offset % MONITOR_LINE;
  cpu.monitorAt = line;
  for (let i = 0; i < MONITOR_LINE; i++) cpu.monitored[i] = cpu.ramBytes[line + i];
}

/** Whether the monitored line holds something else now than MONITOR has seen. */
export function lineHasChanged({ monitorAt, monitored, ramBytes }: Cpu): boolean {
  for (let i = 0; i < MONITOR_LINE; i++) if (monitored[i] !== ramBytes[monitorAt + i]) return true;
  return false;
}

/**
 * The engine wakes the vCPU when the line has changed, and for interrupts, also masked ones when ECX
 * bit 0 says so; EAX is a hint. Stores that change nothing wake nobody: what a program waits for is a
 * value. Without a line that can be watched it ends when the others have had their turns, as it may
 * for any reason (SDM 3A §8.10.4).
 */
function mwait(cpu: Cpu): void {
  checkPrivilege(cpu);
  const extensions = cpu.s[Reg.RCX * 2];
  if ((extensions & ~1) !== 0) cpu.raise(Vector.GP);
  if (!cpu.monitoring) return;
  cpu.monitoring = false;
  if (cpu.monitorAt < 0) {
    cpu.attention |= Attention.YIELD;
  } else if (!lineHasChanged(cpu)) {
    cpu.waiting = extensions === 0 ? Waiting.UNMASKED : Waiting.ANY;
    cpu.attention |= Attention.HALT;
  }
}

function nothing(): void {}

function undefinedInstruction(cpu: Cpu): void {
  cpu.raise(Vector.UD);
}

/** There are no performance counters: no index is one. */
function rdpmc(cpu: Cpu): void {
  cpu.raise(Vector.GP);
}

const FENCE = { form: "reg", feature: "sse2" } as const;

/** HLT, PAUSE, MONITOR, MWAIT, fences, UD0 to UD2, RDPMC. */
export const HALT: readonly Row[] = [
  row("f4", "hlt", hlt, { cpl0: true, ends: true }),
  row("f3 90", "pause", pause),
  row("0f 01 c8", "monitor", monitor, { feature: "monitor" }),
  row("0f 01 c9", "mwait", mwait, { feature: "monitor", ends: true }),
  row("np 0f ae /5", "lfence", nothing, FENCE),
  row("np 0f ae /6", "mfence", nothing, FENCE),
  row("np 0f ae /7", "sfence", nothing, { form: "reg", feature: "sse" }),
  row("0f 33", "rdpmc", rdpmc),
  row("0f 0b", "ud2", undefinedInstruction, { ends: true }),
  row("0f b9 /r", "ud1 Gv,Ev", undefinedInstruction, { ends: true, reads: true }),
  row("0f ff /r", "ud0 Gv,Ev", undefinedInstruction, { ends: true, reads: true }),
];
