/**
 * The interpreter: runs decoded blocks of one vCPU. Stage 0 of the wasm engine, and the readable
 * statement of what the translator does.
 */

import { Seg } from "../../cpu/state.ts";
import { Activity } from "../activity.ts";
import { Block, type CodePage } from "./block.ts";
import { Attention, type Cpu, Flag, Word } from "./cpu.ts";
import { afterStep, beforeStep } from "./debug.ts";
import { deliverException, deliverInjected, deliverInterrupt } from "./delivery.ts";
import { FaultClass, GUEST_EXCEPTION, Vector } from "./exception.ts";
import type { GuestMmu } from "./guest_mmu.ts";
import { Insn } from "./insn.ts";
import { Status } from "./jit/layout.ts";
import { type JitOptions, Translator } from "./jit/translator.ts";

/** Bytes of a page, and the mask of the offset in one. */
const PAGE = 4096;
const OFFSET = PAGE - 1;
/** The longest instruction. */
const MAX_INSN = 15;
/** Attention that the loop itself serves; the rest is for the engine. */
const OWN = Attention.INTERRUPT | Attention.NMI | Attention.BLOCK;

/** What came of `runOne`. */
export const RanOne = {
  DONE: 0,
  /** It has raised one, in whose handler the vCPU is now. */
  EXCEPTION: 1,
  /** `mayRun` has said so; nothing has happened. */
  NOT_WANTED: 2,
  /** The bytes are no instruction that is known here; nothing has happened. */
  UNKNOWN: 3,
} as const;
export type RanOne = typeof RanOne[keyof typeof RanOne];

/** Interprets the code of all vCPUs of a guest. */
export class Interpreter {
  readonly #guest: GuestMmu;
  /** Bytes of instructions that cross pages. */
  readonly #bytes = new Uint8Array(MAX_INSN);
  readonly #translator: Translator | undefined;
  #blocks = 0;

  /** @param jit Hot code is translated to WebAssembly; undefined: none is. */
  constructor(guest: GuestMmu, jit?: JitOptions) {
    this.#guest = guest;
    if (jit === undefined) return;
    const stepper = {
      execute: (cpu: Cpu, block: Block) => this.#execute(cpu, block, 1),
      step: (cpu: Cpu) => void this.#step(cpu),
      isTracked: (page: CodePage) => guest.code.hasCode(page.page),
      track: (page: CodePage, offset: number) => void guest.code.decode(page, offset),
    };
    this.#translator = new Translator(guest.ram, stepper, jit);
    guest.code.onDropped = (page) => this.#translator!.drop(page);
    guest.code.onTailsChanged = () => this.#translator!.forgetTails();
  }

  /** Blocks entered. */
  get blocks(): number {
    return this.#blocks;
  }

  /** Completes the translator's trace; nothing runs any more. */
  end(): void {
    this.#translator?.end();
  }

  /** The translator's counters. */
  stats(): Record<string, number> {
    return this.#translator?.stats() ?? {};
  }

  /**
   * Runs `cpu` until `cpu.budget` instructions have retired (exactly), or something needs the engine:
   * `cpu.attention` says what.
   * @throws VCPU_SHUTDOWN
   */
  run(cpu: Cpu): void {
    while (cpu.budget > 0) {
      try {
        if ((cpu.attention & ~OWN) !== 0) return;
        // Events wait for the end of a shadow.
        if (cpu.shadow === 0 && cpu.attention !== 0) this.#attend(cpu);
        if (cpu.stepping || cpu.shadow !== 0) this.#step(cpu);
        else this.#runBlocks(cpu);
      } catch (error) {
        if (error !== GUEST_EXCEPTION) throw error;
        this.#deliver(cpu);
      }
    }
  }

  /**
   * Runs the one instruction at RIP, decoded from its bytes as they are now, if `mayRun` agrees, and
   * enters the handler of the exception that it raises. Interrupts wait; of a string instruction it is
   * one repetition.
   * @throws VCPU_SHUTDOWN
   */
  runOne(cpu: Cpu, mayRun: (insn: Insn) => boolean): RanOne {
    cpu.budget = 1;
    try {
      return this.#step(cpu, mayRun) ? RanOne.DONE : RanOne.NOT_WANTED;
    } catch (error) {
      if (error !== GUEST_EXCEPTION) throw error;
      const insn = cpu.block?.insns[0];
      const unknown = insn !== undefined && insn.row === undefined;
      if (unknown && cpu.faultVector === Vector.UD) return RanOne.UNKNOWN;
      this.#deliver(cpu);
      return RanOne.EXCEPTION;
    }
  }

