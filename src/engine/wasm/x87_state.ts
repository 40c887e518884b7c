/**
 * The x87 FPU's registers (SDM 1 §8.1), and the form in which the FXSAVE and XSAVE areas hold them
 * (SDM 1 §10.5.1). The eight physical registers are 16 bytes each in the vCPU's memory, where MMX
 * registers are their low 8 (SDM 1 §9.2.1).
 */

import { type Cpu, Word } from "./cpu.ts";

/** Byte offsets in the legacy region of an XSAVE area. */
const Legacy = { FCW: 0, FSW: 2, FTW: 4, FOP: 6, FIP: 8, FDP: 16, ST0: 32 } as const;
/** Bits of the status word that are not TOP. */
const STATUS_WITHOUT_TOP = 0xc7ff;
/** Bits of the control word that exist. */
const CONTROL_BITS = 0x1f3f;
/** The control word's bit that is always 1. */
const CONTROL_FIXED = 0x40;
/** Tags of a register (SDM 1 §8.1.7). */
const Tag = { VALID: 0, ZERO: 1, SPECIAL: 2, EMPTY: 3 } as const;
/** Exceptions, in the status word and as masks in the control word. */
const EXCEPTIONS = 0x3f;
/** ES, and B that mirrors it: an exception that is not masked (SDM 1 §8.1.3.3). */
const SUMMARY = 0x8080;

/** x87 state of one vCPU. */
export class X87 {
  /** Control word. */
  control = 0x40;
  /** Status word but for TOP, which is `top`. */
  status = 0;
  /** Physical number of ST0. */
  top = 0;
  /** Bit i: physical register i is not empty. */
  used = 0;
  /** Last instruction: opcode (11 bits), its address and its operand's; selectors are kept as 0. */
  opcode = 0;
  ipLo = 0;
  ipHi = 0;
  dpLo = 0;
  dpHi = 0;
  readonly #cpu: Cpu;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  /** Index in `Cpu.s` of physical register `i`: 64 bits of significand, then sign and exponent. */
  word(i: number): number {
    return Word.MMX + i * 4;
  }

  /** Index in `Cpu.s` of MMX register `i`. */
  mmWord(i: number): number {
    return Word.MMX + i * 4;
  }

  /** Index in `Cpu.s` of ST(i). */
  stackWord(i: number): number {
    return Word.MMX + (this.top + i & 7) * 4;
  }

  setControl(value: number): void {
    this.control = value & CONTROL_BITS | CONTROL_FIXED;
  }

  /** Sets or clears the exception summary: whether an exception that is not masked is flagged. */
  summarize(): void {
    if ((this.status & ~this.control & EXCEPTIONS) !== 0) this.status |= SUMMARY;
    else this.status &= ~SUMMARY;
  }

  /** The tag word, physical register 0 in its lowest bits. */
  get tagWord(): number {
    let tags = 0;
    for (let i = 0; i < 8; i++) tags |= this.#tag(i) << 2 * i;
    return tags;
  }
  /** Only whether a register is empty counts: the other tags follow from its contents. */
  set tagWord(tags: number) {
    this.used = 0;
    for (let i = 0; i < 8; i++) if ((tags >>> 2 * i & 3) !== Tag.EMPTY) this.used |= 1 << i;
  }

  #tag(i: number): number {
    if ((this.used >>> i & 1) === 0) return Tag.EMPTY;
    const { s } = this.#cpu;
    const at = this.word(i);
    const exponent = s[at + 2] & 0x7fff;
    if (exponent === 0) return (s[at] | s[at + 1]) === 0 ? Tag.ZERO : Tag.SPECIAL;
    return exponent === 0x7fff || s[at + 1] >= 0 ? Tag.SPECIAL : Tag.VALID;
  }

  /** The status word, TOP included. */
  get statusWord(): number {
    return this.status | this.top << 11;
  }
  set statusWord(value: number) {
    this.status = value & STATUS_WITHOUT_TOP;
    this.top = value >>> 11 & 7;
  }

  /** What FNINIT does; the registers' contents stay (SDM 2A "FINIT/FNINIT"). */
  init(): void {
    this.control = 0x37f;
    this.status = 0;
    this.top = 0;
    this.used = 0;
    this.opcode = 0;
    this.ipLo =
      this.ipHi =
      this.dpLo =
      this.dpHi =
        0;
  }

  /**
   * Writes the x87 part of a legacy region at byte `at`: registers in stack order, the abridged tag
   * word in physical order.
   * @param wide Instruction and operand pointers of 64 bits, without selectors.
   */
  save(view: DataView, at: number, wide: boolean): void {
    const { s } = this.#cpu;
    view.setUint16(at + Legacy.FCW, this.control, true);
    view.setUint16(at + Legacy.FSW, this.statusWord, true);
    view.setUint16(at + Legacy.FTW, this.used, true);
    view.setUint16(at + Legacy.FOP, this.opcode, true);
    view.setInt32(at + Legacy.FIP, this.ipLo, true);
    view.setInt32(at + Legacy.FIP + 4, wide ? this.ipHi : 0, true);
    view.setInt32(at + Legacy.FDP, this.dpLo, true);
    view.setInt32(at + Legacy.FDP + 4, wide ? this.dpHi : 0, true);
    for (let i = 0; i < 8; i++) {
      const from = this.word(this.top + i & 7);
      const to = at + Legacy.ST0 + i * 16;
      view.setInt32(to, s[from], true);
      view.setInt32(to + 4, s[from + 1], true);
      view.setInt32(to + 8, s[from + 2] & 0xffff, true);
      view.setInt32(to + 12, 0, true);
    }
  }

  /** Takes over what `save` writes; the summary of exceptions is made anew. */
  restore(view: DataView, at: number, wide: boolean): void {
    const { s } = this.#cpu;
    this.setControl(view.getUint16(at + Legacy.FCW, true));
    this.statusWord = view.getUint16(at + Legacy.FSW, true);
    this.summarize();
    this.used = view.getUint8(at + Legacy.FTW);
    this.opcode = view.getUint16(at + Legacy.FOP, true) & 0x7ff;
    this.ipLo = view.getInt32(at + Legacy.FIP, true);
    this.ipHi = wide ? view.getInt32(at + Legacy.FIP + 4, true) : 0;
    this.dpLo = view.getInt32(at + Legacy.FDP, true);
    this.dpHi = wide ? view.getInt32(at + Legacy.FDP + 4, true) : 0;
    for (let i = 0; i < 8; i++) {
      const to = this.word(this.top + i & 7);
      const from = at + Legacy.ST0 + i * 16;
      s[to] = view.getInt32(from, true);
      s[to + 1] = view.getInt32(from + 4, true);
      s[to + 2] = view.getUint16(from + 8, true);
      s[to + 3] = 0;
    }
  }
}
