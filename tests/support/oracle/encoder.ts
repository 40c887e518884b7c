/** Encodes instructions of a form, with registers and addresses drawn at random. */

import { sizeOf } from "../../../src/engine/wasm/decode/operands.ts";
import type { Form } from "./forms.ts";
import { At, FS_BASE, GS_HIGH, GS_LOW, LANDING, Selector, SLOT_BYTES } from "./layout.ts";
import type { Values } from "./values.ts";

/** ModRM.rm of 16-bit addressing: base and index (SDM 2A table 2-1); -1: none. */
const BASE16 = [3, 3, 5, 5, 6, 7, -1, 3];
const INDEX16 = [6, 7, 6, 7, -1, -1, -1, -1];
/** Targets that are not in the case's slot: 1 in so many. */
const STRAY = 12;

/** What an instruction is made for. */
export interface Place {
  readonly bits: 32 | 64;
  /** Address of the case's data. */
  readonly slot: number;
  /** Words of all data from `At.DATA` on. */
  readonly data: DataView;
  /** Address of the case's code. */
  readonly code: number;
  /** The general registers before the case, halves. */
  readonly registers: Int32Array;
}

/** Encodes into `bytes`. */
export class Encoder {
  readonly bytes = new Uint8Array(128);
  /** Bytes of the case so far. */
  length = 0;
  /** Bit by register: its value has been chosen for an address. */
  fixed = 0;
  readonly #values: Values;
  #place!: Place;
  #form!: Form;
  #opSize = 4;
  #addrSize = 8;
  #rex = 0;
  #modrm = 0;
  #hasSib = false;
  #sib = 0;
  #dispSize = 0;
  #disp = 0;
  #ripRelative = false;
  #segment = 0;
  #vvvv = 0;
  #opcodeRegister = 0;

  constructor(values: Values) {
    this.#values = values;
  }

  /** Starts a case. */
  begin(place: Place): void {
    this.#place = place;
    this.length = 0;
    this.fixed = 0;
  }

  /** Address of the memory operand of the last instruction; 0: none was meant. */
  target = 0;
  /** Operand size of the last instruction. */
  get opSize(): number {
    return this.#opSize;
  }
  get addrSize(): number {
    return this.#addrSize;
  }

