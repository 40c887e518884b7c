/** Operand values: the edges of each format, and random ones. */

import type { Random } from "../random.ts";

/** Integers as halves: around the limits of 8, 16, 32 and 64 bits. */
const INTEGERS: readonly (readonly [lo: number, hi: number])[] = [
  ...[0, 1, 2, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x7fff, 0x8001, 0xffff, 0x1_0000].map((n) =>
    [n, 0] as const
  ),
  ...[0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_ffff].map((n) => [n | 0, 0] as const),
  ...[-1, -2, -0x80, -0x8000, 0x8000_0000 | 0].map((n) => [n, -1] as const),
  ...[0, 1, -1].map((n) => [n, 1] as const),
  ...[0, 1].map((n) => [n, 0x8000_0000 | 0] as const),
  ...[-1, -2].map((n) => [n, 0x7fff_ffff] as const),
];

/** Upper words of doubles: signs are drawn besides. */
const DOUBLE_TOPS = [
  ...[0, 1, 0x000f_ffff, 0x0010_0000, 0x3fe0_0000, 0x3ff0_0000, 0x3ff8_0000, 0x4000_0000],
  ...[0x41df_ffff, 0x41e0_0000, 0x43df_ffff, 0x43e0_0000, 0x4330_0000, 0x7fef_ffff],
  ...[0x7ff0_0000, 0x7ff8_0000, 0x7ff4_0000, 0x47ef_ffff, 0x3810_0000, 0x36a0_0000],
];
const DOUBLE_LOWS = [0, 0, 0, 1, -1, -2, 0x8000_0000 | 0, 0x7fff_ffff, 0xe000_0000 | 0];
const SINGLES = [
  ...[0, 1, 0x007f_ffff, 0x0080_0000, 0x3f00_0000, 0x3f80_0000, 0x3f80_0001, 0x3fc0_0000],
  ...[0x4000_0000, 0x4b00_0000, 0x4b00_0001, 0x4eff_ffff, 0x4f00_0000, 0x5eff_ffff],
  ...[0x5f00_0000, 0x7f7f_ffff, 0x7f80_0000, 0x7fc0_0000, 0x7fa0_0000, 0x7f80_0001],
];
/** Exponents of 80-bit numbers. */
const EXPONENTS = [
  ...[0, 0, 1, 2, 0x3fbe, 0x3ffe, 0x3fff, 0x3fff, 0x4000, 0x401d, 0x401e, 0x403d, 0x403e],
  ...[0x403f, 0x7ffe, 0x7fff, 0x7fff, 0x3f81, 0x3c01, 0x43fe, 0x43ff, 0x407e, 0x407f],
];
const SIGNIFICANDS: readonly (readonly [lo: number, hi: number])[] = [
  [0, 0x8000_0000 | 0],
  [0, 0x8000_0000 | 0],
  [0, 0xc000_0000 | 0],
  [1, 0x8000_0000 | 0],
  [-1, -1],
  [-2, -1],
  [1, 0x4000_0000],
  [0, 0],
  [0x400, 0x8000_0000 | 0],
  [0, -0x100],
];

/** Draws values into memory. */
export class Values {
  readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  /** Below a small `bound`. */
  small(bound: number): number {
    return this.random.u32() % bound;
  }
  oneIn(n: number): boolean {
    return this.random.u32() % n === 0;
  }

  /** A 64-bit integer into two words. */
  integer(into: Int32Array, at: number): void {
    const u = this.random.u32();
    const kind = u & 15;
    if (kind < 5) {
      const [lo, hi] = INTEGERS[(u >>> 8) % INTEGERS.length];
      into[at] = lo;
      into[at + 1] = hi;
    } else if (kind < 7) { // a count
      into[at] = u >>> 8 & 0x7f;
      into[at + 1] = 0;
    } else if (kind < 9) { // about a power of 2
      const bit = u >>> 8 & 31;
      const lo = (1 << bit) - (u >>> 16 & 1) | 0;
      into[at + (u >>> 17 & 1)] = lo;
      into[at + (u >>> 17 & 1 ^ 1)] = (u >>> 18 & 1) === 0 ? 0 : -1;
    } else {
      into[at] = this.random.u32();
      into[at + 1] = kind === 15 ? this.random.u32() >> 31 : this.random.u32();
    }
  }

