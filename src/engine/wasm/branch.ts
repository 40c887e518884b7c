/** Where control goes: targets of branches, and the conditions of the conditional ones. */

import { carryOf } from "../../base/u64.ts";
import { Seg } from "../../cpu/state.ts";
import { type Cpu, evenParity, Word } from "./cpu.ts";
import { Vector } from "./exception.ts";
import type { Insn } from "./insn.ts";
import { isCanonical } from "./modes.ts";

// V8 folds a module's own constants, not those of others.
const RIP = Word.RIP;

/** Checks a branch target: #GP(0) when it is not canonical, or beyond the limit of CS. */
export function checkTarget(cpu: Cpu, lo: number, hi: number): void {
  if (cpu.is64) {
    const top = hi >> 15;
    if (top !== 0 && top !== -1 && !isCanonical(cpu, hi)) cpu.raise(Vector.GP);
  } else if (lo >>> 0 > cpu.limit(Seg.CS)) cpu.raise(Vector.GP);
}

/**
 * Sets RIP. The caller has cut the target to the operand size.
 * Raises as `checkTarget`.
 */
export function jumpTo(cpu: Cpu, lo: number, hi: number): void {
  checkTarget(cpu, lo, hi);
  cpu.s[RIP] = lo;
  cpu.s[RIP + 1] = hi;
}

/** Target of a relative branch: the low half; the high half is in `cpu.hi`. RIP is the next one's. */
export function relativeTarget(cpu: Cpu, insn: Insn): number {
  const from = cpu.s[RIP];
  const lo = (from + insn.immLo) | 0;
  if (insn.opSize === 8) {
    cpu.hi = (cpu.s[RIP + 1] + insn.immHi + carryOf(from, insn.immLo, lo)) | 0;
    return lo;
  }
  cpu.hi = 0;
  return insn.opSize === 4 ? lo : lo & 0xffff;
}

/** The relative branch is taken. */
export function branch(cpu: Cpu, insn: Insn): void {
  const lo = relativeTarget(cpu, insn);
  jumpTo(cpu, lo, cpu.hi);
}

/** Whether condition `cc`, the opcode's low four bits, holds (SDM 2B Jcc). */
export function condition(cpu: Cpu, cc: number): boolean {
  switch (cc) {
    case 0:
      return cpu.over < 0;
    case 1:
      return cpu.over >= 0;
    case 2:
      return cpu.cf !== 0;
    case 3:
      return cpu.cf === 0;
    case 4:
      return cpu.zero === 0;
    case 5:
      return cpu.zero !== 0;
    case 6:
      return cpu.cf !== 0 || cpu.zero === 0;
    case 7:
      return cpu.cf === 0 && cpu.zero !== 0;
    case 8:
      return cpu.sign < 0;
    case 9:
      return cpu.sign >= 0;
    case 10:
      return evenParity(cpu.parity) !== 0;
    case 11:
      return evenParity(cpu.parity) === 0;
    case 12:
      return (cpu.sign ^ cpu.over) < 0;
    case 13:
      return (cpu.sign ^ cpu.over) >= 0;
    case 14:
      return cpu.zero === 0 || (cpu.sign ^ cpu.over) < 0;
    default:
      return cpu.zero !== 0 && (cpu.sign ^ cpu.over) >= 0;
  }
}
