/** What of two results is compared, and how they differ. */

import { type CpuState, Seg, SegField, State, STATE_MSRS } from "../../../src/cpu/state.ts";
import { REGISTERS } from "./generate.ts";
import { LANDING_CODE, RAM_BYTES } from "./layout.ts";

/** A field in which the sides differ. */
export interface Difference {
  readonly field: string;
  readonly native: string;
  readonly interpreted: string;
  /** The bits in which the low halves differ, and the high halves; of segments, nothing. */
  readonly changed: number;
  readonly changedHigh: number;
  /** Of memory: its address; else -1. */
  readonly at: number;
}

/** A difference without numbers. */
export function difference(field: string, native: string, interpreted: string): Difference {
  return { field, native, interpreted, changed: 0, changedHigh: 0, at: -1 };
}

/** 64-bit fields in front of the segments, by word index of their halves. */
const FIELDS: readonly (readonly [name: string, word: number])[] = [
  ...REGISTERS.map((name, i) => [name, i * 2] as const),
  ["rip", State.RIP / 4],
  ["rflags", State.RFLAGS / 4],
  ["cr0", State.CR0 / 4],
  ["cr2", State.CR2 / 4],
  ["cr3", State.CR3 / 4],
  ["cr4", State.CR4 / 4],
  ["cr8", State.CR8 / 4],
  ["efer", State.EFER / 4],
  ["gdtr", State.GDTR / 4],
  ["gdtr limit", State.GDTR / 4 + 2],
  ["idtr", State.IDTR / 4],
  ["idtr limit", State.IDTR / 4 + 2],
];
/** Compared for cases that say so. */
const FULL_FIELDS: readonly (readonly [name: string, word: number])[] = [
  ...[0, 1, 2, 3, 6, 7].map((n, i) => [`dr${n}`, State.DEBUG / 4 + i * 2] as const),
  ...STATE_MSRS.map((msr, i) => [`msr ${msr.toString(16)}`, State.MSRS / 4 + i * 2] as const)
    // the time-stamp counter and what follows it
    .filter((_, i) => ![0x10, 0x3b, 0x6e0].includes(STATE_MSRS[i])),
];
const SEGMENTS: readonly string[] = Object.keys(Seg).map((name) => name.toLowerCase());
/** The part of RIP that tells landing places apart. */
const RIP_MASK = ~(LANDING_CODE.length - 1);

/** Both sides' registers and memory. */
export class Comparison {
  readonly native: CpuState;
  readonly interpreted: CpuState;
  readonly #words: readonly [Int32Array, Int32Array];
  readonly #memory: readonly [Int32Array, Int32Array];

  constructor(
    states: { native: CpuState; interpreted: CpuState },
    memory: { native: Uint8Array; interpreted: Uint8Array },
  ) {
    this.native = states.native;
    this.interpreted = states.interpreted;
    const words = (bytes: Uint8Array | DataView) => new Int32Array(bytes.buffer, bytes.byteOffset);
    this.#words = [words(this.native.view), words(this.interpreted.view)];
    const part = (bytes: Uint8Array) =>
      new Int32Array(bytes.buffer, bytes.byteOffset, RAM_BYTES / 4);
    this.#memory = [part(memory.native), part(memory.interpreted)];
  }

  /** Brings both states to the form in which they are compared. */
  normalize(): void {
    for (const state of [this.native, this.interpreted]) {
      const { view } = state;
      view.setInt32(State.RIP, view.getInt32(State.RIP, true) & RIP_MASK, true);
      for (let seg = 0; seg < 8; seg++) {
        const at = State.SEGMENTS + seg * 16;
        const attributes = view.getUint16(at + SegField.ATTRIBUTES, true);
        // Of a segment that cannot be used there is nothing more, but SS's privilege level.
        if ((attributes & 0x80) !== 0) continue;
        view.setUint16(at + SegField.ATTRIBUTES, seg === Seg.SS ? attributes & 0x60 : 0, true);
        view.setUint32(at + SegField.LIMIT, 0, true);
        if (seg !== Seg.FS && seg !== Seg.GS) view.setBigUint64(at, 0n, true);
      }
    }
  }

  /** True when nothing differs. */
  same(full: boolean): boolean {
    const [a, b] = this.#words;
    for (let i = 0; i < FIELDS.length; i++) {
      const word = FIELDS[i][1];
      if (a[word] !== b[word] || a[word + 1] !== b[word + 1]) return false;
    }
    for (let word = State.SEGMENTS / 4; word < State.GDTR / 4; word++) {
      if (a[word] !== b[word]) return false;
    }
    for (let i = 0; full && i < FULL_FIELDS.length; i++) {
      const word = FULL_FIELDS[i][1];
      if (a[word] !== b[word] || a[word + 1] !== b[word + 1]) return false;
    }
    return this.#firstMemory(0) < 0;
  }

  /** The first word from `from` on in which the memories differ, or -1. */
  #firstMemory(from: number): number {
    const [a, b] = this.#memory;
    for (let i = from; i < a.length; i++) if (a[i] !== b[i]) return i;
    return -1;
  }

  /** All that differs. */
  differences(full: boolean): Difference[] {
    const found: Difference[] = [];
    const [a, b] = this.#words;
    for (const [field, word] of full ? [...FIELDS, ...FULL_FIELDS] : FIELDS) {
      if (a[word] === b[word] && a[word + 1] === b[word + 1]) continue;
      found.push({
        ...difference(field, hex64(a, word), hex64(b, word)),
        changed: a[word] ^ b[word],
        changedHigh: a[word + 1] ^ b[word + 1],
      });
    }
    SEGMENTS.forEach((field, seg) => {
      const [native, interpreted] = [this.native, this.interpreted].map((state) =>
        segmentText(state, seg)
      );
      if (native !== interpreted) found.push(difference(field, native, interpreted));
    });
    const [m, n] = this.#memory;
    for (let i = this.#firstMemory(0); i >= 0 && found.length < 24; i = this.#firstMemory(i + 1)) {
      const at = i * 4;
      const changed = m[i] ^ n[i];
      found.push({ ...difference(`[${hex(at)}]`, hex(m[i]), hex(n[i])), changed, at });
    }
    return found;
  }
}

function hex(value: number): string {
  return (value >>> 0).toString(16);
}
function hex64(words: Int32Array, at: number): string {
  return words[at + 1] === 0
    ? hex(words[at])
    : hex(words[at + 1]) + hex(words[at]).padStart(8, "0");
}

/** Selector, base, limit, attributes. */
function segmentText(state: CpuState, seg: number): string {
  const { selector, base, limit, attributes } = state.segment(seg);
  return [selector, base, limit, attributes].map((part) => part.toString(16)).join(":");
}
