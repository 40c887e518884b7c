/**
 * Loads and stores at linear addresses. The fast path is a tag check and an access to guest RAM; all
 * else (TLB misses, page crossings, devices, code pages) is in paging.ts.
 *
 * 64-bit values return their low half and leave the high half in `cpu.hi`.
 */

import type { Cpu } from "./cpu.ts";
import { SCRATCH_AT as importedScratchAt } from "./tlb.ts";

// V8 folds a module's own constants, not those of others: this is the hottest path there is.
const SCRATCH_AT = importedScratchAt;
/** Bits of a linear address's low half that make the page. */
const PAGE = -4096;
/** Mask of an entry's first word: bits 21:12 of the address, times 4. */
const INDEX = 0xffc;

/** Reads an unsigned byte. */
export function load8(cpu: Cpu, lo: number, hi: number): number {
  const { s } = cpu;
  const at = cpu.tlbRead + (lo >>> 10 & INDEX);
  if (s[at] === (lo & PAGE) && s[at + 1] === hi) return cpu.ram.getUint8((s[at + 2] + lo) >>> 0);
  cpu.paging.read(lo, hi, 1);
  return cpu.view.getUint8(SCRATCH_AT);
}

/** Reads 16 bits, unsigned. */
export function load16(cpu: Cpu, lo: number, hi: number): number {
  const { s } = cpu;
  const at = cpu.tlbRead + (lo >>> 10 & INDEX);
  if (s[at] === (lo + 1 & PAGE) && s[at + 1] === hi) {
    return cpu.ram.getUint16((s[at + 2] + lo) >>> 0, true);
  }
  cpu.paging.read(lo, hi, 2);
  return cpu.view.getUint16(SCRATCH_AT, true);
}

/** Reads 32 bits, signed. */
export function load32(cpu: Cpu, lo: number, hi: number): number {
  const { s } = cpu;
  const at = cpu.tlbRead + (lo >>> 10 & INDEX);
  if (s[at] === (lo + 3 & PAGE) && s[at + 1] === hi) {
    return cpu.ram.getInt32((s[at + 2] + lo) >>> 0, true);
  }
  cpu.paging.read(lo, hi, 4);
  return cpu.view.getInt32(SCRATCH_AT, true);
}

/** Reads 64 bits: the low half; the high half is in `cpu.hi`. */
export function load64(cpu: Cpu, lo: number, hi: number): number {
  const { s } = cpu;
  const at = cpu.tlbRead + (lo >>> 10 & INDEX);
  if (s[at] === (lo + 7 & PAGE) && s[at + 1] === hi) {
    const from = (s[at + 2] + lo) >>> 0;
    cpu.hi = cpu.ram.getInt32(from + 4, true);
    return cpu.ram.getInt32(from, true);
  }
  cpu.paging.read(lo, hi, 8);
  cpu.hi = cpu.view.getInt32(SCRATCH_AT + 4, true);
  return cpu.view.getInt32(SCRATCH_AT, true);
}

/** Reads `size` bytes, up to 64, to the scratch space at `SCRATCH_AT`: operands beyond 64 bits. */
export function loadBytes(cpu: Cpu, lo: number, hi: number, size: number): void {
  cpu.paging.read(lo, hi, size);
}

/** Reads 128 bits into the four words of `cpu.s` from `into` on. */
export function load128(cpu: Cpu, lo: number, hi: number, into: number): void {
  const { s } = cpu;
  const at = cpu.tlbRead + (lo >>> 10 & INDEX);
  if (s[at] === (lo + 15 & PAGE) && s[at + 1] === hi) {
    const from = (s[at + 2] + lo) >>> 0;
    const { ram } = cpu;
    s[into] = ram.getInt32(from, true);
    s[into + 1] = ram.getInt32(from + 4, true);
    s[into + 2] = ram.getInt32(from + 8, true);
    s[into + 3] = ram.getInt32(from + 12, true);
    return;
  }
  cpu.paging.read(lo, hi, 16);
  const from = SCRATCH_AT >> 2;
  s[into] = s[from];
  s[into + 1] = s[from + 1];
  s[into + 2] = s[from + 2];
  s[into + 3] = s[from + 3];
}

