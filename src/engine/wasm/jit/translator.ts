/** Translates hot code to WebAssembly, and gives it up when its bytes change. */

import { Activity } from "../../activity.ts";
import { Block, type CodePage } from "../block.ts";
import { CodeSize, type Cpu, Word } from "../cpu.ts";
import type { Insn } from "../insn.ts";
import { Tails } from "./tails.ts";
import { JitCpu, modeOf, NO_MODE, type Stepper } from "./jit_cpu.ts";
import type { Status } from "./layout.ts";
import { type FunctionCode, ModuleWriter } from "./module_writer.ts";
import { planRegion } from "./plan.ts";
import { Batch, Region } from "./region.ts";
import { regionCode } from "./region_code.ts";
import { runtimeModule, SIGNATURES, Types } from "./runtime.ts";
import { JitTrace, type TracedRegion } from "./trace.ts";

/** Entries after which a block is worth a translation. */
const THRESHOLD = 50;
/** Of that, what another block of the same region must have. */
const WARM = 0.2;
/** How much hotter a block inside another one must be to be translated once more, as one of its own. */
const INSIDE = 10;
/** Regions that are compiled together, and the interpreted blocks after which fewer are. */
const BATCH = 16;
const PATIENCE = 2000;
/** Rewrites of a page that are usual: an operating system patches itself as it starts. */
const PATCHES = 4;
/** log2 of the longest delay that more of them bring. */
const MAX_DELAY = 8;
/** Bytes of a page. */
const PAGE = 4096;
/**
 * Accesses that were to lie in one page and did not, after which they are translated one by one: where
 * a stack frame lies across pages, they never will.
 */
const CROSSINGS = 8;
/** Index of the first function in the tables: 0 is none. */
const FIRST_INDEX = 1;
/** Functions in a table at most. */
const MAX_FUNCTIONS = 1 << 20;

/** What modules of regions import, in the order of `Imported`. */
export const IMPORTS = [
  ["miss", Types.MISS],
  ["flags", Types.FLAGS],
  ["floats", Types.FLOATS],
  ["strings", Types.STRINGS],
  ["tsc", Types.TSC],
  ["waits", Types.GET],
] as const;

/** Options of a translator. */
export interface JitOptions {
  /** Entries of a block after which it is translated. */
  readonly threshold?: number;
  /** Bytes of modules that are kept at most. */
  readonly maxBytes: number;
  /** Takes the bytes of a trace, lines of JSON, or throws, which ends the run. */
  readonly trace?: ((bytes: Uint8Array) => void) | undefined;
}

/** A block that waits for its translation. */
interface Request {
  readonly block: Block;
  readonly page: CodePage;
  readonly mode: number;
  /** A region has it already, but not as the beginning of a block. */
  readonly inside: boolean;
  /** RIP. */
  readonly ripLo: number;
  readonly ripHi: number;
}

/** A region that has been written. */
interface Made {
  readonly request: Request;
  readonly entries: readonly number[];
  readonly sites: readonly number[];
  readonly tails: readonly number[];
  readonly reach: number;
  readonly traced: TracedRegion | undefined;
}

/** For all vCPUs of one guest. */
export class Translator {
  readonly #threshold: number;
  readonly #ram: WebAssembly.Memory;
  readonly #stepper: Stepper;
  readonly #maxBytes: number;
  readonly #runtime = new WebAssembly.Module(runtimeModule());
  readonly #modules = new ModuleWriter(SIGNATURES, IMPORTS);
  readonly #cpus: JitCpu[] = [];
  /** Blocks of the instructions that regions leave to the interpreter, by their numbers. */
  readonly #sites: (Block | undefined)[] = [];
  readonly #freeSites: number[] = [];
  readonly #tails = new Tails();
  readonly #regions = new Map<CodePage, Region[]>();
  #requests: Request[] = [];
  #waited = 0;
  #nextIndex = FIRST_INDEX;
  /** Ways out of regions that have had a link. */
  #links = 0;
  #bytes = 0;
  #compiled = 0;
  #dropped = 0;
  #milliseconds = 0;
  readonly #trace: JitTrace | undefined;

  constructor(ram: WebAssembly.Memory, stepper: Stepper, options: JitOptions) {
    this.#ram = ram;
    this.#stepper = stepper;
    this.#threshold = options.threshold ?? THRESHOLD;
    this.#maxBytes = options.maxBytes;
    const { trace } = options;
    if (trace !== undefined) this.#trace = new JitTrace(new Uint8Array(ram.buffer), trace);
  }