  /** Appends an instruction of `form`. */
  append(form: Form): void {
    const v = this.#values;
    const { encoding, row } = form;
    const long = this.#place.bits === 64;
    this.#form = form;
    this.#rex = 0;
    this.#segment = 0;
    const free = form.operands.some(({ letter }) => letter === "B") || v.oneIn(16);
    this.#vvvv = free ? v.small(long ? 16 : 8) : 0;
    this.#addrSize = long ? 8 : 4;
    this.target = 0;
    const with66 = this.#chooseSize(form, long);
    if (v.oneIn(14) && !PORT_STRINGS.test(row.mnemonic)) this.#addrSize = long ? 4 : 2;
    const memory = this.#chooseOperands();
    if (encoding.prefix === 0 && with66) throw new Error("66 where there must be none");
    // Prefixes in any order; mandatory ones last, then REX.
    if (this.#addrSize === (long ? 4 : 2)) this.#emit(0x67);
    if (this.#segment !== 0) this.#emit(this.#segment);
    if (with66) this.#emit(0x66);
    // This processor lets LOCK stand before some of the instructions of other maps.
    const locked = row.lock === true ? memory && v.oneIn(6) : encoding.map === 0 && v.oneIn(400);
    if (locked) this.#emit(0xf0);
    this.#repeat(form);
    this.#opcode(long);
    const dispAt = this.#address();
    this.#immediates();
    if (this.#ripRelative) {
      const next = this.#place.code + this.length;
      this.#patch32(dispAt, this.#disp - next);
    }
  }

  /** Chooses the operand size; true when it takes a 66 prefix. */
  #chooseSize(form: Form, long: boolean): boolean {
    const v = this.#values;
    const { encoding, row } = form;
    const { size64 } = row;
    const can66 = encoding.prefix === -1 && !encoding.vex && form.sized &&
      !(long && size64 === "f64") && row.mnemonic !== "bswap";
    this.#opSize = 4;
    if (encoding.w === 1 || (form.widened && encoding.w === -1 && long && v.oneIn(2))) {
      this.#rex |= 8;
    }
    if (!long) {
      this.#rex = 0;
      const with66 = can66 && v.oneIn(3);
      if (with66) this.#opSize = 2;
      return with66;
    }
    if (size64 !== undefined) this.#opSize = 8;
    if ((this.#rex & 8) !== 0) {
      this.#opSize = 8;
      return false;
    }
    const u = v.small(8);
    if (form.sized && encoding.w === -1 && (u < 3 || (can66 && u === 7 && v.oneIn(4)))) {
      this.#rex |= 8;
      this.#opSize = 8;
      return u === 7;
    }
    if (can66 && u < 5 && u >= 3) {
      this.#opSize = 2;
      return true;
    }
    if (!form.sized && !encoding.vex && encoding.w === -1 && v.oneIn(24)) this.#rex |= 8;
    return false;
  }

  #register(): number {
    const v = this.#values;
    const bound = this.#place.bits === 64 ? 16 : 8;
    let register = v.small(bound);
    // Registers that make addresses stay what they are in most cases.
    for (let i = 0; i < 3 && (this.fixed >>> register & 1) !== 0; i++) register = v.small(bound);
    return register;
  }

  /** Draws the operands; true for a memory operand. */
  #chooseOperands(): boolean {
    const v = this.#values;
    const { encoding, operands, row } = this.#form;
    this.#hasSib = false;
    this.#dispSize = 0;
    this.#ripRelative = false;
    let reg = encoding.digit >= 0 ? encoding.digit : 0;
    let rm = -1, memory = false, bytes = 0;
    const long = this.#place.bits === 64;
    for (const { letter, size } of operands) {
      switch (letter) {
        case "E":
        case "W":
        case "Q":
        case "M": {
          const canBeMemory = row.form !== "reg";
          memory = letter === "M" || row.form === "mem" || (canBeMemory && v.oneIn(2));
          bytes = /^fx/.test(row.mnemonic)
            ? 512
            : row.memSize ?? sizeOf(size, this.#opSize, (this.#rex & 8) !== 0, long);
          if (!memory) rm = this.#register();
          break;
        }
        case "R":
        case "U":
        case "N":
          rm = this.#register();
          break;
        case "G":
        case "V":
        case "P":
          reg = this.#register();
          break;
        case "S":
          reg = v.oneIn(20) ? v.small(8) : [0, 2, 3, 4, 5][v.small(5)];
          break;
        case "Z":
          this.#opcodeRegister = this.#register();
          break;
        case "O":
          memory = true;
          this.#absolute(sizeOf(size, this.#opSize, false, long));
          break;
      }
    }
    if (!encoding.hasModrm) {
      this.#modrm = -1;
      return memory;
    }
    if (encoding.modrmMask !== 0) {
      this.#modrm = encoding.modrm | v.small(256) & ~encoding.modrmMask & 255;
      return false;
    }
    if (reg > 7) this.#rex |= 4;
    this.#modrm = (reg & 7) << 3;
    if (memory) {
      this.#memory(bytes);
    } else {
      if (rm < 0) rm = v.small(8);
      if (rm > 7) this.#rex |= 1;
      this.#modrm |= 0xc0 | rm & 7;
    }
    return memory;
  }

  /** An address for an operand of `bytes`. */
  #pickTarget(bytes: number): number {
    const v = this.#values;
    const { slot } = this.#place;
    const align = bytes > 1 && (bytes < 16 ? v.oneIn(2) : !v.oneIn(12))
      ? Math.min(bytes & -bytes, 16)
      : 1;
    const aligned = (address: number) => address - address % align;
    if (bytes < 512 && !AIMED.test(this.#form.row.mnemonic) && v.oneIn(STRAY)) {
      const near = v.small(24) - 12;
      // An emulator reads before it looks whether it may write: no such pages side by side.
      switch (this.#place.bits === 64 ? v.small(8) : 4 + v.small(4)) {
        case 0:
          return At.READ_ONLY + v.small(4096 - 64);
        case 1:
          return At.READ_ONLY + near; // from writable to read-only
        case 2:
          return At.READ_ONLY + 0x1000 + near; // to what is not there
        case 3:
          return At.DATA + near;
        case 4:
          return v.small(0x1000);
        default:
          return At.DATA + 0x1000 * (1 + v.small(5)) + near; // from page to page
      }
    }
    if (bytes >= 512) return slot;
    const span = Math.min(SLOT_BYTES - bytes, 112);
    return aligned(slot + v.small(span + 1));
  }

  /** Chooses ModRM.mod, rm, SIB and displacement, and sets registers so that they give a target. */
  #memory(bytes: number): void {
    const v = this.#values;
    const long = this.#place.bits === 64;
    let target = this.#pickTarget(bytes);
    this.target = target;
    let targetHi = 0;
    if (v.oneIn(10)) {
      const gs = v.oneIn(2);
      this.#segment = gs ? 0x65 : 0x64;
      const base = gs ? GS_LOW : FS_BASE;
      const borrow = target < base ? 1 : 0;
      target = target - base | 0;
      targetHi = long && this.#addrSize === 8 ? -(gs ? GS_HIGH : 0) - borrow | 0 : 0;
    } else if (v.oneIn(30)) {
      // In 64-bit code not SS: whether that makes #GP #SS is the processor's choice.
      this.#segment = [0x26, long ? 0x2e : 0x36, 0x3e, 0x3e][v.small(4)];
    }
    if (this.#addrSize === 2) this.#memory16(target);
    else this.#memorySib(target, targetHi);
  }

  #memory16(target: number): void {
    const v = this.#values;
    const rm = v.small(8);
    if (rm === 6 && v.oneIn(2)) {
      this.#modrm |= 6;
      return this.#displace(2, target);
    }
    const base = rm === 6 ? 5 : BASE16[rm], index = INDEX16[rm];
    const dispSize = rm === 6 ? 1 + v.small(2) : v.small(3);
    const disp = dispSize === 0 ? 0 : dispSize === 1 ? v.small(256) << 24 >> 24 : v.random.u32();
    this.#modrm |= dispSize << 6 | rm;
    this.#displace(dispSize, disp);
    const { registers } = this.#place;
    const rest = target - disp - (index < 0 ? 0 : registers[index * 2]);
    this.#fix(base, registers[base * 2] & ~0xffff | rest & 0xffff, registers[base * 2 + 1]);
    if (index >= 0) this.fixed |= 1 << index;
  }

