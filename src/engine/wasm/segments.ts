/**
 * Segment descriptors and the loading of segment registers (SDM 3A chapters 3 and 5; 2B, MOV).
 *
 * What may fault comes first: find the descriptor, check it, mark it as accessed; then a `set`
 * function changes the register.
 */

import { carryOf } from "../../base/u64.ts";
import { Seg, SegField, State } from "../../cpu/state.ts";
import { type Cpu, Word } from "./cpu.ts";
import { Vector } from "./exception.ts";
import { load64, modifyLoad8, modifyStore8 } from "./memory.ts";
import { Attribute, beginSystem, endSystem, updateModes } from "./modes.ts";

/** Types of system segments and gates (SDM 3A §3.5, table 3-2). In IA-32e mode 9, 11 and up remain. */
export const SystemType = {
  TSS16: 1,
  LDT: 2,
  TSS16_BUSY: 3,
  CALL_GATE16: 4,
  TASK_GATE: 5,
  INTERRUPT_GATE16: 6,
  TRAP_GATE16: 7,
  TSS32: 9,
  TSS32_BUSY: 11,
  CALL_GATE32: 12,
  INTERRUPT_GATE32: 14,
  TRAP_GATE32: 15,
} as const;

/** Attributes of segments in virtual-8086 mode (SDM 3C §26.3.1.2). */
const V86_ATTRIBUTES = 0xf3;

/** A descriptor as it stands in the GDT or LDT (SDM 3A §3.4.5). */
export class Descriptor {
  selector = 0;
  /** Its address. */
  atLo = 0;
  atHi = 0;
  /** Its words. */
  lo = 0;
  hi = 0;
  /** Third word, of 16-byte descriptors: bits 63:32 of a base or an offset; else 0. */
  upper = 0;

  /** Type, with S clear a `SystemType`. */
  get type(): number {
    return this.hi >>> 8 & 15;
  }
  get isSystem(): boolean {
    return (this.hi & 0x1000) === 0;
  }
  get isCode(): boolean {
    return (this.hi & 0x1800) === 0x1800;
  }
  get isConforming(): boolean {
    return (this.hi & 0x400) !== 0;
  }
  /** Writable data. */
  get isStack(): boolean {
    return (this.hi & 0x1a00) === 0x1200;
  }
  get isExpandDown(): boolean {
    return (this.hi & 0x1c00) === 0x1400;
  }
  get dpl(): number {
    return this.hi >>> 13 & 3;
  }
  get present(): boolean {
    return (this.hi & 0x8000) !== 0;
  }
  /** L: 64-bit code, in IA-32e mode. */
  get isLong(): boolean {
    return (this.hi & 0x20_0000) !== 0;
  }
  /** D or B: 32-bit code or stack. */
  get isBig(): boolean {
    return (this.hi & 0x40_0000) !== 0;
  }
  /** In the layout of `SegField.ATTRIBUTES`. */
  get attributes(): number {
    return this.hi >>> 8 & 0xf0ff;
  }
  /** Bits 31:0. */
  get base(): number {
    return this.hi & 0xff00_0000 | (this.hi & 0xff) << 16 | this.lo >>> 16;
  }
  /** In bytes, unsigned. */
  get limit(): number {
    const limit = this.hi & 0xf_0000 | this.lo & 0xffff;
    return ((this.hi & 0x80_0000) !== 0 ? limit << 12 | 0xfff : limit) >>> 0;
  }

  /** Of a gate: the selector of its code segment or TSS. */
  get gateSelector(): number {
    return this.lo >>> 16;
  }
  /** Of a gate: bits 31:0 of the offset, those that its type has. */
  get gateOffset(): number {
    const low = this.lo & 0xffff;
    return (this.type & 8) === 0 ? low : this.hi & 0xffff_0000 | low;
  }
}

/** What the loads of data segments read into: one at a time. */
const loaded = new Descriptor();

/** A selector of no descriptor (SDM 3A §3.4.2). */
export function isNull(selector: number): boolean {
  return (selector & 0xfffc) === 0;
}

