/** Seeded random numbers for tests: a failure repeats with DENOVISOR_SEED. */

/** The seed of this run: DENOVISOR_SEED, or `fallback`. */
export function seed(fallback: number): number {
  const given = Deno.env.get("DENOVISOR_SEED");
  return given === undefined ? fallback : Number(given) >>> 0;
}

/** A small fast generator (xorshift128, Marsaglia 2003), seeded by splitmix. */
export class Random {
  readonly seed: number;
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seedValue: number) {
    this.seed = seedValue >>> 0;
    let mix = this.seed;
    const next = (): number => {
      mix = (mix + 0x9e37_79b9) | 0;
      let z = mix;
      z = Math.imul(z ^ (z >>> 16), 0x85eb_ca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2_ae35);
      return (z ^ (z >>> 16)) >>> 0;
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() | 1;
  }

  /** 32 random bits, unsigned. */
  u32(): number {
    const t = this.#a ^ (this.#a << 11);
    this.#a = this.#b;
    this.#b = this.#c;
    this.#c = this.#d;
    this.#d = (this.#d ^ (this.#d >>> 19) ^ t ^ (t >>> 8)) >>> 0;
    return this.#d;
  }

  /** An integer from 0 to `bound` - 1; `bound` at most 2^53. */
  below(bound: number): number {
    return Math.floor((this.u32() * 0x20_0000 + (this.u32() >>> 11)) / 2 ** 53 * bound);
  }

  /** 64 random bits, unsigned. */
  u64(): bigint {
    return BigInt(this.u32()) << 32n | BigInt(this.u32());
  }

  /** True once in `n` times on average. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  /** One of `items`. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }

  /** `length` random bytes. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i++) out[i] = this.u32();
    return out;
  }
}
