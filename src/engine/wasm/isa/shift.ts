/**
 * SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD (SDM 2B). A count of 0 changes nothing, flags
 * included. OF is defined for counts of 1; for others it is what the last step of one would give.
 */

import type { Cpu } from "../cpu.ts";
import type { Handler, Insn } from "../insn.ts";
import { fetchDst16, fetchDst32, fetchDst64, fetchDst8, readSrc8 } from "../operands.ts";
import { updateDst16, updateDst32, updateDst64, updateDst8 } from "../operands.ts";
import { type BySize, bySize, type Row, row } from "./row.ts";

/** Flags of a result but CF and OF. `shift` brings an operand of fewer than 32 bits to the top. */
function setResult(cpu: Cpu, value: number, shift: number): void {
  cpu.zero = cpu.sign = value << shift;
  cpu.parity = value;
  cpu.aux = 0;
}
function setResult64(cpu: Cpu, lo: number, hi: number): void {
  cpu.zero = lo | hi;
  cpu.sign = hi;
  cpu.parity = lo;
  cpu.aux = 0;
}

/** The count, of which five bits count. */
function count32(cpu: Cpu, insn: Insn): number {
  return readSrc8(cpu, insn) & 31;
}
/** With 64-bit operands six. */
function count64(cpu: Cpu, insn: Insn): number {
  return readSrc8(cpu, insn) & 63;
}

/** SHL of 8 or 16 bits. Beyond the operand's size, CF is undefined: the zeros that follow. */
function shlNarrow(cpu: Cpu, value: number, n: number, width: number): number {
  const result = value << n; // n is below 32: what leaves the top is above `width` bits
  cpu.cf = n <= width ? result >>> width & 1 : 0;
  setResult(cpu, result, 32 - width);
  cpu.over = cpu.sign ^ (cpu.cf << 31);
  return result;
}
function shl8(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst8(cpu, insn);
  updateDst8(cpu, insn, n === 0 ? value : shlNarrow(cpu, value, n, 8));
}
function shl16(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst16(cpu, insn);
  updateDst16(cpu, insn, n === 0 ? value : shlNarrow(cpu, value, n, 16));
}
function shl32(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst32(cpu, insn);
  if (n === 0) return updateDst32(cpu, insn, value);
  const result = value << n;
  cpu.cf = value >>> 32 - n & 1;
  setResult(cpu, result, 0);
  cpu.over = result ^ (cpu.cf << 31);
  updateDst32(cpu, insn, result);
}
function shl64(cpu: Cpu, insn: Insn): void {
  const n = count64(cpu, insn);
  let lo = fetchDst64(cpu, insn);
  let { hi } = cpu;
  if (n === 0) return updateDst64(cpu, insn, lo, hi);
  cpu.cf = n <= 32 ? hi >>> 32 - n & 1 : lo >>> 64 - n & 1;
  if (n >= 32) {
    hi = lo << n - 32;
    lo = 0;
  } else {
    hi = hi << n | lo >>> 32 - n;
    lo <<= n;
  }
  setResult64(cpu, lo, hi);
  cpu.over = hi ^ (cpu.cf << 31);
  updateDst64(cpu, insn, lo, hi);
}

/** SHR of 8 or 16 bits. OF is the operand's top bit. */
function shrNarrow(cpu: Cpu, value: number, n: number, width: number): number {
  const result = value >>> n;
  cpu.cf = value >>> n - 1 & 1;
  setResult(cpu, result, 32 - width);
  cpu.over = value << 32 - width;
  return result;
}
function shr8(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst8(cpu, insn);
  updateDst8(cpu, insn, n === 0 ? value : shrNarrow(cpu, value, n, 8));
}
function shr16(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst16(cpu, insn);
  updateDst16(cpu, insn, n === 0 ? value : shrNarrow(cpu, value, n, 16));
}
function shr32(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst32(cpu, insn);
  if (n === 0) return updateDst32(cpu, insn, value);
  cpu.cf = value >>> n - 1 & 1;
  setResult(cpu, value >>> n, 0);
  cpu.over = value;
  updateDst32(cpu, insn, value >>> n);
}
function shr64(cpu: Cpu, insn: Insn): void {
  const n = count64(cpu, insn);
  let lo = fetchDst64(cpu, insn);
  let { hi } = cpu;
  if (n === 0) return updateDst64(cpu, insn, lo, hi);
  cpu.over = hi;
  cpu.cf = n <= 32 ? lo >>> n - 1 & 1 : hi >>> n - 33 & 1;
  if (n >= 32) {
    lo = hi >>> n - 32;
    hi = 0;
  } else {
    lo = lo >>> n | hi << 32 - n;
    hi >>>= n;
  }
  setResult64(cpu, lo, hi);
  updateDst64(cpu, insn, lo, hi);
}

