/**
 * Random machine code that is more likely than random bytes to do something: instructions of all
 * maps, and short sequences around what a guest can bother a hypervisor with.
 */

import type { Random } from "./random.ts";

/** Size of the code that is made: of its operands and addresses by default. */
export type CodeBits = 16 | 32 | 64;

/** What most of a program is about. */
export const FOCUS = [
  "bytes",
  "instructions",
  "msrs",
  "ports",
  "apics",
  "tables",
  "interrupts",
  "strings",
  "control",
  "everything",
] as const;
export type Focus = typeof FOCUS[number];

/** First and last port of everything on the bus. */
const PORTS = [
  [0x20, 0x21],
  [0x40, 0x43],
  [0x60, 0x64],
  [0x70, 0x71],
  [0x80, 0x92],
  [0xa0, 0xa1],
  [0xe9, 0xe9],
  [0x3f8, 0x3ff],
  [0x402, 0x402],
  [0x4d0, 0x4d1],
  [0x510, 0x51b],
  [0x600, 0x60b],
  [0xcf8, 0xcff],
] as const;
/** Ports whose writes may end the run. */
const ENDING: readonly number[] = [0x64, 0x92, 0xf4, 0xf5, 0xf6, 0xf7, 0x604, 0x605, 0xcf9];
/** First and last MSR of the ranges that processors have. */
const MSRS = [
  [0x0, 0x3b],
  [0x79, 0x8b],
  [0xc0, 0xff],
  [0x174, 0x17a],
  [0x186, 0x1a0],
  [0x1d9, 0x1e0],
  [0x200, 0x277],
  [0x2ff, 0x2ff],
  [0x345, 0x3ff],
  [0x400, 0x47f],
  [0x480, 0x4ff],
  [0x6e0, 0x6e0],
  [0x800, 0x8ff],
  [0xda0, 0xda0],
  [0x4b56_4d00, 0x4b56_4d08],
  [0xc000_0080, 0xc000_0084],
  [0xc000_0100, 0xc000_0103],
] as const;
/** Instruction bytes that are worth more than the chance they have: system and string ones. */
const SYSTEM: readonly (readonly number[])[] = [
  [0x0f, 0x00], // SLDT to VERW
  [0x0f, 0x01], // SGDT to INVLPG
  [0x0f, 0x05], // SYSCALL
  [0x0f, 0x07], // SYSRET
  [0x0f, 0x09], // WBINVD
  [0x0f, 0x20], // MOV r, CR
  [0x0f, 0x21], // MOV r, DR
  [0x0f, 0x22], // MOV CR, r
  [0x0f, 0x23], // MOV DR, r
  [0x0f, 0x30], // WRMSR
  [0x0f, 0x32], // RDMSR
  [0x0f, 0x34], // SYSENTER
  [0x0f, 0x35], // SYSEXIT
  [0x0f, 0xae], // FXSAVE to CLFLUSH
  [0x0f, 0xc7], // CMPXCHG8B to RDPID
  [0x66, 0x0f, 0x38, 0x82], // INVPCID
  [0x0f, 0xb2], // LSS
  [0x8e], // MOV Sreg
  [0x8f], // POP
  [0x9a], // CALL ptr
  [0xea], // JMP ptr
  [0xc2], // RET
  [0xca], // RET far
  [0xcb],
  [0xcf], // IRET
  [0x9d], // POPF
  [0xcd], // INT n
  [0xcc],
  [0xf1],
  [0xff], // CALL, JMP, PUSH
  [0xc8], // ENTER
  [0xc9], // LEAVE
  [0xf4], // HLT
  [0xfb], // STI
  [0xfa], // CLI
  [0xd9], // x87
  [0xdd],
  [0xdf],
];
const STRINGS: readonly number[] = [
  0xa4,
  0xa5,
  0xa6,
  0xa7,
  0xaa,
  0xab,
  0xac,
  0xad,
  0xae,
  0xaf,
  0x6c,
  0x6d,
  0x6e,
  0x6f,
];
const PREFIXES: readonly number[] = [
  ...[0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x66, 0x67, 0xf0, 0xf2, 0xf3],
  ...[0x48, 0x41, 0x44, 0x4f],
];

const [EAX, ECX, EDX, ESI, EDI] = [0, 1, 2, 6, 7];

/** Bytes that one step of a program has at most. */
const MAX_PIECE = 64;

