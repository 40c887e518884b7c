/** What counts as a difference between the two sides: all that is not undefined, and not known. */

import type { Case } from "./generate.ts";
import { APPROXIMATE_UNITS, APPROXIMATE_ZERO, Lenient, TRANSCENDENTAL_UNITS } from "./known.ts";
import { At, BATCH, DATA_BYTES, End, In, Out, OUT_TOP } from "./layout.ts";

/** RFLAGS bits that say nothing: IF and VIF are the host's, RF is set in frames by this KVM. */
const IGNORED_FLAGS = 0x200 | 0x1_0000;
/** Low half of the address before the last 63 bytes of 4 GiB: no operand is longer. */
const LAST_64 = 0xffff_ffc0;
const INVALID_OPCODE = 6, STACK_FAULT = 12, GENERAL_PROTECTION = 13, PAGE_FAULT = 14;

/** C1 of the status word, in the first word of an FXSAVE area. */
const C1 = 0x200 << 16;

/** Words of an FXSAVE area, and bits of each, that are not compared. */
const FX_MASK = fxMask();

function fxMask(): Int32Array {
  const mask = new Int32Array(128).fill(-1);
  // FOP, FIP and FDP: processors keep them for unmasked exceptions only (APM 2 §11.4.4.3)
  mask[1] = 0xffff;
  mask.fill(0, 2, 6);
  mask[7] = 0; // MXCSR_MASK
  for (let st = 0; st < 8; st++) {
    mask[8 + st * 4 + 2] = 0xffff;
    mask[8 + st * 4 + 3] = 0;
  }
  mask.fill(0, 104);
  return mask;
}

/** Names of the words of `Out`, by 8 bytes. */
const FIELDS: Readonly<Record<number, string>> = {
  [Out.CR2]: "cr2",
  [Out.VECTOR]: "vector",
  [Out.ERROR_CODE]: "error",
  [Out.RIP]: "rip",
  [Out.CS]: "cs",
  [Out.FRAME_RFLAGS]: "frame-flags",
  [Out.END]: "end",
  [Out.RFLAGS]: "flags",
  [Out.FS_BASE]: "fs-base",
  [Out.GS_BASE]: "gs-base",
};
const REGISTERS = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];

/** A field in which the sides differ. */
export interface Difference {
  readonly field: string;
  readonly native: string;
  readonly interpreted: string;
}

/** The memory of both sides, as words. */
export class Comparison {
  readonly #native: Int32Array;
  readonly #interpreted: Int32Array;
  readonly #emulates: boolean;
  readonly #strict: boolean;

  /**
   * @param strict both sides are of this project: everything counts, undefined flags included.
   * @param emulates this KVM runs some instructions in its emulator: it gets its leniency.
   */
  constructor(native: Uint8Array, interpreted: Uint8Array, strict: boolean, emulates: boolean) {
    this.#strict = strict;
    this.#emulates = emulates;
    const words = (bytes: Uint8Array) =>
      new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
    this.#native = words(native);
    this.#interpreted = words(interpreted);
  }

