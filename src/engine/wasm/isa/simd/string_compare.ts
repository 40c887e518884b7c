/** PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM 2B §4.1). */

import { type Cpu, Word } from "../../cpu.ts";
import type { Insn } from "../../insn.ts";
import { type Row, row } from "../row.ts";
import { SSE42 } from "./units.ts";
import { put128, sourceUnaligned } from "./vector.ts";

// Words of general registers.
const RAX = 0;
const RCX = 2;
const RDX = 4;

/** Bits of the immediate. */
const Control = {
  WORDS: 1 << 0,
  SIGNED: 1 << 1,
  AGGREGATION: 3 << 2,
  NEGATIVE: 1 << 4,
  MASKED: 1 << 5,
  /** The last index, or a mask of whole elements. */
  MOST: 1 << 6,
} as const;
/** Values of the aggregation field. */
const RANGES = 1 << 2;
const EQUAL_EACH = 2 << 2;
const EQUAL_ORDERED = 3 << 2;

/** Element `i` of the string at word `at`. */
function elementAt({ u8, u16 }: Cpu, at: number, i: number, control: number): number {
  if ((control & Control.WORDS) !== 0) {
    const value = u16[at * 2 + i];
    return (control & Control.SIGNED) !== 0 ? value << 16 >> 16 : value;
  }
  const value = u8[at * 4 + i];
  return (control & Control.SIGNED) !== 0 ? value << 24 >> 24 : value;
}

/** Elements that a register has. */
function capacity(control: number): number {
  return (control & Control.WORDS) !== 0 ? 8 : 16;
}

/** Elements before the first that is 0. */
function implicitLength(cpu: Cpu, at: number, control: number): number {
  const most = capacity(control);
  let length = 0;
  while (length < most && elementAt(cpu, at, length, control) !== 0) length++;
  return length;
}

/** The absolute value of a general register, as far as a register has elements. */
function explicitLength({ s }: Cpu, at: number, insn: Insn): number {
  const most = capacity(insn.immLo);
  const lo = s[at];
  const value = insn.opSize === 8 ? s[at + 1] * 2 ** 32 + (lo >>> 0) : lo;
  return Math.min(Math.abs(value), most);
}

/**
 * The comparison's result, a bit for each element of the second string, and the flags. The manual's
 * table of what elements beyond a string's end compare to (SDM 2B §4.1.6) is in the lengths here.
 */
function compare(
  cpu: Cpu,
  a: number,
  aLength: number,
  b: number,
  bLength: number,
  control: number,
): number {
  const most = capacity(control);
  let bits = aggregate(cpu, a, aLength, b, bLength, control);
  if ((control & Control.NEGATIVE) !== 0) {
    bits ^= (control & Control.MASKED) !== 0 ? (1 << bLength) - 1 : (1 << most) - 1;
  }
  cpu.cf = bits !== 0 ? 1 : 0;
  cpu.zero = bLength < most ? 0 : 1;
  cpu.sign = aLength < most ? -1 : 0;
  cpu.over = bits << 31;
  cpu.aux = 0;
  cpu.parity = 1;
  return bits;
}

function aggregate(
  cpu: Cpu,
  a: number,
  aLength: number,
  b: number,
  bLength: number,
  control: number,
): number {
  const most = capacity(control);
  let bits = 0;
  for (let i = 0; i < most; i++) {
    if (isMatch(cpu, a, aLength, b, bLength, control, i)) bits |= 1 << i;
  }
  return bits;
}

/** Whether element `i` of the second string matches the first string. */
function isMatch(
  cpu: Cpu,
  a: number,
  aLength: number,
  b: number,
  bLength: number,
  control: number,
  i: number,
): boolean {
  const most = capacity(control);
  switch (control & Control.AGGREGATION) {
    case EQUAL_EACH:
      if (i >= aLength || i >= bLength) return i >= aLength && i >= bLength;
      return elementAt(cpu, a, i, control) === elementAt(cpu, b, i, control);
    case EQUAL_ORDERED:
      for (let j = 0; j < aLength && i + j < most; j++) {
        if (i + j >= bLength) return false;
        if (elementAt(cpu, a, j, control) !== elementAt(cpu, b, i + j, control)) return false;
      }
      return true;
    case RANGES: {
      if (i >= bLength) return false;
      const value = elementAt(cpu, b, i, control);
      for (let j = 0; j + 1 < aLength; j += 2) {
        if (value >= elementAt(cpu, a, j, control) && value <= elementAt(cpu, a, j + 1, control)) {
          return true;
        }
      }
      return false;
    }
    default: { // equal any
      if (i >= bLength) return false;
      const value = elementAt(cpu, b, i, control);
      for (let j = 0; j < aLength; j++) {
        if (value === elementAt(cpu, a, j, control)) return true;
      }
      return false;
    }
  }
}

/** The number of the first or last bit that is set, or how many there could be, to ECX. */
function giveIndex({ s }: Cpu, bits: number, control: number): void {
  s[RCX + 1] = 0;
  if (bits === 0) s[RCX] = capacity(control);
  else s[RCX] = 31 - Math.clz32((control & Control.MOST) !== 0 ? bits : bits & -bits);
}

/** The bits, or elements of ones and zeros, to XMM0. */
function giveMask({ s, u8, u16 }: Cpu, bits: number, control: number): void {
  const to = Word.XMM;
  if ((control & Control.MOST) === 0) return put128(s, to, bits, 0, 0, 0);
  if ((control & Control.WORDS) !== 0) {
    for (let i = 0; i < 8; i++) u16[to * 2 + i] = -(bits >>> i & 1);
  } else {
    for (let i = 0; i < 16; i++) u8[to * 4 + i] = -(bits >>> i & 1);
  }
}

function compareExplicit(cpu: Cpu, insn: Insn): number {
  const b = sourceUnaligned(cpu, insn);
  const aLength = explicitLength(cpu, RAX, insn);
  const bLength = explicitLength(cpu, RDX, insn);
  return compare(cpu, insn.dst, aLength, b, bLength, insn.immLo);
}

function compareImplicit(cpu: Cpu, insn: Insn): number {
  const b = sourceUnaligned(cpu, insn);
  const a = insn.dst;
  const aLength = implicitLength(cpu, a, insn.immLo);
  return compare(cpu, a, aLength, b, implicitLength(cpu, b, insn.immLo), insn.immLo);
}

function pcmpestrm(cpu: Cpu, insn: Insn): void {
  giveMask(cpu, compareExplicit(cpu, insn), insn.immLo);
}
function pcmpestri(cpu: Cpu, insn: Insn): void {
  giveIndex(cpu, compareExplicit(cpu, insn), insn.immLo);
}
function pcmpistrm(cpu: Cpu, insn: Insn): void {
  giveMask(cpu, compareImplicit(cpu, insn), insn.immLo);
}
function pcmpistri(cpu: Cpu, insn: Insn): void {
  giveIndex(cpu, compareImplicit(cpu, insn), insn.immLo);
}

const READS = { ...SSE42, reads: true };

export const STRING_COMPARE: readonly Row[] = [
  row("66 0f 3a 60 /r ib", "pcmpestrm Vx,Wx,Ib", pcmpestrm, READS),
  row("66 0f 3a 61 /r ib", "pcmpestri Vx,Wx,Ib", pcmpestri, READS),
  row("66 0f 3a 62 /r ib", "pcmpistrm Vx,Wx,Ib", pcmpistrm, READS),
  row("66 0f 3a 63 /r ib", "pcmpistri Vx,Wx,Ib", pcmpistri, READS),
];
