/** What a vCPU remembers of where its code is, and when it forgets it. */

import { assert, assertEquals } from "@std/assert";
import type { Gfn } from "../../../../src/base/u64.ts";
import { CodePage } from "../../../../src/engine/wasm/block.ts";
import { CodeTlb } from "../../../../src/engine/wasm/code_tlb.ts";
import { CodeSize } from "../../../../src/engine/wasm/cpu.ts";
import {
  Jit,
  JUMP_BYTES,
  JUMP_PLACE_BITS,
  JUMP_WAYS,
  jumpAt,
  JUMPS_END,
  LINK_TIMES,
  LINKS_AT,
  LINKS_END,
  MAX_TAILS,
  MODE_CPL,
  RETURNS_AT,
  RETURNS_BYTES,
  TAIL_BYTES,
  TAILS_AT,
} from "../../../../src/engine/wasm/jit/layout.ts";
import { PRIVATE_BYTES } from "../../../../src/engine/wasm/tlb.ts";

/** High half of a tag: an address's against a mode, never 0. */
const HI = 1 << 29;
/** The same in user mode. */
const USER = HI | 3 << MODE_CPL;
/** Jumps that are listed until the next flush, as in the source. */
const MAX_JUMPS = 4096;
const PAGE = 4096;

class Rig {
  readonly s = new Int32Array(PRIVATE_BYTES / 4);
  readonly tlb = new CodeTlb(this.s);
  readonly #page = new CodePage(1, 1 as Gfn, CodeSize.BITS64);

