/**
 * Random programs of a few blocks: loops, calls, returns, branches of all kinds, and between them
 * instructions whose operands are mostly good. They go on for ever, or until they destroy themselves.
 */

import type { Random } from "../random.ts";
import type { Bits } from "./image.ts";
import { Linear, SLOT_BYTES } from "./layout.ts";

const RSP = 4, RBP = 5, RSI = 6, RDI = 7, R14 = 14;
/** Registers that hold addresses as a rule. */
const POINTERS = { 64: [RSI, RDI, RBP, R14], 32: [RSI, RDI, RBP] } as const;
/** The others. */
const VALUES = { 64: [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 15], 32: [0, 1, 2, 3] } as const;
/** Room for the last block's end. */
const TAIL = 24;

/** What is made. */
export interface Program {
  readonly code: Uint8Array;
  /** Offsets of the blocks. */
  readonly blocks: readonly number[];
}

/** A displacement that waits for its block's address. */
interface Fixup {
  readonly at: number;
  readonly bytes: 1 | 4;
  readonly block: number;
}

/** Makes programs of one size of code. */
export class ProgramWriter {
  readonly #random: Random;
  readonly #bits: Bits;
  readonly #bytes: number[] = [];
  #fixups: Fixup[] = [];
  /** Address of the code, in the low copy of the address space. */
  #address = 0;
  #blocks = 0;

  constructor(random: Random, bits: Bits) {
    this.#random = random;
    this.#bits = bits;
  }

  /** A program that is to stand at a linear address. */
  make(address: number): Program {
    const r = this.#random;
    this.#address = address;
    this.#bytes.length = 0;
    this.#fixups = [];
    const blocks: number[] = [];
    const count = this.#blocks = 2 + r.below(7);
    const room = (SLOT_BYTES - TAIL) / count;
    for (let block = 0; block < count; block++) {
      blocks.push(this.#bytes.length);
      const end = Math.min(room * (block + 1) - 10, this.#bytes.length + 1 + r.below(48));
      do {
        this.#instruction();
        if (r.oneIn(4)) this.#readFlags();
      } while (this.#bytes.length < end);
      this.#end(block);
    }
    this.#relative(0xe9, r.below(count));
    for (const { at, bytes, block } of this.#fixups) {
      const distance = blocks[block] - (at + bytes);
      const fits = bytes === 4 || distance === distance << 24 >> 24;
      for (let i = 0; i < bytes; i++) this.#bytes[at + i] = fits ? distance >> i * 8 & 255 : 0;
    }
    return { code: Uint8Array.from(this.#bytes), blocks };
  }

  #emit(...bytes: number[]): void {
    this.#bytes.push(...bytes);
  }

  #immediate(bytes: number): void {
    const r = this.#random;
    const value = r.oneIn(3) ? r.below(3) - 1 : r.oneIn(2) ? r.below(256) - 128 : r.u32();
    for (let i = 0; i < bytes; i++) this.#emit(i < 4 ? value >> i * 8 & 255 : value >> 31 & 255);
  }

  /** An opcode with a displacement of 32 bits to a block. */
  #relative(opcode: number, block: number): void {
    if (opcode > 0xff) this.#emit(opcode >> 8);
    this.#emit(opcode & 255);
    this.#fixups.push({ at: this.#bytes.length, bytes: 4, block });
    this.#emit(0, 0, 0, 0);
  }
  #short(opcode: number, block: number): void {
    this.#emit(opcode);
    this.#fixups.push({ at: this.#bytes.length, bytes: 1, block });
    this.#emit(0);
  }

  /** SETcc, CMOVcc, ADC, SBB of registers: what becomes of the flags at once. */
  #readFlags(): void {
    const r = this.#random;
    const cc = r.below(16);
    switch (r.below(3)) {
      case 0:
        return this.#modrm(1, 0x0f90 | cc, 0, { memory: false });
      case 1:
        return this.#modrm(this.#wide(), 0x0f40 | cc, this.#value(), { memory: false });
      default:
        return this.#modrm(this.#wide(), r.pick([0x13, 0x1b]), this.#value(), { memory: false });
    }
  }

