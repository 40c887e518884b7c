/** From bytes to `Insn` (SDM 2A chapter 2), by the instruction table. */

import { Seg } from "../../../cpu/state.ts";
import { CodeSize, Word } from "../cpu.ts";
import { EaKind, type Handler, IMM, Insn, MEM, NONE } from "../insn.ts";
import { tooLong, undefinedOpcode } from "./guards.ts";
import { type Encoding, findEncoding, handlerFor, hasModrm, OpcodeMap } from "./opcode_map.ts";
import { type Operand, sizeOf } from "./operands.ts";

/** The longest instruction (SDM 2A §2.3.11). */
const MAX_BYTES = 15;

/** 16-bit addressing: base and index by ModRM.rm (SDM 2A table 2-1). */
const BASE16 = [3, 3, 5, 5, 6, 7, 5, 3];
const INDEX16 = [6, 7, 6, 7, NONE, NONE, NONE, NONE];

/** The prefix that VEX.pp stands for, where that is F3 or F2. */
const VEX_REP = [0, 0, 0xf3, 0xf2];

/** Thrown inside the decoder when the bytes end. */
const OUT_OF_BYTES = { name: "out of bytes" };

/** Decodes one instruction after another; one decoder serves all vCPUs. */
export class Decoder {
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #is64 = false;
  #rex = 0;
  #vex = false;
  #operandSize66 = false;
  #segment = NONE;
  #modrm = 0;
  #wide = 0;
  /** What has been read can be no instruction. */
  #invalid = false;
  #insn!: Insn;