  #memorySib(target: number, targetHi: number): void {
    const v = this.#values;
    const long = this.#place.bits === 64;
    const kind = v.small(16);
    if (kind === 0 || (kind < 3 && long)) { // [RIP + disp32], or [disp32] in 32-bit code
      this.#modrm |= 5;
      this.#displace(4, target);
      this.#ripRelative = long;
      return;
    }
    if (kind === 3) { // SIB without base and index
      this.#modrm |= 4;
      this.#hasSib = true;
      this.#sib = 0x25 | v.small(4) << 6;
      return this.#displace(4, target);
    }
    let dispSize = [0, 1, 1, 4][v.small(4)];
    const base = this.#register();
    // Whether an override that means nothing makes #SS #GP is the processor's choice.
    if (long && (base & 14) === 4 && this.#segment < 0x64) this.#segment = 0;
    const sib = (base & 7) === 4 || v.oneIn(2);
    if (dispSize === 0 && (base & 7) === 5) dispSize = 1;
    const disp = dispSize === 0
      ? 0
      : dispSize === 1
      ? v.small(256) << 24 >> 24
      : v.oneIn(2)
      ? v.random.u32() | 0
      : v.small(4096);
    this.#displace(dispSize, disp);
    this.#modrm |= dispSize === 0 ? 0 : dispSize === 1 ? 0x40 : 0x80;
    if (base > 7) this.#rex |= 1;
    const { registers } = this.#place;
    // EA = base + index * 2^scale + disp, in halves
    let lo = target - disp;
    let hi = targetHi - (disp >> 31) - ((target >>> 0) < (disp >>> 0) ? 1 : 0);
    if (sib) {
      let index = v.small(this.#place.bits === 64 ? 16 : 8);
      if (index === base && index !== 4) index = index === 1 ? 2 : 1;
      const scale = v.small(4);
      this.#modrm |= 4;
      this.#hasSib = true;
      this.#sib = base & 7 | (index & 7) << 3 | scale << 6;
      if (index > 7) this.#rex |= 2;
      if (index !== 4) {
        const indexLo = registers[index * 2] << scale;
        const indexHi = registers[index * 2 + 1] << scale |
          (scale === 0 ? 0 : registers[index * 2] >>> 32 - scale);
        hi = hi - indexHi - ((lo >>> 0) < (indexLo >>> 0) ? 1 : 0);
        lo = lo - indexLo;
        this.fixed |= 1 << index;
      }
    } else {
      this.#modrm |= base & 7;
    }
    if (this.#addrSize === 4) hi = registers[base * 2 + 1];
    if (!long) hi = 0;
    if ((this.fixed >>> base & 1) === 0) this.#fix(base, lo, hi);
  }

  #fix(register: number, lo: number, hi: number): void {
    const { registers } = this.#place;
    registers[register * 2] = lo;
    registers[register * 2 + 1] = hi;
    this.fixed |= 1 << register;
  }

  #displace(size: number, disp: number): void {
    this.#dispSize = size;
    this.#disp = disp;
  }