  /** How a block ends: most of them by a branch, near or short. */
  #end(block: number): void {
    const r = this.#random;
    const any = r.below(this.#blocks);
    const back = r.below(block + 1);
    const cc = r.below(16);
    switch (r.below(16)) {
      case 0:
      case 1:
        return this.#relative(0x0f80 | cc, any);
      case 2:
        return this.#short(0x70 | cc, any);
      case 3: // dec ecx; jnz back
        this.#emit(0xff, 0xc9);
        return this.#short(0x75, back);
      case 4: // sub edx, imm; jcc back
        this.#emit(0x83, 0xea, 1 + r.below(20));
        return this.#relative(0x0f80 | cc, back);
      case 5:
        return this.#relative(0xe9, any);
      case 6:
        return this.#short(0xeb, any);
      case 7:
      case 8:
        return this.#relative(0xe8, any);
      case 14: // by any operand, or to anywhere
        if (r.oneIn(3)) return this.#modrm(4, 0xff, r.oneIn(2) ? 2 : 4);
        if (!r.oneIn(4)) return;
        this.#emit(r.pick([0xe8, 0xe9]));
        return this.#immediate(4);
      case 9: // ret
        return r.oneIn(4) ? this.#emit(0xc2, 8 * r.below(3), 0) : this.#emit(0xc3);
      case 10: // call, jump by register
        return this.#indirect(any);
      case 11: // loop, jrcxz
        return this.#short(0xe0 + r.below(4), any);
      case 12: // cmp; jcc
        this.#alu(7);
        return this.#relative(0x0f80 | cc, any);
      case 13: // test eax, eax; jcc
        this.#emit(0x85, 0xc0);
        return this.#short(0x70 | cc, back);
    }
  }

  /** Address of a block to RAX, or on the stack, and there by register, memory or return. */
  #indirect(block: number): void {
    const r = this.#random;
    if (this.#bits === 64) {
      this.#emit(0x48);
      this.#relative(0x8d05, block); // lea rax, [rip + …]
    } else {
      this.#emit(0xe8, 0, 0, 0, 0, 0x58); // call next; pop eax
      this.#emit(0x05); // add eax, …
      this.#fixups.push({ at: this.#bytes.length, bytes: 4, block });
      this.#emit(0, 0, 0, 0);
      this.#emit(0x83, 0xc0, 5 + 1); // what the displacement has counted from
    }
    switch (r.below(4)) {
      case 0:
        return this.#emit(0xff, 0xe0); // jmp rax
      case 1:
        return this.#emit(0xff, 0xd0); // call rax
      case 2:
        return this.#emit(0x50, 0xc3); // push rax; ret
      default: // mov [rsi], rax; jmp or call [rsi]
        if (this.#bits === 64) this.#emit(0x48);
        return this.#emit(0x89, 0x06, 0xff, r.oneIn(2) ? 0x26 : 0x16);
    }
  }