  /**
   * Decodes the instruction at `bytes[start]`. Whatever stands there gives an instruction: what is
   * none raises #UD when it is executed. Undefined when the bytes end before the instruction does.
   * @param end End of the bytes that may be read.
   * @param offset What `Insn.offset` is to be.
   */
  decode(
    bytes: Uint8Array,
    start: number,
    end: number,
    offset: number,
    codeSize: CodeSize,
  ): Insn | undefined {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = Math.min(end, start + MAX_BYTES);
    this.#is64 = codeSize === CodeSize.BITS64;
    const insn = this.#insn = new Insn();
    insn.offset = offset;
    try {
      this.#decode(codeSize);
    } catch (error) {
      if (error !== OUT_OF_BYTES) throw error;
      if (end < start + MAX_BYTES) return undefined;
      this.#refuse(tooLong);
    }
    insn.next = offset + (this.#at - start);
    if (insn.ripRelative) this.#relativeToPage();
    return insn;
  }

  #decode(codeSize: CodeSize): void {
    const insn = this.#insn;
    this.#rex = 0;
    this.#vex = false;
    this.#invalid = false;
    this.#operandSize66 = false;
    this.#segment = NONE;
    insn.addrSize = codeSize === CodeSize.BITS16 ? 2 : codeSize === CodeSize.BITS32 ? 4 : 8;
    let opcode = this.#prefixes(codeSize);
    if (this.#segment !== NONE) insn.seg = this.#segment;
    let map: number = OpcodeMap.ONE_BYTE;
    if (this.#isVex(opcode)) {
      map = this.#readVex(opcode);
      opcode = this.#next();
    } else if (opcode === 0x0f) {
      map = OpcodeMap.TWO_BYTE;
      opcode = this.#next();
      if (opcode === 0x38 || opcode === 0x3a) {
        map = opcode === 0x38 ? OpcodeMap.MAP_38 : OpcodeMap.MAP_3A;
        opcode = this.#next();
      }
    }
    this.#wide = this.#rex >>> 3 & 1;
    const modrm = hasModrm(map, opcode, this.#vex) ? this.#next() : 0;
    this.#modrm = modrm;
    insn.x87Opcode = (opcode & 7) << 8 | modrm;
    const prefix = insn.rep !== 0 ? insn.rep : this.#operandSize66 ? 0x66 : 0;
    const encoding = findEncoding(
      map,
      opcode,
      this.#vex,
      prefix,
      this.#wide,
      modrm,
      this.#is64,
    );
    if (encoding === undefined) return this.#refuse(undefinedOpcode);
    this.#fill(encoding, opcode, codeSize);
  }

  /** Reads legacy prefixes and REX; returns the byte behind them. */
  #prefixes(codeSize: CodeSize): number {
    const insn = this.#insn;
    for (;;) {
      const byte = this.#next();
      switch (byte) {
        case 0x66:
          this.#operandSize66 = true;
          break;
        case 0x67:
          insn.addrSize = codeSize === CodeSize.BITS32 ? 2 : 4;
          break;
        case 0xf2:
        case 0xf3:
          insn.rep = byte;
          break;
        case 0xf0:
          insn.lock = true;
          break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
          // In 64-bit mode these are ignored, also as to which override stands last.
          if (!this.#is64) this.#segment = byte >>> 3 & 3;
          break;
        case 0x64:
          this.#segment = Seg.FS;
          break;
        case 0x65:
          this.#segment = Seg.GS;
          break;
        default:
          if (!this.#is64 || (byte & 0xf0) !== 0x40) return byte;
          // A REX prefix counts only directly before the opcode (SDM 2A §2.2.1).
          this.#rex = byte;
          continue;
      }
      this.#rex = 0;
    }
  }

  /** C4 and C5 are VEX unless they are LES and LDS, whose ModRM byte has a memory operand. */
  #isVex(opcode: number): boolean {
    if (opcode !== 0xc4 && opcode !== 0xc5) return false;
    if (this.#is64) return true;
    if (this.#at >= this.#end) throw OUT_OF_BYTES;
    return this.#bytes[this.#at] >= 0xc0;
  }

  /** Reads the rest of a VEX prefix (SDM 2A §2.3.5); returns the opcode map. */
  #readVex(opcode: number): number {
    const insn = this.#insn;
    const bad = this.#rex !== 0 || insn.rep !== 0 || insn.lock || this.#operandSize66;
    const first = this.#next();
    let map = 1;
    let last = first;
    let rex = ~first >>> 5 & 4; // R
    if (opcode === 0xc4) {
      map = first & 31;
      rex = ~first >>> 5 & 7; // R X B
      last = this.#next();
      rex |= last >>> 4 & 8; // W
    }
    this.#rex = 0x40 | rex;
    this.#vex = true;
    insn.vvvv = ~last >>> 3 & (this.#is64 ? 15 : 7);
    insn.rep = VEX_REP[last & 3];
    this.#operandSize66 = (last & 3) === 1;
    // Vector lengths other than 128 and unknown maps belong to instructions that are not here.
    if (bad || (last & 4) !== 0 || map < 1 || map > 3) this.#invalid = true;
    return map & 3;
  }

  #fill(encoding: Encoding, opcode: number, codeSize: CodeSize): void {
    const insn = this.#insn;
    const { row } = encoding;
    insn.row = row;
    insn.ends = row.ends === true;
    insn.opSize = this.#operandSize(encoding, codeSize);
    if (encoding.hasModrm) this.#readModrm(row.form === "mod-ignored");
    const { operands } = encoding;
    for (let i = 0; i < operands.length; i++) {
      this.#operand(operands[i], i, row.reads === true, opcode);
    }
    if (row.condition !== undefined) insn.imm2 = row.condition;
    if (row.memSize !== undefined) insn.memSize = row.memSize;
    if (insn.isMem) this.#chooseAddressing();
    // VEX.vvvv that names no operand must say register 0 (SDM 2A §2.3.5.6).
    if (this.#vex && insn.vvvv !== 0 && !encoding.usesVvvv) this.#invalid = true;
    const lockable = row.lock === true && insn.dst === MEM;
    if (this.#invalid || (insn.lock && !lockable)) return this.#refuse(undefinedOpcode);
    const handler = handlerFor(row, encoding.sizedByW ? (this.#wide === 1 ? 8 : 4) : insn.opSize);
    this.#setHandler(handler, encoding.guard);
  }

  #setHandler(handler: Handler, guard: Handler | undefined): void {
    const insn = this.#insn;
    insn.inner = handler;
    insn.exec = guard ?? handler;
  }

  /** What stands here raises; it ends its block. */
  #refuse(handler: Handler): void {
    const insn = this.#insn;
    insn.row = undefined;
    insn.ends = true;
    insn.ripRelative = false;
    this.#setHandler(handler, undefined);
  }

  /** Operand size in bytes (SDM 1 table 3-3, 3-4). A mandatory 66 is no size prefix. */
  #operandSize(encoding: Encoding, codeSize: CodeSize): number {
    const { row, prefix } = encoding;
    const by66 = this.#operandSize66 && prefix !== 0x66 && !this.#vex;
    if (this.#is64) {
      if (row.size64 === "f64" || this.#wide === 1) return 8;
      if (by66) return 2;
      return row.size64 === "d64" ? 8 : 4;
    }
    return (codeSize === CodeSize.BITS32) !== by66 ? 4 : 2;
  }

  #readModrm(registerOnly: boolean): void {
    const insn = this.#insn;
    const modrm = this.#modrm;
    insn.reg = modrm >>> 3 & 7 | (this.#rex & 4) << 1;
    if (modrm >= 0xc0 || registerOnly) {
      insn.rm = modrm & 7 | (this.#rex & 1) << 3;
      return;
    }
    insn.isMem = true;
    if (insn.addrSize === 2) this.#address16(modrm);
    else this.#address(modrm);
    if (this.#segment !== NONE) insn.seg = this.#segment;
  }

  #address16(modrm: number): void {
    const insn = this.#insn;
    const mod = modrm >>> 6;
    const rm = modrm & 7;
    if (mod === 0 && rm === 6) {
      insn.disp = this.#next16();
      insn.dispHi = 0;
      return;
    }
    insn.base = BASE16[rm] * 2;
    insn.index = INDEX16[rm] === NONE ? NONE : INDEX16[rm] * 2;
    insn.scale = 0;
    if (BASE16[rm] === 5) insn.seg = Seg.SS;
    this.#setDisp(mod === 0 ? 0 : mod === 1 ? this.#next() << 24 >> 24 : this.#next16());
  }

  #address(modrm: number): void {
    const insn = this.#insn;
    const mod = modrm >>> 6;
    let base = modrm & 7;
    if (base === 4) {
      const sib = this.#next();
      base = sib & 7;
      const index = sib >>> 3 & 7 | (this.#rex & 2) << 2;
      insn.index = index === 4 ? NONE : index * 2;
      insn.scale = sib >>> 6;
      if (base === 5 && mod === 0) return this.#setDisp(this.#next32());
    } else if (base === 5 && mod === 0) {
      insn.ripRelative = this.#is64;
      return this.#setDisp(this.#next32());
    }
    const register = base | (this.#rex & 1) << 3;
    insn.base = register * 2;
    if (register === 4 || register === 5) insn.seg = Seg.SS;
    this.#setDisp(mod === 0 ? 0 : mod === 1 ? this.#next() << 24 >> 24 : this.#next32());
  }

  #setDisp(disp: number): void {
    this.#insn.disp = disp | 0;
    this.#insn.dispHi = disp >> 31;
  }

  #chooseAddressing(): void {
    const insn = this.#insn;
    if (!this.#is64 || insn.addrSize !== 8 || insn.seg >= Seg.FS) insn.ea = EaKind.GENERAL;
    else if (insn.ripRelative) insn.ea = EaKind.RIP;
    else if (insn.index !== NONE) insn.ea = EaKind.SIB;
    else insn.ea = insn.base !== NONE ? EaKind.BASE_DISP : EaKind.ABSOLUTE;
  }

  /** The displacement counts from the next instruction; `Insn.disp` from the page. */
  #relativeToPage(): void {
    const insn = this.#insn;
    const disp = insn.disp + insn.next;
    insn.disp = disp | 0;
    insn.dispHi = Math.floor(disp / 0x1_0000_0000) | 0;
  }

  #operand({ letter, size }: Operand, position: number, reads: boolean, opcode: number): void {
    const insn = this.#insn;
    const bytes = sizeOf(size, insn.opSize, this.#wide === 1, this.#is64);
    switch (letter) {
      case "E":
      case "R":
      case "W":
      case "U":
      case "Q":
      case "N":
      case "M":
        if (insn.isMem) {
          if (letter === "R" || letter === "U" || letter === "N") return this.#forbid();
          insn.memSize = bytes;
          insn.memWrite = position === 0 && !reads;
          return this.#place(position, MEM);
        }
        if (letter === "M") return this.#forbid();
        return this.#place(position, this.#register(letter, insn.rm, bytes));
      case "G":
      case "V":
      case "P":
        return this.#place(position, this.#register(letter, insn.reg, bytes));
      case "Z":
        insn.rm = opcode & 7 | (this.#rex & 1) << 3;
        return this.#place(position, this.#register(letter, insn.rm, bytes));
      case "B":
        insn.src2 = insn.vvvv * 2;
        if (position === 0) insn.dst = insn.src2;
        return;
      case "I":
        return this.#immediate(position, size, bytes);
      case "J":
        return this.#relative(size);
      case "A":
        insn.immLo = insn.opSize === 2 ? this.#next16() : this.#next32();
        insn.imm2 = this.#next16();
        return;
      case "O":
        return this.#absolute(position, bytes);
      case "S":
      case "C":
      case "D":
        return; // `reg` has it
      case "AL":
      case "rAX":
        return this.#place(position, 0);
      case "CL":
        if (position < 2) this.#place(position, 8);
        else insn.src2 = 8;
        return;
      case "DX":
        return this.#place(position, 8);
      case "1":
        insn.immLo = 1;
        insn.src = IMM;
        return;
    }
  }

  /** There is no such form. */
  #forbid(): void {
    this.#invalid = true;
  }

  /** The first operand goes to `dst`, another one to `src`. */
  #place(position: number, index: number): void {
    if (position === 0) this.#insn.dst = index;
    else this.#insn.src = index;
  }

  /** Index of a register in the view of its size. */
  #register(letter: string, number: number, bytes: number): number {
    switch (letter) {
      case "V":
      case "W":
      case "U":
        return Word.XMM + number * 4;
      case "P":
      case "Q":
      case "N":
        // MMX registers do not take REX (SDM 2A §2.2.1.2).
        return Word.MMX + (number & 7) * 4;
      default:
        if (bytes === 1) {
          return this.#rex !== 0 || number < 4 ? number * 8 : (number - 4) * 8 + 1;
        }
        return bytes === 2 ? number * 4 : number * 2;
    }
  }

  #immediate(position: number, size: string, bytes: number): void {
    const insn = this.#insn;
    if (insn.src === IMM) { // ENTER has two
      insn.imm2 = this.#next();
      return;
    }
    let lo: number;
    if (size === "b") lo = this.#next() << 24 >> 24;
    else if (size === "w") lo = this.#next16();
    else if (bytes === 2) lo = this.#next16() << 16 >> 16;
    else lo = this.#next32();
    insn.immLo = lo;
    insn.immHi = bytes === 8 && size === "v" ? this.#next32() : lo >> 31;
    // Behind two other operands it is the third, in `immLo` alone.
    if (position <= 1) insn.src = IMM;
  }

  #relative(size: string): void {
    const insn = this.#insn;
    if (size === "b") insn.immLo = this.#next() << 24 >> 24;
    else if (insn.opSize === 2) insn.immLo = this.#next16() << 16 >> 16;
    else insn.immLo = this.#next32();
    insn.immHi = insn.immLo >> 31;
  }

  #absolute(position: number, bytes: number): void {
    const insn = this.#insn;
    insn.isMem = true;
    insn.dispHi = 0;
    insn.disp = insn.addrSize === 2 ? this.#next16() : this.#next32();
    if (insn.addrSize === 8) insn.dispHi = this.#next32();
    insn.memSize = bytes;
    insn.memWrite = position === 0;
    if (this.#segment !== NONE) insn.seg = this.#segment;
    this.#place(position, MEM);
  }

  #next(): number {
    if (this.#at >= this.#end) throw OUT_OF_BYTES;
    return this.#bytes[this.#at++];
  }
  #next16(): number {
    const low = this.#next();
    return low | this.#next() << 8;
  }
  #next32(): number {
    const low = this.#next16();
    return low | this.#next16() << 16;
  }
}
