/** A guest with descriptor tables, handlers that halt and inner stacks, for tests of segmentation. */

import { assertEquals } from "@std/assert";
import { gpa } from "../../src/base/u64.ts";
import { Reg, Seg } from "../../src/cpu/state.ts";
import { ExitCode } from "../../src/engine/engine.ts";
import { Flag, Word } from "../../src/engine/wasm/cpu.ts";
import { updateModes } from "../../src/engine/wasm/modes.ts";
import { Descriptor, findDescriptor, setSegment } from "../../src/engine/wasm/segments.ts";
import { CODE_AT, type RigMode, SystemRig } from "./system_rig.ts";

export const GDT_AT = 0x3000;
export const LDT_AT = 0x3800;
export const IDT_AT = 0x4000;
export const TSS_AT = 0x5000;
/** Handler of vector v: at HANDLERS_AT + v * 16. */
export const HANDLERS_AT = 0x6000;
export const USER_STACK = 0x9000;
export const INNER_STACK = 0xa000;
/** Interrupt stack 1 of 64-bit mode; deliberately not aligned to 16. */
export const IST1 = 0xb008;

/** Selectors of what `SegmentRig` puts into its GDT; the rest of it, up to 0xf8, is the test's. */
export const Sel = {
  CODE0: 0x08,
  DATA0: 0x10,
  CODE3: 0x1b,
  DATA3: 0x23,
  TSS: 0x28, // and 0x30
  LDT: 0x38, // and 0x40
  /** First free one. */
  FREE: 0x48,
} as const;

/** Access bytes: P, DPL, S, type. */
export const Access = {
  CODE: 0x9a,
  CONFORMING: 0x9e,
  EXECUTE_ONLY: 0x98,
  DATA: 0x92,
  READ_ONLY: 0x90,
  EXPAND_DOWN: 0x96,
  TSS16: 0x81,
  LDT: 0x82,
  CALL_GATE16: 0x84,
  TASK_GATE: 0x85,
  INTERRUPT_GATE16: 0x86,
  TSS32: 0x89,
  TSS32_BUSY: 0x8b,
  CALL_GATE32: 0x8c,
  INTERRUPT_GATE32: 0x8e,
  TRAP_GATE32: 0x8f,
} as const;
/** An access byte without P. */
export const NOT_PRESENT = ~0x80;
/** An access byte's DPL. */
export function dpl(level: number): number {
  return level << 5;
}

/** Where the last `execute` ended. */
export interface Stop {
  /** Vector whose handler halted, or -1: the program itself did. */
  readonly vector: number;
  /** Top of the stack, in units of the handler's frame. */
  readonly frame: readonly number[];
}

/** See above. Starts at CPL 0, with every handler an interrupt gate of level 0. */
export class SegmentRig extends SystemRig {
  readonly long: boolean;

  constructor(mode: RigMode) {
    super(mode);
    this.long = mode === "long64";
    const flags = this.long ? 0xa : 0xc;
    this.descriptor(Sel.CODE0, Access.CODE, 0, 0xfffff, flags);
    this.descriptor(Sel.DATA0, Access.DATA, 0, 0xfffff, 0xc);
    this.descriptor(Sel.CODE3, Access.CODE | dpl(3), 0, 0xfffff, flags);
    this.descriptor(Sel.DATA3, Access.DATA | dpl(3), 0, 0xfffff, 0xc);
    this.descriptor(Sel.TSS, Access.TSS32, TSS_AT, 0x67);
    this.descriptor(Sel.LDT, Access.LDT, LDT_AT, 0xff);
    for (let vector = 0; vector < 256; vector++) {
      this.memory.writeU8(gpa(HANDLERS_AT + vector * 16), 0xf4);
      this.gate(vector, Access.INTERRUPT_GATE32, Sel.CODE0, HANDLERS_AT + vector * 16);
    }
    if (this.long) {
      this.memory.writeU64(gpa(TSS_AT + 4), BigInt(INNER_STACK));
      this.memory.writeU64(gpa(TSS_AT + 36), BigInt(IST1));
    } else {
      this.memory.writeU32(gpa(TSS_AT + 4), INNER_STACK);
      this.memory.writeU32(gpa(TSS_AT + 8), Sel.DATA0);
    }
    const { s } = this.cpu;
    if (mode === "real") return;
    s.set([GDT_AT, 0, 0xff], Word.GDTR);
    s.set([IDT_AT, 0, this.long ? 0xfff : 0x7ff], Word.IDTR);
    this.use(Seg.TR, Sel.TSS);
    this.use(Seg.LDTR, Sel.LDT);
    this.setGpr(Reg.RSP, INNER_STACK - 0x800);
    this.setGpr(Reg.RBX, 0x2_0000);
  }