  #value(): number {
    const r = this.#random;
    if (r.oneIn(40)) return r.pick(POINTERS[this.#bits]);
    return r.oneIn(150) ? RSP : r.pick(VALUES[this.#bits]);
  }

  /**
   * Prefixes, opcode and operands.
   * @param width Operand size: 1, 2, 4 or 8.
   * @param opcode Of one to three bytes, the first the highest.
   * @param reg ModRM.reg.
   */
  #modrm(
    width: number,
    opcode: number,
    reg: number,
    options: { memory?: boolean; prefix?: number; immediate?: number } = {},
  ): void {
    const r = this.#random;
    const long = this.#bits === 64;
    const memory = options.memory ?? r.oneIn(2);
    const legacy: number[] = [];
    let rex = width === 8 ? 8 : 0;
    if (reg > 7) rex |= 4;
    if (width === 1 && long && r.oneIn(2)) rex |= 0x40;
    const tail: number[] = [];
    const low = (reg & 7) << 3;
    let ripAt = -1;
    if (!memory) {
      const rm = this.#value();
      if (rm > 7) rex |= 1;
      tail.push(0xc0 | low | rm & 7);
    } else if (r.oneIn(10)) { // FS, GS
      legacy.push(0x64 + r.below(2));
      const disp = word(r.oneIn(20) ? r.u32() : r.below(0x800));
      if (long) tail.push(low | 4, 0x25, ...disp);
      else tail.push(low | 5, ...disp);
    } else if (r.oneIn(6)) { // relative to RIP; in 32-bit code an address
      const target = Linear.DATA + r.below(0x2000);
      tail.push(low | 5);
      ripAt = tail.length;
      tail.push(...word(target));
    } else {
      const base = r.oneIn(12) ? RSP : r.pick(POINTERS[this.#bits]);
      if (base > 7) rex |= 1;
      const index = r.oneIn(10) ? r.pick(VALUES[this.#bits]) : -1;
      const sib = index >= 0 || (base & 7) === 4 || r.oneIn(10);
      const mod = r.below(8) === 0 && (base & 7) !== 5 ? 0 : r.oneIn(3) ? 2 : 1;
      tail.push(mod << 6 | low | (sib ? 4 : base & 7));
      if (sib) {
        const i = index < 0 ? 4 : index;
        if (i > 7) rex |= 2;
        tail.push(r.below(4) << 6 | (i & 7) << 3 | base & 7);
      }
      if (mod === 1) tail.push(r.below(256));
      else if (mod === 2) tail.push(...word(r.oneIn(30) ? r.u32() : r.below(160) - 80));
    }
    if (memory && r.oneIn(40)) legacy.push(0x67);
    if (memory && r.oneIn(30)) legacy.push(r.pick([0x26, 0x2e, 0x36, 0x3e])); // ES, CS, SS, DS
    if (memory && r.oneIn(12)) legacy.push(0xf0);
    if (width === 2) legacy.push(0x66);
    if (options.prefix !== undefined) legacy.push(options.prefix);
    this.#emit(...legacy);
    if (rex !== 0 && long) this.#emit(0x40 | rex);
    if (opcode > 0xffff) this.#emit(opcode >> 16);
    if (opcode > 0xff) this.#emit(opcode >> 8 & 255);
    this.#emit(opcode & 255);
    const start = this.#bytes.length;
    this.#emit(...tail);
    const immediate = options.immediate ?? 0;
    if (ripAt >= 0 && long) {
      const next = this.#address + this.#bytes.length + immediate;
      const target = Linear.DATA + r.below(0x2000);
      word(target - next).forEach((byte, i) => this.#bytes[start + ripAt + i] = byte);
    }
    this.#immediate(immediate);
  }

  #width(): number {
    return this.#random.pick(this.#bits === 64 ? [1, 2, 4, 4, 8, 8] : [1, 2, 4, 4]);
  }
  #wide(): number {
    return this.#random.pick(this.#bits === 64 ? [2, 4, 4, 8, 8] : [2, 4, 4]);
  }

  #alu(operation: number): void {
    const r = this.#random;
    const width = this.#width();
    const wide = width === 1 ? 0 : 1;
    if (r.oneIn(3)) {
      const byte = width > 1 && r.oneIn(2);
      const immediate = byte || width === 1 ? 1 : Math.min(width, 4);
      return this.#modrm(width, byte ? 0x83 : 0x80 | wide, operation, { immediate });
    }
    this.#modrm(width, operation << 3 | r.below(2) << 1 | wide, this.#value());
  }

  #instruction(): void {
    const r = this.#random;
    const long = this.#bits === 64;
    const width = this.#width();
    const wide = width === 1 ? 0 : 1;
    switch (r.below(27)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#alu(r.below(8));
      case 4: // not, neg, mul, imul, div, idiv
        return this.#modrm(width, 0xf6 | wide, 2 + r.below(r.oneIn(3) ? 6 : 4));
      case 5: // inc, dec
        return this.#modrm(width, 0xfe | wide, r.below(2));
      case 6:
        return r.oneIn(2)
          ? this.#modrm(width, 0x84 | wide, this.#value())
          : this.#modrm(width, 0xf6 | wide, 0, { immediate: Math.min(width, 4) });
      case 7:
      case 8: // mov
        return this.#modrm(width, 0x88 | r.below(2) << 1 | wide, this.#value());
      case 9:
        return r.oneIn(2)
          ? this.#modrm(width, 0xc6 | wide, 0, { immediate: Math.min(width, 4) })
          : this.#modrm(this.#wide(), 0x0fb6 | r.below(2) << 3 | r.below(2), this.#value());
      case 10: // lea; movsxd in 64-bit code
        if (long && r.oneIn(3)) return this.#modrm(this.#wide(), 0x63, this.#value());
        return this.#modrm(this.#wide(), 0x8d, this.#value(), { memory: true });
      case 11: // xchg, xadd, cmpxchg
        return this.#modrm(width, r.pick([0x86, 0x0fc0, 0x0fb0]) | wide, this.#value());
      case 12:
        return this.#modrm(this.#wide(), 0x0f40 | r.below(16), this.#value());
      case 13:
        return this.#modrm(1, 0x0f90 | r.below(16), 0);
      case 14:
      case 15: // shifts and rotations by immediate, 1, CL
        return r.oneIn(2)
          ? this.#modrm(width, 0xc0 | wide, r.below(8), { immediate: 1 })
          : this.#modrm(width, r.pick([0xd0, 0xd2]) | wide, r.below(8));
      case 16:
        return r.oneIn(2)
          ? this.#modrm(this.#wide(), r.pick([0x0fa3, 0x0fab, 0x0fb3, 0x0fbb]), this.#value(), {
            memory: r.oneIn(8),
          })
          : this.#modrm(this.#wide(), 0x0fba, 4 + r.below(4), { immediate: 1 });
      case 17: { // bsf, bsr, tzcnt, lzcnt, popcnt
        const opcode = r.pick([0x0fbc, 0x0fbd, 0x0fb8]);
        const prefix = opcode === 0x0fb8 || r.oneIn(2) ? { prefix: 0xf3 } : {};
        return this.#modrm(this.#wide(), opcode, this.#value(), prefix);
      }
      case 18: { // imul
        if (r.oneIn(2)) return this.#modrm(this.#wide(), 0x0faf, this.#value());
        const size = this.#wide();
        const byte = r.oneIn(2);
        const immediate = byte ? 1 : Math.min(size, 4);
        return this.#modrm(size, byte ? 0x6b : 0x69, this.#value(), { immediate });
      }
      case 19: // shld, shrd
        return r.oneIn(2)
          ? this.#modrm(this.#wide(), r.pick([0x0fa4, 0x0fac]), this.#value(), { immediate: 1 })
          : this.#modrm(this.#wide(), r.pick([0x0fa5, 0x0fad]), this.#value());
      case 20:
      case 21:
        return this.#stack();
      case 22:
        return this.#small();
      case 23:
        return this.#string();
      case 24:
        return this.#vector();
      case 25: // a BMI instruction of map 2: VEX of three bytes
        return this.#bmi();
      default:
        return r.oneIn(3) ? this.#system() : this.#alu(r.pick([2, 3, 7]));
    }
  }

  #stack(): void {
    const r = this.#random;
    switch (r.below(8)) {
      case 0:
        return this.#modrm(4, 0xff, 6);
      case 1:
        return this.#modrm(4, 0x8f, 0);
      case 2:
        this.#emit(0x68);
        return this.#immediate(4);
      case 3:
        this.#emit(0x9c); // pushf
        return r.oneIn(3) ? this.#emit(0x9d) : undefined; // popf
      case 4: // mov rbp, rsp; leave, at times of what is in RBP
        if (!r.oneIn(6)) this.#emit(...(this.#bits === 64 ? [0x48] : []), 0x89, 0xe5);
        return this.#emit(0xc9);
      default: {
        const register = this.#value();
        if (r.oneIn(12)) this.#emit(0x66);
        if (register > 7) this.#emit(0x41);
        return this.#emit((r.oneIn(2) ? 0x50 : 0x58) | register & 7);
      }
    }
  }

