/** One vCPU's side of translated code: its table of functions, and what crosses the border. */

import { Seg } from "../../../cpu/state.ts";
import { Activity } from "../../activity.ts";
import type { Block, CodePage } from "../block.ts";
import { CodeSize, type Cpu, Word } from "../cpu.ts";
import { guestTsc } from "../isa/tsc.ts";
import { SET_WORDS } from "../tlb.ts";
import { FlagKind, Jit, MODE_CPL, RANGE, Status, TAIL_SITE } from "./layout.ts";
import { NAMESPACE, PRIVATE_NAME, RAM_NAME, TABLE_NAME } from "./module_writer.ts";
import type { Region } from "./region.ts";
import type { RuntimeExports } from "./runtime.ts";
import type { Tails } from "./tails.ts";

/**
 * Instructions that translated code runs at most before it comes back: V8 replaces a function by a
 * faster one only when it is entered again.
 */
const PORTION = 100_000;
/** Bits 63:32 of `Jit.MODE`: no canonical address, so that an empty entry's tag matches none. */
const MODE = 1 << 29;
const MODE_32 = 1 << 26;
/** Segments that 32-bit code must have flat: bits by `Seg`. */
const FLAT = 1 << Seg.ES | 1 << Seg.CS | 1 << Seg.SS | 1 << Seg.DS;
const FLAT_WRITE = FLAT & ~(1 << Seg.CS);
/** Bytes of a page, and the mask of the offset in one. */
const PAGE = 4096;
const OFFSET = PAGE - 1;
/** The mode of a vCPU whose code is not translated: 16-bit code, or segments that are not flat. */
export const NO_MODE = 0;

/** Bits 63:32 of `Jit.MODE` for the vCPU as it is; `NO_MODE`: it cannot run translated code now. */
export function modeOf(cpu: Cpu): number {
  const mode = MODE | cpu.cpl << MODE_CPL;
  if (cpu.is64) return mode;
  const flat = cpu.codeSize === CodeSize.BITS32 && cpu.protectedMode && cpu.stack32 &&
    (cpu.flatRead & FLAT) === FLAT && (cpu.flatWrite & FLAT_WRITE) === FLAT_WRITE;
  return flat ? mode | MODE_32 : NO_MODE;
}

/** Functions by which a table grows. */
const TABLE_STEP = 1024;

/** The interpreter, as translated code needs it. */
export interface Stepper {
  /** Interprets the one instruction of a block. */
  execute(cpu: Cpu, block: Block): void;
  /** Fetches and interprets the instruction at RIP; ends what shadow its predecessor has cast. */
  step(cpu: Cpu): void;
  /** Whether a page has decoded code, so that writes to it are seen. */
  isTracked(page: CodePage): boolean;
  /** Has it such code, at an offset. */
  track(page: CodePage, offset: number): void;
}

/** Told of accesses, from the one at an offset in a page on, that have not lain in one page. */
export type OnCrossing = (page: CodePage, offset: number) => void;

/** See above. */
export class JitCpu {
  readonly cpu: Cpu;
  readonly table: WebAssembly.Table;
  readonly #imports: WebAssembly.Imports;
  readonly #exports: RuntimeExports;
  readonly #sites: readonly (Block | undefined)[];
  readonly #tails: Tails;
  readonly #stepper: Stepper;
  readonly #onCrossing: OnCrossing;
  /** The access that has been missed was one of a range across pages. */
  #hasCrossed = false;
  /** Budget at the last crossing of the border. */
  #given = 0;
  /** Code whose access has just not been found in the TLB and is left to the interpreter. */
  missedIn: CodePage | undefined = undefined;
  /** What `step` has caught: thrown on behind translated code. */
  #error: unknown = undefined;
  /** Times that translated code was entered, and instructions interpreted for it. */
  entries = 0;
  steps = 0;
  bails = 0;