  /** Writes the descriptor of `selector`, in the GDT or the LDT; `flags` are G, D, L, AVL. */
  descriptor(selector: number, access: number, base: number, limit: number, flags = 0): void {
    const lo = (base & 0xffff) << 16 | limit & 0xffff;
    const hi = base & 0xff00_0000 | flags << 20 | limit & 0xf_0000 | access << 8 |
      base >>> 16 & 0xff;
    this.#write(selector, lo, hi);
  }

  /** Writes a call or task gate into the GDT or LDT. */
  tableGate(selector: number, access: number, target: number, offset: number, count = 0): void {
    this.#write(
      selector,
      target << 16 | offset & 0xffff,
      offset & 0xffff_0000 | access << 8 | count,
    );
  }

  #write(selector: number, lo: number, hi: number): void {
    const at = ((selector & 4) !== 0 ? LDT_AT : GDT_AT) + (selector & ~7);
    this.memory.writeU32(gpa(at), lo >>> 0);
    this.memory.writeU32(gpa(at + 4), hi >>> 0);
  }

  /** The access byte that a descriptor has now. */
  access(selector: number): number {
    return this.memory.readU8(gpa(GDT_AT + (selector & ~7) + 5));
  }

  /** Writes a gate into the IDT. */
  gate(vector: number, access: number, selector: number, offset: number, ist = 0): void {
    const at = IDT_AT + vector * (this.long ? 16 : 8);
    this.memory.writeU32(gpa(at), (selector << 16 | offset & 0xffff) >>> 0);
    this.memory.writeU32(gpa(at + 4), (offset & 0xffff_0000 | access << 8 | ist) >>> 0);
  }

  /** Segment register `seg` gets the descriptor of `selector`, without any check. */
  use(seg: number, selector: number): void {
    const from = new Descriptor();
    findDescriptor(this.cpu, selector, from);
    setSegment(this.cpu, seg, selector, from);
    updateModes(this.cpu);
  }

  /** The program is at level 3 now, with a stack of its own. */
  toUser(): void {
    this.use(Seg.CS, Sel.CODE3);
    for (const seg of [Seg.SS, Seg.DS, Seg.ES]) this.use(seg, Sel.DATA3);
    this.setGpr(Reg.RSP, USER_STACK);
  }

  /** The program is in virtual-8086 mode now, its segments at 0. */
  toV86(iopl: number): void {
    const { cpu } = this;
    for (let seg = 0; seg < 6; seg++) {
      const from = new Descriptor();
      from.lo = 0xffff;
      from.hi = 0xf300;
      setSegment(cpu, seg, 0, from);
    }
    cpu.s[Word.RFLAGS] |= Flag.VM | iopl << 12;
    this.setGpr(Reg.RSP, USER_STACK);
    updateModes(cpu);
  }

  /** Executes `code` (hexadecimal) from CODE_AT, until it or a handler halts. */
  execute(code: string, unit = this.long ? 8 : 4): Stop {
    const bytes = Uint8Array.from(code.split(" "), (byte) => parseInt(byte, 16));
    this.memory.write(gpa(CODE_AT), bytes);
    assertEquals(this.engine.run(1000), ExitCode.HALT, this.cpu.shutdownReason);
    const rip = Number(this.get(Word.RIP));
    const isHandler = rip > HANDLERS_AT && rip <= HANDLERS_AT + 256 * 16;
    const sp = Number(this.gpr(Reg.RSP)) + this.cpu.baseLo(Seg.SS);
    const view = new DataView(this.memory.view(gpa(sp), 12 * unit).slice().buffer);
    const frame = Array.from(
      { length: 12 },
      (_, i) =>
        unit === 8
          ? Number(view.getBigUint64(i * 8, true))
          : unit === 4
          ? view.getUint32(i * 4, true)
          : view.getUint16(i * 2, true),
    );
    return { vector: isHandler ? (rip - 1 - HANDLERS_AT) / 16 : -1, frame };
  }
}

/** "1b 00" for 0x1b: little-endian bytes of code. */
export function bytes16(value: number): string {
  return [value, value >>> 8].map((b) => (b & 0xff).toString(16).padStart(2, "0")).join(" ");
}
export function bytes32(value: number): string {
  return `${bytes16(value)} ${bytes16(value >>> 16)}`;
}
