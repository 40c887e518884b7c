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

/** A decoded instruction. */
export class Insn {
  /** What the interpreter calls. */
  exec: Handler = unset;
  /** What `exec` calls in turn, when it first has to check something (FPU and SSE state). */
  inner: Handler = unset;
  row: Row | undefined = undefined;
  /** Offset of its first byte in the 4 KiB page, 0 to 4095. */
  offset = 0;
  /** Offset behind its last byte: beyond 4096 when it crosses into the next page. */
  next = 0;
  /** Operand size in bytes: 2, 4 or 8 (1 for byte forms). */
  opSize = 4;
  /** Address size in bytes: 2, 4 or 8. */
  addrSize = 4;

  /** ModRM.reg with REX.R, 0 to 15; the opcode's digit for groups. */
  reg = 0;
  /** ModRM.rm with REX.B, 0 to 15, when it is a register; the register in the opcode likewise. */
  rm = 0;
  /** Bits 2:0 of the opcode and the ModRM byte, as the x87 FPU keeps them (SDM 1 §8.1.9). */
  x87Opcode = 0;
  /** VEX.vvvv. */
  vvvv = 0;
  /** The r/m operand is in memory. */
  isMem = false;

  /**
   * First operand: index of the register in the view of the operand's size (bytes `u8`, 16 bits
   * `u16`, 32 bits `s`; 64-bit, XMM and MMX registers by their lowest word in `s`), or `MEM`.
   */
  dst = 0;
  /** Second operand likewise, or `IMM`. */
  src = 0;
  /** Third operand when it is a register (VEX forms); else unused. */
  src2 = 0;
  /** Immediate, sign-extended to 64 bits. A relative branch's displacement. */
  immLo = 0;
  immHi = 0;
  /** ENTER's second immediate; the selector of a far pointer. */
  imm2 = 0;

  ea: EaKind = EaKind.BASE_DISP;
  /** Word index in `s` of the base register, or NONE; and so with `index`. */
  base = NONE;
  index = NONE;
  /** log2 of the factor of `index`. */
  scale = 0;
  disp = 0;
  dispHi = 0;
  /** `disp` is relative to `Cpu.codeBase`. */
  ripRelative = false;
  /** Segment of the memory operand (`Seg`), overrides applied. */
  seg = 3;
  /** Bytes that the memory operand has, and whether it is written: for segment checks. */
  memSize = 0;
  memWrite = false;

  /** `Rep`: the last of the prefixes F2 and F3. */
  rep = 0;
  lock = false;
  /** The last of its block: see `RowOptions.ends`. */
  ends = false;
}

function unset(): void {
  throw new Error("An instruction without a handler was executed");
}
