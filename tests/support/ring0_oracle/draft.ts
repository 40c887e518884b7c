/** A case in the making: its code, registers and operands in memory. */

import { Reg, Seg, SegField, State } from "../../../src/cpu/state.ts";
import type { Values } from "../oracle/values.ts";
import type { Descriptors } from "./descriptors.ts";
import { At, RAM_BYTES } from "./layout.ts";
import type { Mode, States } from "./modes.ts";
import type { Shown } from "./shown.ts";

/** ModRM.rm of a memory operand. */
export const MEMORY = -1;
/** Prefixes that override the segment, by `Seg`. */
const OVERRIDES: readonly number[] = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
/** Registers that operands may be in: not RDX, which has the port, RBX, which has addresses, RSP. */
const REGISTERS: readonly number[] = [Reg.RAX, Reg.RCX, Reg.RBP, Reg.RSI, Reg.RDI];

/** Memory beyond the stack pointer that a frame may fill, in bytes. */
const FRAME_BYTES = 96;

/** What a family of instructions fills in. */
export class Draft {
  readonly values: Values;
  readonly descriptors: Descriptors;
  readonly states: States;
  readonly shown: Shown;
  mode!: Mode;
  /** The instruction. */
  readonly code: number[] = [];
  /** Debug registers and MSRs count, too. */
  full = false;
  /** The guest's memory. */
  readonly #view: DataView;
  /** The memory operand is at this displacement, or at [RBX]. */
  #address = 0;
  #throughRbx = false;

  constructor(
    view: DataView,
    values: Values,
    descriptors: Descriptors,
    states: States,
    shown: Shown,
  ) {
    this.#view = view;
    this.values = values;
    this.descriptors = descriptors;
    this.states = states;
    this.shown = shown;
  }

  begin(mode: Mode): void {
    this.mode = mode;
    this.code.length = 0;
    this.full = false;
  }

  pick<T>(items: readonly T[]): T {
    return this.descriptors.pick(items);
  }
  oneIn(n: number): boolean {
    return this.values.oneIn(n);
  }
  u32(): number {
    return this.values.random.u32();
  }

  /** A register for an operand; any of the 16 in 64-bit mode. */
  register(): number {
    return this.mode.bits === 64 && this.oneIn(4) ? 8 + this.values.small(8) : this.pick(REGISTERS);
  }

  /** An operand size that the mode has, in bytes. */
  size(): number {
    if (this.mode.bits === 64) return this.pick([2, 4, 8, 8]);
    return this.oneIn(3) ? 6 - this.mode.bits / 8 : this.mode.bits / 8;
  }

  /** Sets bits 15:0 of a register. */
  setGpr16(register: number, value: number): void {
    const { states } = this;
    states.setGpr(register, states.gpr(register) & 0xffff_0000 | value);
  }

  /** Puts a memory operand somewhere, with these bytes. Returns `MEMORY`. */
  memory(...bytes: number[]): number {
    this.#throughRbx = this.oneIn(3);
    let high = 0;
    this.#address = At.DATA + this.values.small(0x1f80);
    if (this.oneIn(12)) this.#address = At.READ_ONLY - this.values.small(16);
    if (this.oneIn(25)) this.#address = this.pick([At.READ_ONLY, At.ABSENT - 4, At.ABSENT]);
    if (this.mode.bits === 64 && this.oneIn(30)) high = this.u32() | 0;
    if (this.#throughRbx) this.states.setGpr(Reg.RBX, this.#address, high);
    this.#write(this.#address, bytes);
    return MEMORY;
  }

  /** Writes bytes where they are in RAM that cases may change. */
  #write(at: number, bytes: readonly number[]): void {
    bytes.forEach((byte, i) => {
      if (at + i >= 0 && at + i < RAM_BYTES) this.#view.setUint8(at + i, byte);
    });
  }

  /** Writes two words of a descriptor table. */
  words(at: number, lo: number, hi: number): void {
    this.#view.setInt32(at, lo, true);
    this.#view.setInt32(at + 4, hi, true);
  }

  /** Lays values of `size` bytes, halves each, on the top of the stack. */
  frame(size: number, values: readonly (readonly [lo: number, hi: number])[]): void {
    const { view } = this.states.state;
    const ss = State.SEGMENTS + Seg.SS * 16;
    const wide = this.mode.bits === 64 ||
      (view.getUint16(ss + SegField.ATTRIBUTES, true) & 0x4000) !== 0;
    const base = this.mode.bits === 64 ? 0 : view.getUint32(ss, true);
    const sp = this.states.gpr(Reg.RSP) & (wide ? -1 : 0xffff);
    const at = (base + sp) >>> 0;
    if (at + FRAME_BYTES > RAM_BYTES) return;
    values.forEach(([lo, hi], i) => this.#write(at + i * size, le(lo, hi).slice(0, size)));
  }

  /**
   * Emits an instruction with a ModRM byte: prefixes, opcode, operands. `size` 0 leaves the operand
   * size alone.
   */
  modrm(size: number, opcode: readonly number[], reg: number, rm: number): void {
    const { bits } = this.mode;
    if (rm === MEMORY && this.oneIn(12)) this.code.push(this.pick(OVERRIDES));
    this.prefixes(size, reg, rm);
    this.code.push(...opcode);
    const middle = (reg & 7) << 3;
    if (rm !== MEMORY) this.code.push(0xc0 | middle | rm & 7);
    else if (this.#throughRbx) this.code.push(middle | (bits === 16 ? 7 : 3));
    else if (bits === 16) this.code.push(middle | 6, ...le(this.#address, 0).slice(0, 2));
    else if (bits === 32) this.code.push(middle | 5, ...le(this.#address, 0).slice(0, 4));
    else this.code.push(middle | 4, 0x25, ...le(this.#address, 0).slice(0, 4));
  }

  /** Emits an instruction without operands. */
  plain(size: number, ...opcode: number[]): void {
    this.prefixes(size, 0, 0);
    this.code.push(...opcode);
  }

  /** The operand-size prefix, and REX where registers or the size need it. */
  prefixes(size: number, reg: number, rm: number): void {
    const { bits } = this.mode;
    if (size !== 0 && (bits === 16 ? size === 4 : size === 2)) this.code.push(0x66);
    const rex = (size === 8 ? 8 : 0) | (reg >= 8 ? 4 : 0) | (rm >= 8 ? 1 : 0);
    if (rex !== 0) this.code.push(0x40 | rex);
  }
}

/** Little-endian bytes of a value's halves. */
export function le(lo: number, hi: number): number[] {
  return [0, 8, 16, 24].map((shift) => lo >>> shift & 255).concat(
    [0, 8, 16, 24].map((shift) => hi >>> shift & 255),
  );
}