/** Writes the low 8 bits of `value`. */
export function store8(cpu: Cpu, lo: number, hi: number, value: number): void {
  const { s } = cpu;
  const at = cpu.tlbWrite + (lo >>> 10 & INDEX);
  if (s[at] === (lo & PAGE) && s[at + 1] === hi) {
    cpu.ram.setUint8((s[at + 2] + lo) >>> 0, value);
    return;
  }
  cpu.view.setUint8(SCRATCH_AT, value);
  cpu.paging.write(lo, hi, 1);
}

/** Writes the low 16 bits of `value`. */
export function store16(cpu: Cpu, lo: number, hi: number, value: number): void {
  const { s } = cpu;
  const at = cpu.tlbWrite + (lo >>> 10 & INDEX);
  if (s[at] === (lo + 1 & PAGE) && s[at + 1] === hi) {
    cpu.ram.setUint16((s[at + 2] + lo) >>> 0, value, true);
    return;
  }
  cpu.view.setUint16(SCRATCH_AT, value, true);
  cpu.paging.write(lo, hi, 2);
}

/** Writes 32 bits. */
export function store32(cpu: Cpu, lo: number, hi: number, value: number): void {
  const { s } = cpu;
  const at = cpu.tlbWrite + (lo >>> 10 & INDEX);
  if (s[at] === (lo + 3 & PAGE) && s[at + 1] === hi) {
    cpu.ram.setInt32((s[at + 2] + lo) >>> 0, value, true);
    return;
  }
  cpu.view.setInt32(SCRATCH_AT, value, true);
  cpu.paging.write(lo, hi, 4);
}

/** Writes 64 bits, given by halves. */
export function store64(cpu: Cpu, lo: number, hi: number, valueLo: number, valueHi: number): void {
  const { s } = cpu;
  const at = cpu.tlbWrite + (lo >>> 10 & INDEX);
  if (s[at] === (lo + 7 & PAGE) && s[at + 1] === hi) {
    const to = (s[at + 2] + lo) >>> 0;
    cpu.ram.setInt32(to, valueLo, true);
    cpu.ram.setInt32(to + 4, valueHi, true);
    return;
  }
  cpu.view.setInt32(SCRATCH_AT, valueLo, true);
  cpu.view.setInt32(SCRATCH_AT + 4, valueHi, true);
  cpu.paging.write(lo, hi, 8);
}

/** Writes the four words of `cpu.s` from `from` on. */
export function store128(cpu: Cpu, lo: number, hi: number, from: number): void {
  const { s } = cpu;
  const at = cpu.tlbWrite + (lo >>> 10 & INDEX);
  if (s[at] === (lo + 15 & PAGE) && s[at + 1] === hi) {
    const to = (s[at + 2] + lo) >>> 0;
    const { ram } = cpu;
    ram.setInt32(to, s[from], true);
    ram.setInt32(to + 4, s[from + 1], true);
    ram.setInt32(to + 8, s[from + 2], true);
    ram.setInt32(to + 12, s[from + 3], true);
    return;
  }
  const scratch = SCRATCH_AT >> 2;
  s[scratch] = s[from];
  s[scratch + 1] = s[from + 1];
  s[scratch + 2] = s[from + 2];
  s[scratch + 3] = s[from + 3];
  cpu.paging.write(lo, hi, 16);
}

/** Writes `size` bytes, up to 64, from the scratch space at `SCRATCH_AT`. */
export function storeBytes(cpu: Cpu, lo: number, hi: number, size: number): void {
  cpu.paging.write(lo, hi, size);
}

