/** Segment descriptors, fixed and random (SDM 3A §3.4.5, §3.5, §5.8.3). */

import type { Segment } from "../../../src/cpu/state.ts";
import type { Values } from "../oracle/values.ts";
import { At, LDT_LIMIT, Selector } from "./layout.ts";

/** What a random descriptor is meant to be; it may turn out to be anything else. */
export type Kind = "data" | "code" | "tss" | "ldt" | "gate" | "any";

/** Kinds of the random descriptors, by their slots in the GDT. */
export const FREE_KINDS: readonly Kind[] = ["data", "data", "code", "code", "any", "gate"];
/** A slot has room for a descriptor of IA-32e mode. */
export const SLOT_BYTES = 16;
/** Slots by kind. */
const SLOTS: Readonly<Record<Kind, readonly number[]>> = {
  ...{ data: [0, 1], code: [2, 3], tss: [4], ldt: [4], gate: [5], any: [0, 1, 2, 3, 4, 5] },
};

/** A descriptor's two words. */
export interface Words {
  readonly lo: number;
  readonly hi: number;
}

/** `access`: P, DPL, S, type; `flags`: G, D/B, L, AVL. */
export function descriptor(access: number, flags: number, base: number, limit: number): Words {
  const lo = base << 16 | limit & 0xffff;
  const hi = base & 0xff00_0000 | flags << 20 | limit & 0xf_0000 | access << 8 | base >>> 16 & 0xff;
  return { lo, hi };
}

/** A gate to `selector`:`offset`. */
export function gate(access: number, selector: number, offset: number, low = 0): Words {
  const lo = selector << 16 | offset & 0xffff;
  return { lo, hi: offset & 0xffff_0000 | access << 8 | low };
}

/** Flat segments of the GDT, by selector. */
export const FLAT: ReadonlyMap<number, Words> = new Map(
  ([
    [Selector.CODE32, 0x9b, 0xc],
    [Selector.CODE64, 0x9b, 0xa],
    [Selector.CODE16, 0x9b, 0x8],
    [Selector.DATA32, 0x93, 0xc],
    [Selector.DATA16, 0x93, 0x8],
    [Selector.USER_CODE32, 0xfb, 0xc],
    [Selector.USER_CODE64, 0xfb, 0xa],
    [Selector.USER_CODE16, 0xfb, 0x8],
    [Selector.USER_DATA32, 0xf3, 0xc],
    [Selector.USER_DATA16, 0xf3, 0x8],
  ] as const).map(([selector, access, flags]) => [
    selector,
    descriptor(access, flags, 0, 0xf_ffff),
  ]),
);

/** What a segment register holds that was loaded from `words`. */
export function loadedSegment(selector: number, { lo, hi }: Words): Segment {
  const limit = hi & 0xf_0000 | lo & 0xffff;
  return {
    selector,
    base: (hi & 0xff00_0000 | (hi & 0xff) << 16 | lo >>> 16) >>> 0,
    limit: ((hi & 0x80_0000) !== 0 ? limit << 12 | 0xfff : limit) >>> 0,
    attributes: hi >>> 8 & 0xf0ff | (((hi & 0x1000) !== 0) ? 1 : 0),
  };
}

/** A selector of nothing. */
export function nullSegment(selector: number, dpl = 0): Segment {
  return { selector, base: 0, limit: 0, attributes: dpl << 5 };
}

// With them, operands are still in RAM, or far from it.
const BASES = [0, 0, 0, 0x100, 0xffff_0000, 0x2000];
const LIMITS = [0xf_ffff, 0xf_ffff, 0xffff, 0, 0xfff, At.CODE_END, At.LANDING + 3, At.STACK - 8];
const GATES = [0x84, 0x85, 0x86, 0x8c, 0x8c, 0x8c, 0x8e, 0x8f];
const TSS = [0x81, 0x83, 0x89, 0x89, 0x89, 0x8b];
/** Types of code and of data, biased to what is of use. */
const CODE = [8, 9, 10, 11, 11, 12, 13, 14, 15];
const DATA = [0, 1, 2, 3, 2, 3, 4, 5, 6, 7];

/** Draws descriptors and selectors. */
export class Descriptors {
  readonly #values: Values;

  constructor(values: Values) {
    this.#values = values;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.#values.small(items.length)];
  }

  /** A privilege level: 0 mostly. */
  level(): number {
    const u = this.#values.small(8);
    return u < 4 ? 0 : u < 6 ? 3 : u - 5;
  }

