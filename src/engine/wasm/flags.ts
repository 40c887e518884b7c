/** RFLAGS as instructions write it whole, and what follows from that (SDM 1 §3.4.3). */

import { Attention, type Cpu, Flag, STATUS_FLAGS, Word } from "./cpu.ts";

/** What every level may write by POPF and IRET. */
const ALWAYS = STATUS_FLAGS | Flag.TF | Flag.DF | Flag.NT;
/** What operands of 32 and 64 bits have besides. */
const UPPER = Flag.AC | Flag.ID;
/** All flags that there are. */
const EXISTING = ALWAYS | UPPER | Flag.IF | Flag.IOPL | Flag.RF | Flag.VM | Flag.VIF | Flag.VIP;

/** I/O privilege level, 0 to 3. */
export function ioPrivilege(cpu: Cpu): number {
  return cpu.s[Word.RFLAGS] >>> 12 & 3;
}

/**
 * Writes the flags that `mask` has. Stepping, alignment checks and modes that depend on them are the
 * caller's.
 */
export function changeFlags(cpu: Cpu, flags: number, mask: number): void {
  const { s } = cpu;
  const changed = mask & EXISTING;
  if ((mask & flags & ~s[Word.RFLAGS] & Flag.IF) !== 0) interruptsOn(cpu);
  s[Word.RFLAGS] = s[Word.RFLAGS] & ~changed | flags & changed | 2;
  cpu.setStatusFlags(flags);
}

/** RFLAGS.IF goes on: an interrupt that has waited for that wants attention. */
export function interruptsOn(cpu: Cpu): void {
  if (cpu.apic.hasInterrupt()) cpu.attention |= Attention.INTERRUPT;
}

/** The flags that POPF with operands of `size` bytes may write at this level (SDM 2B, POPF). */
export function flagsOfPop(cpu: Cpu, size: number): number {
  let mask = size === 2 ? ALWAYS : ALWAYS | UPPER;
  if (cpu.cpl <= ioPrivilege(cpu)) mask |= Flag.IF;
  if (cpu.cpl === 0) mask |= Flag.IOPL;
  return mask;
}

/** The flags that IRET with operands of `size` bytes may write at this level (SDM 2A, IRET). */
export function flagsOfFrame(cpu: Cpu, size: number): number {
  let mask = flagsOfPop(cpu, size);
  if (size !== 2) {
    mask |= Flag.RF;
    if (cpu.cpl === 0 && cpu.protectedMode) mask |= Flag.VIF | Flag.VIP;
  }
  return mask;
}
