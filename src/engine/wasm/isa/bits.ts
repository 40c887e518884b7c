/** BT, BTS, BTR, BTC, BSF, BSR, TZCNT, LZCNT, POPCNT, CRC32 (SDM 2A, 2B). */

import { carryOf } from "../../../base/u64.ts";
import { effectiveAddress, segmentAddress } from "../address.ts";
import type { Cpu } from "../cpu.ts";
import { IMM, type Insn } from "../insn.ts";
import * as memory from "../memory.ts";
import { readSrc16, readSrc32, readSrc64, readSrc8 } from "../operands.ts";
import { type BySize, bySize, type Row, row } from "./row.ts";

const { clz32 } = Math;
const { load16, load32, load64, modifyLoad16, modifyLoad32, modifyLoad64 } = memory;
const { modifyStore16, modifyStore32, modifyStore64 } = memory;

/** What becomes of the bit. */
const Change = { NONE: 0, SET: 1, RESET: 2, COMPLEMENT: 3 } as const;
type Change = typeof Change[keyof typeof Change];

/** The operand word after the change of the bit that `mask` has. */
function changed(value: number, mask: number, change: Change): number {
  switch (change) {
    case Change.SET:
      return value | mask;
    case Change.RESET:
      return value & ~mask;
    case Change.COMPLEMENT:
      return value ^ mask;
    default:
      return value;
  }
}

/**
 * Linear address of the operand that holds the bit: a register's offset, signed, reaches beyond the
 * operand (SDM 2A BT). Low half; the high half is in `cpu.hi`.
 */
function bitAddress(cpu: Cpu, insn: Insn, size: number): number {
  let lo = effectiveAddress(cpu, insn);
  let { hi } = cpu;
  if (insn.src !== IMM) {
    const { s } = cpu;
    // Offset in bytes of the operand: bit offset divided by its bits, times its bytes.
    let byteLo: number;
    let byteHi: number;
    if (size === 8) {
      const bitHi = s[insn.src + 1];
      byteLo = (s[insn.src] >>> 3 | bitHi << 29) & -8;
      byteHi = bitHi >> 3;
    } else {
      const bit = size === 4 ? s[insn.src] : cpu.u16[insn.src] << 16 >> 16;
      byteLo = bit >> 3 & -size;
      byteHi = byteLo >> 31;
    }
    const sum = (lo + byteLo) | 0;
    hi = (hi + byteHi + carryOf(lo, byteLo, sum)) | 0;
    lo = sum;
    if (insn.addrSize === 4) hi = 0;
    else if (insn.addrSize === 2) {
      hi = 0;
      lo &= 0xffff;
    }
  }
  return segmentAddress(cpu, insn.seg, lo, hi, size, insn.memWrite);
}

