/** What is found out about a page's offsets while a region is planned. */

import type { Insn } from "../insn.ts";

/** Offsets at which an instruction may begin, or be told to go on: the last one may cross pages. */
const OFFSETS = 4096 + 16;

/** Bits of `#marks`. */
const Mark = { LEADER: 1, ENTRY: 2 } as const;

/** Tables by offset, which are made once: a region has few of a page's offsets. */
export class Offsets {
  readonly #insns = new Array<Insn | undefined>(OFFSETS).fill(undefined);
  readonly #marks = new Uint8Array(OFFSETS);
  /** Offsets that have an instruction, some more than once. */
  readonly #taken: number[] = [];
  /** Where blocks begin, in the order in which that was found out. */
  readonly leaders: number[] = [];

  /** Nothing is known any more. */
  clear(): void {
    for (const offset of this.#taken) this.#insns[offset] = undefined;
    for (const offset of this.leaders) this.#marks[offset] = 0;
    this.#taken.length = this.leaders.length = 0;
  }

  /** The instruction that begins there. */
  at(offset: number): Insn | undefined {
    return this.#insns[offset];
  }

  add(insn: Insn): void {
    this.#insns[insn.offset] = insn;
    this.#taken.push(insn.offset);
  }

  isLeader(offset: number): boolean {
    return this.#marks[offset] !== 0;
  }

  addLeader(offset: number): void {
    this.#marks[offset] |= Mark.LEADER;
    this.leaders.push(offset);
  }

  /** Whether control comes to a leader from outside of the region. */
  isEntry(offset: number): boolean {
    return (this.#marks[offset] & Mark.ENTRY) !== 0;
  }

  addEntry(leader: number): void {
    this.#marks[leader] |= Mark.ENTRY;
  }
}
