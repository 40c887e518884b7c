/** INVLPG, INVPCID, and the caches' instructions, which have no caches (SDM 2A, 2C; SDM 3A §4.10.4). */

import { carryOf } from "../../../base/u64.ts";
import { Cr4 } from "../../../cpu/modes.ts";
import { Seg } from "../../../cpu/state.ts";
import { effectiveAddress, linearAddress } from "../address.ts";
import { type Cpu, Word } from "../cpu.ts";
import { Vector } from "../exception.ts";
import type { Insn } from "../insn.ts";
import { load8, loadBytes } from "../memory.ts";
import { isCanonical } from "../modes.ts";
import { SCRATCH_AT } from "../tlb.ts";
import { type Row, row } from "./row.ts";

/** Types of INVPCID. */
const InvpcidType = { ADDRESS: 0, CONTEXT: 1, ALL: 2, ALL_BUT_GLOBAL: 3 } as const;

/**
 * Nothing is accessed: neither the segment's type and limit nor a non-canonical address matter (SDM
 * 2A INVLPG has no exceptions for them).
 */
function invlpg(cpu: Cpu, insn: Insn): void {
  const offset = effectiveAddress(cpu, insn);
  const offsetHi = cpu.hi;
  const hasBase = !cpu.is64 || insn.seg >= Seg.FS;
  const base = hasBase ? cpu.baseLo(insn.seg) : 0;
  const baseHi = cpu.is64 && hasBase ? cpu.baseHi(insn.seg) : 0;
  const lo = (offset + base) | 0;
  const hi = cpu.is64 ? (offsetHi + baseHi + carryOf(offset, base, lo)) | 0 : 0;
  if (isCanonical(cpu, hi)) cpu.paging.invalidatePage(lo, hi);
}

/** The TLB holds the current PCID's translations only: those of others are gone already. */
function invpcid(cpu: Cpu, insn: Insn): void {
  const { s } = cpu;
  const register = insn.reg * 2;
  const type = s[register];
  if (type >>> 0 > InvpcidType.ALL_BUT_GLOBAL || (cpu.is64 && s[register + 1] !== 0)) {
    cpu.raise(Vector.GP);
  }
  const at = linearAddress(cpu, insn);
  loadBytes(cpu, at, cpu.hi, 16);
  const descriptor = SCRATCH_AT / 4;
  const pcid = s[descriptor];
  const lo = s[descriptor + 2];
  const hi = s[descriptor + 3];
  if ((pcid & ~0xfff) !== 0 || s[descriptor + 1] !== 0) cpu.raise(Vector.GP);
  if (type <= InvpcidType.CONTEXT && pcid !== 0 && (s[Word.CR4] & Cr4.PCIDE) === 0) {
    cpu.raise(Vector.GP);
  }
  if (type === InvpcidType.ADDRESS) {
    if (!isCanonical(cpu, hi)) cpu.raise(Vector.GP);
    cpu.paging.invalidatePage(lo, hi);
    return;
  }
  // As a load of CR3 with the value it has.
  cpu.paging.loadCr3(s[Word.CR3], s[Word.CR3 + 1]);
  if (type === InvpcidType.ALL) cpu.paging.flush();
}

/** The line must be readable. */
function flushLine(cpu: Cpu, insn: Insn): void {
  const lo = linearAddress(cpu, insn);
  load8(cpu, lo, cpu.hi);
}

function nothing(): void {}

const PRIVILEGED = { cpl0: true, ends: true } as const;
const LINE = { form: "mem", reads: true } as const;

/** INVLPG, INVPCID, INVD, WBINVD, CLFLUSH, CLFLUSHOPT, CLWB. */
export const INVALIDATE: readonly Row[] = [
  row("0f 01 /7", "invlpg M", invlpg, { ...PRIVILEGED, memSize: 0, form: "mem", reads: true }),
  row("66 0f 38 82 /r", "invpcid Mdq,Gy", invpcid, {
    ...{ ...PRIVILEGED, form: "mem", reads: true, feature: "invpcid" },
  }),
  row("0f 08", "invd", nothing, PRIVILEGED),
  row("0f 09", "wbinvd", nothing, PRIVILEGED),
  row("np 0f ae /7", "clflush Mb", flushLine, { ...LINE, feature: "clfsh" }),
  row("66 0f ae /7", "clflushopt Mb", flushLine, { ...LINE, feature: "clflushopt" }),
  row("66 0f ae /6", "clwb Mb", flushLine, { ...LINE, feature: "clwb" }),
];