  /** A random descriptor. */
  draw(kind: Kind): Words {
    const values = this.#values;
    const { random } = values;
    if (kind === "any") {
      return this.draw(this.pick(["data", "code", "tss", "tss", "ldt", "ldt", "gate"]));
    }
    if (values.oneIn(30)) return { lo: random.u32(), hi: random.u32() };
    let access = this.#access(kind);
    if (values.oneIn(10)) access &= ~0x80;
    access |= this.level() << 5;
    if (kind === "gate") {
      return gate(access, this.selector("code"), this.offset(), values.small(4));
    }
    const base = kind === "tss" ? At.TSS_OTHER : kind === "ldt" ? At.LDT : this.#base(kind);
    const system = kind === "tss" || kind === "ldt";
    const limit = system
      ? this.pick([0x67, 0x67, LDT_LIMIT, 0, 0xfff, 0x2b])
      : values.oneIn(8)
      ? random.u32() & 0xf_ffff
      : this.pick(LIMITS);
    return descriptor(access, this.#flags(kind), base, limit);
  }

  #access(kind: Kind): number {
    if (kind === "data") return 0x90 | this.pick(DATA);
    if (kind === "code") return 0x90 | this.pick(CODE);
    if (kind === "gate") return this.pick(GATES);
    return kind === "tss" ? this.pick(TSS) : 0x82;
  }

  #base(kind: Kind): number {
    if (kind === "code" && !this.#values.oneIn(8)) return 0;
    return this.#values.oneIn(12) ? this.#values.random.u32() : this.pick(BASES);
  }

  #flags(kind: Kind): number {
    const values = this.#values;
    const flags = (values.oneIn(2) ? 8 : 0) | (values.oneIn(2) ? 4 : 0) | (values.oneIn(8) ? 1 : 0);
    if (kind !== "code") return flags | (values.oneIn(8) ? 2 : 0);
    // 64-bit code is not 32-bit code as well
    return values.oneIn(2) ? flags : values.oneIn(8) ? flags | 2 : flags & ~4 | 2;
  }

  /** Third word of a 16-byte descriptor: the upper half of a base or an offset. */
  upper(): number {
    return this.#values.oneIn(8) ? this.#values.random.u32() : 0;
  }
  /** Fourth word: reserved, and a type that must be 0. */
  reserved(): number {
    return this.#values.oneIn(12) ? this.#values.random.u32() : 0;
  }

  /** A selector of a descriptor of `kind`, perhaps; or of none. */
  selector(kind: Kind): number {
    const values = this.#values;
    const rpl = values.oneIn(3) ? values.small(4) : 0;
    const u = values.small(100);
    if (u < 55) return this.free(kind) | rpl;
    if (u < 80) return this.#fixed(kind) | rpl;
    if (u < 86) return values.small(4);
    if (u < 92) return this.pick([Selector.END, Selector.END - 8, 0xfff8, 0x4000]) | rpl;
    if (u < 98) return values.small(LDT_LIMIT + 9) & ~7 | 4 | rpl;
    return values.random.u32() & 0xffff;
  }

  /** A selector of a random descriptor: of one that is meant to be of `kind`, mostly. */
  free(kind: Kind = "any"): number {
    const slots = this.#values.oneIn(5) ? SLOTS.any : SLOTS[kind];
    return Selector.FREE + SLOT_BYTES * this.pick(slots);
  }

  #fixed(kind: Kind): number {
    switch (kind) {
      case "tss":
        return Selector.TSS;
      case "ldt":
        return Selector.LDT;
      case "data":
        return this.pick([Selector.DATA32, Selector.DATA16, Selector.USER_DATA32]);
      case "code":
        return this.pick(CODE_SELECTORS);
      default:
        return this.#values.small(Selector.FREE) & ~7;
    }
  }

  /** An offset that code is entered at: its low 16 bits are those of a landing place. */
  offset(): number {
    const values = this.#values;
    const landing = At.LANDING + (values.small(0x1000) & ~3);
    if (values.oneIn(12)) return values.random.u32() & 0xffff_0000 | landing;
    if (values.oneIn(12)) return this.pick([0xfffc, 0x1_d000, -4, At.CODE_END, 0xffc]);
    return landing;
  }

  /** A selector of code in real mode: its base leaves landing places what they are. */
  realCode(): number {
    return this.#values.small(0x10) << 8;
  }
}

/** Of flat code, 32-bit code twice. */
const CODE_SELECTORS = [
  ...[Selector.CODE32, Selector.CODE64, Selector.CODE16],
  ...[Selector.CODE32, Selector.USER_CODE32, Selector.USER_CODE64, Selector.USER_CODE16],
];
