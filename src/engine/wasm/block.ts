/** Decoded code: blocks by page, and what makes them stale. */

import type { Gfn } from "../../base/u64.ts";
import { CodeSize } from "./cpu.ts";
import { Decoder } from "./decode/decoder.ts";
import type { Insn } from "./insn.ts";
import type { Region } from "./jit/region.ts";
import { OffsetSet } from "./offset_set.ts";

/** Bytes of a page. */
const PAGE = 4096;
/** The longest block, and the longest one of a page that is new. */
const MAX_INSNS = 64;
const FIRST_INSNS = 8;
/** Blocks of one page at most. */
const MAX_BLOCKS = 1024;
/** Bytes that an instruction has beyond its first page at most. */
const MAX_TAIL = 14;
/** What is kept at most of a guest that makes code without end: instructions and pages. */
const MAX_KEPT_INSNS = 1 << 19;
const MAX_KEPT_PAGES = 1 << 13;
/** The index of a page without blocks. */
const NO_BLOCKS = new Uint16Array(PAGE);
/** Code size of a page that has been given up: no vCPU finds it any more. */
const STALE = -1;

/** A run of instructions that is entered at its first only and left behind its last only. */
export class Block {
  readonly insns: readonly Insn[];
  /** The first of them: at hand while the processor still looks for the array. */
  readonly first: Insn;
  /** Offsets in the page of its first byte and of what follows its last. */
  readonly start: number;
  readonly end: number;
  /** Times that it has been interpreted: what the translator goes by. */
  entries = 0;
  /** Its translation, and the number that it has there. */
  region: Region | undefined = undefined;
  entry = 0;
  /** The page that keeps it; undefined: nobody does. */
  readonly page: CodePage | undefined;
  /**
   * Of a block whose only instruction crosses into the next page: its bytes there. Who enters the block
   * compares them.
   */
  readonly tail: Uint8Array | undefined;

  constructor(insns: readonly Insn[], page?: CodePage, tail?: Uint8Array) {
    this.insns = insns;
    this.first = insns[0];
    this.page = page;
    this.tail = tail;
    this.start = insns[0].offset;
    this.end = insns[insns.length - 1].next;
  }
}

/** The blocks of one physical page for one code size. */
export class CodePage {
  /** Number of the page in the guest's WebAssembly memory. */
  readonly page: number;
  readonly gfn: Gfn;
  /** Of the code, or STALE. */
  codeSize: CodeSize | typeof STALE;
  /**
   * Longest block that is worth decoding: short as long as nobody knows whether this is code at all, and
   * where code is overwritten all the time.
   */
  maxInsns = FIRST_INSNS;
  /** By offset in the page: position in `blocks` + 1, or 0. */
  #index = NO_BLOCKS;
  readonly #blocks: (Block | undefined)[] = [];
  /** Positions in `blocks` that are free. */
  readonly #free: number[] = [];
  #live = 0;
  /** Bytes of the longest block since the page was empty: how far before a write one may start. */
  #longest = 0;
  /** How often translated code has been dropped. */
  retranslations = 0;
  /**
   * By offset of an instruction in translated code: how often the accesses that begin with its own have
   * not lain in one page.
   */
  readonly crossings = new Map<number, number>();
  /** Offsets of the instructions that are part of some region. */
  readonly translated = new OffsetSet();

  constructor(page: number, gfn: Gfn, codeSize: CodeSize) {
    this.page = page;
    this.gfn = gfn;
    this.codeSize = codeSize;
  }

  /** The block that starts at `offset`. */
  at(offset: number): Block | undefined {
    // Looking beyond an array's end would slow V8 down for good.
    if (offset >>> 0 >= PAGE) return undefined;
    const index = this.#index[offset];
    return index === 0 ? undefined : this.#blocks[index - 1];
  }

