/**
 * What the vCPU derives from its segments, control registers and RFLAGS: mode, privilege, and how
 * memory accesses are checked. Whoever changes one of those calls `updateModes`, or the part of it
 * that the change concerns.
 */

import { Cr0, Cr4, Efer } from "../../cpu/modes.ts";
import { Seg, SegField, State } from "../../cpu/state.ts";
import { isCanonical as isCanonicalWith } from "../../mmu/walk/mod.ts";
import { CodeSize, type Cpu, Flag, Word } from "./cpu.ts";
import { updateStepping } from "./debug.ts";
import { Vector } from "./exception.ts";
import { TlbSet } from "./tlb.ts";

/** Segment attributes, in the layout of `SegField.ATTRIBUTES`. */
export const Attribute = {
  /** Of code and data: has been used. */
  ACCESSED: 1 << 0,
  /** Data: writable; code: readable. */
  WRITABLE: 1 << 1,
  /** Data: expand-down; code: conforming. */
  EXPAND_DOWN: 1 << 2,
  CONFORMING: 1 << 2,
  CODE: 1 << 3,
  /** Code or data, as opposed to a system segment or gate. */
  S: 1 << 4,
  PRESENT: 1 << 7,
  LONG: 1 << 13,
  BIG: 1 << 14,
  GRANULAR: 1 << 15,
} as const;

/** Everything that is derived. */
export function updateModes(cpu: Cpu): void {
  const { s } = cpu;
  const flags = s[Word.RFLAGS];
  const enabled = (s[Word.CR0] & Cr0.PE) !== 0;
  cpu.v86 = enabled && (flags & Flag.VM) !== 0;
  cpu.protectedMode = enabled && !cpu.v86;
  cpu.longMode = (s[Word.EFER] & Efer.LMA) !== 0;
  cpu.cpl = cpu.v86 ? 3 : cpu.protectedMode ? cpu.stackDpl : 0;
  const code = cpu.attributes(Seg.CS);
  cpu.is64 = cpu.longMode && (code & Attribute.LONG) !== 0;
  cpu.codeSize = cpu.is64
    ? CodeSize.BITS64
    : (code & Attribute.BIG) !== 0
    ? CodeSize.BITS32
    : CodeSize.BITS16;
  cpu.stack32 = (cpu.attributes(Seg.SS) & Attribute.BIG) !== 0;
  updateFlatSegments(cpu);
  updateTlbSets(cpu);
  updateUnitTraps(cpu);
  updateStepping(cpu);
}

/** The TLB sets for explicit accesses: after a change of CPL, CR0.AM, CR4.SMAP or RFLAGS.AC. */
export function updateTlbSets(cpu: Cpu): void {
  useTlbSets(cpu, cpu.cpl);
}

/**
 * Lets explicit accesses be made as at privilege level `cpl`: user code with alignment checks (SDM
 * 3A §6.15, #AC) has sets that are never filled, and a supervisor may suspend SMAP by RFLAGS.AC
 * (SDM 3A §4.6.1).
 */
export function useTlbSets(cpu: Cpu, cpl: number): void {
  const { s } = cpu;
  const ac = (s[Word.RFLAGS] & Flag.AC) !== 0;
  if (cpl === 3) {
    const checked = ac && (s[Word.CR0] & Cr0.AM) !== 0;
    cpu.tlbRead = checked ? TlbSet.CHECKED_READ : TlbSet.USER_READ;
    cpu.tlbWrite = checked ? TlbSet.CHECKED_WRITE : TlbSet.USER_WRITE;
  } else {
    const suspended = ac && (s[Word.CR4] & Cr4.SMAP) !== 0;
    cpu.tlbRead = suspended ? TlbSet.SUSPENDED_READ : TlbSet.SUPERVISOR_READ;
    cpu.tlbWrite = suspended ? TlbSet.SUSPENDED_WRITE : TlbSet.SUPERVISOR_WRITE;
  }
}

/**
 * From here to `endSystem` the CPU itself accesses descriptor tables or a TSS: as supervisor,
 * whatever the CPL, and with SMAP whatever RFLAGS.AC (SDM 3A §4.6.1). When an exception is raised
 * between, its delivery ends it.
 */
export function beginSystem(cpu: Cpu): void {
  cpu.tlbRead = TlbSet.SUPERVISOR_READ;
  cpu.tlbWrite = TlbSet.SUPERVISOR_WRITE;
}

/** Back to the program's own accesses. */
export function endSystem(cpu: Cpu): void {
  updateTlbSets(cpu);
}

/** Segments whose checks cannot fail: after a change of a segment, or of protected mode. */
export function updateFlatSegments(cpu: Cpu): void {
  let read = 0;
  let write = 0;
  let whole = 0;
  for (let seg = 0; seg < 6; seg++) {
    const at = (State.SEGMENTS + seg * 16) / 4;
    if (cpu.s[at + SegField.LIMIT / 4] !== -1) continue;
    const isAtZero = cpu.s[at] === 0 ? 1 : 0;
    const attributes = cpu.attributes(seg);
    const isCode = (attributes & Attribute.CODE) !== 0;
    const bit1 = (attributes & Attribute.WRITABLE) !== 0;
    if (!cpu.protectedMode) {
      read |= isAtZero << seg;
      write |= isAtZero << seg;
    } else if ((attributes & Attribute.PRESENT) !== 0) {
      const down = !isCode && (attributes & Attribute.EXPAND_DOWN) !== 0;
      if (down) continue;
      if (!isCode || bit1) read |= isAtZero << seg;
      if (!isCode && bit1) {
        write |= isAtZero << seg;
        whole |= 1 << seg;
      }
    }
  }
  cpu.flatRead = read;
  cpu.flatWrite = write;
  cpu.wholeSegments = whole;
}

/** What the units' instructions raise instead of running (SDM 3A §2.5, tables 9-3 and 13-1). */
export function updateUnitTraps(cpu: Cpu): void {
  const cr0 = cpu.s[Word.CR0];
  const emulate = (cr0 & Cr0.EM) !== 0;
  const switched = (cr0 & Cr0.TS) !== 0;
  const enabled = (cpu.s[Word.CR4] & Cr4.OSFXSR) !== 0;
  const nm = switched ? Vector.NM + 1 : 0;
  cpu.x87Trap = emulate ? Vector.NM + 1 : nm;
  cpu.mmxTrap = emulate ? Vector.UD + 1 : nm;
  cpu.sseTrap = emulate || !enabled ? Vector.UD + 1 : nm;
}

/** Whether a linear address is canonical: bits 63:47 alike, or 63:56 with LA57 (SDM 1 §3.3.7.1). */
export function isCanonical(cpu: Cpu, hi: number): boolean {
  return isCanonicalWith(hi, (cpu.s[Word.CR4] & Cr4.LA57) !== 0 ? 57 : 48);
}