  /** Clears the outputs, so that what a case does not write is the same. */
  clear(): void {
    for (const words of [this.#native, this.#interpreted]) {
      words.fill(0, At.OUT / 4, (At.OUT + BATCH * Out.SIZE) / 4);
    }
  }

  /** True when the outputs of case `i` are the same. */
  same(test: Case, i: number): boolean {
    const start = (At.OUT + i * Out.SIZE) / 4;
    const a = this.#native, b = this.#interpreted;
    if (this.#strict) {
      for (let n = start; n < start + Out.SIZE / 4; n++) if (a[n] !== b[n]) return false;
      return true;
    }
    if (a[start + Out.END / 4] !== b[start + Out.END / 4]) return this.#isUnaligned(test, start);
    const emulated = this.#isEmulated(test, start) || this.#isOtherOrder(test, start);
    for (let n = 0; n < OUT_TOP / 4; n++) {
      if (a[start + n] === b[start + n] || (emulated && isExceptionWord(n))) continue;
      if (((a[start + n] ^ b[start + n]) & this.#mask(n, start, test)) !== 0) return false;
    }
    if (!test.fx) return true;
    for (let n = OUT_TOP / 4; n < Out.FX / 4; n++) {
      if (a[start + n] !== b[start + n]) return false;
    }
    const fx = start + Out.FX / 4;
    for (let n = this.#firstFx(test, start); n < 128; n++) {
      if (((a[fx + n] ^ b[fx + n]) & FX_MASK[n]) === 0) continue;
      if (n < 40 ? !this.#isTranscendental(test, fx, n) : !this.#isNear(test, fx + n)) return false;
    }
    return true;
  }

  /** Of two faults of one instruction the host raises the other. */
  #isOtherOrder(test: Case, start: number): boolean {
    const native = this.#native[start + Out.VECTOR / 4];
    return (test.lenient & Lenient.ORDER) !== 0 &&
      (native === PAGE_FAULT || native === STACK_FAULT) &&
      this.#interpreted[start + Out.VECTOR / 4] === GENERAL_PROTECTION;
  }

  /** This KVM's emulator executes an instruction whose operand is not aligned, instead of #GP(0). */
  #isUnaligned(test: Case, start: number): boolean {
    return this.#emulates && (test.lenient & Lenient.UNALIGNED) !== 0 &&
      this.#native[start + Out.END / 4] === End.FALLEN_THROUGH &&
      this.#interpreted[start + Out.VECTOR / 4] === GENERAL_PROTECTION;
  }

  /** The first word of the FXSAVE area that counts. */
  #firstFx(test: Case, start: number): number {
    return (test.lenient & Lenient.X87_AT_FAULT) !== 0 &&
        this.#native[start + Out.END / 4] === End.EXCEPTION
      ? 40
      : 0;
  }

  /** True when word `n` of the FXSAVE area is C1, or the significand of ST0 or ST1 but for a bit. */
  #isTranscendental(test: Case, fx: number, n: number): boolean {
    if ((test.lenient & Lenient.TRANSCENDENTAL) === 0) return false;
    if (n === 0) return ((this.#native[fx] ^ this.#interpreted[fx]) & ~C1) === 0;
    if (n < 8 || n > 14) return false;
    const at = fx + n - n % 4;
    const distance = extendedKey(this.#native, at) - extendedKey(this.#interpreted, at);
    return distance <= TRANSCENDENTAL_UNITS && distance >= -TRANSCENDENTAL_UNITS;
  }

  /** True when word `at` is an approximation on both sides. */
  #isNear(test: Case, at: number): boolean {
    if ((test.lenient & Lenient.APPROXIMATE) === 0) return false;
    const a = this.#native[at], b = this.#interpreted[at];
    const bothSmall = ((a | b) & 0x7fff_ffff) <= APPROXIMATE_ZERO && (a ^ b) >= 0;
    return bothSmall || Math.abs(a - b) <= APPROXIMATE_UNITS;
  }

  /** Makes what is not compared of a case's memory the same. */
  forgive(test: Case): void {
    if (this.#strict) return;
    for (const [from, to] of test.vague) {
      if (from < At.DATA || from >= At.DATA + DATA_BYTES) continue;
      for (const words of [this.#native, this.#interpreted]) {
        new Uint8Array(words.buffer, words.byteOffset).fill(
          0,
          from,
          Math.min(to, At.DATA + DATA_BYTES),
        );
      }
    }
  }

  /**
   * This KVM takes #GP(0) and #SS(0) of ring 3, and accesses to its own part of the upper half, for
   * instructions that it has to emulate, and raises #UD where its emulator does not know them: most
   * of SSE.
   */
  #isEmulated(test: Case, start: number): boolean {
    if (!this.#emulates) return false;
    const b = this.#interpreted;
    const native = this.#native[start + Out.VECTOR / 4];
    const vector = b[start + Out.VECTOR / 4];
    const upper = vector === PAGE_FAULT && b[start + Out.CR2 / 4 + 1] < 0;
    if (native === PAGE_FAULT) {
      // An operand across the end of the canonical addresses: the emulator begins with its first page.
      const cr2 = start + Out.CR2 / 4;
      const atEnd = this.#native[cr2 + 1] === 0x7fff && this.#native[cr2] >>> 0 > LAST_64;
      const known = (test.lenient & Lenient.EMULATED) !== 0 || atEnd;
      return upper || known && vector === GENERAL_PROTECTION;
    }
    if (native !== INVALID_OPCODE || upper) return upper && native === INVALID_OPCODE;
    return (vector === GENERAL_PROTECTION || vector === STACK_FAULT) &&
      b[start + Out.ERROR_CODE / 4] === 0;
  }

  /** Bits that count of word `n` of an output. */
  #mask(n: number, start: number, test: Case): number {
    if (this.#strict) return -1;
    if (n === Out.RFLAGS / 4) return ~(IGNORED_FLAGS | test.undefined);
    if (n === Out.FRAME_RFLAGS / 4) return ~(IGNORED_FLAGS | test.undefinedWithin);
    if (n >> 1 === Out.CR2 / 8) {
      if ((test.lenient & Lenient.CR2) !== 0) return 0;
      return this.#native[start + Out.VECTOR / 4] === PAGE_FAULT ? -1 : 0;
    }
    return -1;
  }

  /** True when the data is the same. */
  sameData(): boolean {
    return this.#firstData() < 0;
  }

  #firstData(): number {
    const end = (At.DATA + DATA_BYTES) / 4;
    for (let n = At.DATA / 4; n < end; n++) {
      if (this.#native[n] !== this.#interpreted[n]) return n;
    }
    return -1;
  }

  /** All that differs behind case `i`, data included. */
  differences(test: Case, i: number): Difference[] {
    const start = (At.OUT + i * Out.SIZE) / 4;
    const found: Difference[] = [];
    const add = (field: string, at: number, words: number, mask = -1) => {
      for (let n = 0; n < words; n++) {
        if (((this.#native[at + n] ^ this.#interpreted[at + n]) & mask) === 0) continue;
        const text = (from: Int32Array) => wordsText(from, at, words);
        found.push({ field, native: text(this.#native), interpreted: text(this.#interpreted) });
        return;
      }
    };
    for (let at = 0; at < OUT_TOP; at += 8) {
      const gpr = (at - Out.GPR) / 8;
      const name = FIELDS[at] ?? (gpr < 8 ? REGISTERS[gpr] : `r${gpr}`);
      if (isExceptionWord(at / 4) && this.#isEmulated(test, start)) continue;
      add(name, start + at / 4, 2, this.#mask(at / 4, start, test));
    }
    if (test.fx) this.#fxDifferences(test, start, add);
    for (let n = this.#firstData(), shown = 0; n >= 0 && n < (At.DATA + DATA_BYTES) / 4; n++) {
      if (this.#native[n] === this.#interpreted[n] || shown++ > 3) continue;
      add(`[${(n * 4).toString(16)}]`, n, 1);
    }
    return found;
  }

  #fxDifferences(
    test: Case,
    start: number,
    add: (field: string, at: number, words: number, mask?: number) => void,
  ): void {
    for (const field of [Out.FS_BASE, Out.GS_BASE]) {
      add(FIELDS[field], start + field / 4, 2);
    }
    const fx = start + Out.FX / 4;
    const first = this.#firstFx(test, start);
    if (first === 0) {
      add("fcw", fx, 1, 0xffff);
      add("fsw", fx, 1, 0xffff << 16);
      add("ftw", fx + 1, 1, 0xffff);
      add("mxcsr", fx + 6, 1);
    }
    for (let n = first / 5; n < 8; n++) {
      add(`st${n}`, fx + 8 + n * 4, 2);
      add(`st${n}.e`, fx + 10 + n * 4, 1, 0xffff);
    }
    for (let n = 0; n < 16; n++) add(`xmm${n}`, fx + 40 + n * 4, 4);
  }

  /** How case `i` has ended on the host's processor: one of `End`, or 16 + the vector. */
  end(i: number): number {
    const at = (At.OUT + i * Out.SIZE) / 4;
    const end = this.#native[at + Out.END / 4];
    return end === End.EXCEPTION ? 16 + this.#native[at + Out.VECTOR / 4] : end;
  }

  /** The registers that case `i` starts with, as far as they are not 0. */
  inputs(test: Case, i: number): string {
    const at = (At.IN + i * In.SIZE) / 4;
    const parts: string[] = [];
    for (let n = 0; n < 16; n++) {
      const name = n < 8 ? REGISTERS[n] : `r${n}`;
      parts.push(`${name}=${wordsText(this.#native, at + n * 2, 2)}`);
    }
    parts.push(`flags=${wordsText(this.#native, at + In.RFLAGS / 4, 1)}`);
    if (!test.fx) return parts.join(" ");
    const fx = at + In.FX / 4;
    const control = (this.#native[fx] & 0xffff).toString(16);
    const status = (this.#native[fx] >>> 16).toString(16);
    parts.push(`fcw=${control} fsw=${status} ftw=${(this.#native[fx + 1] & 255).toString(16)}`);
    parts.push(`mxcsr=${wordsText(this.#native, fx + 6, 1)}`);
    for (let n = 0; n < 8; n++) {
      const e = (this.#native[fx + 10 + n * 4] & 0xffff).toString(16);
      parts.push(`st${n}=${e}:${wordsText(this.#native, fx + 8 + n * 4, 2)}`);
    }
    for (let n = 0; n < 16; n++) {
      parts.push(`xmm${n}=${wordsText(this.#native, fx + 40 + n * 4, 4)}`);
    }
    return parts.join(" ");
  }
}

/** Neighbouring 80-bit numbers of one sign have neighbouring keys. */
function extendedKey(from: Int32Array, at: number): bigint {
  const half = (n: number) => BigInt(from[at + n] >>> 0);
  return (half(2) << 63n) + ((half(1) & 0x7fff_ffffn) << 32n | half(0));
}

/** CR2, vector or error code. */
function isExceptionWord(n: number): boolean {
  return n < Out.RIP / 4;
}

/** Words as one hexadecimal number, the last first. */
function wordsText(from: Int32Array, at: number, words: number): string {
  let text = "";
  for (let n = words - 1; n >= 0; n--) {
    const word = (from[at + n] >>> 0).toString(16);
    text += text === "" ? (word === "0" && n > 0 ? "" : word) : word.padStart(8, "0");
  }
  return text === "" ? "0" : text;
}
