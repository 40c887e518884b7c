/** Decoded code: what is kept of it, and what guests that misuse it cost. */

import { assert, assertEquals } from "@std/assert";
import { type Gfn, gpa } from "../../../../src/base/u64.ts";
import { realModeState } from "../../../../src/cpu/modes.ts";
import { State } from "../../../../src/cpu/state.ts";
import { ExitCode } from "../../../../src/engine/engine.ts";
import { CodeCache } from "../../../../src/engine/wasm/block.ts";
import { CodeSize, Flag } from "../../../../src/engine/wasm/cpu.ts";
import { GuestMemory } from "../../../../src/memory/guest_memory.ts";
import { runToHalt, wasmEngine } from "../../../support/wasm_guest.ts";

const PAGE = 4096;
const NOP = 0x90;

/** A cache over `pages` pages of NOPs, and the frames that it has tracked. */
function cacheOf(pages: number): { cache: CodeCache; tracked: Set<number> } {
  const tracked = new Set<number>();
  const cache = new CodeCache(new Uint8Array(pages * PAGE).fill(NOP), (gfn, on) => {
    if (on) tracked.add(gfn);
    else tracked.delete(gfn);
  });
  return { cache, tracked };
}

function decode(cache: CodeCache, page: number, offset: number): number {
  const code = cache.page(page, page as Gfn, CodeSize.BITS32);
  const block = code.at(offset) ?? cache.decode(code, offset);
  return block?.insns.length ?? 0;
}

Deno.test("code that is overwritten all the time is decoded in short blocks, later in long ones", () => {
  const { cache } = cacheOf(1);
  assertEquals(decode(cache, 0, 0), 8);
  let length = 0;
  for (let i = 0; i < 10; i++) {
    assert(cache.written(0, 0, 1));
    length = decode(cache, 0, 0);
  }
  assertEquals(length, 1);
  for (let i = 0; i < 6; i++) length = decode(cache, 0, 100 + i * 64);
  assertEquals(length, 64);
});

Deno.test("decoded code is given up before it fills the host's memory", () => {
  const { cache, tracked } = cacheOf(10);
  const first = cache.page(0, 0 as Gfn, CodeSize.BITS32);
  let decoded = 0;
  for (let page = 0; page < 10; page++) {
    for (let offset = 0; offset < 1024; offset++) decoded += decode(cache, page, offset);
  }
  assert(decoded > 1 << 19, `${decoded} instructions`);
  assert(cache.page(0, 0 as Gfn, CodeSize.BITS32) !== first);
  assert(tracked.size < 10, `${tracked.size} pages are still tracked`);
  assertEquals(decode(cache, 9, PAGE - 1), 1);
  assert(cache.hasCode(9) && tracked.has(9));
});

Deno.test("the tails of instructions may change when a page's first bytes are written, or not tracked any more", () => {
  const { cache } = cacheOf(3);
  let changes = 0;
  cache.onTailsChanged = () => changes++;
  const after = (write: () => void) => {
    const before = changes;
    write();
    return changes > before;
  };
  decode(cache, 1, 0);
  decode(cache, 1, 0x800);
  assertEquals(after(() => cache.written(1, 13, 14)), true);
  assertEquals(after(() => cache.written(1, 14, 15)), false);
  assertEquals(after(() => cache.written(1, 0, 1)), true);
  assertEquals(after(() => cache.written(2, 0, 1)), false, "it has no code");
  assertEquals(cache.hasCode(1), true);
  assertEquals(after(() => cache.written(1, 0x800, 0x801)), true);
  assertEquals(cache.hasCode(1), false);
});

Deno.test("the tails of instructions may change when all code is given up", () => {
  const { cache } = cacheOf(0x2001);
  let changes = 0;
  cache.onTailsChanged = () => changes++;
  for (let page = 0; page < 0x2000; page++) decode(cache, page, PAGE - 1);
  assertEquals(changes, 0);
  decode(cache, 0x2000, PAGE - 1);
  assertEquals(changes, 1);
});

Deno.test("pages of decoded code are given up when there are too many", () => {
  const { cache, tracked } = cacheOf(0x2001);
  for (let page = 0; page < 0x2001; page++) decode(cache, page, PAGE - 1);
  assertEquals([...tracked], [0x2000]);
});

Deno.test("a guest that is stepped decodes each instruction alone, and keeps none", () => {
  const memory = GuestMemory.allocate(0x1_0000);
  const code = 0x2000;
  const handler = 0x1000;
  memory.fill(gpa(code), 1000, NOP);
  memory.writeU32(gpa(4), handler); // #DB
  memory.writeU8(gpa(handler), 0xcf); // IRET, to the next step
  const state = realModeState({ cs: 0, ip: code, ds: 0, ss: 0, sp: 0x8000 });
  state.set(State.RFLAGS, 2 | Flag.TF);
  const { engine } = wasmEngine(memory, state);
  const { state: after } = runToHalt(engine, 1500);
  assertEquals(after.get(State.RIP), BigInt(code + 500));
  assertEquals(engine.guest.code.hasCode(code / PAGE), false);
  assertEquals(engine.guest.code.hasCode(handler / PAGE), true);
});

Deno.test("code that a device overwrites in RAM runs as it now is", () => {
  const memory = GuestMemory.allocate(0x1_0000);
  const code = 0x2000;
  const routine = code + 0x100;
  memory.write(gpa(code), Uint8Array.of(0xe8, 0xfd, 0, 0xe6, 0x10, 0xe8, 0xf8, 0, 0xf4));
  memory.write(gpa(routine), Uint8Array.of(0xb0, 1, 0xc3)); // mov al, 1; ret
  const state = realModeState({ cs: 0, ip: code, ds: 0, ss: 0, sp: 0x8000 });
  const { engine, bus } = wasmEngine(memory, state);
  bus.onPort = () => memory.write(gpa(routine), Uint8Array.of(0xb0, 2, 0xc3));
  const { code: exit, state: after } = runToHalt(engine, 100);
  assertEquals([exit, bus.log, after.gpr(0) & 0xffn], [ExitCode.HALT, ["out 0x10 1 0x1"], 2n]);
});

Deno.test("code that another thread overwrites runs as it now is from the next slice on", () => {
  const memory = GuestMemory.allocate(0x1_0000);
  const code = 0x2000;
  memory.write(gpa(code), Uint8Array.of(0xb0, 1, 0xeb, 0xfc)); // mov al, 1; jmp
  const state = realModeState({ cs: 0, ip: code, ds: 0, ss: 0, sp: 0x8000 });
  const { engine } = wasmEngine(memory, state);
  assertEquals(runToHalt(engine, 100).state.gpr(0), 1n);
  GuestMemory.attach(memory.handle).writeU8(gpa(code + 1), 2);
  assertEquals(runToHalt(engine, 100).state.gpr(0), 2n);
});