/** Reads the descriptor of `selector`; false when it lies outside its table. */
export function findDescriptor(cpu: Cpu, selector: number, into: Descriptor): boolean {
  const { s } = cpu;
  const local = (selector & 4) !== 0;
  if (local && (cpu.attributes(Seg.LDTR) & Attribute.PRESENT) === 0) return false;
  const offset = selector & 0xfff8;
  if (offset + 7 > (local ? cpu.limit(Seg.LDTR) : s[Word.GDTR + 2])) return false;
  const baseLo = local ? cpu.baseLo(Seg.LDTR) : s[Word.GDTR];
  const baseHi = local ? cpu.baseHi(Seg.LDTR) : s[Word.GDTR + 1];
  const lo = (baseLo + offset) | 0;
  into.selector = selector;
  into.atLo = lo;
  into.atHi = cpu.longMode ? (baseHi + carryOf(baseLo, offset, lo)) | 0 : 0;
  beginSystem(cpu);
  into.lo = load64(cpu, lo, into.atHi);
  into.hi = cpu.hi;
  into.upper = 0;
  endSystem(cpu);
  return true;
}

/** Reads the descriptor of `selector`, or raises `vector` with the selector as error code. */
export function readDescriptor(
  cpu: Cpu,
  selector: number,
  into: Descriptor,
  vector: number = Vector.GP,
): void {
  if (!findDescriptor(cpu, selector, into)) cpu.raise(vector, selector & 0xfffc);
}

/**
 * Reads the upper half of a 16-byte descriptor, as system segments and call gates have in IA-32e
 * mode (SDM 3A §5.8.3.1, §7.2.3): false when it lies outside its table or has a type of its own.
 */
export function findUpperHalf(cpu: Cpu, descriptor: Descriptor): boolean {
  const { selector } = descriptor;
  const limit = (selector & 4) !== 0 ? cpu.limit(Seg.LDTR) : cpu.s[Word.GDTR + 2];
  if ((selector & 0xfff8) + 15 > limit) return false;
  const lo = (descriptor.atLo + 8) | 0;
  const hi = (descriptor.atHi + carryOf(descriptor.atLo, 8, lo)) | 0;
  beginSystem(cpu);
  descriptor.upper = load64(cpu, lo, hi);
  endSystem(cpu);
  return (cpu.hi & 0x1f00) === 0;
}

/** Sets the accessed bit in the descriptor table (SDM 3A §3.4.5.1). */
export function markAccessed(cpu: Cpu, descriptor: Descriptor): void {
  if ((descriptor.hi & 0x100) !== 0) return;
  descriptor.hi |= 0x100;
  setTypeBits(cpu, descriptor, 1);
}

/** Sets `bits` of the type in the descriptor table. */
export function setTypeBits(cpu: Cpu, descriptor: Descriptor, bits: number): void {
  beginSystem(cpu);
  modifyStore8(cpu, modifyType(cpu, descriptor) | bits);
  endSystem(cpu);
}

/** Clears `bits` of the type in the descriptor table. */
export function clearTypeBits(cpu: Cpu, descriptor: Descriptor, bits: number): void {
  beginSystem(cpu);
  modifyStore8(cpu, modifyType(cpu, descriptor) & ~bits);
  endSystem(cpu);
}

function modifyType(cpu: Cpu, descriptor: Descriptor): number {
  const lo = (descriptor.atLo + 5) | 0;
  const hi = cpu.longMode ? (descriptor.atHi + carryOf(descriptor.atLo, 5, lo)) | 0 : 0;
  return modifyLoad8(cpu, lo, hi);
}

/** Fills segment register `seg` from a descriptor. Derived state is the caller's. */
export function setSegment(cpu: Cpu, seg: number, selector: number, from: Descriptor): void {
  putSegment(cpu, seg, selector, from.base, from.limit, from.attributes);
  cpu.s[(State.SEGMENTS + seg * 16) / 4 + 1] = from.upper;
}

/**
 * Fills segment register `seg` with a null selector: it cannot be used outside of 64-bit mode. SS
 * keeps the privilege level `dpl`.
 */
export function setNullSegment(cpu: Cpu, seg: number, selector: number, dpl = 0): void {
  putSegment(cpu, seg, selector, 0, 0, dpl << 5);
}

/**
 * Fills segment register `seg` as real mode does, which changes the base only (SDM 3A §20.1.1), or
 * as virtual-8086 mode does.
 */
export function setRealSegment(cpu: Cpu, seg: number, selector: number): void {
  if (cpu.v86) {
    setV86Segment(cpu, seg, selector);
    return;
  }
  putSegment(cpu, seg, selector, selector << 4, cpu.limit(seg), cpu.attributes(seg));
}