  /** A jump to an address in a page that is global or not, to a region's first entry. */
  add(lo: number, region: number, global = false, user = false): void {
    this.tlb.enter(lo, 0, user, this.#page, global);
    this.tlb.addJump(lo, HI, region, region + 1, user);
  }

  /** What tags of links have in their high halves now, in supervisor or user mode. */
  linkMode(user: boolean): number {
    this.tlb.setMode(user ? USER : HI);
    return this.s[Jit.LINK_MODE / 4 + 1];
  }

  /** The region to which the dispatcher would go; 0: none. */
  find(lo: number): number {
    for (let way = 0; way < JUMP_WAYS; way++) {
      const at = (jumpAt(lo) + way * JUMP_BYTES) / 4;
      if (this.s[at] !== lo || this.s[at + 1] !== HI) continue;
      assertEquals(this.s[at + 3], this.s[at + 2] + 1, "the entry goes with the region");
      return this.s[at + 2];
    }
    return 0;
  }
}

/** The `n`th address with the same place in the jump cache as 0x40_1000, each in a page of its own. */
function sharing(n: number): number {
  const first = 0x40_1000;
  for (let lo = first + PAGE; n > 0; lo += 16) {
    if (jumpAt(lo) !== jumpAt(first) || lo >>> 12 === first >>> 12) continue;
    if (--n === 0) return lo;
  }
  return first;
}

Deno.test("jumps whose place is the same are all found, the last one first, up to four", () => {
  const rig = new Rig();
  const regions = (last: number) => [0, 1, 2, 3, 4].slice(0, last).map((n) => rig.find(sharing(n)));
  for (let n = 0; n < JUMP_WAYS; n++) {
    rig.add(sharing(n), 10 + n);
    assertEquals(rig.s[jumpAt(sharing(n)) / 4 + 2], 10 + n, "the new one is looked at first");
  }
  assertEquals(regions(4), [10, 11, 12, 13]);
  rig.add(sharing(4), 14);
  assertEquals(regions(5), [0, 11, 12, 13, 14]);
});

Deno.test("a jump that is added again has its new region, comes first, and drives nothing out", () => {
  const rig = new Rig();
  for (let n = 0; n < JUMP_WAYS; n++) rig.add(sharing(n), 10 + n);
  for (const n of [1, 3, 0, 0]) {
    rig.add(sharing(n), 20 + n);
    assertEquals(rig.s[jumpAt(sharing(n)) / 4 + 2], 20 + n);
  }
  assertEquals([0, 1, 2, 3].map((n) => rig.find(sharing(n))), [20, 21, 12, 23]);
});

Deno.test("a jump that has moved is forgotten with the others of its kind", () => {
  const rig = new Rig();
  rig.add(sharing(0), 10);
  rig.add(sharing(1), 11, true);
  rig.add(sharing(2), 12);
  rig.tlb.flushNonGlobal();
  assertEquals([0, 1, 2].map((n) => rig.find(sharing(n))), [0, 11, 0]);
});

Deno.test("the last place of the jump cache ends where the cache does", () => {
  const last = (1 << JUMP_PLACE_BITS) - 1;
  assertEquals(jumpAt(last) + JUMP_WAYS * JUMP_BYTES, JUMPS_END);
  assertEquals(jumpAt(1 << JUMP_PLACE_BITS | last ^ 1), jumpAt(last)); // folded into bit 0
});

Deno.test("a page that goes takes its jumps along, and those of pages that share its mark", () => {
  const rig = new Rig();
  const page = 0x40_1000;
  const alike = page + (1 << 24); // bits 23:12 are the mark
  const other = page + PAGE;
  for (const [i, base] of [page, alike, other].entries()) {
    rig.add(base, 10 + i);
    rig.add(base + 0xffc, 20 + i);
  }
  rig.tlb.flushPage(other + 5 * PAGE, 0);
  assertEquals([page, alike, other].map((base) => rig.find(base)), [10, 11, 12]);
  rig.tlb.flushPage(page + 0x123, 0);
  assertEquals([page, alike, other].map((base) => rig.find(base)), [0, 0, 12]);
  assertEquals([page, alike, other].map((base) => rig.find(base + 0xffc)), [0, 0, 22]);
  rig.add(page, 13);
  rig.tlb.flushPage(page, 0);
  assertEquals(rig.find(page), 0, "and so the next time");
});

Deno.test("a page that goes takes along jumps that have moved, and global ones", () => {
  const rig = new Rig();
  rig.add(sharing(0), 10, true);
  rig.add(sharing(1), 20);
  rig.tlb.flushPage(sharing(0), 0);
  assertEquals([rig.find(sharing(0)), rig.find(sharing(1))], [0, 20]);
});

Deno.test("a flush of what is not global keeps global pages and the jumps to them", () => {
  const rig = new Rig();
  rig.add(0x1000, 10);
  rig.add(0x2000, 20, true);
  rig.tlb.flushNonGlobal();
  assertEquals([rig.find(0x1000), rig.find(0x2000)], [0, 20]);
  assertEquals(rig.tlb.find(0x1000, 0, false), undefined);
  assertEquals(rig.tlb.find(0x2000, 0, false)?.page, 1);
  assertEquals(rig.tlb.isGlobal, true);
});

Deno.test("a global jump stays though it has taken the place of another one", () => {
  const rig = new Rig();
  rig.add(sharing(0), 10);
  rig.add(sharing(1), 20, true); // in the place of the first one, which has moved
  rig.tlb.flushNonGlobal();
  assertEquals([rig.find(sharing(0)), rig.find(sharing(1))], [0, 20]);
});

Deno.test("a global jump that has moved stays, and goes where another one takes its place", () => {
  const rig = new Rig();
  rig.add(sharing(0), 10, true);
  rig.add(sharing(1), 20); // moves the global one
  rig.tlb.flushNonGlobal();
  assertEquals([rig.find(sharing(0)), rig.find(sharing(1))], [10, 0]);
  for (let n = 1; n < JUMP_WAYS; n++) rig.add(sharing(n), 10 + n);
  rig.tlb.flushNonGlobal();
  assertEquals([0, 1, 2, 3].map((n) => rig.find(sharing(n))), [10, 0, 0, 0]);
  for (let n = 1; n <= JUMP_WAYS; n++) rig.add(sharing(n), 10 + n);
  assertEquals(rig.find(sharing(0)), 0);
  rig.tlb.flushNonGlobal();
  assertEquals([0, 1, 2, 3, 4].map((n) => rig.find(sharing(n))), [0, 0, 0, 0, 0]);
});

Deno.test("a jump stands once: what moves over a gap leaves nothing behind", () => {
  const rig = new Rig();
  rig.add(sharing(0), 10, true);
  rig.add(sharing(1), 11);
  rig.tlb.flushNonGlobal();
  rig.add(sharing(2), 12);
  rig.add(sharing(0), 13); // it is not global any more
  rig.tlb.flushNonGlobal();
  assertEquals(rig.find(sharing(0)), 0);
});

Deno.test("a page that is no longer global takes its jump along", () => {
  const rig = new Rig();
  rig.add(0x1000, 10, true);
  rig.add(0x1000, 11, false);
  rig.tlb.flushNonGlobal();
  assertEquals(rig.find(0x1000), 0);
});

Deno.test("more jumps than are listed: none outlives a flush, and global ones stay", () => {
  const rig = new Rig();
  const addresses = Array.from({ length: MAX_JUMPS + 100 }, (_, i) => 0x1000 + i * 2);
  rig.add(0x70_0000, 1, true);
  addresses.forEach((lo, i) => rig.add(lo, i + 2));
  assertEquals(rig.find(addresses[addresses.length - 1]), addresses.length + 1);
  rig.tlb.flushNonGlobal();
  assertEquals(addresses.filter((lo) => rig.find(lo) !== 0), []);
  assertEquals(rig.find(0x70_0000), 1);
});

Deno.test("a flush of everything leaves nothing", () => {
  const rig = new Rig();
  rig.add(0x1000, 10, true);
  rig.tlb.flush();
  assertEquals([rig.find(0x1000), rig.tlb.find(0x1000, 0, false)], [0, undefined]);
});

/** Numbers of the instructions across pages that need no fetch. */
function knownTails(rig: Rig): number[] {
  const at = (number: number) => (TAILS_AT + number * TAIL_BYTES) / 4;
  const all = Array.from({ length: MAX_TAILS }, (_, number) => number);
  return all.filter((number) => rig.s[at(number)] === 0x1001 && rig.s[at(number) + 1] === HI);
}

Deno.test("whatever forgets code forgets what instructions across pages go on with", () => {
  const rig = new Rig();
  const forgettings = [
    () => rig.tlb.flush(),
    () => rig.tlb.flushNonGlobal(),
    () => rig.tlb.flushPage(0x2000, 0),
    () => rig.tlb.forgetJumps(),
    () => rig.tlb.forgetTails(),
  ];
  for (const forget of forgettings) {
    for (const number of [3, MAX_TAILS - 1]) rig.tlb.addTail(number, 0x1000, HI, false);
    assertEquals(knownTails(rig), [3, MAX_TAILS - 1]);
    const before = rig.tlb.tailsForgotten;
    forget();
    assertEquals(knownTails(rig), [], forget.toString());
    assert(rig.tlb.tailsForgotten > before, forget.toString());
  }
});

Deno.test("a flush of what is not global keeps what is known of instructions across global pages", () => {
  const rig = new Rig();
  for (const number of [1, 2, 3, 4]) rig.tlb.addTail(number, 0x1000, HI, number % 2 === 0);
  rig.tlb.addTail(4, 0x1000, HI, false); // it is not any more
  rig.tlb.flushNonGlobal();
  assertEquals(knownTails(rig), [2]);
  rig.tlb.addTail(5, 0x1000, HI, false);
  rig.tlb.flushNonGlobal();
  assertEquals(knownTails(rig), [2], "and the next time");
  rig.tlb.forgetTails();
  assertEquals(knownTails(rig), []);
});

Deno.test("more instructions across pages than are listed: none outlives a flush", () => {
  const rig = new Rig();
  for (let number = 0; number < MAX_TAILS; number++) rig.tlb.addTail(number, 0x1000, HI, false);
  assert(knownTails(rig).includes(MAX_TAILS - 1));
  rig.tlb.flush();
  assertEquals(knownTails(rig), []);
});

Deno.test("the list of instructions across pages ends before the vCPU's memory does", () => {
  assert(TAILS_AT + MAX_TAILS * TAIL_BYTES <= PRIVATE_BYTES);
});

/** Which of supervisor's and user's links something makes void. */
function voidsLinks(rig: Rig, something: () => void): boolean[] {
  const modes = [false, true];
  const before = modes.map((user) => rig.linkMode(user));
  something();
  return modes.map((user, i) => rig.linkMode(user) !== before[i]);
}

Deno.test("links of user code are void when CR3 is loaded, the supervisor's only with local pages", () => {
  const rig = new Rig();
  const flush = () => rig.tlb.flushNonGlobal();
  rig.add(0x1000, 10, true);
  rig.add(0x5000, 11, false, true);
  assertEquals(voidsLinks(rig, flush), [false, true]);
  rig.add(0x2000, 12);
  assertEquals(voidsLinks(rig, flush), [true, true]);
  assertEquals(voidsLinks(rig, flush), [false, true]);
});

Deno.test("all links are void when a page to which jumps lead goes, or translated code", () => {
  const rig = new Rig();
  rig.add(0x1000, 10, true);
  assertEquals(voidsLinks(rig, () => rig.tlb.flushPage(0x2000, 0)), [false, false]);
  assertEquals(voidsLinks(rig, () => rig.tlb.flushPage(0x1000, 0)), [true, true]);
  rig.add(0x1000, 10, true);
  assertEquals(voidsLinks(rig, () => rig.tlb.forgetJumps()), [true, true]);
});

Deno.test("links are void at once, whatever mode the vCPU is in", () => {
  for (const user of [false, true]) {
    const rig = new Rig();
    rig.add(0x1000, 10, true);
    const before = rig.linkMode(user);
    rig.tlb.forgetJumps();
    assert(rig.s[Jit.LINK_MODE / 4 + 1] !== before);
    assertEquals(rig.s[Jit.LINK_MODE / 4], 0);
  }
});

Deno.test("links are emptied before their tags come round again", () => {
  const rig = new Rig();
  const ends = [LINKS_AT, LINKS_END - 4, RETURNS_AT, RETURNS_AT + RETURNS_BYTES - 4];
  for (const at of ends) rig.s[at / 4] = 1;
  const first = rig.linkMode(true);
  for (let time = 1; time < LINK_TIMES; time++) {
    rig.tlb.flushNonGlobal();
    assert(rig.linkMode(true) !== first);
  }
  assertEquals(ends.map((at) => rig.s[at / 4]), [1, 1, 1, 1]);
  rig.tlb.flushNonGlobal();
  assertEquals(rig.linkMode(true), first);
  assertEquals(ends.map((at) => rig.s[at / 4]), [0, 0, 0, 0]);
});
