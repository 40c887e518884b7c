/**
 * A decoded instruction: what the decoder found, in the form in which handlers want it. Decoded
 * once, executed many times.
 */

import type { Cpu } from "./cpu.ts";
import type { Row } from "./isa/row.ts";

/** Carries one instruction out. Raises guest exceptions before it changes anything. */
export type Handler = (cpu: Cpu, insn: Insn) => void;

/** Instead of a register's index in `dst` and `src`: the memory operand. */
export const MEM = -1;
/** Instead of a register's index in `src`: the immediate. */
export const IMM = -2;
/** No base or index register. */
export const NONE = -1;

/** How the memory operand's address is made. The 64-bit forms need no segment unless FS or GS. */
export const EaKind = {
  /** 64-bit code: [base + disp]. */
  BASE_DISP: 0,
  /** 64-bit code: [base + index << scale + disp], either may be missing. */
  SIB: 1,
  /** 64-bit code: [RIP + disp] or an absolute address: a constant, less the page the code is in. */
  RIP: 2,
  /** 64-bit code: a constant. */
  ABSOLUTE: 3,
  /** Everything else: 32- and 16-bit addresses, FS and GS, segments with base and limit. */
  GENERAL: 4,
} as const;
export type EaKind = typeof EaKind[keyof typeof EaKind];

/** REP and REPNE prefixes. */
export const Rep = { NONE: 0, REPNE: 0xf2, REP: 0xf3 } as const;

/** Places in `Insn.#rare`; bits 10:0 are the x87 opcode. */
const Rare = {
  VVVV: 11,
  ADDR_SIZE: 15,
  REP: 19,
  LOCK: 21,
  ENDS: 22,
  RIP_RELATIVE: 23,
  MEM_WRITE: 24,
} as const;

/** A decoded instruction. */
export class Insn {
  // What the interpreter asks for most stands first: it is about the processor's caches.
  /** What the interpreter calls. */
  exec: Handler = unset;
  /**
   * First operand: index of the register in the view of the operand's size (bytes `u8`, 16 bits
   * `u16`, 32 bits `s`; 64-bit, XMM and MMX registers by their lowest word in `s`), or `MEM`.
   */
  dst = 0;
  /** Second operand likewise, or `IMM`. */
  src = 0;
  /** Immediate, sign-extended to 64 bits. A relative branch's displacement. */
  immLo = 0;
  immHi = 0;
  ea: EaKind = EaKind.BASE_DISP;
  /** Word index in `s` of the base register, or NONE; and so with `index`. */
  base = NONE;
  disp = 0;
  dispHi = 0;
  index = NONE;
  /** log2 of the factor of `index`. */
  scale = 0;
  /** Offset behind its last byte: beyond 4096 when it crosses into the next page. */
  next = 0;
  /** What `exec` calls in turn, when it first has to check something (FPU and SSE state). */
  inner: Handler = unset;
  /** Segment of the memory operand (`Seg`), overrides applied. */
  seg = 3;
  /** Third operand when it is a register (VEX forms); else unused. */
  src2 = 0;

  row: Row | undefined = undefined;
  /** Offset of its first byte in the 4 KiB page, 0 to 4095. */
  offset = 0;
  /** Operand size in bytes: 2, 4 or 8 (1 for byte forms). */
  opSize = 4;
  /** ModRM.reg with REX.R, 0 to 15; the opcode's digit for groups. */
  reg = 0;
  /** ModRM.rm with REX.B, 0 to 15, when it is a register; the register in the opcode likewise. */
  rm = 0;
  /** The r/m operand is in memory. */
  isMem = false;

  // There are hundreds of thousands of these, and a field takes 8 bytes: what is small and not asked
  // for all the time shares two of them.
  #rare = 4 << Rare.ADDR_SIZE;
  #sizes = 0;

  /** Bits 2:0 of the opcode and the ModRM byte, as the x87 FPU keeps them (SDM 1 §8.1.9). */
  get x87Opcode(): number {
    return this.#rare & 0x7ff;
  }
  set x87Opcode(value: number) {
    this.#rare = this.#rare & ~0x7ff | value;
  }

  /** VEX.vvvv. */
  get vvvv(): number {
    return this.#rare >>> Rare.VVVV & 15;
  }
  set vvvv(value: number) {
    this.#rare = this.#rare & ~(15 << Rare.VVVV) | value << Rare.VVVV;
  }

  /** Address size in bytes: 2, 4 or 8. */
  get addrSize(): number {
    return this.#rare >>> Rare.ADDR_SIZE & 15;
  }
  set addrSize(value: number) {
    this.#rare = this.#rare & ~(15 << Rare.ADDR_SIZE) | value << Rare.ADDR_SIZE;
  }

  /** `Rep`: the last of the prefixes F2 and F3. */
  get rep(): number {
    const low = this.#rare >>> Rare.REP & 3;
    return low === 0 ? Rep.NONE : Rep.REPNE & ~3 | low;
  }
  set rep(value: number) {
    this.#rare = this.#rare & ~(3 << Rare.REP) | (value & 3) << Rare.REP;
  }

  /** The prefix LOCK. */
  get lock(): boolean {
    return this.#has(Rare.LOCK);
  }
  set lock(value: boolean) {
    this.#put(Rare.LOCK, value);
  }

  /** The last of its block: see `RowOptions.ends`. */
  get ends(): boolean {
    return this.#has(Rare.ENDS);
  }
  set ends(value: boolean) {
    this.#put(Rare.ENDS, value);
  }

  /** `disp` is relative to `Cpu.codeBase`. */
  get ripRelative(): boolean {
    return this.#has(Rare.RIP_RELATIVE);
  }
  set ripRelative(value: boolean) {
    this.#put(Rare.RIP_RELATIVE, value);
  }

  /** Whether the memory operand is written: for segment checks. */
  get memWrite(): boolean {
    return this.#has(Rare.MEM_WRITE);
  }
  set memWrite(value: boolean) {
    this.#put(Rare.MEM_WRITE, value);
  }

  /** Bytes that the memory operand has: for segment checks. */
  get memSize(): number {
    return this.#sizes >>> 16;
  }
  set memSize(value: number) {
    this.#sizes = this.#sizes & 0xffff | value << 16;
  }

  /** ENTER's second immediate; the selector of a far pointer. */
  get imm2(): number {
    return this.#sizes & 0xffff;
  }
  set imm2(value: number) {
    this.#sizes = this.#sizes & ~0xffff | value & 0xffff;
  }

  #has(bit: number): boolean {
    return (this.#rare >>> bit & 1) !== 0;
  }

  #put(bit: number, value: boolean): void {
    this.#rare = value ? this.#rare | 1 << bit : this.#rare & ~(1 << bit);
  }
}

function unset(): void {
  throw new Error("An instruction without a handler was executed");
}
