/** Makes cases: code, registers and memory of each, written into an image. */

import { Encoder, STRINGS } from "./encoder.ts";
import { type Form, forms } from "./forms.ts";
import { DRIVER } from "./image.ts";
import {
  At,
  BASE,
  CODE_BYTES,
  codeAddress,
  In,
  LANDING,
  Selector,
  SLOT_BYTES,
  slotAddress,
} from "./layout.ts";
import { lenience, vagueBytes } from "./known.ts";
import { Values } from "./values.ts";
import { Random } from "../random.ts";

/** Longest sequence of a case. */
const MAX_SEQUENCE = 6;
/** Room for instructions, with the jump behind them. */
const CODE_ROOM = LANDING - 8 - 15;
/** Bit by name of `RowOptions.undef`. */
const FLAG_BITS: Readonly<Record<string, number>> = { c: 1, p: 4, a: 16, z: 64, s: 128, o: 0x800 };
/** RFLAGS that cases start with: the status flags and DF, now and then AC. */
const DF = 0x400;
const START_FLAGS = 0x8d5 | DF;
const AC = 1 << 18;
/** What branches to anywhere in a slot find: #GP(0). */
const HLT = 0xf4;

/** A case, as a comparison wants to know it. */
export interface Case {
  readonly forms: readonly Form[];
  /** Status flags that are undefined behind it, and those that are after one of its parts. */
  readonly undefined: number;
  readonly undefinedWithin: number;
  /** Bits of `Lenient`. */
  readonly lenient: number;
  /** Memory that is not compared: addresses [from, to). */
  readonly vague: readonly (readonly [from: number, to: number])[];
  readonly fx: boolean;
  readonly code: Uint8Array;
  /** Bit by general register and by word of the slot: the code wants the value that it has. */
  readonly keptRegisters: number;
  readonly keptWords: number;
}

/** Makes cases for code of one size. */
export class Generator {
  readonly bits: 32 | 64;
  readonly forms: readonly Form[];
  readonly #values: Values;
  readonly #encoder: Encoder;
  readonly #simple: readonly Form[];
  readonly #behind: readonly Form[];
  /** A comparison with an immediate, which leaves no flag undefined. */
  readonly #compare: Form;
  readonly #registers = new Int32Array(32);
  readonly #drawnRegisters = new Int32Array(32);
  /** Words of the case's data, and of its x87 and SSE state. */
  readonly #slot = new Int32Array(SLOT_BYTES / 4);
  readonly #drawnSlot = new Int32Array(SLOT_BYTES / 4);
  readonly #fx = new Int32Array(128);
  #basesChanged: boolean;

