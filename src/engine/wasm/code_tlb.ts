/**
 * Translations of one vCPU's code: the decoded code of linear pages, and what translated code goes by
 * that is about linear addresses, too, and is forgotten with them: the jump cache, the links between
 * regions, and which instructions across pages need not be fetched again.
 */

import type { CodePage } from "./block.ts";
import {
  Jit,
  JUMP_BITS,
  JUMP_BYTES,
  JUMP_WAYS,
  jumpAt,
  JUMPS_AT,
  JUMPS_END,
  LINK_TIME,
  LINK_TIMES,
  LINKS_AT,
  LINKS_END,
  MODE_CPL,
  RETURNS_AT,
  RETURNS_BYTES,
  TAIL_BYTES,
  TAILS_AT,
} from "./jit/layout.ts";
import { NO_TAG } from "./tlb.ts";

/** Pages that are kept, of user and of supervisor code each. */
const ENTRIES = 256;
/** The offset in a page. */
const OFFSET = 4095;
/** Jumps that are remembered one by one until the next flush. */
const MAX_JUMPS = 16384;
/** Instructions across pages that are remembered until then. */
const MAX_KNOWN_TAILS = 1024;
/** Entries of the jump cache, and words of each. */
const JUMPS = 1 << JUMP_BITS;
const JUMP_WORDS = JUMP_BYTES / 4;
/** Bits of a page's number that tell whether jumps lead there. */
const PAGE_BITS = 12;

/** See above. */
export class CodeTlb {
  /** The last page found is a global one (SDM 3A §4.10.2.4). */
  isGlobal = false;
  readonly #s: Int32Array;
  /** Halves of the linear address; NO_TAG when there is none. */
  readonly #tags = new Int32Array(ENTRIES * 4).fill(NO_TAG);
  readonly #pages: (CodePage | undefined)[] = new Array(ENTRIES * 2).fill(undefined);
  readonly #globals = new Uint8Array(ENTRIES * 2);
  /** Words of the jump cache that have been written since the last flush, of pages not global. */
  readonly #jumps = new Int32Array(MAX_JUMPS);
  #jumpCount = 0;
  readonly #globalJumps = new Uint8Array(JUMPS);
  /** By low bits of a page's number: 1 when jumps may lead there. */
  readonly #jumpPages = new Uint8Array(1 << PAGE_BITS);
  #hasJumps = false;
  /** Jumps of supervisor code lead to pages that are not global. */
  #hasLocalSupervisor = false;
  /** The vCPU's mode, and how often links of supervisor and of user code were void. */
  #mode = 0;
  readonly #times = [0, 0];
  /** Words at `TAILS_AT` that are not empty, and which of them are of global pages alone. */
  readonly #tails = new Int32Array(MAX_KNOWN_TAILS);
  readonly #globalTails = new Uint8Array(MAX_KNOWN_TAILS);
  #tailCount = 0;
  /** How often they have been forgotten: what was fetched before may be something else by now. */
  tailsForgotten = 0;

  /** @param s The vCPU's private memory. */
  constructor(s: Int32Array) {
    this.#s = s;
  }

  /** The code of the page of `hi:lo`; undefined: not known. */
  find(lo: number, hi: number, user: boolean): CodePage | undefined {
    const at = entryOf(lo, user);
    const tags = this.#tags;
    if (tags[at * 2] !== (lo & ~OFFSET) || tags[at * 2 + 1] !== hi) return undefined;
    this.isGlobal = this.#globals[at] !== 0;
    return this.#pages[at];
  }

  /** Remembers what `find` is to give. */
  enter(lo: number, hi: number, user: boolean, page: CodePage, global: boolean): void {
    const at = entryOf(lo, user);
    this.#tags[at * 2] = lo & ~OFFSET;
    this.#tags[at * 2 + 1] = hi;
    this.#pages[at] = page;
    this.#globals[at] = global ? 1 : 0;
    this.isGlobal = global;
  }

