/**
 * What the native side can show at all, found out by cases that do nothing: hosts whose kernel
 * interprets the guest's may lack a mode, or not keep every flag. On a processor all is there.
 */

import { CpuState, State } from "../../../src/cpu/state.ts";
import { Flag } from "../../../src/engine/wasm/cpu.ts";
import { Random } from "../random.ts";
import { Generator } from "./generate.ts";
import { gpa } from "../../../src/base/u64.ts";
import { Vector } from "../../../src/engine/wasm/exception.ts";
import { At, HANDLER_BYTES } from "./layout.ts";
import { type Mode, MODES } from "./modes.ts";
import { End, type NativeSide } from "./native.ts";

/** Flags that any case may start with. */
const FLAGS = 0x8d5 | Flag.IF | Flag.DF | Flag.IOPL | Flag.NT | Flag.AC | Flag.ID | Flag.TF;
/** Those that are tried: not TF, which does something. */
const TRIED = FLAGS & ~Flag.TF;
const ALWAYS = 2;
const TRIED_VECTORS = [...Array(48).keys(), 0x7f, 0x80, 0xc0, 0xff];
/** Vectors whose guests have no end, before the others are given up. */
const MAX_LOST = 2;
const GP_HANDLER = At.HANDLERS + Vector.GP * HANDLER_BYTES;

/** Modes and flags. */
export class Shown {
  /** By mode: flags that are kept, and flags that are set whatever they should be. */
  readonly #kept = new Map<Mode, readonly [kept: number, forced: number]>();

  /** What is known of flags holds though the mode has no cases. */
  readonly #flagsOnly = new Set<Mode>();
  /** By mode: vectors that INT n leads to. */
  readonly #vectors = new Map<Mode, readonly number[]>();

  /** A mode is there, and has flags that are kept and flags that are always set. */
  add(mode: Mode, kept: number, forced: number): void {
    this.#kept.set(mode, [kept, forced]);
  }

  /** A mode is there, but its cases would show nothing. */
  drop(mode: Mode): void {
    this.#flagsOnly.add(mode);
  }

  has(mode: Mode): boolean {
    return this.#kept.has(mode) && !this.#flagsOnly.has(mode);
  }

  /** A form of paging is there. */
  hasPaging(paging: Mode["paging"]): boolean {
    return MODES.some((mode) => mode.paging === paging && this.has(mode));
  }

  /** The vectors of INT n in `mode`; empty when it is not there at all. */
  vectors(mode: Mode): readonly number[] {
    return this.#vectors.get(mode) ?? [];
  }
  setVectors(mode: Mode, vectors: readonly number[]): void {
    this.#vectors.set(mode, vectors);
  }

  /** Names of the modes that are missing. */
  get missing(): readonly string[] {
    return MODES.filter((mode) => !this.has(mode)).map(({ name }) => name);
  }

  /** `flags` as far as they are kept in `mode`. */
  flags(mode: Mode, flags: number): number {
    const [kept, forced] = this.#kept.get(mode) ?? [~0, 0];
    return flags & (kept | ~FLAGS) | forced;
  }

  /** `flags` as far as they are kept wherever a return may lead. */
  frameFlags(flags: number): number {
    let result = flags;
    for (const [kept, forced] of this.#kept.values()) result = result & (kept | ~FLAGS) | forced;
    return result;
  }
}

/** Finds out what `native` can show. */
export function findShown(native: NativeSide): Shown {
  const shown = new Shown();
  const generator = new Generator(new Random(0), native.bytes, shown);
  const result = new CpuState();
  const flagsAfter = (mode: Mode, flags: number): number | undefined => {
    generator.nothing(mode, flags);
    const end = native.run(generator.states.state, false, result);
    const rip = result.view.getUint32(State.RIP, true);
    if (end !== End.STOPPED) return undefined;
    if ((rip & ~3) === At.CODE_END) return result.view.getInt32(State.RFLAGS, true);
    // OUT has not been allowed: then the flags are in the frame of #GP.
    if (mode.level === 0 || (rip & ~3) !== GP_HANDLER) return undefined;
    return native.memory.readU32(gpa(At.STACK0 - 3 * (mode.long ? 8 : 4)));
  };
  for (const mode of MODES) {
    const set = flagsAfter(mode, TRIED | ALWAYS);
    const clear = flagsAfter(mode, ALWAYS);
    if (set === undefined || clear === undefined) continue;
    shown.add(mode, set & TRIED | Flag.TF, clear & TRIED);
    if (mode.level === 3 && !gatesWork(native, generator, mode)) shown.drop(mode);
    shown.setVectors(mode, shownVectors(native, generator, mode));
  }
  return shown;
}

/**
 * Vectors that INT n takes to their handler, or to a fault of their gate. Linux's emulator knows real
 * mode only, and sign-extends the vector; hosts may take some for themselves.
 */
function shownVectors(native: NativeSide, generator: Generator, mode: Mode): number[] {
  const shown: number[] = [];
  const result = new CpuState();
  let lost = 0;
  for (const vector of TRIED_VECTORS) {
    if (lost === MAX_LOST) break;
    generator.nothing(mode, ALWAYS);
    native.bytes.set([0xcd, vector], At.CODE_END - 2);
    generator.states.state.set(State.RIP, At.CODE_END - 2);
    const end = native.run(generator.states.state, false, result);
    const handler = (result.view.getUint32(State.RIP, true) - At.HANDLERS) / HANDLER_BYTES >> 0;
    const fault = vector >= 32 && (handler === Vector.GP || handler === Vector.NP);
    if (end === End.STOPPED && (handler === vector || fault)) shown.push(vector);
    else if (end === End.ENDLESS) lost++;
  }
  return shown;
}

/** Whether ring 3 gets the processor's #GP for a gate that it may not use (SDM 2A, INT n). */
function gatesWork(native: NativeSide, generator: Generator, mode: Mode): boolean {
  const result = new CpuState();
  const vector = 0x20;
  generator.nothing(mode, ALWAYS);
  native.bytes.set([0xcd, vector], At.CODE_END);
  native.run(generator.states.state, false, result);
  const frame = At.STACK0 - (mode.long ? 8 : 4) * 6;
  return (result.view.getUint32(State.RIP, true) & ~3) === GP_HANDLER &&
    native.memory.readU32(gpa(frame)) === vector * 8 + 2;
}