  /** Runs the block's translation, when there is one for the vCPU as it is. */
  run(cpu: Cpu, block: Block): Status | undefined {
    const region = block.region;
    if (region === undefined || region.mode !== modeOf(cpu)) return undefined;
    if (!region.isCanonicalAt(cpu.s[Word.RIP], cpu.s[Word.RIP + 1])) return undefined;
    return this.#cpu(cpu).run(region, block.entry);
  }

  /** The code that `run` has just left because of a memory access; undefined: for another reason. */
  missedIn(cpu: Cpu): CodePage | undefined {
    return this.#cpus[cpu.index]?.missedIn;
  }

  /** A block is about to be interpreted; true when it has been translated at that. */
  count(cpu: Cpu, block: Block): boolean {
    const { page } = block;
    const entries = ++block.entries;
    if (page !== undefined) {
      const threshold = this.#thresholdOf(page);
      if (entries === threshold || entries === threshold * INSIDE) {
        this.#request(cpu, block, page, entries > threshold);
      }
    }
    if (this.#requests.length === 0) return false;
    if (this.#requests.length < BATCH && ++this.#waited < PATIENCE && this.#threshold > 1) {
      return false;
    }
    cpu.activity[0] = Activity.TRANSLATION;
    this.#compile(cpu.activity);
    cpu.activity[0] = Activity.INTERPRETER;
    return block.region !== undefined;
  }

  /** The block is hot: it will be translated, unless a region has it already, inside one of its own. */
  #request(cpu: Cpu, block: Block, page: CodePage, inside: boolean): void {
    if (page.translated.has(block.start) !== inside) return;
    const mode = modeOf(cpu);
    if (mode === NO_MODE) return;
    const [ripLo, ripHi] = [cpu.s[Word.RIP], cpu.s[Word.RIP + 1]];
    this.#requests.push({ block, page, mode, inside, ripLo, ripHi });
  }