/** Writes programs. */
export class FuzzCode {
  readonly #random: Random;
  readonly #bits: CodeBits;
  /** Addresses that programs like to use: tables, code, devices. */
  readonly #places: readonly number[];

  constructor(random: Random, bits: CodeBits, places: readonly number[]) {
    this.#random = random;
    this.#bits = bits;
    this.#places = places;
  }

  /** `length` bytes of code. */
  program(length: number, focus: Focus): Uint8Array {
    if (focus === "bytes") return this.#random.bytes(length);
    const code = new Uint8Array(length + MAX_PIECE);
    for (let at = 0; at < length;) {
      const piece = this.#piece(focus);
      code.set(piece, at);
      at += piece.length;
    }
    return code.subarray(0, length);
  }

  #piece(focus: Focus): number[] {
    switch (this.#random.oneIn(8) ? "instructions" : focus) {
      case "msrs":
        return this.#msr();
      case "ports":
        return this.#port();
      case "apics":
        return this.#memory([0xfee0_0000, 0xfec0_0000, 0xfed0_0000], 0x400);
      case "tables":
        return this.#table();
      case "interrupts":
        return this.#interrupt();
      case "strings":
        return this.#string();
      case "control":
        return this.#control();
      case "everything":
        return this.#piece(this.#random.pick(FOCUS));
      default:
        return this.#instruction();
    }
  }

  /** MOV r32, imm32. */
  #load(register: number, value: number): number[] {
    const prefix = this.#bits === 16 ? [0x66] : [];
    return [...prefix, 0xb8 + register, ...bytes(value)];
  }

  /** An instruction through [EDI], 32 bits wide. */
  #throughEdi(opcode: number, field: number): number[] {
    const prefix = this.#bits === 16 ? [0x66, 0x67] : [];
    return [...prefix, opcode, field << 3 | EDI];
  }

  #value(): number {
    const u32 = this.#random.u32();
    const place = this.#place();
    return this.#random.pick([0, 1, 0xffff_ffff, 0x8000_0000, u32, u32, place, place, u32 & 0xfff]);
  }

  #place(): number {
    const offset = this.#random.pick([0, 0, 4, 8, this.#random.below(0x1000), 0xffc, 0xfff]);
    return (this.#random.pick(this.#places) + offset) >>> 0;
  }

  #instruction(): number[] {
    const random = this.#random;
    const code: number[] = [];
    while (random.oneIn(3) && code.length < 4) code.push(random.pick(PREFIXES));
    const kind = random.below(8);
    if (kind < 2) code.push(...random.pick(SYSTEM));
    else if (kind < 4) code.push(0x0f, random.below(256));
    else if (kind === 4) code.push(0x0f, random.pick([0x38, 0x3a]), random.below(256));
    else code.push(random.below(256));
    for (let i = random.below(7); i > 0; i--) code.push(random.below(256));
    return random.oneIn(4) ? [...this.#load(random.below(8), this.#value()), ...code] : code;
  }

  #msr(): number[] {
    const [first, last] = this.#random.pick(MSRS);
    const number = this.#random.oneIn(8)
      ? this.#random.u32()
      : first + this.#random.below(last - first + 1);
    return [
      ...this.#load(ECX, number),
      ...this.#load(EAX, this.#value()),
      ...this.#load(EDX, this.#random.pick([0, 0, 0xffff_ffff, this.#random.u32()])),
      ...[0x0f, this.#random.pick([0x30, 0x30, 0x32])],
    ];
  }

  #port(): number[] {
    const random = this.#random;
    const [first, last] = random.pick(PORTS);
    const port = random.oneIn(8) ? random.below(0x1_0000) : first + random.below(last - first + 1);
    const ending = ENDING.includes(port) && !random.oneIn(64);
    const opcode = ending ? 0xec : random.pick([0xec, 0xed, 0xee, 0xef, 0xee, 0xef]);
    const wide = random.oneIn(4) ? [0x66] : [];
    const repeat = random.oneIn(8)
      ? [...this.#load(ECX, random.below(0x1_0000)), 0xf3, random.pick([0x6c, 0x6d, 0x6e, 0x6f])]
      : [];
    return [
      ...this.#load(EDX, port),
      ...this.#load(EAX, random.oneIn(2) ? random.below(256) : this.#value()),
      ...wide,
      opcode,
      ...(ending ? [] : repeat),
    ];
  }

  /** Loads and stores in the first `length` bytes at one of `bases`. */
  #memory(bases: readonly number[], length: number): number[] {
    const at = this.#random.pick(bases) + this.#random.below(length / 4) * 4;
    const odd = this.#random.oneIn(8) ? this.#random.below(4) : 0;
    return [
      ...this.#load(EDI, at + odd),
      ...this.#load(EAX, this.#value()),
      ...this.#throughEdi(this.#random.pick([0x89, 0x89, 0x8b, 0x87, 0x01, 0x88]), EAX),
    ];
  }

  /** Changes page tables, descriptors and code, with and without telling the processor. */
  #table(): number[] {
    const store = this.#memory(this.#places, 0x1000);
    switch (this.#random.below(6)) {
      case 0:
        return [...store, 0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8]; // CR3 to itself
      case 1:
        return [...this.#load(EDI, this.#place()), 0x0f, 0x01, 0x3f] /* INVLPG */;
      case 2:
        return [...this.#load(EAX, this.#place()), 0x0f, 0x22, 0xd8];
      default:
        return store;
    }
  }

  #interrupt(): number[] {
    const random = this.#random;
    switch (random.below(10)) {
      case 0:
        return [random.pick([0xfa, 0xfb])];
      case 1:
        return [0xcd, random.below(256)];
      case 2: // to oneself or all, of any delivery mode
        return [
          ...this.#load(EDI, 0xfee0_0300),
          ...this.#load(EAX, random.u32() & 0xc_ffff | 0x4_0000),
          ...this.#throughEdi(0x89, EAX),
        ];
      case 3: { // the local APIC on, and its timer as fast as it goes
        const write = (register: number, value: number) => [
          ...this.#load(EDI, 0xfee0_0000 + register),
          ...this.#load(EAX, value),
          ...this.#throughEdi(0x89, EAX),
        ];
        return [
          ...write(0xf0, 0x1ff),
          ...write(0x320, random.pick([0x2_0000, 0]) | random.below(256)),
          ...write(0x380, random.pick([1, 2, random.below(1000), random.u32()])),
        ];
      }
      case 4: // the 8254
        return [0xb0, random.below(256), 0xe6, 0x43, 0xb0, random.below(256), 0xe6, 0x40];
      case 5:
        return [0x9c, 0x9d]; // PUSHF, POPF
      case 6:
        return [...this.#load(EAX, random.u32()), 0x50, 0x9d]; // with TF, NT, IOPL
      case 7:
        return [0xf4];
      case 8:
        return [0xfb, random.pick([0x17, 0xf4, 0xfb, 0x90])];
      default:
        return [...this.#load(EDI, 0xfee0_00b0), ...this.#throughEdi(0x89, EAX)]; // EOI
    }
  }

  #string(): number[] {
    const random = this.#random;
    const count = random.pick([0, 1, random.below(0x1000), 0xffff, random.u32(), 0xffff_ffff]);
    return [
      ...this.#load(ESI, this.#value()),
      ...this.#load(EDI, this.#value()),
      ...this.#load(ECX, count),
      random.pick([0xfc, 0xfc, 0xfd]),
      ...(random.oneIn(2) ? [random.pick(PREFIXES)] : []),
      ...[random.pick([0xf3, 0xf2]), random.pick(STRINGS)],
    ];
  }

  /** Control and debug registers. */
  #control(): number[] {
    const random = this.#random;
    const register = random.pick([0, 0, 2, 3, 4, 4, 8]);
    const rex = register === 8 && this.#bits === 64 ? [0x44] : [];
    const field = (register & 7) << 3;
    switch (random.below(4)) {
      case 0: // one bit of a control register
        return [
          ...[...rex, 0x0f, 0x20, 0xc0 | field],
          ...[...(this.#bits === 16 ? [0x66] : []), 0x0f, 0xba, 0xf8, random.below(32)], // BTC
          ...[...rex, 0x0f, 0x22, 0xc0 | field],
        ];
      case 1:
        return [...this.#load(EAX, this.#value()), ...rex, 0x0f, 0x22, 0xc0 | field];
      case 2:
        return [...this.#load(EAX, this.#value()), 0x0f, 0x23, 0xc0 | random.below(8) << 3];
      default:
        return [
          ...[...this.#load(ECX, 0), ...this.#load(EAX, random.u32()), ...this.#load(EDX, 0)],
          ...[0x0f, 0x01, 0xd1], // XSETBV
        ];
    }
  }
}

function bytes(value: number): number[] {
  return [value & 255, value >>> 8 & 255, value >>> 16 & 255, value >>> 24];
}