/**
 * The read of a read-modify-write: faults as the write would (SDM 3A §4.7), and `cpu.rmwAt`
 * remembers where. `modifyStore` of the same size must follow, with nothing that can fault between.
 */
export function modifyLoad8(cpu: Cpu, lo: number, hi: number): number {
  const { s } = cpu;
  const at = cpu.tlbWrite + (lo >>> 10 & INDEX);
  if (s[at] === (lo & PAGE) && s[at + 1] === hi) {
    return cpu.ram.getUint8(cpu.rmwAt = (s[at + 2] + lo) >>> 0);
  }
  cpu.paging.readForWrite(lo, hi, 1);
  return cpu.view.getUint8(SCRATCH_AT);
}

export function modifyLoad16(cpu: Cpu, lo: number, hi: number): number {
  const { s } = cpu;
  const at = cpu.tlbWrite + (lo >>> 10 & INDEX);
  if (s[at] === (lo + 1 & PAGE) && s[at + 1] === hi) {
    return cpu.ram.getUint16(cpu.rmwAt = (s[at + 2] + lo) >>> 0, true);
  }
  cpu.paging.readForWrite(lo, hi, 2);
  return cpu.view.getUint16(SCRATCH_AT, true);
}

export function modifyLoad32(cpu: Cpu, lo: number, hi: number): number {
  const { s } = cpu;
  const at = cpu.tlbWrite + (lo >>> 10 & INDEX);
  if (s[at] === (lo + 3 & PAGE) && s[at + 1] === hi) {
    return cpu.ram.getInt32(cpu.rmwAt = (s[at + 2] + lo) >>> 0, true);
  }
  cpu.paging.readForWrite(lo, hi, 4);
  return cpu.view.getInt32(SCRATCH_AT, true);
}

export function modifyLoad64(cpu: Cpu, lo: number, hi: number): number {
  const { s } = cpu;
  const at = cpu.tlbWrite + (lo >>> 10 & INDEX);
  if (s[at] === (lo + 7 & PAGE) && s[at + 1] === hi) {
    const from = cpu.rmwAt = (s[at + 2] + lo) >>> 0;
    cpu.hi = cpu.ram.getInt32(from + 4, true);
    return cpu.ram.getInt32(from, true);
  }
  cpu.paging.readForWrite(lo, hi, 8);
  cpu.hi = cpu.view.getInt32(SCRATCH_AT + 4, true);
  return cpu.view.getInt32(SCRATCH_AT, true);
}

/** The write that ends a read-modify-write. Never faults. */
export function modifyStore8(cpu: Cpu, value: number): void {
  if (cpu.rmwAt >= 0) return cpu.ram.setUint8(cpu.rmwAt, value);
  cpu.view.setUint8(SCRATCH_AT, value);
  cpu.paging.writeBack(1);
}

export function modifyStore16(cpu: Cpu, value: number): void {
  if (cpu.rmwAt >= 0) return cpu.ram.setUint16(cpu.rmwAt, value, true);
  cpu.view.setUint16(SCRATCH_AT, value, true);
  cpu.paging.writeBack(2);
}

export function modifyStore32(cpu: Cpu, value: number): void {
  if (cpu.rmwAt >= 0) return cpu.ram.setInt32(cpu.rmwAt, value, true);
  cpu.view.setInt32(SCRATCH_AT, value, true);
  cpu.paging.writeBack(4);
}

export function modifyStore64(cpu: Cpu, valueLo: number, valueHi: number): void {
  if (cpu.rmwAt >= 0) {
    cpu.ram.setInt32(cpu.rmwAt, valueLo, true);
    cpu.ram.setInt32(cpu.rmwAt + 4, valueHi, true);
    return;
  }
  cpu.view.setInt32(SCRATCH_AT, valueLo, true);
  cpu.view.setInt32(SCRATCH_AT + 4, valueHi, true);
  cpu.paging.writeBack(8);
}