  /** Adds a block; returns how many instructions had to go for it. */
  add(block: Block): number {
    const dropped = this.#blocks.length < MAX_BLOCKS || this.#free.length > 0
      ? 0
      : this.drop(0, PAGE + 1);
    const at = this.#free.pop() ?? this.#blocks.length;
    this.#blocks[at] = block;
    if (this.#index === NO_BLOCKS) this.#index = new Uint16Array(PAGE);
    this.#index[block.start] = at + 1;
    this.#live++;
    this.#longest = Math.max(this.#longest, block.end - block.start);
    this.maxInsns = Math.min(MAX_INSNS, this.maxInsns * 2);
    return dropped;
  }

  get isEmpty(): boolean {
    return this.#live === 0;
  }

  /** A block has been left at its first instruction: garbage does so, again and again. */
  leftAtOnce(): void {
    this.maxInsns = Math.max(1, this.maxInsns >> 2);
  }

  /** Drops the blocks that have a byte in [from, to); returns how many instructions they had. */
  drop(from: number, to: number): number {
    let dropped = 0;
    const end = Math.min(to, PAGE);
    for (let start = Math.max(0, from - this.#longest); start < end; start++) {
      const i = this.#index[start] - 1;
      if (i < 0) continue;
      const block = this.#blocks[i]!;
      if (block.end <= from) continue;
      this.#blocks[i] = undefined;
      this.#free.push(i);
      this.#index[start] = 0;
      this.#live--;
      dropped += block.insns.length;
    }
    if (this.#live === 0) this.#longest = 0;
    // Twice as fast as `add` makes it grow.
    if (dropped > 0) this.maxInsns = Math.max(1, this.maxInsns >> 2);
    return dropped;
  }

  /** The translations of all blocks are void, which count as interpreted `most` times at most. */
  forgetRegions(most: number): void {
    this.retranslations++;
    this.translated.clear();
    for (const block of this.#blocks) {
      if (block === undefined) continue;
      block.region = undefined;
      block.entries = Math.min(block.entries, most);
    }
  }
}

/** Decoded code of one guest, for all its vCPUs. */
export class CodeCache {
  readonly decoder = new Decoder();
  /** Called when blocks of a page have been dropped. */
  onDropped: ((page: CodePage) => void) | undefined = undefined;
  /**
   * Called when the first bytes of a page with decoded code, where instructions that begin in the page
   * before it may end, have been written, or will not be looked after any more.
   */
  onTailsChanged: (() => void) | undefined = undefined;
  readonly #ram: Uint8Array;
  readonly #pages = new Map<number, CodePage>();
  /** By page of the guest's memory: bit by `CodeSize` when there is decoded code in it. */
  readonly #hasCode: Uint8Array;
  /** Called when a page gets its first decoded code, and when it has lost its last. */
  readonly #track: (gfn: Gfn, on: boolean) => void;
  /** Instructions in all blocks. */
  #kept = 0;

  constructor(ram: Uint8Array, track: (gfn: Gfn, on: boolean) => void) {
    this.#ram = ram;
    this.#hasCode = new Uint8Array(Math.ceil(ram.length / PAGE));
    this.#track = track;
  }

  /** The page's blocks for code of this size. Others may be given up for it. */
  page(page: number, gfn: Gfn, codeSize: CodeSize): CodePage {
    const key = page * 4 + codeSize;
    let found = this.#pages.get(key);
    if (found === undefined) {
      if (this.#pages.size >= MAX_KEPT_PAGES) this.#giveUp();
      found = new CodePage(page, gfn, codeSize);
      this.#pages.set(key, found);
    }
    return found;
  }

  /**
   * Decodes the block at `offset` of a page; undefined when its first instruction crosses into the
   * next page: such instructions are not kept.
   */
  decode(code: CodePage, offset: number): Block | undefined {
    const { codeSize } = code;
    if (codeSize === STALE) return undefined;
    if (this.#kept >= MAX_KEPT_INSNS) this.#giveUp();
    const base = code.page * PAGE;
    const insns: Insn[] = [];
    for (let at = offset; at < PAGE && insns.length < code.maxInsns;) {
      const insn = this.decoder.decode(this.#ram, base + at, base + PAGE, at, codeSize);
      if (insn === undefined) break;
      insns.push(insn);
      if (insn.ends) break;
      at = insn.next;
    }
    if (insns.length === 0) return undefined;
    // A copy has no room for more.
    return this.#keep(code, new Block(insns.slice(), code));
  }

  /** Keeps the block of an instruction that crosses into the next page, instead of an older one. */
  keepCrossing(code: CodePage, block: Block): Block {
    if (code.codeSize === STALE) return block;
    const { start } = block;
    if (code.at(start) !== undefined) this.written(code.page, start, start + 1);
    return this.#keep(code, block);
  }

  #keep(code: CodePage, block: Block): Block {
    const { codeSize } = code;
    if (codeSize === STALE) return block;
    if (this.#hasCode[code.page] === 0) this.#track(code.gfn, true);
    this.#hasCode[code.page] |= 1 << codeSize;
    const dropped = code.add(block);
    if (dropped > 0) this.onDropped?.(code);
    this.#kept += block.insns.length - dropped;
    return block;
  }

  /** True when `page` has decoded code. */
  hasCode(page: number): boolean {
    return this.#hasCode[page] !== 0;
  }

  /** Bytes [from, to) of a page have been written; true when that made decoded code stale. */
  written(page: number, from: number, to: number): boolean {
    const sizes = this.#hasCode[page];
    if (sizes === 0) return false;
    if (from < MAX_TAIL) this.onTailsChanged?.();
    let any = false;
    let left = sizes;
    let gfn = 0 as Gfn;
    for (let size = CodeSize.BITS16 as number; size <= CodeSize.BITS64; size++) {
      if ((sizes >>> size & 1) === 0) continue;
      const code = this.#pages.get(page * 4 + size)!;
      gfn = code.gfn;
      const dropped = code.drop(from, to);
      if (dropped === 0) continue;
      any = true;
      this.#kept -= dropped;
      this.onDropped?.(code);
      if (code.isEmpty) left &= ~(1 << size);
    }
    this.#hasCode[page] = left;
    if (left === 0) {
      this.#track(gfn, false);
      this.onTailsChanged?.();
    }
    return any;
  }

  /** Forgets everything. */
  #giveUp(): void {
    for (const code of this.#pages.values()) {
      if (this.#hasCode[code.page] !== 0) {
        this.#hasCode[code.page] = 0;
        this.#track(code.gfn, false);
      }
      this.onDropped?.(code);
      code.codeSize = STALE;
      code.maxInsns = 1; // what is not kept is not tracked: no instruction overwrites the next
    }
    this.#pages.clear();
    this.#kept = 0;
    this.onTailsChanged?.();
  }
}