  /** Code that is rewritten again and again has to run longer before it is translated once more. */
  #thresholdOf(page: CodePage): number {
    const again = Math.min(Math.max(page.retranslations - PATCHES, 0), MAX_DELAY);
    return this.#threshold << again;
  }

  /** Accesses that begin with the instruction at `offset` have not lain in one page. */
  #crossed(page: CodePage, offset: number): void {
    const count = (page.crossings.get(offset) ?? 0) + 1;
    page.crossings.set(offset, count);
    if (count !== CROSSINGS) return;
    for (const [other, times] of page.crossings) {
      if (times > 1) page.crossings.set(other, CROSSINGS);
    }
    this.drop(page);
  }

  /** The page's code has changed, or its blocks have been forgotten. */
  drop(page: CodePage): void {
    const regions = this.#regions.get(page);
    if (regions === undefined) return;
    this.#regions.delete(page);
    for (const region of regions) {
      for (const { table } of this.#cpus) {
        if (region.index < table.length) table.set(region.index, null);
      }
      for (const site of region.sites) {
        this.#sites[site] = undefined;
        this.#freeSites.push(site);
      }
      for (const number of region.tails) this.#tails.drop(number);
    }
    // What was hot still is, most of it.
    page.forgetRegions(this.#thresholdOf(page) >> 1);
    this.#dropped += regions.length;
    for (const { cpu } of this.#cpus) cpu.paging.code.forgetJumps();
  }

  /** Instructions may have other bytes than before in the page behind theirs. */
  forgetTails(): void {
    for (const { cpu } of this.#cpus) cpu.paging.code.forgetTails();
  }

  /** Nothing more is translated. */
  end(): void {
    this.#trace?.flush();
  }

  stats(): Record<string, number> {
    const sum = (of: (cpu: JitCpu) => number) => this.#cpus.reduce((all, cpu) => all + of(cpu), 0);
    return {
      jit_regions: this.#compiled,
      jit_dropped: this.#dropped,
      jit_bytes: this.#bytes,
      jit_compile_ms: Math.round(this.#milliseconds),
      jit_entries: sum(({ entries }) => entries),
      jit_steps: sum(({ steps }) => steps),
      jit_bails: sum(({ bails }) => bails),
    };
  }

  #cpu(cpu: Cpu): JitCpu {
    return this.#cpus[cpu.index] ??= new JitCpu(
      cpu,
      this.#ram,
      this.#runtime,
      this.#sites,
      this.#tails,
      this.#stepper,
      (page, offset) => this.#crossed(page, offset),
    );
  }

  /** Translates what waits, as one module. */
  #compile(activity: Int32Array): void {
    const start = performance.now();
    const requests = this.#requests;
    this.#requests = [];
    this.#waited = 0;
    if (this.#bytes > this.#maxBytes || this.#nextIndex > MAX_FUNCTIONS) this.#dropAll();
    const functions: FunctionCode[] = [];
    const made: Made[] = [];
    const warm = Math.max(1, this.#threshold * WARM);
    for (const request of requests) {
      const { block, page, inside } = request;
      if (block.region !== undefined || page.at(block.start) !== block) continue; // it is gone
      if (!inside && page.translated.has(block.start)) continue; // another one has taken it along
      const planStart = performance.now();
      const is64 = page.codeSize === CodeSize.BITS64;
      const blocks = planRegion(
        page,
        block.start,
        is64,
        (offset) => (page.at(offset)?.entries ?? 0) >= warm,
        // From the middle of a loop it goes to the loop's own region.
        inside ? (offset) => page.at(offset)?.region !== undefined : undefined,
      );
      if (blocks === undefined) continue;
      const sites: number[] = [];
      const tails: number[] = [];
      const emitStart = performance.now();
      const { code, entries, reach, links } = regionCode(
        blocks,
        is64,
        this.#nextIndex + made.length,
        (insn) => this.#site(insn, sites),
        page.crossings.size === 0
          ? undefined
          : ({ offset }) => (page.crossings.get(offset) ?? 0) >= CROSSINGS,
        (insn) => this.#tail(page, insn, tails),
        this.#links,
      );
      this.#links += links;
      functions.push(code);
      for (const { insns } of blocks) {
        for (const { offset } of insns) page.translated.add(offset);
      }
      const traced = this.#trace === undefined ? undefined : {
        ...request,
        index: this.#nextIndex + made.length,
        is64,
        gfn: page.gfn,
        pageAt: page.page * PAGE,
        start: block.start,
        blocks,
        wasmBytes: code.code.length,
        planMs: emitStart - planStart,
        emitMs: performance.now() - emitStart,
      };
      made.push({ request, entries, sites, tails, reach, traced });
    }
    if (functions.length > 0) this.#publish(functions, made, activity);
    this.#milliseconds += performance.now() - start;
  }

  #publish(
    functions: readonly FunctionCode[],
    made: readonly Made[],
    activity: Int32Array,
  ): void {
    const base = this.#nextIndex;
    this.#nextIndex += functions.length;
    const bytes = this.#modules.write(functions, base);
    this.#bytes += bytes.length;
    activity[0] = Activity.COMPILATION;
    const start = performance.now();
    const batch = new Batch(new WebAssembly.Module(bytes), this.#nextIndex);
    this.#trace?.add({
      regions: made.flatMap(({ traced }) => traced ?? []),
      bytes: bytes.length,
      compileMs: performance.now() - start,
    });
    made.forEach(({ request: { page, mode }, entries, sites, tails, reach }, i) => {
      const region = new Region(base + i, batch, sites, mode, reach, tails);
      const regions = this.#regions.get(page);
      if (regions === undefined) this.#regions.set(page, [region]);
      else regions.push(region);
      entries.forEach((offset, entry) => {
        const block = page.at(offset);
        if (block === undefined) return;
        block.region = region;
        block.entry = entry;
      });
    });
    this.#compiled += functions.length;
  }

  /** The number of an instruction that is interpreted, for `Jit.SITE`. */
  #site(insn: Insn, sites: number[]): number {
    const site = this.#freeSites.pop() ?? this.#sites.length;
    this.#sites[site] = new Block([insn]);
    sites.push(site);
    return site;
  }

  /** The number of an instruction that goes on in the next page; undefined: it is to be stepped over. */
  #tail(page: CodePage, { offset }: Insn, tails: number[]): number | undefined {
    const number = this.#tails.add(page.at(offset)!);
    if (number !== undefined) tails.push(number);
    return number;
  }

  #dropAll(): void {
    for (const page of [...this.#regions.keys()]) this.drop(page);
    this.#bytes = 0;
    this.#nextIndex = FIRST_INDEX;
  }
}