  /** Blocks one after the other, as long as nothing else is to be looked at. */
  #runBlocks(cpu: Cpu): void {
    const translator = this.#translator;
    while (isFree(cpu)) {
      const block = this.#enter(cpu, false);
      if (translator === undefined) {
        this.#execute(cpu, block, Math.min(block.insns.length, cpu.budget));
        continue;
      }
      const status = translator.run(cpu, block);
      if (status === undefined) {
        if (translator.count(cpu, block)) continue;
        this.#execute(cpu, block, Math.min(block.insns.length, cpu.budget));
      } else if (status === Status.BAIL) this.#finish(cpu, translator.missedIn(cpu));
      else if (isFree(cpu) && status !== Status.JUMP) this.#help(cpu);
    }
  }

  /** Translated code did not get on by itself: does what is next there. */
  #help(cpu: Cpu): void {
    const block = this.#enter(cpu, false);
    this.#execute(cpu, block, Math.min(block.insns.length, cpu.budget));
  }

  /** Executes an instruction that translated code could not finish: it has been fetched, from `page`. */
  #finish(cpu: Cpu, page: CodePage | undefined): void {
    const { s } = cpu;
    const offset = s[Word.RIP] & OFFSET;
    const block = page === undefined
      ? undefined
      : page.at(offset) ?? this.#guest.code.decode(page, offset);
    if (block === undefined || block.tail !== undefined) {
      return this.#execute(cpu, this.#enter(cpu, false), 1);
    }
    cpu.block = block;
    cpu.codeBaseLo = s[Word.RIP] - offset | 0;
    cpu.codeBaseHi = s[Word.RIP + 1];
    this.#execute(cpu, block, 1);
  }

  /** Executes the first `count` instructions of a block. */
  #execute(cpu: Cpu, block: Block, count: number): void {
    const { insns } = block;
    const last = count - 1;
    let insn = block.first;
    for (let i = 0; i < last; i++) {
      cpu.at = i;
      insn.exec(cpu, insn);
      if (cpu.attention !== 0) {
        setRip(cpu, insn.next);
        return retire(cpu, i + 1);
      }
      insn = insns[i + 1];
    }
    cpu.at = last;
    setRip(cpu, insn.next);
    insn.exec(cpu, insn);
    retire(cpu, count);
  }

  /** The block at RIP; with `anew`, of the one instruction there, whatever has been decoded before. */
  #enter(cpu: Cpu, anew: boolean): Block {
    const { s } = cpu;
    this.#blocks++;
    const ripLo = s[Word.RIP];
    let lo = ripLo;
    let hi = s[Word.RIP + 1];
    // A fault of the fetch itself is at RIP as it stands.
    cpu.block = undefined;
    if (!cpu.is64) {
      if (lo >>> 0 > cpu.limit(Seg.CS)) cpu.raise(Vector.GP);
      lo = (lo + cpu.baseLo(Seg.CS)) | 0;
      hi = 0;
    }
    const code = anew ? undefined : cpu.paging.codePage(lo, hi);
    const offset = lo & OFFSET;
    const baseLo = (ripLo - offset) | 0;
    cpu.codeBaseLo = baseLo;
    cpu.codeBaseHi = baseLo >>> 0 > ripLo >>> 0 ? s[Word.RIP + 1] - 1 | 0 : s[Word.RIP + 1];
    if (code !== undefined) {
      // Of a block that is left behind its first instruction, the others are not worth decoding.
      const block = code.at(offset) ??
        (cpu.stepping ? undefined : this.#guest.code.decode(code, offset));
      if (block !== undefined && (block.tail === undefined || this.#hasTail(cpu, block, lo, hi))) {
        return cpu.block = cpu.is64 ? block : withinLimit(cpu, block);
      }
    }
    const one = this.#fetchOne(cpu, code, lo, hi, offset);
    return cpu.block = cpu.is64 ? one : withinLimit(cpu, one);
  }

  /** Whether the bytes of a block's only instruction that lie in the next page are still the same. */
  #hasTail(cpu: Cpu, block: Block, lo: number, hi: number): boolean {
    const tail = block.tail!;
    const bytes = this.#bytes;
    this.#fetchNext(cpu, lo, hi, tail.length, 0);
    for (let i = 0; i < tail.length; i++) if (bytes[i] !== tail[i]) return false;
    return true;
  }

  /** Fetches from the page behind the one of `hi:lo`. */
  #fetchNext(cpu: Cpu, lo: number, hi: number, length: number, at: number): void {
    const next = (lo | OFFSET) + 1 | 0;
    const nextHi = next === 0 && cpu.is64 ? hi + 1 | 0 : hi;
    cpu.paging.fetch(next, nextHi, length, this.#bytes, at);
  }

  /** A block of the one instruction at `hi:lo`, which crosses pages or does not lie in RAM. */
  #fetchOne(
    cpu: Cpu,
    code: CodePage | undefined,
    lo: number,
    hi: number,
    offset: number,
  ): Block {
    const bytes = this.#bytes;
    const { code: cache } = this.#guest;
    const have = Math.min(PAGE - offset, MAX_INSN);
    cpu.paging.fetch(lo, hi, have, bytes, 0);
    const whole = cache.decoder.decode(bytes, 0, have, offset, cpu.codeSize);
    if (whole !== undefined) return new Block([whole]);
    this.#fetchNext(cpu, lo, hi, MAX_INSN - have, have);
    const insn = cache.decoder.decode(bytes, 0, MAX_INSN, offset, cpu.codeSize)!;
    const tail = bytes.slice(have, insn.next - offset);
    if (code === undefined) return new Block([insn]);
    return cache.keepCrossing(code, new Block([insn], code, tail));
  }

  /**
   * One instruction, with what debugging and interrupt shadows want of it.
   * @param mayRun When given, the instruction is decoded anew, and left alone where this says false.
   */
  #step(cpu: Cpu, mayRun?: (insn: Insn) => boolean): boolean {
    const { shadow } = cpu;
    const stepped = (cpu.s[Word.RFLAGS] & Flag.TF) !== 0;
    if (cpu.stepping) beforeStep(cpu);
    const block = this.#enter(cpu, mayRun !== undefined);
    if (mayRun !== undefined && !mayRun(block.insns[0])) return false;
    this.#execute(cpu, block, 1);
    // A shadow lasts for one instruction, which may have cast the next (SDM 3A §6.8.3).
    cpu.shadow &= ~shadow;
    if ((cpu.stepping || stepped) && afterStep(cpu, stepped)) this.#deliver(cpu);
    return true;
  }

  /** Looks at what has come up. */
  #attend(cpu: Cpu): void {
    if (cpu.injected) return deliverInjected(cpu);
    const { attention } = cpu;
    cpu.attention = attention & ~OWN;
    if (cpu.nmiPending && !cpu.nmiMasked) {
      cpu.attention |= attention & Attention.INTERRUPT;
      cpu.nmiPending = false;
      cpu.nmiMasked = true;
      return deliverInterrupt(cpu, Vector.NMI, false);
    }
    // With interrupts off, whatever turns them on raises the attention again.
    if ((attention & Attention.INTERRUPT) === 0 || (cpu.s[Word.RFLAGS] & Flag.IF) === 0) return;
    if (!cpu.apic.hasInterrupt()) return;
    const vector = cpu.apic.acknowledge();
    if (vector < 0) return;
    cpu.attention |= Attention.INTERRUPT; // there may be another one
    deliverInterrupt(cpu, vector, false);
  }

  /** An instruction has raised: it has not happened, but for its predecessors. */
  #deliver(cpu: Cpu): void {
    const { block } = cpu;
    cpu.activity[0] = Activity.INTERPRETER;
    if (block !== undefined) {
      // Accesses of translated code fail there, too, one by one.
      if (cpu.at === 0 && block.page?.translated.has(block.start) === false) {
        block.page.leftAtOnce();
      }
      const done = cpu.faultClass === FaultClass.FAULT ? cpu.at : cpu.at + 1;
      if (cpu.faultClass === FaultClass.FAULT) setRip(cpu, block.insns[cpu.at].offset);
      retire(cpu, done);
    }
    // A delivery counts as an instruction: endless exceptions use up the budget, too.
    retire(cpu, 1);
    deliverException(cpu);
  }
}