  /** A far address in the instruction itself. */
  #absolute(bytes: number): void {
    this.target = this.#pickTarget(bytes);
    this.#displace(this.#addrSize, this.target);
  }

  /** F2 and F3: on string instructions, as they are meant; now and then where they mean nothing. */
  #repeat(form: Form): void {
    const v = this.#values;
    const { encoding, row } = form;
    if (encoding.prefix > 0x66 || encoding.vex || encoding.map !== 0) return;
    if (STRINGS.test(row.mnemonic)) {
      if (v.oneIn(2)) this.#emit(v.oneIn(3) ? 0xf2 : 0xf3);
    } else if (v.oneIn(100) && !PREFIXED.has(encoding.opcode)) {
      this.#emit(v.oneIn(2) ? 0xf2 : 0xf3);
    }
  }

  #opcode(long: boolean): void {
    const v = this.#values;
    const { encoding } = this.#form;
    const { map, prefix } = encoding;
    if (encoding.plusR && this.#opcodeRegister > 7) this.#rex |= 1;
    if (encoding.vex) {
      this.#emit(0xc4);
      this.#emit((~this.#rex & 7) << 5 | map);
      const pp = prefix === 0x66 ? 1 : prefix === 0xf3 ? 2 : prefix === 0xf2 ? 3 : 0;
      this.#emit((this.#rex & 8) << 4 | (~this.#vvvv & 15) << 3 | pp);
    } else {
      if (prefix > 0) this.#emit(prefix);
      if (long && (this.#rex !== 0 || v.oneIn(10))) this.#emit(0x40 | this.#rex);
      if (map !== 0) this.#emit(0x0f);
      if (map > 1) this.#emit(map === 2 ? 0x38 : 0x3a);
    }
    this.#emit(encoding.plusR ? encoding.opcode + (this.#opcodeRegister & 7) : encoding.opcode);
  }

  /** Emits ModRM, SIB and displacement; returns where the last is. */
  #address(): number {
    if (this.#modrm >= 0) this.#emit(this.#modrm);
    if (this.#hasSib) this.#emit(this.#sib);
    const at = this.length;
    const { bytes } = this;
    for (let i = 0; i < this.#dispSize; i++) {
      bytes[this.length++] = i < 4 ? this.#disp >>> i * 8 : 0;
    }
    return at;
  }

  #immediates(): void {
    const v = this.#values;
    const { operands, row } = this.#form;
    for (const { letter, size } of operands) {
      if (letter === "I") {
        const bytes = size === "b" ? 1 : size === "w" ? 2 : sizeOf(size, this.#opSize, false, true);
        if (row.mnemonic === "enter" && size === "w") this.#emitImmediate(2, v.small(40));
        else if (row.mnemonic === "enter") this.#emit(v.oneIn(3) ? v.small(256) : 0);
        else if (/^sh[lr]d$/.test(row.mnemonic) && this.#opSize === 2) this.#emit(v.small(17));
        else if (/^ret/.test(row.mnemonic)) this.#emitImmediate(2, v.small(64));
        else {
          v.integer(immediate, 0);
          this.#emitImmediate(bytes, immediate[0], immediate[1]);
        }
      } else if (letter === "J") {
        this.#relative(size === "b" ? 1 : this.#opSize === 2 ? 2 : 4);
      } else if (letter === "A") {
        this.#emitImmediate(this.#opSize, this.#place.code + LANDING);
        this.#emitImmediate(2, v.oneIn(2) ? Selector.USER_CODE32 : v.random.u32());
      }
    }
  }

  /** To the landing place, or now and then anywhere. */
  #relative(size: number): void {
    const v = this.#values;
    const next = this.length + size;
    const far = size === 4 && v.oneIn(40);
    this.#emitImmediate(size, far ? v.random.u32() | 0 : LANDING - next);
  }

  #emitImmediate(bytes: number, lo: number, hi = lo >> 31): void {
    for (let i = 0; i < bytes; i++) this.#emit((i < 4 ? lo >>> i * 8 : hi >>> (i - 4) * 8) & 255);
  }

  #emit(byte: number): void {
    this.bytes[this.length++] = byte;
  }

  #patch32(at: number, value: number): void {
    for (let i = 0; i < 4; i++) this.bytes[at + i] = value >>> i * 8;
  }
}

/** PAUSE, and LOOPE and LOOPNE, whose condition these prefixes change on this processor. */
const PREFIXED: ReadonlySet<number> = new Set([0x90, 0xe0, 0xe1]);

/** Instructions whose operand has to be in the slot. */
const AIMED = /^(ldmxcsr|call|jmp)$/;
/** Their address size stays: this KVM counts their repetitions by another one. */
const PORT_STRINGS = /^(in|out)s[bwd]?$/;

const immediate = new Int32Array(2);
/** String instructions by the names of the table. */
export const STRINGS = /^(movs|cmps|stos|lods|scas)[bwdqv]?$/;