  constructor(
    cpu: Cpu,
    ram: WebAssembly.Memory,
    runtime: WebAssembly.Module,
    sites: readonly (Block | undefined)[],
    tails: Tails,
    stepper: Stepper,
    onCrossing: OnCrossing,
  ) {
    this.cpu = cpu;
    cpu.s[Jit.SHARES / 4] = cpu.isAlone ? 0 : 1;
    this.#sites = sites;
    this.#tails = tails;
    this.#stepper = stepper;
    this.#onCrossing = onCrossing;
    this.table = new WebAssembly.Table({ element: "anyfunc", initial: 1 });
    const memories = { [PRIVATE_NAME]: cpu.memory, [RAM_NAME]: ram, [TABLE_NAME]: this.table };
    const { exports } = new WebAssembly.Instance(runtime, {
      [NAMESPACE]: {
        ...memories,
        step: () => this.#step(),
        fill: (lo: number, hi: number, width: number) => this.#fill(lo, hi, width),
        readTsc: (budget: number) => this.#readTsc(budget),
        hasInterrupt: () => cpu.apic.hasInterrupt() ? 1 : 0,
      },
    });
    this.#exports = exports as unknown as RuntimeExports;
    const { miss, flags, floats, strings, tsc, waits } = exports;
    this.#imports = { [NAMESPACE]: { ...memories, miss, flags, floats, strings, tsc, waits } };
  }

  /** Puts the functions of a region's batch into the table. */
  #ensure(region: Region): void {
    const { batch } = region;
    const { index } = this.cpu;
    if (batch.present[index] === true) return;
    batch.present[index] = true;
    const { table } = this;
    if (table.length < batch.end) table.grow(Math.max(batch.end - table.length, TABLE_STEP));
    new WebAssembly.Instance(batch.module, this.#imports);
  }

