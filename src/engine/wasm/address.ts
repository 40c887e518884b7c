/** Linear addresses of operands: effective address, segment, and the segment's checks. */

import { carryOf as importedCarryOf } from "../../base/u64.ts";
import { Seg } from "../../cpu/state.ts";
import type { Cpu } from "./cpu.ts";
import { Vector } from "./exception.ts";
import { type Insn, NONE } from "./insn.ts";

// V8 folds a module's own constants, not those of others.
const carryOf = importedCarryOf;

/**
 * Linear address of the instruction's memory operand: the low half; the high half is in `cpu.hi`.
 * Raises #GP or #SS where the segment refuses it.
 */
export function linearAddress(cpu: Cpu, insn: Insn): number {
  const { s } = cpu;
  switch (insn.ea) {
    case 0: { // EaKind.BASE_DISP
      const { base, disp } = insn;
      const b = s[base];
      const lo = (b + disp) | 0;
      cpu.hi = (s[base + 1] + insn.dispHi + carryOf(b, disp, lo)) | 0;
      return lo;
    }
    case 1: { // EaKind.SIB
      const { base, index, scale, disp } = insn;
      let lo = disp;
      let hi = insn.dispHi;
      if (base >= 0) {
        const b = s[base];
        lo = (b + disp) | 0;
        hi = (hi + s[base + 1] + carryOf(b, disp, lo)) | 0;
      }
      if (index >= 0) {
        const i = s[index];
        const scaled = i << scale;
        const sum = (lo + scaled) | 0;
        // A shift by 32 - 0 would shift by 0.
        const over = scale === 0 ? s[index + 1] : s[index + 1] << scale | i >>> 32 - scale;
        hi = (hi + over + carryOf(lo, scaled, sum)) | 0;
        lo = sum;
      }
      cpu.hi = hi;
      return lo;
    }
    case 2: { // EaKind.RIP: `disp` is relative to the code page
      const { disp } = insn;
      const lo = (cpu.codeBaseLo + disp) | 0;
      cpu.hi = (cpu.codeBaseHi + insn.dispHi + carryOf(cpu.codeBaseLo, disp, lo)) | 0;
      return lo;
    }
    case 3: // EaKind.ABSOLUTE
      cpu.hi = insn.dispHi;
      return insn.disp;
    default:
      return generalAddress(cpu, insn);
  }
}

/** Every other form: effective address, then the segment. */
function generalAddress(cpu: Cpu, insn: Insn): number {
  const lo = effectiveAddress(cpu, insn);
  return segmentAddress(cpu, insn.seg, lo, cpu.hi, insn.memSize, insn.memWrite);
}

/**
 * The offset in its segment of the memory operand, cut to the address size: what LEA gives. Low half;
 * the high half is in `cpu.hi`.
 */
export function effectiveAddress(cpu: Cpu, insn: Insn): number {
  const { s } = cpu;
  const { base, index, scale, disp, addrSize } = insn;
  let lo = disp;
  let hi = insn.dispHi;
  if (insn.ripRelative) {
    lo = (cpu.codeBaseLo + disp) | 0;
    hi = (cpu.codeBaseHi + hi + carryOf(cpu.codeBaseLo, disp, lo)) | 0;
  }
  if (base !== NONE) {
    const sum = (lo + s[base]) | 0;
    hi = (hi + s[base + 1] + carryOf(lo, s[base], sum)) | 0;
    lo = sum;
  }
  if (index !== NONE) {
    const i = s[index];
    const scaled = i << scale;
    const sum = (lo + scaled) | 0;
    const over = scale === 0 ? s[index + 1] : s[index + 1] << scale | i >>> 32 - scale;
    hi = (hi + over + carryOf(lo, scaled, sum)) | 0;
    lo = sum;
  }
  if (addrSize === 8) {
    cpu.hi = hi;
    return lo;
  }
  cpu.hi = 0;
  return addrSize === 4 ? lo : lo & 0xffff;
}

/**
 * Linear address of offset `hi:lo` in segment `seg` for an access of `size` bytes: low half; the high
 * half is in `cpu.hi`. In 64-bit mode only FS and GS have a base, and there are no limits (SDM 3A
 * §3.4.4); whether the address is canonical, the access itself will find out.
 */
export function segmentAddress(
  cpu: Cpu,
  seg: number,
  lo: number,
  hi: number,
  size: number,
  write: boolean,
): number {
  if (cpu.is64) {
    if (seg < Seg.FS) {
      cpu.hi = hi;
      return lo;
    }
    const base = cpu.baseLo(seg);
    const sum = (lo + base) | 0;
    cpu.hi = (hi + cpu.baseHi(seg) + carryOf(lo, base, sum)) | 0;
    return sum;
  }
  cpu.hi = 0;
  if (((write ? cpu.flatWrite : cpu.flatRead) >>> seg & 1) !== 0) return lo;
  checkSegment(cpu, seg, lo >>> 0, size, write);
  return (lo + cpu.baseLo(seg)) | 0;
}

/** Type and limit of a segment outside of 64-bit mode (SDM 3A §5.3, §5.5): #GP(0) or #SS(0). */
function checkSegment(cpu: Cpu, seg: number, offset: number, size: number, write: boolean): void {
  const attributes = cpu.attributes(seg);
  const limit = cpu.limit(seg);
  const vector = seg === Seg.SS ? Vector.SS : Vector.GP;
  const last = offset + size - 1;
  if (cpu.protectedMode) {
    const isCode = (attributes & 8) !== 0;
    const bit1 = (attributes & 2) !== 0; // data: writable, code: readable
    const refused = (attributes & 0x80) === 0 || (write ? isCode || !bit1 : isCode && !bit1);
    if (refused) cpu.raise((attributes & 0x80) === 0 ? vector : Vector.GP);
    if (!isCode && (attributes & 4) !== 0) { // expand-down (SDM 3A §5.3)
      const top = (attributes & 0x4000) !== 0 ? 0xffff_ffff : 0xffff;
      if (offset <= limit || last > top) cpu.raise(vector);
      return;
    }
  }
  if (last > limit) cpu.raise(vector);
}
