import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { LoadPlan } from "../../../src/boot/load_plan.ts";
import { memoryMap } from "../../../src/boot/memory_map.ts";
import { GuestMemory } from "../../../src/memory/guest_memory.ts";

const MIB = 1024 * 1024;
const END = 4 * MIB;
const WHOLE = { from: 0x10_0000, to: Infinity, align: 4096 };

function plan(): { plan: LoadPlan; memory: GuestMemory } {
  const memory = GuestMemory.allocate(END);
  const file = { name: "kernel", bytes: new Uint8Array() };
  return { memory, plan: new LoadPlan(memory, memoryMap(memory), file) };
}

function refused(act: () => unknown): string {
  return assertThrows(act, DenovisorError).message;
}

Deno.test("a plan claims RAM up to its last byte and not one more", () => {
  plan().plan.claim("x", END - 16, 16);
  assertEquals(
    refused(() => plan().plan.claim("x", END - 16, 17)),
    "Cannot load kernel: x needs 17 bytes at 0x3ffff0, RAM there ends at 0x400000",
  );
  plan().plan.claim("x", 0x9_fc00 - 16, 16);
  assertEquals(
    refused(() => plan().plan.claim("x", 0x9_fc00 - 16, 17)),
    "Cannot load kernel: x needs 17 bytes at 0x9fbf0, RAM there ends at 0x9fc00",
  );
  assertEquals(
    refused(() => plan().plan.claim("x", 0xa_0000, 1)),
    "Cannot load kernel: x needs 1 bytes at 0xa0000, there is no RAM there",
  );
});

Deno.test("a plan refuses a claim that shares one byte with another, and takes neighbours", () => {
  const { plan: p } = plan();
  p.claim("the first", 0x20_0000, 0x1000);
  p.claim("before", 0x1f_f000, 0x1000);
  p.claim("after", 0x20_1000, 0x1000);
  const { plan: q } = plan();
  q.claim("the first", 0x20_0000, 0x1000);
  for (const [start, size] of [[0x1f_f001, 0x1000], [0x20_0fff, 1], [0x1f_0000, 0x2_0000]]) {
    assertEquals(
      refused(() => q.claim("the second", start, size)),
      `Cannot load kernel: the second needs ${size} bytes at 0x${start.toString(16)}, ` +
        "but the first has 0x200000 to 0x201000",
    );
  }
});

Deno.test("a plan finds the lowest and the highest free place", () => {
  const { plan: p } = plan();
  assertStrictEquals(p.lowest(0x1000, WHOLE), 0x10_0000);
  assertStrictEquals(p.highest(0x1000, WHOLE), END - 0x1000);
  p.claim("bottom", 0x10_0000, 0x801);
  p.claim("top", END - 1, 1);
  assertStrictEquals(p.lowest(0x1000, WHOLE), 0x10_1000);
  assertStrictEquals(p.highest(0x1000, WHOLE), END - 0x2000);
  assertStrictEquals(p.highest(0x1000, { ...WHOLE, to: 0x20_0fff }), 0x1f_f000);
  assertStrictEquals(p.lowest(0x1000, { ...WHOLE, from: 0x20_0001 }), 0x20_1000);
});

Deno.test("a plan finds no place when everything but one byte would fit", () => {
  const { plan: p } = plan();
  assertStrictEquals(p.lowest(END - 0x10_0000, WHOLE), 0x10_0000);
  assertStrictEquals(p.highest(END - 0x10_0000, WHOLE), 0x10_0000);
  assertStrictEquals(p.lowest(END - 0x10_0000 + 1, WHOLE), undefined);
  assertStrictEquals(p.highest(END - 0x10_0000 + 1, WHOLE), undefined);
  assertStrictEquals(p.longestFree(0x10_0000, Infinity), END - 0x10_0000);
});

Deno.test("boot structures go above 64 KiB, below the EBDA, and a full area is an error", () => {
  const { plan: p } = plan();
  assertStrictEquals(p.placeLow("a", 100, 16), 0x1_0000);
  assertStrictEquals(p.placeLow("b", 100, 4096), 0x1_1000);
  p.placeLow("c", 0x9_fc00 - 0x1_1064, 1);
  p.placeLow("d", 0x1_1000 - 0x1_0064, 1);
  assertEquals(
    refused(() => p.placeLow("e", 1, 1)),
    "Cannot load kernel: no room for e: 1 bytes needed, expected them free between 0x10000 and 0x9fc00",
  );
});

Deno.test("a plan writes nothing before it is carried out", () => {
  const { plan: p, memory } = plan();
  const at = p.putLow("x", Uint8Array.of(1, 2, 3), 1);
  const words = new Uint8Array(memory.wasm.buffer);
  assertStrictEquals(words.every((byte) => byte === 0), true);
  p.commit();
  assertEquals([...words.subarray(at, at + 4)], [1, 2, 3, 0]);
});