  /** Has V8 compile a region's function, which it does when it is first called: without a budget. */
  #compile(region: Region): void {
    region.isCompiled = true;
    this.#load(region.mode);
    this.cpu.s[Jit.BUDGET / 4] = 0;
    this.#exports.run();
  }

  /** Runs translated code from the block at RIP on, until TypeScript has to do something. */
  run(region: Region, entry: number): Status {
    const { cpu } = this;
    const { s, activity } = cpu;
    if (!region.isCompiled) activity[0] = Activity.COMPILATION;
    this.#ensure(region);
    cpu.paging.code.addJump(
      s[Word.RIP],
      s[Word.RIP + 1] ^ region.mode,
      region.index,
      entry,
      cpu.cpl === 3,
    );
    if (!region.isCompiled) this.#compile(region);
    this.entries++;
    this.missedIn = undefined;
    this.#load(region.mode);
    activity[0] = Activity.TRANSLATED;
    const status = this.#exports.run();
    activity[0] = Activity.INTERPRETER;
    if (status === Status.STEP) {
      if (this.#error !== undefined) this.#throw();
      return status;
    }
    this.#save();
    if (status === Status.BAIL) {
      this.bails++;
      if (this.#hasCrossed) {
        this.#hasCrossed = false;
        if (this.missedIn !== undefined) this.#onCrossing(this.missedIn, s[Word.RIP] & OFFSET);
      }
    }
    return status;
  }

  #throw(): never {
    const error = this.#error;
    this.#error = undefined;
    throw error;
  }

  /** Hands the state over to translated code. */
  #load(mode: number): void {
    const { cpu } = this;
    const { s } = cpu;
    s[Jit.BUDGET / 4] = this.#given = Math.min(cpu.budget, PORTION);
    s[Jit.TLB / 4] = cpu.tlbRead * 4;
    s[Jit.SSE_TRAP / 4] = cpu.sseTrap;
    s[Jit.WHOLE / 4] = cpu.wholeSegments;
    s[Jit.NMI_MASKED / 4] = cpu.nmiMasked ? 1 : 0;
    cpu.paging.code.setMode(mode);
    s[Jit.FLAG_KIND / 4] = FlagKind.EXPLICIT;
    s[Jit.FLAG_B / 4] = cpu.statusFlags;
  }

  /** Takes it back. */
  #save(): void {
    const { cpu } = this;
    const spent = this.#given - cpu.s[Jit.BUDGET / 4];
    cpu.retired += spent;
    cpu.budget -= spent;
    cpu.setStatusFlags(this.#exports.statusFlags());
    this.#takeTlb();
  }

  /** STAC and CLAC of translated code change which TLB sets are in use. */
  #takeTlb(): void {
    const { cpu } = this;
    cpu.tlbRead = cpu.s[Jit.TLB / 4] / 4;
    cpu.tlbWrite = cpu.tlbRead + SET_WORDS;
  }

  /** Interprets the instruction `Jit.SITE`; returns 1 when translated code may go on. */
  #step(): number {
    const { cpu } = this;
    const { s, activity } = cpu;
    activity[0] = Activity.INTERPRETER;
    this.#save();
    if (cpu.budget <= 0) return 0;
    this.steps++;
    const site = s[Jit.SITE / 4];
    try {
      if (site < 0) this.#stepAcross(TAIL_SITE - site);
      else {
        cpu.codeBaseLo = s[Word.RIP] & ~OFFSET;
        cpu.codeBaseHi = s[Word.RIP + 1];
        cpu.block = this.#sites[site]!;
        this.#stepper.execute(cpu, cpu.block);
      }
      // An interrupt shadow lasts for one instruction.
      if (cpu.shadow !== 0 && cpu.attention === 0 && cpu.budget > 0 && !cpu.stepping) {
        this.#stepper.step(cpu);
      }
    } catch (error) {
      this.#error = error;
      return 0;
    }
    if (cpu.attention !== 0 || cpu.budget <= 0 || cpu.stepping || cpu.shadow !== 0) return 0;
    const mode = modeOf(cpu);
    if (mode === NO_MODE) return 0;
    this.#load(mode);
    activity[0] = Activity.TRANSLATED;
    return 1;
  }

  /**
   * Fetches and interprets an instruction that goes on in the next page. If it is the one that has been
   * translated as `number` of `Tails` (none has -1), and all changes of its bytes and of where they are
   * will be seen, it need not be fetched the next time.
   */
  #stepAcross(number: number): void {
    const { cpu } = this;
    const { s } = cpu;
    const { code } = cpu.paging;
    const lo = s[Word.RIP] & ~OFFSET;
    const hi = s[Word.RIP + 1];
    const before = code.tailsForgotten;
    this.#stepper.step(cpu);
    const tail = this.#tails.at(number);
    // It may have changed its own bytes, or where its page is.
    if (tail === undefined || cpu.block !== tail.block || code.tailsForgotten !== before) return;
    const nextLo = lo + PAGE | 0;
    // Addresses of 32 bits do not come here at their end: the code segment ends there.
    const next = code.find(nextLo, nextLo === 0 ? hi + 1 | 0 : hi, cpu.cpl === 3);
    if (next === undefined) return;
    if (this.#stepper.isTracked(next)) {
      const isGlobal = code.isGlobal && code.find(lo, hi, cpu.cpl === 3) !== undefined;
      return code.addTail(number, lo, hi, isGlobal && code.isGlobal);
    }
    if (tail.isTracked) return;
    tail.isTracked = true; // once: it may be a page of data
    this.#stepper.track(next, tail.block.end - PAGE);
  }

  /** Fills the TLB for an access of |width| bytes, a write when negative; 1: the access is special. */
  #fill(lo: number, hi: number, width: number): number {
    const { cpu } = this;
    this.#takeTlb();
    const cr2Lo = cpu.s[Word.CR2];
    const cr2Hi = cpu.s[Word.CR2 + 1];
    // As it was fetched: the fill may change what its address means.
    const page = cpu.paging.code.find(cpu.s[Word.RIP], cpu.s[Word.RIP + 1], cpu.cpl === 3);
    const bytes = Math.abs(width) % RANGE;
    this.#hasCrossed = Math.abs(width) > RANGE && (lo & OFFSET) + bytes > PAGE;
    try {
      const filled = cpu.paging.fill(lo, hi, bytes, width < 0);
      if (filled && cpu.attention === 0) return 0;
    } catch {
      // Whatever it is, the interpreter will find it again.
      cpu.s[Word.CR2] = cr2Lo;
      cpu.s[Word.CR2 + 1] = cr2Hi;
    }
    this.missedIn = page;
    return 1;
  }

  /** RDTSC of an instruction before which |budget| instructions were left. */
  #readTsc(budget: number): void {
    const { cpu } = this;
    const { s } = cpu;
    // A clock may count the instructions before this one, which have not been accounted for.
    cpu.at = this.#given - budget;
    s[Jit.TSC / 4] = guestTsc(cpu);
    s[Jit.TSC / 4 + 1] = cpu.hi;
    cpu.at = 0;
  }
}