  /** A double into two words. */
  double(into: Int32Array, at: number): void {
    const u = this.random.u32();
    const sign = u & 0x8000_0000;
    if ((u & 3) === 0) {
      into[at] = DOUBLE_LOWS[(u >>> 8) % DOUBLE_LOWS.length];
      into[at + 1] = DOUBLE_TOPS[(u >>> 16 & 0x7fff) % DOUBLE_TOPS.length] | sign;
    } else if ((u & 3) === 1) { // a small integer or the like: sums that cancel, exact results
      this.#whole(into, at, (u >>> 8 & 0xff) + ((u & 4) === 0 ? 0 : 0.5), sign);
    } else {
      // An exponent near 0 most of the time
      const exponent = (u & 4) === 0 ? 0x3ff - 32 + (u >>> 8 & 63) : u >>> 8 & 0x7ff;
      into[at] = (u & 8) === 0 ? this.random.u32() : 0;
      into[at + 1] = this.random.u32() & 0xf_ffff | exponent << 20 | sign;
    }
  }

  #whole(into: Int32Array, at: number, value: number, sign: number): void {
    scratch.setFloat64(0, value);
    into[at] = scratch.getInt32(4);
    into[at + 1] = scratch.getInt32(0) | sign;
  }

  /** A single. */
  single(): number {
    const u = this.random.u32();
    const sign = u & 0x8000_0000;
    if ((u & 3) === 0) return SINGLES[(u >>> 8) % SINGLES.length] | sign;
    if ((u & 3) === 1) {
      scratch.setFloat32(0, (u >>> 8 & 0xff) + ((u & 4) === 0 ? 0 : 0.5));
      return scratch.getInt32(0) | sign;
    }
    const exponent = (u & 4) === 0 ? 127 - 16 + (u >>> 8 & 31) : u >>> 8 & 255;
    return ((u & 8) === 0 ? this.random.u32() & 0x7f_ffff : 0) | exponent << 23 | sign;
  }

  /** An 80-bit number into three words; the upper half of the last stays 0. */
  extended(into: Int32Array, at: number): void {
    const u = this.random.u32();
    const sign = u >>> 31 << 15;
    const edge = (u & 7) < 3;
    const exponent = edge
      ? EXPONENTS[(u >>> 8) % EXPONENTS.length]
      : (u & 8) === 0
      ? 0x3fff - 32 + (u >>> 8 & 63)
      : u >>> 8 & 0x7fff;
    const [lo, hi] = SIGNIFICANDS[(u >>> 16 & 0x7fff) % SIGNIFICANDS.length];
    if ((u & 0x30) === 0) {
      into[at] = lo;
      into[at + 1] = hi;
    } else {
      into[at] = (u & 0x40) === 0 ? 0 : this.random.u32();
      into[at + 1] = this.random.u32() | (exponent === 0 ? 0 : 0x8000_0000);
    }
    into[at + 2] = exponent | sign;
  }

  /** 128 bits of one kind of lanes. */
  vector(into: Int32Array, at: number): void {
    switch (this.small(5)) {
      case 0:
        for (let i = 0; i < 4; i += 2) this.double(into, at + i);
        break;
      case 1:
        for (let i = 0; i < 4; i++) into[at + i] = this.single();
        break;
      case 2:
        for (let i = 0; i < 4; i += 2) this.integer(into, at + i);
        break;
      case 3: // bytes and halves at their limits
        for (let i = 0; i < 4; i++) into[at + i] = this.#edges();
        break;
      default:
        for (let i = 0; i < 4; i++) into[at + i] = this.random.u32();
    }
  }

  /** Four bytes, each often at a limit. */
  #edges(): number {
    const u = this.random.u32();
    let word = this.random.u32();
    for (let i = 0; i < 4; i++) {
      const kind = u >>> i * 8 & 7;
      if (kind > 4) continue;
      word = word & ~(255 << i * 8) | [0, 0x7f, 0x80, 0xff, 1][kind] << i * 8;
    }
    return word;
  }
}

const scratch = new DataView(new ArrayBuffer(8));
