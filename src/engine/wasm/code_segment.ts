/** Code segments as the targets of far transfers (SDM 3A §5.8). */

import { Seg } from "../../cpu/state.ts";
import { type Cpu, Word } from "./cpu.ts";
import { Vector } from "./exception.ts";
import { isCanonical } from "./modes.ts";
import { type Descriptor, setRealSegment, setSegment } from "./segments.ts";

/** #GP where `hi:lo` cannot be the instruction pointer in `code`: canonical form, or the limit. */
export function checkTarget(cpu: Cpu, code: Descriptor, lo: number, hi: number): void {
  const refused = cpu.longMode && code.isLong
    ? !isCanonical(cpu, hi)
    : hi !== 0 || lo >>> 0 > code.limit;
  if (refused) cpu.raise(Vector.GP);
}

/** #GP for 64-bit code that would also be 32-bit code, which is reserved (SDM 3A §5.2.1). */
export function checkCodeSize(cpu: Cpu, code: Descriptor): void {
  if (cpu.longMode && code.isLong && code.isBig) cpu.raise(Vector.GP, code.selector & 0xfffc);
}

/** CS and the instruction pointer; the selector's RPL is the CPL. Derived state is the caller's. */
export function setCode(cpu: Cpu, code: Descriptor, cpl: number, lo: number, hi: number): void {
  setSegment(cpu, Seg.CS, code.selector & 0xfffc | cpl, code);
  setInstructionPointer(cpu, lo, hi);
}

/** The instruction pointer. */
export function setInstructionPointer(cpu: Cpu, lo: number, hi: number): void {
  cpu.s[Word.RIP] = lo;
  cpu.s[Word.RIP + 1] = hi;
}

/** #GP where `offset` is beyond the limit of CS, which stays in real and virtual-8086 mode. */
export function checkRealTarget(cpu: Cpu, offset: number): void {
  if (offset >>> 0 > cpu.limit(Seg.CS)) cpu.raise(Vector.GP);
}

/** CS and IP in real and virtual-8086 mode; #GP beyond the limit (SDM 2A, JMP). */
export function setRealCode(cpu: Cpu, selector: number, offset: number): void {
  checkRealTarget(cpu, offset);
  setRealSegment(cpu, Seg.CS, selector);
  setInstructionPointer(cpu, offset, 0);
}
