/**
 * Stack frames of far transfers and of events: pushed and popped without a change of the vCPU until
 * all of it has been written or read, on the current stack or on one that is to become it.
 */

import { carryOf } from "../../base/u64.ts";
import { Reg, Seg } from "../../cpu/state.ts";
import type { Cpu } from "./cpu.ts";
import { Vector } from "./exception.ts";
import { load16, load32, load64, store16, store32, store64 } from "./memory.ts";
import { Attribute, isCanonical } from "./modes.ts";
import type { Descriptor } from "./segments.ts";

/** A stack and how far it has been filled or emptied. */
export class StackFrame {
  /** Stack pointer. */
  lo = 0;
  hi = 0;
  /** Bytes of the stack pointer that count: 2, 4 or 8. */
  #width = 4;
  #base = 0;
  #limit = 0;
  #expandDown = false;
  #usable = true;
  /** Error code of the #SS that the segment raises. */
  #code = 0;

  /** The vCPU's own stack. */
  useCurrent(cpu: Cpu): void {
    const attributes = cpu.attributes(Seg.SS);
    this.lo = cpu.s[Reg.RSP * 2];
    this.hi = cpu.s[Reg.RSP * 2 + 1];
    this.#width = cpu.is64 ? 8 : cpu.stack32 ? 4 : 2;
    this.#base = cpu.baseLo(Seg.SS);
    this.#limit = cpu.limit(Seg.SS);
    this.#expandDown = cpu.protectedMode && (attributes & Attribute.EXPAND_DOWN) !== 0;
    this.#usable = !cpu.protectedMode || (attributes & Attribute.PRESENT) !== 0;
    this.#code = 0;
  }

  /** The stack of another segment, from stack pointer `esp`. */
  useSegment(segment: Descriptor, esp: number): void {
    this.lo = esp;
    this.hi = 0;
    this.#width = segment.isBig ? 4 : 2;
    this.#base = segment.base;
    this.#limit = segment.limit;
    this.#expandDown = segment.isExpandDown;
    this.#usable = true;
    this.#code = segment.selector & 0xfffc;
  }

  /** A stack of 64-bit mode. */
  use64(lo: number, hi: number): void {
    this.lo = lo;
    this.hi = hi;
    this.#width = 8;
    this.#code = 0;
  }

  /** Pushes `size` bytes (2, 4 or 8) of the value with halves `lo` and `hi`. */
  push(cpu: Cpu, size: number, lo: number, hi = 0): void {
    this.#move(-size);
    const linear = this.#linear(cpu, size);
    if (size === 2) store16(cpu, linear, cpu.hi, lo);
    else if (size === 4) store32(cpu, linear, cpu.hi, lo);
    else store64(cpu, linear, cpu.hi, lo, hi);
  }

  /** Pops `size` bytes: the low half (unsigned when 2 bytes); the high half is in `cpu.hi`. */
  pop(cpu: Cpu, size: number): number {
    const linear = this.#linear(cpu, size);
    this.#move(size);
    if (size === 8) return load64(cpu, linear, cpu.hi);
    const value = size === 2 ? load16(cpu, linear, cpu.hi) : load32(cpu, linear, cpu.hi);
    cpu.hi = 0;
    return value;
  }

  /** Drops `bytes` bytes without a look at them. */
  skip(bytes: number): void {
    this.#move(bytes);
  }

  /** Aligns the stack pointer to 16 bytes, as events of 64-bit mode do (SDM 3A §6.14.2). */
  align(): void {
    this.lo &= ~15;
  }

  /** Makes this stack pointer the vCPU's. */
  commit(cpu: Cpu): void {
    cpu.s[Reg.RSP * 2] = this.lo;
    cpu.s[Reg.RSP * 2 + 1] = this.#width === 4 ? 0 : this.hi;
  }

  /** Adds `bytes` to the part of the stack pointer that the stack's width covers. */
  #move(bytes: number): void {
    const sum = (this.lo + bytes) | 0;
    if (this.#width === 2) {
      this.lo = this.lo & 0xffff_0000 | sum & 0xffff;
      return;
    }
    this.hi = (this.hi + (bytes >> 31) + carryOf(this.lo, bytes, sum)) | 0;
    this.lo = sum;
  }

  /** Linear address of the top `size` bytes: low half; the high half is in `cpu.hi`. */
  #linear(cpu: Cpu, size: number): number {
    const { lo, hi } = this;
    if (this.#width === 8) {
      if (!isCanonical(cpu, hi)) cpu.raise(Vector.SS, this.#code);
      cpu.hi = hi;
      return lo;
    }
    const offset = this.#width === 2 ? lo & 0xffff : lo >>> 0;
    const last = offset + size - 1;
    const top = this.#width === 2 ? 0xffff : 0xffff_ffff;
    const outside = this.#expandDown ? offset <= this.#limit || last > top : last > this.#limit;
    if (outside || !this.#usable) cpu.raise(Vector.SS, this.#code);
    cpu.hi = 0;
    return (this.#base + offset) | 0;
  }
}