/** SAR of 8 or 16 bits, of a sign-extended value. OF is 0. */
function sarNarrow(cpu: Cpu, value: number, n: number, shift: number): number {
  const result = value >> n;
  cpu.cf = value >> n - 1 & 1;
  setResult(cpu, result, shift);
  cpu.over = 0;
  return result;
}
function sar8(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst8(cpu, insn) << 24 >> 24;
  updateDst8(cpu, insn, n === 0 ? value : sarNarrow(cpu, value, n, 24));
}
function sar16(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst16(cpu, insn) << 16 >> 16;
  updateDst16(cpu, insn, n === 0 ? value : sarNarrow(cpu, value, n, 16));
}
function sar32(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst32(cpu, insn);
  updateDst32(cpu, insn, n === 0 ? value : sarNarrow(cpu, value, n, 0));
}
function sar64(cpu: Cpu, insn: Insn): void {
  const n = count64(cpu, insn);
  let lo = fetchDst64(cpu, insn);
  let { hi } = cpu;
  if (n === 0) return updateDst64(cpu, insn, lo, hi);
  cpu.cf = n <= 32 ? lo >>> n - 1 & 1 : hi >> n - 33 & 1;
  if (n >= 32) {
    lo = hi >> n - 32;
    hi >>= 31;
  } else {
    lo = lo >>> n | hi << 32 - n;
    hi >>= n;
  }
  setResult64(cpu, lo, hi);
  cpu.over = 0;
  updateDst64(cpu, insn, lo, hi);
}

/** Flags of a rotation to the left: CF is the result's lowest bit, OF that against its top bit. */
function rotatedLeft(cpu: Cpu, lowest: number, top: number): void {
  cpu.cf = lowest & 1;
  cpu.over = (lowest << 31) ^ top;
}
/** Of one to the right: CF is the top bit, OF the top two against each other. */
function rotatedRight(cpu: Cpu, top: number): void {
  cpu.cf = top >>> 31;
  cpu.over = top ^ top << 1;
}

// The flags change with a masked count that is not 0, also when the rotation is whole turns.
function rol8(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst8(cpu, insn);
  const by = n & 7;
  const result = (value << by | value >>> 8 - by) & 0xff;
  if (n !== 0) rotatedLeft(cpu, result, result << 24);
  updateDst8(cpu, insn, result);
}
function rol16(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst16(cpu, insn);
  const by = n & 15;
  const result = (value << by | value >>> 16 - by) & 0xffff;
  if (n !== 0) rotatedLeft(cpu, result, result << 16);
  updateDst16(cpu, insn, result);
}
function rol32(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst32(cpu, insn);
  if (n === 0) return updateDst32(cpu, insn, value);
  const result = value << n | value >>> 32 - n;
  rotatedLeft(cpu, result, result);
  updateDst32(cpu, insn, result);
}
function rol64(cpu: Cpu, insn: Insn): void {
  const n = count64(cpu, insn);
  let lo = fetchDst64(cpu, insn);
  let { hi } = cpu;
  if (n === 0) return updateDst64(cpu, insn, lo, hi);
  if (n >= 32) {
    const low = lo;
    lo = hi;
    hi = low;
  }
  const by = n & 31;
  if (by !== 0) {
    const low = lo;
    lo = lo << by | hi >>> 32 - by;
    hi = hi << by | low >>> 32 - by;
  }
  rotatedLeft(cpu, lo, hi);
  updateDst64(cpu, insn, lo, hi);
}
function ror8(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst8(cpu, insn);
  const by = n & 7;
  const result = (value >>> by | value << 8 - by) & 0xff;
  if (n !== 0) rotatedRight(cpu, result << 24);
  updateDst8(cpu, insn, result);
}
function ror16(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst16(cpu, insn);
  const by = n & 15;
  const result = (value >>> by | value << 16 - by) & 0xffff;
  if (n !== 0) rotatedRight(cpu, result << 16);
  updateDst16(cpu, insn, result);
}
function ror32(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst32(cpu, insn);
  if (n === 0) return updateDst32(cpu, insn, value);
  const result = value >>> n | value << 32 - n;
  rotatedRight(cpu, result);
  updateDst32(cpu, insn, result);
}
function ror64(cpu: Cpu, insn: Insn): void {
  const n = count64(cpu, insn);
  let lo = fetchDst64(cpu, insn);
  let { hi } = cpu;
  if (n === 0) return updateDst64(cpu, insn, lo, hi);
  if (n >= 32) {
    const low = lo;
    lo = hi;
    hi = low;
  }
  const by = n & 31;
  if (by !== 0) {
    const low = lo;
    lo = lo >>> by | hi << 32 - by;
    hi = hi >>> by | low << 32 - by;
  }
  rotatedRight(cpu, hi);
  updateDst64(cpu, insn, lo, hi);
}