/** Whether code may run, block after block. */
function isFree(cpu: Cpu): boolean {
  return cpu.attention === 0 && cpu.budget > 0 && !cpu.stepping && cpu.shadow === 0;
}

/**
 * The block at RIP, cut where it would leave the code segment: the instruction that has bytes beyond
 * the limit raises #GP(0) when its turn comes (SDM 3A §5.3).
 */
function withinLimit(cpu: Cpu, block: Block): Block {
  // A segment's last bytes, from RIP on.
  const room = cpu.limit(Seg.CS) - (cpu.s[Word.RIP] >>> 0) + 1;
  if (block.end - block.start <= room) return block;
  const insns = block.insns.filter(({ next }) => next - block.start <= room);
  if (insns.length === 0) cpu.raise(Vector.GP);
  return new Block(insns);
}

/** RIP = `codeBase` + `offset`. */
function setRip(cpu: Cpu, offset: number): void {
  const { s } = cpu;
  const lo = (cpu.codeBaseLo + offset) | 0;
  s[Word.RIP] = lo;
  if (cpu.is64) {
    s[Word.RIP + 1] = lo >>> 0 < cpu.codeBaseLo >>> 0 ? cpu.codeBaseHi + 1 | 0 : cpu.codeBaseHi;
  } else {
    s[Word.RIP + 1] = 0;
  }
}

/** Accounts for `count` instructions of the current block. */
function retire(cpu: Cpu, count: number): void {
  const all = count + cpu.repeats;
  cpu.retired += all;
  cpu.budget -= all;
  cpu.repeats = 0;
  cpu.at = 0;
}
