/**
 * Memory type range registers (SDM 3A §11.11): kept and checked, without effect, for memory has no
 * types here.
 */

import { type Cpu, Word } from "../cpu.ts";
import { STATE_MSRS } from "../../../cpu/state.ts";
import { PrivateMsr } from "../private_state.ts";
import type { Msr } from "./msr.ts";

/** Variable ranges. */
const RANGES = 8;
/** IA32_MTRRCAP: fixed ranges and write combining. */
const CAPABILITY = RANGES | 1 << 8 | 1 << 10;
/** The fixed ranges' registers. */
const FIXED: readonly number[] = [
  ...[0x250, 0x258, 0x259],
  ...Array.from({ length: 8 }, (_, i) => 0x268 + i),
];
const DEF_TYPE = Word.MSRS + STATE_MSRS.indexOf(0x2ff) * 2;
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

function at(word: number, valid: (cpu: Cpu, lo: number, hi: number) => boolean): Msr {
  return {
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
  };
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

function variable(): [number, Msr][] {
  return Array.from({ length: RANGES * 2 }, (_, i) => [
    0x200 + i,
    at(PrivateMsr.MTRR_VARIABLE + i * 2, i % 2 === 0 ? validBase : validMask),
  ]);
}

function fixed(): [number, Msr][] {
  const valid = (_cpu: Cpu, lo: number, hi: number) => areTypes(lo) && areTypes(hi);
  return FIXED.map((msr, i) => [msr, at(PrivateMsr.MTRR_FIXED + i * 2, valid)]);
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
  ...variable(),
  ...fixed(),
  [
    0x2ff,
    at(DEF_TYPE, (_cpu, lo, hi) => hi === 0 && (lo & ~DEF_TYPE_BITS) === 0 && isType(lo & 0xff)),
  ],
];