// Rotations through the carry turn a number of one bit more, which has CF at its top. Where a count
// of 32 could come up, which JavaScript takes for 0, one shift is made of two.
function rclNarrow(cpu: Cpu, value: number, n: number, width: number): number {
  const all = cpu.cf << width | value;
  const result = all << n | all >>> width + 1 - n;
  if (n !== 0) rotatedThroughLeft(cpu, result >>> width, result << 32 - width);
  return result;
}
function rcrNarrow(cpu: Cpu, value: number, n: number, width: number): number {
  const all = cpu.cf << width | value;
  const result = all >>> n | all << width + 1 - n;
  if (n !== 0) rotatedThroughRight(cpu, result >>> width, result << 32 - width);
  return result;
}
function rotatedThroughLeft(cpu: Cpu, carry: number, top: number): void {
  cpu.cf = carry & 1;
  cpu.over = top ^ carry << 31;
}
function rotatedThroughRight(cpu: Cpu, carry: number, top: number): void {
  cpu.cf = carry & 1;
  cpu.over = top ^ top << 1;
}
function rcl8(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn) % 9;
  updateDst8(cpu, insn, rclNarrow(cpu, fetchDst8(cpu, insn), n, 8));
}
function rcl16(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn) % 17;
  updateDst16(cpu, insn, rclNarrow(cpu, fetchDst16(cpu, insn), n, 16));
}
function rcl32(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst32(cpu, insn);
  if (n === 0) return updateDst32(cpu, insn, value);
  const result = value << n | cpu.cf << n - 1 | value >>> 1 >>> 32 - n;
  rotatedThroughLeft(cpu, value >>> 32 - n, result);
  updateDst32(cpu, insn, result);
}
function rcl64(cpu: Cpu, insn: Insn): void {
  const n = count64(cpu, insn);
  let lo = fetchDst64(cpu, insn);
  let { hi } = cpu;
  if (n === 0) return updateDst64(cpu, insn, lo, hi);
  let carry = cpu.cf;
  if (n >= 32) {
    const high = hi;
    hi = lo;
    lo = carry << 31 | high >>> 1;
    carry = high & 1;
  }
  const by = n & 31;
  if (by !== 0) {
    const high = hi;
    hi = high << by | lo >>> 32 - by;
    lo = lo << by | carry << by - 1 | high >>> 1 >>> 32 - by;
    carry = high >>> 32 - by;
  }
  rotatedThroughLeft(cpu, carry, hi);
  updateDst64(cpu, insn, lo, hi);
}
function rcr8(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn) % 9;
  updateDst8(cpu, insn, rcrNarrow(cpu, fetchDst8(cpu, insn), n, 8));
}
function rcr16(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn) % 17;
  updateDst16(cpu, insn, rcrNarrow(cpu, fetchDst16(cpu, insn), n, 16));
}
function rcr32(cpu: Cpu, insn: Insn): void {
  const n = count32(cpu, insn);
  const value = fetchDst32(cpu, insn);
  if (n === 0) return updateDst32(cpu, insn, value);
  const result = value >>> n | cpu.cf << 32 - n | value << 1 << 32 - n;
  rotatedThroughRight(cpu, value >>> n - 1, result);
  updateDst32(cpu, insn, result);
}
function rcr64(cpu: Cpu, insn: Insn): void {
  const n = count64(cpu, insn);
  let lo = fetchDst64(cpu, insn);
  let { hi } = cpu;
  if (n === 0) return updateDst64(cpu, insn, lo, hi);
  let carry = cpu.cf;
  if (n >= 32) {
    const low = lo;
    lo = hi;
    hi = carry | low << 1;
    carry = low >>> 31;
  }
  const by = n & 31;
  if (by !== 0) {
    const low = lo;
    lo = low >>> by | hi << 32 - by;
    hi = hi >>> by | carry << 32 - by | low << 1 << 32 - by;
    carry = low >>> by - 1;
  }
  rotatedThroughRight(cpu, carry, hi);
  updateDst64(cpu, insn, lo, hi);
}

/** The groups' lines for one operation: by 1, by CL, by an immediate. */
function lines(name: string, digit: number, by8: Handler, bySizes: BySize, undef: string): Row[] {
  const many = { undef: undef + "o" };
  return [
    row(`d0 /${digit}`, `${name} Eb,1`, by8, { undef }),
    row(`d1 /${digit}`, `${name} Ev,1`, bySizes, { undef }),
    row(`d2 /${digit}`, `${name} Eb,CL`, by8, many),
    row(`d3 /${digit}`, `${name} Ev,CL`, bySizes, many),
    row(`c0 /${digit} ib`, `${name} Eb,Ib`, by8, many),
    row(`c1 /${digit} ib`, `${name} Ev,Ib`, bySizes, many),
  ];
}

const shl = bySize(shl16, shl32, shl64);

export const SHIFT: readonly Row[] = [
  ...lines("rol", 0, rol8, bySize(rol16, rol32, rol64), ""),
  ...lines("ror", 1, ror8, bySize(ror16, ror32, ror64), ""),
  ...lines("rcl", 2, rcl8, bySize(rcl16, rcl32, rcl64), ""),
  ...lines("rcr", 3, rcr8, bySize(rcr16, rcr32, rcr64), ""),
  ...lines("shl", 4, shl8, shl, "a"),
  ...lines("shr", 5, shr8, bySize(shr16, shr32, shr64), "a"),
  ...lines("shl", 6, shl8, shl, "a"),
  ...lines("sar", 7, sar8, bySize(sar16, sar32, sar64), "a"),
];