function bit16(cpu: Cpu, insn: Insn, change: Change): void {
  const n = (insn.src === IMM ? insn.immLo : cpu.u16[insn.src]) & 15;
  if (insn.dst >= 0) {
    const value = cpu.u16[insn.dst];
    cpu.u16[insn.dst] = changed(value, 1 << n, change);
    cpu.cf = value >>> n & 1;
    return;
  }
  const at = bitAddress(cpu, insn, 2);
  const value = change === Change.NONE ? load16(cpu, at, cpu.hi) : modifyLoad16(cpu, at, cpu.hi);
  cpu.cf = value >>> n & 1;
  if (change !== Change.NONE) modifyStore16(cpu, changed(value, 1 << n, change));
}
function bit32(cpu: Cpu, insn: Insn, change: Change): void {
  const { s } = cpu;
  const n = (insn.src === IMM ? insn.immLo : s[insn.src]) & 31;
  if (insn.dst >= 0) {
    const value = s[insn.dst];
    if (change !== Change.NONE) {
      s[insn.dst] = changed(value, 1 << n, change);
      s[insn.dst + 1] = 0;
    }
    cpu.cf = value >>> n & 1;
    return;
  }
  const at = bitAddress(cpu, insn, 4);
  const value = change === Change.NONE ? load32(cpu, at, cpu.hi) : modifyLoad32(cpu, at, cpu.hi);
  cpu.cf = value >>> n & 1;
  if (change !== Change.NONE) modifyStore32(cpu, changed(value, 1 << n, change));
}
function bit64(cpu: Cpu, insn: Insn, change: Change): void {
  const { s } = cpu;
  const n = (insn.src === IMM ? insn.immLo : s[insn.src]) & 63;
  if (insn.dst >= 0) {
    const at = insn.dst + (n >>> 5);
    const value = s[at];
    s[at] = changed(value, 1 << n, change);
    cpu.cf = value >>> n & 1;
    return;
  }
  const at = bitAddress(cpu, insn, 8);
  const lo = change === Change.NONE ? load64(cpu, at, cpu.hi) : modifyLoad64(cpu, at, cpu.hi);
  const { hi } = cpu;
  cpu.cf = (n < 32 ? lo : hi) >>> n & 1;
  if (change === Change.NONE) return;
  if (n < 32) modifyStore64(cpu, changed(lo, 1 << n, change), hi);
  else modifyStore64(cpu, lo, changed(hi, 1 << n, change));
}

function bt16(cpu: Cpu, insn: Insn): void {
  bit16(cpu, insn, Change.NONE);
}
function bt32(cpu: Cpu, insn: Insn): void {
  bit32(cpu, insn, Change.NONE);
}
function bt64(cpu: Cpu, insn: Insn): void {
  bit64(cpu, insn, Change.NONE);
}
function bts16(cpu: Cpu, insn: Insn): void {
  bit16(cpu, insn, Change.SET);
}
function bts32(cpu: Cpu, insn: Insn): void {
  bit32(cpu, insn, Change.SET);
}
function bts64(cpu: Cpu, insn: Insn): void {
  bit64(cpu, insn, Change.SET);
}
function btr16(cpu: Cpu, insn: Insn): void {
  bit16(cpu, insn, Change.RESET);
}
function btr32(cpu: Cpu, insn: Insn): void {
  bit32(cpu, insn, Change.RESET);
}
function btr64(cpu: Cpu, insn: Insn): void {
  bit64(cpu, insn, Change.RESET);
}
function btc16(cpu: Cpu, insn: Insn): void {
  bit16(cpu, insn, Change.COMPLEMENT);
}
function btc32(cpu: Cpu, insn: Insn): void {
  bit32(cpu, insn, Change.COMPLEMENT);
}
function btc64(cpu: Cpu, insn: Insn): void {
  bit64(cpu, insn, Change.COMPLEMENT);
}

/** Number of the lowest set bit, 32 for none. */
function lowest(value: number): number {
  return value === 0 ? 32 : 31 - clz32(value & -value);
}

/** BSF and BSR: only ZF is defined; the others are as of the source. `top` has its top bit in bit 31. */
function setScanFlags(cpu: Cpu, zero: number, top: number, low: number): void {
  cpu.zero = zero;
  cpu.sign = top;
  cpu.parity = low;
  cpu.cf = 0;
  cpu.over = 0;
  cpu.aux = 0;
}