  /**
   * @param onHost The host's processor, or its KVM, has to know what is made.
   * @param only Mnemonics to try; all without.
   */
  constructor(random: Random, bits: 32 | 64, onHost: boolean, only?: RegExp) {
    this.bits = bits;
    this.#basesChanged = bits === 64;
    this.#values = new Values(random);
    this.#encoder = new Encoder(this.#values);
    const all = forms(bits, onHost);
    this.forms = all.filter(({ row }) => only === undefined || only.test(row.mnemonic));
    if (this.forms.length === 0) throw new RangeError("There is no such instruction");
    this.#simple = this.forms.filter((form) =>
      form.row.ends !== true && !form.bases && !IMPLICIT.test(form.row.mnemonic) &&
      !STRINGS.test(form.row.mnemonic) && lenience(form) === 0 && vagueBytes(form).length === 0
    );
    this.#behind = this.forms.filter(({ row }) => !ALONE.test(row.mnemonic));
    this.#compare = all.find(({ row }) => row.encoding === "83 /7 ib")!;
  }

  /** Writes case `i` into an image; the next cases must be made in order. */
  make(image: Uint8Array, i: number): Case {
    const v = this.#values;
    const encoder = this.#encoder;
    const slot = slotAddress(i);
    const code = codeAddress(i);
    this.#drawRegisters(slot);
    this.#drawSlot();
    this.#drawnRegisters.set(this.#registers);
    this.#drawnSlot.set(this.#slot);
    const data = this.#data;
    encoder.begin({ bits: this.bits, slot, data, code, registers: this.#registers });
    const chosen: Form[] = [];
    const vague: [number, number][] = [];
    let undefinedFlags = 0, undefinedWithin = 0, lenient = 0;
    // In an emulator, operands that have gone astray are too often halfway done.
    const sequence = this.bits === 64 && v.oneIn(6) && this.#simple.length > 0;
    const count = sequence ? 2 + v.small(MAX_SEQUENCE - 1) : 1;
    for (let n = 0; n < count && encoder.length < CODE_ROOM; n++) {
      // What comes next may read the flags.
      if (undefinedFlags !== 0) {
        encoder.append(this.#compare);
        chosen.push(this.#compare);
        undefinedFlags = 0;
        if (encoder.length >= CODE_ROOM) break;
      }
      const list = n < count - 1 || (n > 0 && v.oneIn(2)) ? this.#simple : this.#last(n);
      const form = list[v.random.u32() % list.length];
      encoder.append(form);
      chosen.push(form);
      for (const name of form.row.undef ?? "") undefinedFlags |= FLAG_BITS[name];
      undefinedWithin |= undefinedFlags;
      lenient |= lenience(form);
      const { target } = encoder;
      for (const [from, to] of vagueBytes(form)) vague.push([target + from, target + to]);
      this.#prepare(form, slot, code);
    }
    const fx = chosen.some((form) => form.fx);
    const bases = chosen.some((form) => form.bases);
    this.#write(image, i, fx || bases, chosen.length === 1 ? chosen[0] : undefined);
    if (bases) this.#basesChanged = true;
    return {
      forms: chosen,
      undefined: undefinedFlags,
      undefinedWithin,
      lenient,
      vague,
      fx: fx || bases,
      code: encoder.bytes.slice(0, encoder.length),
      keptRegisters: encoder.fixed | this.#changedRegisters(),
      keptWords: changedWords(this.#slot, this.#drawnSlot),
    };
  }

  /**
   * Gives case `i`, whose code stands in an image, other registers, flags and data; what its code was
   * made for stays.
   * @param careful Results that are the processor's choice must not come of it.
   */
  vary(image: Uint8Array, i: number, test: Case, careful: boolean): void {
    const stay = careful && test.forms.some(({ row }) => PREPARED.test(row.mnemonic));
    const view = new DataView(image.buffer, image.byteOffset);
    const slot = slotAddress(i);
    const at = At.IN + i * In.SIZE;
    this.#drawRegisters(slot);
    this.#drawSlot();
    for (let r = 0; r < 16; r++) {
      if (stay || (test.keptRegisters >>> r & 1) !== 0) continue;
      view.setInt32(at + r * 8, this.#registers[r * 2], true);
      view.setInt32(at + r * 8 + 4, this.#registers[r * 2 + 1], true);
    }
    for (let n = 0; n < SLOT_BYTES / 4; n++) {
      if (stay || (test.keptWords >>> n & 1) !== 0) continue;
      view.setInt32(slot + n * 4, this.#slot[n], true);
    }
    const flags = view.getInt32(at + In.RFLAGS, true);
    const changed = this.#values.random.u32() & START_FLAGS & ~DF;
    view.setInt32(at + In.RFLAGS, flags ^ changed, true);
    if (test.fx) this.#writeFx(view, at + In.FX);
  }

  #changedRegisters(): number {
    let changed = 0;
    for (let n = 0; n < 32; n++) {
      if (this.#registers[n] !== this.#drawnRegisters[n]) changed |= 1 << (n >> 1);
    }
    return changed;
  }

  /** What may stand behind `n` other instructions: with operands of more than one kind only alone. */
  #last(n: number): readonly Form[] {
    return n === 0 ? this.forms : this.#behind;
  }

  readonly #data = new DataView(this.#slot.buffer);

  #drawRegisters(slot: number): void {
    const v = this.#values;
    const registers = this.#registers;
    const long = this.bits === 64;
    for (let r = 0; r < 16; r++) {
      v.integer(registers, r * 2);
      // RSP, RBP, RSI and RDI point into the slot as a rule, the others at times.
      const pointer = r === 4 ? !v.oneIn(24) : r >= 5 && r <= 7 ? !v.oneIn(5) : v.oneIn(8);
      if (pointer) {
        registers[r * 2] = slot + 32 + (v.oneIn(6) ? v.small(64) : v.small(8) * 8);
        registers[r * 2 + 1] = 0;
      }
      if (!long) registers[r * 2 + 1] = 0;
    }
  }

  #drawSlot(): void {
    const v = this.#values;
    const slot = this.#slot;
    if (v.oneIn(4)) {
      for (let at = 0; at + 3 <= slot.length; at += 4) {
        v.extended(slot, at);
        slot[at + 3] = v.random.u32();
      }
    } else {
      for (let at = 0; at < slot.length; at += 4) v.vector(slot, at);
    }
  }

  /** Gives registers and memory the values that an instruction needs to do more than to fault. */
  #prepare(form: Form, slot: number, code: number): void {
    const v = this.#values;
    const { row } = form;
    const registers = this.#registers;
    const { mnemonic } = row;
    if (/^(cmps|movs)b?$/.test(mnemonic)) {
      // Which of two bad operands faults is the processor's choice.
      this.#aim(v.oneIn(2) ? 6 : 7, slot + 64);
    } else if (/^maskmov/.test(mnemonic)) {
      // Whether bytes that are masked out fault is the processor's choice, too.
      this.#aim(7, slot + 64);
    } else if (mnemonic === "fxrstor") {
      // This KVM emulates what raises #GP, by other rules.
      this.#data.setInt32(24, v.random.u32() & 0xffbf, true);
    }
    const at = this.#encoder.target - slot;
    if (mnemonic === "ldmxcsr" && at >= 0 && at <= SLOT_BYTES - 4) {
      // All but MM, which this processor has (APM 1 §4.3.2).
      this.#data.setInt32(at, v.random.u32() & (v.oneIn(6) ? ~0x2_0000 : 0xffff), true);
    }
    if (/^(in|out)s/.test(mnemonic)) registers[2] = v.small(9);
    if (STRINGS.test(mnemonic)) {
      // Long runs must not write: they would change what other cases find.
      if (this.bits === 64 && /^(lods|scas|cmps)/.test(mnemonic) && v.oneIn(8)) return;
      registers[2] = v.small(9);
      if (!v.oneIn(8)) registers[3] = 0;
    } else if (/^loop|^jr?e?cxz/.test(mnemonic)) {
      registers[2] = v.small(3);
      if (!v.oneIn(3)) registers[3] = 0;
    } else if (/^sh[lr]d$/.test(mnemonic) && this.#encoder.opSize === 2) {
      registers[2] = registers[2] & ~31 | v.small(17);
    } else if (form.row.ends === true && /^(jmp|call)$/.test(mnemonic)) {
      this.#point(form, slot, code + LANDING);
    } else if (/^(ret|retf|iret)$/.test(mnemonic) && !v.oneIn(10)) {
      this.#stackFrame(slot, code + LANDING, mnemonic);
    } else if (/^i?div$/.test(mnemonic) && (this.#encoder.fixed & 5) === 0 && !v.oneIn(4)) {
      // Quotients that fit
      registers[5] = v.oneIn(2) ? 0 : registers[1] >> 31;
      registers[4] = v.oneIn(2) ? v.small(16) : registers[1] >> 31;
      if (v.oneIn(2)) registers[1] = registers[5];
    } else if (mnemonic === "xlat") {
      registers[6] = slot;
      registers[7] = 0;
      registers[0] &= ~0x80;
    } else if (/^cmpxchg/.test(mnemonic) && v.oneIn(2)) {
      this.#compareWith(form, slot);
    }
  }

  #aim(register: number, address: number): void {
    this.#registers[register * 2] = address;
    this.#registers[register * 2 + 1] = 0;
  }

  /** An indirect branch: its operand is the landing place. */
  #point(form: Form, slot: number, landing: number): void {
    const v = this.#values;
    if (form.operands[0]?.letter === "J") return;
    if (v.oneIn(12) && (this.#encoder.fixed >>> 4 & 1) === 0) {
      // The target is bad, so the stack must be good: which is looked at first is not specified.
      this.#aim(4, slot + 64);
      if (this.#encoder.target !== 0) return;
    }
    const at = this.#encoder.target - slot;
    const far = form.operands[0]?.size === "p";
    const selector = this.bits === 64 ? Selector.USER_CODE64 : Selector.USER_CODE32;
    if (this.#encoder.target !== 0) {
      if (at < 0 || at > SLOT_BYTES - 16) return;
      this.#data.setInt32(at, landing, true);
      this.#data.setInt32(at + 4, far && !v.oneIn(4) ? selector : 0, true);
      return;
    }
    const rm = this.#encoder.bytes[this.#encoder.length - 1] & 7;
    for (const r of [rm, rm + 8]) {
      this.#registers[r * 2] = landing;
      this.#registers[r * 2 + 1] = 0;
    }
  }

  /** What RET, RETF and IRET find on the stack. */
  #stackFrame(slot: number, landing: number, mnemonic: string): void {
    const v = this.#values;
    const size = this.#encoder.opSize;
    const at = v.small(3) * 8 + 16;
    this.#registers[8] = slot + at;
    this.#registers[9] = 0;
    const code = this.bits === 64 ? Selector.USER_CODE64 : Selector.USER_CODE32;
    const words = mnemonic === "ret"
      ? [landing]
      : mnemonic === "retf"
      ? [landing, code]
      : [landing, code, v.random.u32() & START_FLAGS | 2, slot + 64, Selector.USER_DATA];
    words.forEach((word, n) => {
      if (size === 2) this.#data.setInt16(at + n * 2, word, true);
      else this.#data.setInt32(at + n * size, word, true);
      if (size === 8) this.#data.setInt32(at + n * size + 4, 0, true);
    });
  }

  /** CMPXCHG of what is equal. */
  #compareWith(form: Form, slot: number): void {
    const registers = this.#registers;
    const at = this.#encoder.target - slot;
    if (this.#encoder.target === 0 || at < 0 || at > SLOT_BYTES - 16) return;
    const word = (n: number) => this.#data.getInt32(at + n * 4, true);
    if (form.row.mnemonic === "cmpxchg") {
      registers[0] = word(0);
      registers[1] = word(1);
    } else if (form.row.mnemonic === "cmpxchg8b") {
      registers[0] = word(0);
      registers[4] = word(1);
    } else {
      [registers[0], registers[1], registers[4], registers[5]] = [0, 1, 2, 3].map(word);
    }
  }

  #write(image: Uint8Array, i: number, fx: boolean, single: Form | undefined): void {
    const v = this.#values;
    const view = new DataView(image.buffer, image.byteOffset);
    const at = At.IN + i * In.SIZE;
    for (let n = 0; n < 32; n++) view.setInt32(at + n * 4, this.#registers[n], true);
    const long = this.bits === 64;
    const code = codeAddress(i);
    view.setInt32(at + In.CODE, code, true);
    view.setInt32(at + In.CODE + 4, long ? 0 : Selector.USER_CODE32, true);
    const stringsForward = single !== undefined && STRINGS.test(single.row.mnemonic) && v.oneIn(2);
    const flags = v.random.u32() & START_FLAGS & (stringsForward ? ~DF : -1) | 2 |
      (this.bits === 64 && v.oneIn(16) ? AC : 0); // this KVM's emulator has no #AC
    view.setInt32(at + In.RFLAGS, flags, true);
    view.setInt32(at + In.RFLAGS + 4, 0, true);
    const load = this.#basesChanged
      ? DRIVER.loadBases
      : fx
      ? long ? DRIVER.loadFx : DRIVER.loadFxFar
      : long
      ? DRIVER.load
      : DRIVER.loadFar;
    if (fx || this.#basesChanged) this.#writeFx(view, at + In.FX);
    this.#basesChanged = false;
    view.setInt32(at + In.LOAD, load, true);
    view.setInt32(at + In.STORE, fx ? DRIVER.storeFx : DRIVER.store, true);
    this.#writeCode(image, code);
    for (let n = 0; n < SLOT_BYTES / 4; n++) {
      view.setInt32(slotAddress(i) + n * 4, this.#slot[n], true);
    }
  }

  #writeFx(view: DataView, at: number): void {
    const v = this.#values;
    const fx = this.#fx;
    fx.fill(0, 0, 8);
    const u = v.random.u32();
    // Exceptions are masked as a rule, precision and rounding are drawn.
    const control = ((u & 3) !== 0 ? 0x7f : 0x40 | v.small(64)) | (u >>> 8 & 15) << 8;
    const status = v.oneIn(4) ? v.random.u32() & 0x477f : v.small(8) << 11;
    const pending = status & ~control & 0x3f;
    const top = v.small(8) << 11;
    fx[0] = control | ((status & 0x477f | top | (pending !== 0 ? 0x8080 : 0)) << 16);
    fx[1] = v.oneIn(4) ? v.small(256) : v.oneIn(2) ? 0xff : 0xff & ~(1 << v.small(8));
    const w = v.random.u32();
    fx[6] = ((w & 7) !== 0 ? 0x1f80 : (w >>> 3 & 63) << 7) | (w >>> 9 & 3) << 13 |
      ((w & 0x1800) === 0 ? 0x8000 : 0) | ((w & 0x6000) === 0 ? 0x40 : 0) |
      ((w & 0x18000) === 0 ? w >>> 20 & 63 : 0);
    for (let n = 8; n < 40; n += 4) {
      v.extended(fx, n);
      fx[n + 3] = 0;
    }
    for (let n = 40; n < 104; n += 4) v.vector(fx, n);
    for (let n = 0; n < 128; n++) view.setInt32(at + n * 4, fx[n], true);
  }

  /** The case's code, the jump back behind it, and another at the landing place. */
  #writeCode(image: Uint8Array, code: number): void {
    const { bytes, length } = this.#encoder;
    const at = code - BASE;
    image.fill(HLT, at, at + CODE_BYTES);
    for (let n = 0; n < length; n++) image[at + n] = bytes[n];
    this.#jumpBack(image, at + length, DRIVER.back);
    this.#jumpBack(image, at + LANDING, DRIVER.backTaken);
  }

  #jumpBack(image: Uint8Array, at: number, target: number): void {
    let next = at;
    const put = (value: number, bytes: number) => {
      for (let n = 0; n < bytes; n++) image[next++] = value >>> n * 8;
    };
    if (this.bits === 64) {
      put(0xe9, 1);
      put(target - (BASE + at + 5), 4);
    } else {
      put(0xea, 1);
      put(target, 4);
      put(Selector.USER_CODE64, 2);
    }
  }
}

/** What `#prepare` knows. */
const PREPARED =
  /^((cmps|movs|stos|lods|scas|ins|outs)[bwdqv]?|maskmov.*|fxrstor|ldmxcsr|loop.*|jr?e?cxz|sh[lr]d|jmp|call|ret|retf|iret|xlat|cmpxchg.*)$/;

/** Bit by word that differs. */
function changedWords(words: Int32Array, before: Int32Array): number {
  let changed = 0;
  for (let n = 0; n < words.length; n++) if (words[n] !== before[n]) changed |= 1 << n;
  return changed;
}

/** What needs prepared registers so as not to have two faults to choose from. */
const ALONE = /^(ldmxcsr|cmps|movs|maskmov|call|jmp|fx|fnsave|fnstenv|sh[lr]d|enter)/;
/** What works on memory or registers that generation does not know about: not within sequences. */
const IMPLICIT =
  /^(push|pop|pushf|popf|pusha|popa|enter|leave|xlat|maskmov|bound|int|into|ret|call|jmp|fx|fnsave|fsave|frstor|fldenv|emms|cmpxchg|i?div|ldmxcsr|sh[lr]d)/;
