/** Makes cases: a mode, descriptors, registers, one instruction and its operands. */

import { Reg, State } from "../../../src/cpu/state.ts";
import type { Random } from "../random.ts";
import { Values } from "../oracle/values.ts";
import { Descriptors, FREE_KINDS, SLOT_BYTES, type Words } from "./descriptors.ts";
import { Draft } from "./draft.ts";
import { buildImage } from "./image.ts";
import { At, Selector } from "./layout.ts";
import { type Mode, MODES, States } from "./modes.ts";
import type { Shown } from "./shown.ts";
import { Flag } from "../../../src/engine/wasm/cpu.ts";
import { type Family, SYSTEM_FAMILIES } from "./system_families.ts";
import { TRANSFER_FAMILIES } from "./transfer_families.ts";

/** One case; its registers and memory are the generator's until it makes the next. */
export interface Case {
  readonly mode: Mode;
  readonly family: string;
  readonly code: readonly number[];
  /** Debug registers and MSRs count, too. */
  readonly full: boolean;
}

const FAMILIES: readonly Family[] = [...SYSTEM_FAMILIES, ...TRANSFER_FAMILIES];
/** Families that lead from ring 3 to ring 0. */
const ENTRIES = /^(int|syscall sysenter|far jmp call)$/;
/** Descriptors in the LDT: one of data, one of code. */
const LOCAL_DATA = 8, LOCAL_CODE = 16;

/** Each item as often as it weighs. */
function weighted<T extends { readonly weight: number }>(items: readonly T[]): T[] {
  return items.flatMap((item) => new Array<T>(item.weight).fill(item));
}

/** Makes one case after the other. */
export class Generator {
  readonly states: States;
  readonly #values: Values;
  readonly #descriptors: Descriptors;
  readonly #draft: Draft;
  readonly #bytes: Uint8Array;
  readonly #images = [buildImage(false), buildImage(true)];
  #modes: readonly Mode[];
  readonly #families: readonly Family[];
  readonly #userFamilies: readonly Family[];

  /**
   * @param bytes RAM, whose changing part each case fills.
   * @param shown What the native side can show.
   * @param only Families and modes ("iret", "64-bit"); all without.
   */
  constructor(random: Random, bytes: Uint8Array, shown: Shown, only = /./) {
    this.#bytes = bytes;
    this.#values = new Values(random);
    this.#descriptors = new Descriptors(this.#values);
    this.states = new States(this.#values, this.#descriptors, shown);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#draft = new Draft(view, this.#values, this.#descriptors, this.states, shown);
    const possible = MODES.filter((mode) => shown.has(mode));
    const modes = possible.filter(({ name }) => only.test(name));
    const families = FAMILIES.filter(({ name }) => only.test(name));
    this.#modes = weighted(modes.length === 0 ? possible : modes);
    this.#families = weighted(families.length === 0 ? FAMILIES : families);
    this.#userFamilies = this.#families.filter(({ name }) => ENTRIES.test(name));
    if (this.#userFamilies.length === 0) {
      this.#modes = this.#modes.filter(({ level }) => level === 0);
    }
  }

  make(): Case {
    const draft = this.#draft;
    const mode = this.#descriptors.pick(this.#modes);
    const family = this.#family(mode);
    this.#bytes.set(this.#images[mode.long ? 1 : 0]);
    draft.begin(mode);
    FREE_KINDS.forEach((kind, slot) =>
      this.#put(At.GDT + Selector.FREE + slot * SLOT_BYTES, this.#descriptors.draw(kind), mode)
    );
    this.#put(At.LDT + LOCAL_DATA, this.#descriptors.draw("data"), mode);
    this.#put(At.LDT + LOCAL_CODE, this.#descriptors.draw("code"), mode);
    this.states.draw(mode);
    family.make(draft);
    const code = [...draft.code];
    const rip = At.CODE_END - code.length;
    this.#bytes.set(code, rip);
    this.states.state.view.setInt32(State.RIP, rip, true);
    const stepped = (this.states.state.view.getInt32(State.RFLAGS, true) & 0x100) !== 0;
    if (this.#values.oneIn(10)) this.#cutGdt();
    return { mode, family: family.name, code, full: draft.full || stepped };
  }

  /** A case that does nothing, at `rip`, with these flags. */
  nothing(mode: Mode, flags: number): void {
    this.#bytes.set(this.#images[mode.long ? 1 : 0]);
    this.states.plain(mode);
    this.states.state.view.setInt32(State.RIP, At.CODE_END, true);
    const keep = this.states.state.view.getInt32(State.RFLAGS, true) & Flag.VM;
    this.states.state.view.setInt32(State.RFLAGS, flags | keep, true);
  }

  #family(mode: Mode): Family {
    // The rest of ring 3 has an oracle of its own.
    const families = mode.level === 3 ? this.#userFamilies : this.#families;
    return this.#descriptors.pick(families);
  }

  /** The limit of the GDT is somewhere in its last descriptors. */
  #cutGdt(): void {
    const { view } = this.states.state;
    const limit = view.getUint32(State.GDTR + 8, true);
    if (limit === Selector.END - 1) {
      view.setUint32(State.GDTR + 8, limit - this.#values.small(0x30), true);
    }
  }

  /** Writes a random descriptor, with an upper half where its type has one. */
  #put(at: number, words: Words, mode: Mode): void {
    this.#draft.words(at, words.lo, words.hi);
    if (!mode.long || (words.hi & 0x1000) !== 0) return;
    this.#draft.words(at + 8, this.#descriptors.upper(), this.#descriptors.reserved());
  }

  /** General register RSP and the like of the case, for reports. */
  gpr(index: number): bigint {
    return this.states.state.gpr(index);
  }
}

/** Names of the general registers, by `Reg`. */
export const REGISTERS: readonly string[] = Object.keys(Reg).map((name) => name.toLowerCase());