// BSF and BSR of 0 leave the destination as it was: all of it, as processors do.
function bsf16(cpu: Cpu, insn: Insn): void {
  const value = readSrc16(cpu, insn);
  setScanFlags(cpu, value, value << 16, value);
  if (value !== 0) cpu.u16[insn.dst] = lowest(value);
}
function bsf32(cpu: Cpu, insn: Insn): void {
  const value = readSrc32(cpu, insn);
  setScanFlags(cpu, value, value, value);
  if (value !== 0) setRegister(cpu, insn, lowest(value));
}
function bsf64(cpu: Cpu, insn: Insn): void {
  const lo = readSrc64(cpu, insn);
  const { hi } = cpu;
  setScanFlags(cpu, lo | hi, hi, lo);
  if ((lo | hi) !== 0) setRegister(cpu, insn, lo !== 0 ? lowest(lo) : 32 + lowest(hi));
}
function bsr16(cpu: Cpu, insn: Insn): void {
  const value = readSrc16(cpu, insn);
  setScanFlags(cpu, value, value << 16, value);
  if (value !== 0) cpu.u16[insn.dst] = 31 - clz32(value);
}
function bsr32(cpu: Cpu, insn: Insn): void {
  const value = readSrc32(cpu, insn);
  setScanFlags(cpu, value, value, value);
  if (value !== 0) setRegister(cpu, insn, 31 - clz32(value));
}
function bsr64(cpu: Cpu, insn: Insn): void {
  const lo = readSrc64(cpu, insn);
  const { hi } = cpu;
  setScanFlags(cpu, lo | hi, hi, lo);
  if ((lo | hi) !== 0) setRegister(cpu, insn, hi !== 0 ? 63 - clz32(hi) : 31 - clz32(lo));
}

function setRegister(cpu: Cpu, insn: Insn, value: number): void {
  cpu.s[insn.dst] = value;
  cpu.s[insn.dst + 1] = 0;
}

/** CF: the source is 0. ZF: the result is; the others are undefined: as of the result. */
function setCountFlags(cpu: Cpu, result: number, none: boolean): void {
  cpu.zero = cpu.sign = cpu.parity = result;
  cpu.cf = none ? 1 : 0;
  cpu.over = 0;
  cpu.aux = 0;
}
function tzcnt16(cpu: Cpu, insn: Insn): void {
  const value = readSrc16(cpu, insn);
  const result = value === 0 ? 16 : lowest(value);
  cpu.u16[insn.dst] = result;
  setCountFlags(cpu, result, value === 0);
}
function tzcnt32(cpu: Cpu, insn: Insn): void {
  const value = readSrc32(cpu, insn);
  const result = lowest(value);
  setRegister(cpu, insn, result);
  setCountFlags(cpu, result, value === 0);
}
function tzcnt64(cpu: Cpu, insn: Insn): void {
  const lo = readSrc64(cpu, insn);
  const { hi } = cpu;
  const result = lo !== 0 ? lowest(lo) : 32 + lowest(hi);
  setRegister(cpu, insn, result);
  setCountFlags(cpu, result, (lo | hi) === 0);
}
function lzcnt16(cpu: Cpu, insn: Insn): void {
  const value = readSrc16(cpu, insn);
  const result = clz32(value) - 16;
  cpu.u16[insn.dst] = result;
  setCountFlags(cpu, result, value === 0);
}
function lzcnt32(cpu: Cpu, insn: Insn): void {
  const value = readSrc32(cpu, insn);
  const result = clz32(value);
  setRegister(cpu, insn, result);
  setCountFlags(cpu, result, value === 0);
}
function lzcnt64(cpu: Cpu, insn: Insn): void {
  const lo = readSrc64(cpu, insn);
  const { hi } = cpu;
  const result = hi !== 0 ? clz32(hi) : 32 + clz32(lo);
  setRegister(cpu, insn, result);
  setCountFlags(cpu, result, (lo | hi) === 0);
}