/** Fills segment register `seg` as virtual-8086 mode does (SDM 3A §20.2.1). */
export function setV86Segment(cpu: Cpu, seg: number, selector: number): void {
  putSegment(cpu, seg, selector, selector << 4, 0xffff, V86_ATTRIBUTES);
}

/** Fills segment register `seg`; `base` has 32 bits. */
function putSegment(
  cpu: Cpu,
  seg: number,
  selector: number,
  base: number,
  limit: number,
  attributes: number,
): void {
  const at = State.SEGMENTS + seg * 16;
  cpu.s[at / 4] = base;
  cpu.s[at / 4 + 1] = 0;
  cpu.s[(at + SegField.LIMIT) / 4] = limit;
  cpu.u16[(at + SegField.SELECTOR) / 2] = selector;
  cpu.u16[(at + SegField.ATTRIBUTES) / 2] = attributes;
}

/** Loads any segment register but CS, in any mode, as MOV and POP do. */
export function loadSegment(cpu: Cpu, seg: number, selector: number): void {
  if (!cpu.protectedMode) setRealSegment(cpu, seg, selector);
  else if (seg === Seg.SS) loadStackSegment(cpu, selector);
  else loadDataSegment(cpu, seg, selector, Vector.GP);
  updateModes(cpu);
}

/** Loads DS, ES, FS or GS in protected mode. `vector` is #GP, or #TS in a task switch. */
export function loadDataSegment(cpu: Cpu, seg: number, selector: number, vector: number): void {
  if (isNull(selector)) {
    setNullSegment(cpu, seg, selector);
    return;
  }
  readDescriptor(cpu, selector, loaded, vector);
  const code = selector & 0xfffc;
  const { type } = loaded;
  if (loaded.isSystem || (type & 10) === 8) cpu.raise(vector, code); // neither data nor readable
  if ((type & 12) !== 12) { // all but conforming code
    if ((selector & 3) > loaded.dpl || cpu.cpl > loaded.dpl) cpu.raise(vector, code);
  }
  if (!loaded.present) cpu.raise(Vector.NP, code);
  markAccessed(cpu, loaded);
  setSegment(cpu, seg, selector, loaded);
}

/** Loads SS in protected mode, without a change of privilege. */
function loadStackSegment(cpu: Cpu, selector: number): void {
  if (isNull(selector)) {
    // 64-bit mode below level 3 needs no stack segment (SDM 3A §5.4.1.1).
    if (!cpu.is64 || cpu.cpl === 3 || (selector & 3) !== cpu.cpl) cpu.raise(Vector.GP);
    setNullSegment(cpu, Seg.SS, selector, cpu.cpl);
    return;
  }
  readStackDescriptor(cpu, selector, cpu.cpl, loaded, Vector.GP);
  markAccessed(cpu, loaded);
  setSegment(cpu, Seg.SS, selector, loaded);
}

/**
 * Reads the descriptor of a stack segment for privilege level `cpl`, with all checks. `vector` is
 * #GP, or #TS when the selector is from a TSS.
 */
export function readStackDescriptor(
  cpu: Cpu,
  selector: number,
  cpl: number,
  into: Descriptor,
  vector: number,
): void {
  const code = selector & 0xfffc;
  if (isNull(selector)) cpu.raise(vector, 0);
  readDescriptor(cpu, selector, into, vector);
  if ((selector & 3) !== cpl || !into.isStack || into.dpl !== cpl) cpu.raise(vector, code);
  if (!into.present) cpu.raise(Vector.SS, code);
}

/**
 * Makes data segments unusable that the new, outer privilege level may not use (SDM 3A §5.8.6):
 * after the change of CPL, which does not check them again.
 */
export function dropInnerSegments(cpu: Cpu, cpl: number): void {
  for (const seg of DATA_SEGMENTS) {
    const attributes = cpu.attributes(seg);
    const conforming = Attribute.S | Attribute.CODE | Attribute.CONFORMING;
    if ((attributes & conforming) === conforming) continue;
    if ((attributes >>> 5 & 3) >= cpl) continue;
    if ((attributes & Attribute.PRESENT) !== 0) setNullSegment(cpu, seg, 0);
    // A null FS or GS has a base all the same in 64-bit mode.
    else cpu.u16[(State.SEGMENTS + seg * 16 + SegField.SELECTOR) / 2] = 0;
  }
}

/** ES, DS, FS, GS. */
export const DATA_SEGMENTS: readonly number[] = [Seg.ES, Seg.DS, Seg.FS, Seg.GS];