  /**
   * Has translated code go from the instruction pointer of tag `hi:lo` (`JUMPS_AT`), which is in the
   * last page found, to a region's entry. What was there becomes the second choice, and so on.
   */
  addJump(lo: number, hi: number, region: number, entry: number, user: boolean): void {
    const s = this.#s;
    const first = jumpAt(lo) / 4;
    this.#hasJumps = true;
    this.#jumpPages[pageMark(lo)] = 1;
    if (!user && !this.isGlobal) this.#hasLocalSupervisor = true;
    let way = this.#wayFor(first, lo, hi);
    // At most entries of translated code its jump is there already, and remembered.
    const isKept = way === 0 && this.#hasJump(first, lo, hi) &&
      (this.#globalJumps[numberOf(first)] !== 0) === this.isGlobal;
    for (; way > 0; way--) {
      const from = wayAt(first, way - 1);
      const to = wayAt(first, way);
      s.copyWithin(to, from, from + JUMP_WORDS);
      if (s[to + 1] !== 0) this.#keep(to, this.#globalJumps[numberOf(from)] !== 0);
    }
    s[first] = lo;
    s[first + 1] = hi;
    s[first + 2] = region;
    s[first + 3] = entry;
    if (!isKept) this.#keep(first, this.isGlobal);
  }

  /** Which entry of a place goes for a new one: that of the same tag, an empty one, the last one. */
  #wayFor(first: number, lo: number, hi: number): number {
    let empty = JUMP_WAYS - 1;
    for (let way = JUMP_WAYS - 1; way >= 0; way--) {
      const at = wayAt(first, way);
      if (this.#hasJump(at, lo, hi)) return way;
      if (this.#s[at + 1] === 0) empty = way;
    }
    return empty;
  }

  #hasJump(at: number, lo: number, hi: number): boolean {
    return this.#s[at] === lo && this.#s[at + 1] === hi;
  }

  /** Remembers a jump for the next flush. */
  #keep(at: number, global: boolean): void {
    this.#globalJumps[numberOf(at)] = global ? 1 : 0;
    if (global) return;
    if (this.#jumpCount === MAX_JUMPS) this.#forgetNonGlobalJumps();
    this.#jumps[this.#jumpCount++] = at;
  }

  /**
   * Spares translated code the fetch of instruction `number` of those that go on in the next page, in
   * the page at `hi:lo`: see `TAILS_AT`.
   * @param global This page and the next one are global ones.
   */
  addTail(number: number, lo: number, hi: number, global: boolean): void {
    if (this.#tailCount === MAX_KNOWN_TAILS) this.forgetTails();
    const s = this.#s;
    const at = (TAILS_AT + number * TAIL_BYTES) / 4;
    s[at] = lo | 1;
    s[at + 1] = hi;
    this.#globalTails[this.#tailCount] = global ? 1 : 0;
    this.#tails[this.#tailCount++] = at;
  }

  /** Has all instructions across pages be fetched again. */
  forgetTails(): void {
    this.tailsForgotten++;
    const s = this.#s;
    for (let i = 0; i < this.#tailCount; i++) s[this.#tails[i]] = 0;
    this.#tailCount = 0;
  }

  /** The same of those that are not in global pages. */
  #forgetNonGlobalTails(): void {
    this.tailsForgotten++;
    const s = this.#s;
    let kept = 0;
    for (let i = 0; i < this.#tailCount; i++) {
      if (this.#globalTails[i] === 0) s[this.#tails[i]] = 0;
      else {
        this.#globalTails[kept] = 1;
        this.#tails[kept++] = this.#tails[i];
      }
    }
    this.#tailCount = kept;
  }

  /** Forgets everything. */
  flush(): void {
    this.#tags.fill(NO_TAG);
    this.#pages.fill(undefined);
    this.forgetJumps();
  }

  /** Forgets all but global pages. */
  flushNonGlobal(): void {
    const tags = this.#tags;
    for (let at = 0; at < ENTRIES * 2; at++) if (this.#globals[at] === 0) tags[at * 2] = NO_TAG;
    this.#forgetNonGlobalJumps();
    this.#forgetNonGlobalTails();
  }

  /** Forgets one page. */
  flushPage(lo: number, hi: number): void {
    this.forgetTails();
    for (const user of [false, true]) {
      const at = entryOf(lo, user);
      const found = this.#tags[at * 2] === (lo & ~OFFSET) && this.#tags[at * 2 + 1] === hi;
      if (found) this.#tags[at * 2] = NO_TAG;
    }
    const mark = pageMark(lo);
    if (this.#jumpPages[mark] === 1) this.#forgetJumpsTo(mark);
  }

  /** Forgets what is about translated code. */
  forgetJumps(): void {
    this.forgetTails();
    if (!this.#hasJumps) return;
    this.#hasJumps = false;
    this.#jumpCount = 0;
    this.#jumpPages.fill(0);
    this.#forgetLinks(true);
    this.#s.fill(0, JUMPS_AT / 4, JUMPS_END / 4);
  }

  #forgetNonGlobalJumps(): void {
    this.#forgetLinks(this.#hasLocalSupervisor);
    for (let i = 0; i < this.#jumpCount; i++) {
      const at = this.#jumps[i];
      // A global one may have taken its place.
      if (this.#globalJumps[numberOf(at)] === 0) forgetJump(this.#s, at);
    }
    this.#jumpCount = 0;
  }

  /** The vCPU runs translated code in this mode from now on: `modeOf`. */
  setMode(mode: number): void {
    this.#mode = mode;
    this.#s[Jit.MODE / 4 + 1] = mode;
    this.#s[Jit.LINK_MODE / 4 + 1] = mode | this.#times[isUser(mode) ? 1 : 0] << LINK_TIME;
  }

  /** Links and returns of user code are void, and those of supervisor code with `all`. */
  #forgetLinks(all: boolean): void {
    for (let user = all ? 0 : 1; user <= 1; user++) {
      this.#times[user] = (this.#times[user] + 1) % LINK_TIMES;
      if (this.#times[user] > 0) continue;
      // From here on tags would be those of old links.
      this.#s.fill(0, LINKS_AT / 4, LINKS_END / 4);
      this.#s.fill(0, RETURNS_AT / 4, (RETURNS_AT + RETURNS_BYTES) / 4);
    }
    if (all) this.#hasLocalSupervisor = false;
    this.setMode(this.#mode);
  }

  /** Forgets the jumps to all pages that share a mark. */
  #forgetJumpsTo(mark: number): void {
    const s = this.#s;
    for (let at = JUMPS_AT / 4; at < JUMPS_END / 4; at += JUMP_WORDS) {
      if (pageMark(s[at]) === mark) forgetJump(s, at);
    }
    this.#jumpPages[mark] = 0;
    this.#forgetLinks(true);
  }
}

function isUser(mode: number): boolean {
  return (mode >>> MODE_CPL & 3) === 3;
}

/** Number of the entry for the page of `lo`. */
function entryOf(lo: number, user: boolean): number {
  return (lo >>> 12 & ENTRIES - 1) * 2 + (user ? 1 : 0);
}

/** First word of the entry that is looked at after `way` others, when the first of them is `first`. */
function wayAt(first: number, way: number): number {
  return first + way * JUMP_WORDS;
}

/** Number of the jump whose first word is `at`. */
function numberOf(at: number): number {
  return (at - JUMPS_AT / 4) / JUMP_WORDS;
}

function pageMark(lo: number): number {
  return lo >>> 12 & (1 << PAGE_BITS) - 1;
}

/** Empties the entry of the jump cache whose first word is `at`. */
function forgetJump(s: Int32Array, at: number): void {
  s[at] = 0;
  s[at + 1] = 0;
}
