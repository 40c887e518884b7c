/** Instructions of translated code that have a tail: bytes in the next page. */

import type { Block } from "../block.ts";
import { MAX_TAILS } from "./layout.ts";

/** One of them. */
export class Tail {
  /** The interpreter's block of the instruction alone, which the translation is made from. */
  readonly block: Block;
  /** The next page has been looked after for its sake. */
  isTracked = false;

  constructor(block: Block) {
    this.block = block;
  }
}

/** All of them, by numbers: places in every vCPU's `TAILS_AT`. */
export class Tails {
  readonly #tails: (Tail | undefined)[] = [];
  readonly #free: number[] = [];

  /** The number of another one; undefined: there are too many. */
  add(block: Block): number | undefined {
    const number = this.#free.pop() ?? this.#tails.length;
    if (number === MAX_TAILS) return undefined;
    this.#tails[number] = new Tail(block);
    return number;
  }

  at(number: number): Tail | undefined {
    return this.#tails[number];
  }

  /** The translation is gone. */
  drop(number: number): void {
    this.#tails[number] = undefined;
    this.#free.push(number);
  }
}
