/**
 * Memory type range registers (SDM 3A §11.11): kept and checked, without effect, for memory has no
 * types here.
 */

import { type Cpu, Word } from "../cpu.ts";
import { MTRR_FIXED, MTRR_VARIABLE, STATE_MSRS } from "../../../cpu/state.ts";
import type { Msr } from "./msr.ts";

/** IA32_MTRRCAP: how many variable ranges, fixed ranges and write combining. */
const CAPABILITY = MTRR_VARIABLE.length / 2 | 1 << 8 | 1 << 10;
const DEF_TYPE = 0x2ff;
/** IA32_MTRR_DEF_TYPE: the type, fixed ranges on, MTRRs on. */
const DEF_TYPE_BITS = 0xff | 1 << 10 | 1 << 11;
/** Of a range's mask: it is valid. */
const VALID = 1 << 11;

/** Uncacheable, write combining, write-through, write-protected, write-back (SDM 3A table 11-8). */
function isType(type: number): boolean {
  return type === 0 || type === 1 || type === 4 || type === 5 || type === 6;
}
function areTypes(four: number): boolean {
  for (let shift = 0; shift < 32; shift += 8) if (!isType(four >>> shift & 0xff)) return false;
  return true;
}

/** A register that lies in the state; `valid` says what may be written. */
function stored(
  msr: number,
  valid: (cpu: Cpu, lo: number, hi: number) => boolean,
): [number, Msr] {
  const word = Word.MSRS + STATE_MSRS.indexOf(msr) * 2;
  return [msr, {
    read: (cpu) => {
      cpu.hi = cpu.s[word + 1];
      return cpu.s[word];
    },
    write: (cpu, _msr, lo, hi) => {
      if (!valid(cpu, lo, hi)) return false;
      cpu.s[word] = lo;
      cpu.s[word + 1] = hi;
      return true;
    },
  }];
}

function isPhysical(cpu: Cpu, hi: number): boolean {
  return hi >>> (cpu.cpuid.maxPhyAddrBits - 32) === 0;
}
function validBase(cpu: Cpu, lo: number, hi: number): boolean {
  return isPhysical(cpu, hi) && (lo & 0xf00) === 0 && isType(lo & 0xff);
}
function validMask(cpu: Cpu, lo: number, hi: number): boolean {
  return isPhysical(cpu, hi) && (lo & 0xfff & ~VALID) === 0;
}

function validTypes(_cpu: Cpu, lo: number, hi: number): boolean {
  return areTypes(lo) && areTypes(hi);
}
function validDefault(_cpu: Cpu, lo: number, hi: number): boolean {
  return hi === 0 && (lo & ~DEF_TYPE_BITS) === 0 && isType(lo & 0xff);
}

/** The registers, by number. */
export const MTRR_MSRS: readonly (readonly [number, Msr])[] = [
  [0xfe, {
    read: (cpu) => {
      cpu.hi = 0;
      return CAPABILITY;
    },
    write: () => false,
  }],
  ...MTRR_VARIABLE.map((msr) => stored(msr, msr % 2 === 0 ? validBase : validMask)),
  ...MTRR_FIXED.map((msr) => stored(msr, validTypes)),
  stored(DEF_TYPE, validDefault),
];