  #small(): void {
    const r = this.#random;
    const wide = () => {
      if (r.oneIn(3)) this.#emit(0x66);
      else if (this.#bits === 64 && r.oneIn(2)) this.#emit(0x48);
    };
    switch (r.below(5)) {
      case 0: // cbw, cwd
        wide();
        return this.#emit(0x98 | r.below(2));
      case 1: // cmc, clc, stc, cld, std
        return this.#emit(r.pick([0xf5, 0xf8, 0xf9, 0xfc, 0xfc, 0xfd]));
      case 2: // sahf, lahf
        return this.#emit(0x9e | r.below(2));
      case 3: { // bswap
        const register = this.#value();
        if (this.#bits === 64) this.#emit(0x40 | r.below(2) << 3 | register >> 3);
        return this.#emit(0x0f, 0xc8 | register & 7);
      }
      default: { // mov register, immediate
        const register = this.#value();
        if (this.#bits === 64) this.#emit(0x40 | register >> 3);
        this.#emit(0xb8 | register & 7);
        return this.#immediate(4);
      }
    }
  }

  #string(): void {
    const r = this.#random;
    if (r.oneIn(3)) { // mov ecx, imm; rep
      this.#emit(0xb9, r.below(24), 0, 0, 0, 0xf2 | r.below(2));
    }
    if (r.oneIn(4)) this.#emit(0x66);
    else if (this.#bits === 64 && r.oneIn(2)) this.#emit(0x48);
    this.#emit(r.pick([0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf]));
  }

  /** SSE and MMX: whatever there is between 0F 10 and 0F FF, of simple form. */
  #vector(): void {
    const r = this.#random;
    const opcode = r.pick([
      ...[0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x28, 0x29, 0x2a, 0x2c, 0x2d, 0x2e, 0x2f],
      ...[0x51, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x5b, 0x5c, 0x5d, 0x5e, 0x5f, 0x60],
      ...[0x61, 0x62, 0x6c, 0x6e, 0x6f, 0x6f, 0x7e, 0x7f, 0x7f, 0xd4, 0xd6, 0xd7, 0xdb, 0xdf],
      ...[0xe7, 0xeb, 0xef, 0xef, 0xfa, 0xfe, 0x70, 0xc6, 0xc2],
    ]);
    const immediate = opcode === 0x70 || opcode === 0xc6 || opcode === 0xc2 ? 1 : 0;
    const prefix = r.pick([undefined, 0x66, 0x66, 0xf2, 0xf3]);
    const width = this.#bits === 64 && r.oneIn(5) ? 8 : 4;
    const reg = r.below(this.#bits === 64 ? 16 : 8);
    const options = prefix === undefined ? { immediate } : { immediate, prefix };
    this.#modrm(width, 0x0f00 | opcode, reg, options);
  }

  #bmi(): void {
    const r = this.#random;
    const long = this.#bits === 64;
    const reg = r.pick(VALUES[32]), vvvv = this.#value() & (long ? 15 : 7);
    const [map, opcode, pp] = r.pick([
      [2, 0xf2, 0], // andn
      [2, 0xf3, 0], // blsr, blsmsk, blsi by ModRM.reg
      [2, 0xf5, 0], // bzhi
      [2, 0xf6, 3], // mulx
      [2, 0xf7, 0], // bextr
      [2, 0xf7, 1], // shlx
      [2, 0xf7, 2], // sarx
      [2, 0xf7, 3], // shrx
      [3, 0xf0, 3], // rorx
    ]);
    const w = long ? r.below(2) << 7 : 0;
    const v = map === 3 ? 15 : vvvv;
    this.#emit(0xc4, 0xe0 | map, w | (v ^ 15) << 3 & 0x78 | (map === 3 ? 0x78 : 0) | pp, opcode);
    const modrm = 0xc0 | (opcode === 0xf3 ? 1 + r.below(3) : reg) << 3 | r.pick(VALUES[32]);
    this.#emit(modrm);
    if (map === 3) this.#emit(r.below(256));
  }

  /** What traps, ends blocks or faults in ring 3. */
  #system(): void {
    const r = this.#random;
    switch (r.below(10)) {
      case 0:
        return this.#emit(0x0f, 0x31); // rdtsc
      case 1:
        return this.#emit(0x0f, 0x0b); // ud2
      case 2:
        return this.#emit(0xcc); // int3
      case 3:
        return this.#emit(0xfa); // cli
      case 4:
        return this.#emit(0xfb); // sti
      case 5: // mov rax, cr3; mov cr3, rax
        return this.#emit(0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8);
      case 6:
        return this.#modrm(4, 0x0f01, 7, { memory: true }); // invlpg
      case 7: // in, out
        return this.#emit(r.pick([0xe4, 0xe5, 0xe6, 0xe7]), r.below(256));
      case 8:
        return this.#emit(0x0f, 0xae, r.pick([0xe8, 0xf0, 0xf8])); // fences
      default:
        return this.#emit(0x8c, 0xc0 | r.below(6) << 3 | r.below(4)); // mov reg, sreg
    }
  }
}

function word(value: number): number[] {
  return [value & 255, value >>> 8 & 255, value >>> 16 & 255, value >>> 24];
}