function ones(value: number): number {
  value -= value >>> 1 & 0x5555_5555;
  value = (value & 0x3333_3333) + (value >>> 2 & 0x3333_3333);
  return Math.imul(value + (value >>> 4) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
/** All flags but ZF are cleared. */
function setOnesFlags(cpu: Cpu, result: number): void {
  cpu.zero = result;
  cpu.cf = 0;
  cpu.over = 0;
  cpu.sign = 0;
  cpu.aux = 0;
  cpu.parity = 1;
}
function popcnt16(cpu: Cpu, insn: Insn): void {
  const result = ones(readSrc16(cpu, insn));
  cpu.u16[insn.dst] = result;
  setOnesFlags(cpu, result);
}
function popcnt32(cpu: Cpu, insn: Insn): void {
  const result = ones(readSrc32(cpu, insn));
  setRegister(cpu, insn, result);
  setOnesFlags(cpu, result);
}
function popcnt64(cpu: Cpu, insn: Insn): void {
  const lo = readSrc64(cpu, insn);
  const result = ones(lo) + ones(cpu.hi);
  setRegister(cpu, insn, result);
  setOnesFlags(cpu, result);
}

/** CRC-32C of each byte: polynomial 0x11EDC6F41, bit-reversed (SDM 2A CRC32). */
const CRC: Int32Array = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let i = 0; i < 8; i++) crc = crc >>> 1 ^ (crc & 1 ? 0x82f6_3b78 : 0);
  return crc;
});
function crcOf(crc: number, value: number, bytes: number): number {
  for (let i = 0; i < bytes; i++) {
    crc = crc >>> 8 ^ CRC[(crc ^ value) & 0xff];
    value >>>= 8;
  }
  return crc;
}
function crc8(cpu: Cpu, insn: Insn): void {
  setRegister(cpu, insn, crcOf(cpu.s[insn.dst], readSrc8(cpu, insn), 1));
}
function crc16(cpu: Cpu, insn: Insn): void {
  setRegister(cpu, insn, crcOf(cpu.s[insn.dst], readSrc16(cpu, insn), 2));
}
function crc32(cpu: Cpu, insn: Insn): void {
  setRegister(cpu, insn, crcOf(cpu.s[insn.dst], readSrc32(cpu, insn), 4));
}
function crc64(cpu: Cpu, insn: Insn): void {
  const lo = readSrc64(cpu, insn);
  const { hi } = cpu;
  setRegister(cpu, insn, crcOf(crcOf(cpu.s[insn.dst], lo, 4), hi, 4));
}

/** A bit test's two encodings: by a register, by an immediate. */
function lines(name: string, opcode: string, digit: number, handlers: BySize): Row[] {
  const options = name === "bt" ? { reads: true } : { lock: true };
  const undef = "osap"; // ZF is unchanged (SDM 2A BT)
  return [
    row(`0f ${opcode} /r`, `${name} Ev,Gv`, handlers, { ...options, undef }),
    row(`0f ba /${digit} ib`, `${name} Ev,Ib`, handlers, { ...options, undef }),
  ];
}

const SCAN = { undef: "osapc" } as const;

export const BITS: readonly Row[] = [
  ...lines("bt", "a3", 4, bySize(bt16, bt32, bt64)),
  ...lines("bts", "ab", 5, bySize(bts16, bts32, bts64)),
  ...lines("btr", "b3", 6, bySize(btr16, btr32, btr64)),
  ...lines("btc", "bb", 7, bySize(btc16, btc32, btc64)),
  row("0f bc /r", "bsf Gv,Ev", bySize(bsf16, bsf32, bsf64), SCAN),
  row("0f bd /r", "bsr Gv,Ev", bySize(bsr16, bsr32, bsr64), SCAN),
  row("f3 0f bc /r", "tzcnt Gv,Ev", bySize(tzcnt16, tzcnt32, tzcnt64), {
    undef: "osap",
    feature: "bmi1",
  }),
  row("f3 0f bd /r", "lzcnt Gv,Ev", bySize(lzcnt16, lzcnt32, lzcnt64), {
    undef: "osap",
    feature: "lzcnt",
  }),
  row("f3 0f b8 /r", "popcnt Gv,Ev", bySize(popcnt16, popcnt32, popcnt64), { feature: "popcnt" }),
  row("f2 0f 38 f0 /r", "crc32 Gy,Eb", crc8, { feature: "sse4.2" }),
  row("f2 0f 38 f1 /r", "crc32 Gy,Ev", bySize(crc16, crc32, crc64), { feature: "sse4.2" }),
];
