/** Regions at the edges of the canonical addresses. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { type CpuState, Reg, State } from "../../../../../src/cpu/state.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { Batch, Region } from "../../../../../src/engine/wasm/jit/region.ts";
import { code, CODE_AT, runBoth, STACK_AT } from "../../../../support/program_pair.ts";

const EMPTY = new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));

/** Whether a region with such a reach may run at `hi:lo`. */
function canRun(reach: number, hi: number, lo: number): boolean {
  return new Region(1, new Batch(EMPTY, 2), [], 0, reach).isCanonicalAt(lo | 0, hi | 0);
}

Deno.test("at the end of the lower half a region runs that does not reach beyond", () => {
  for (const reach of [0, 4095, 4096, 2 ** 31 + 4095]) {
    assertEquals(canRun(reach, 0x7fff, 2 ** 32 - reach - 1), true, `${reach}`);
    assertEquals(canRun(reach, 0x7fff, 2 ** 32 - Math.max(reach, 1)), reach === 0, `${reach}`);
    assertEquals(canRun(reach, 0x7ffe, 0xffff_ffff), true, "4 GiB below the end");
  }
});

Deno.test("at the beginning of the upper half a region runs that does not reach below", () => {
  for (const reach of [0, 4096, 2 ** 31]) {
    assertEquals(canRun(reach, 0xffff_8000, 4096 + reach), true, `${reach}`);
    assertEquals(canRun(reach, 0xffff_8000, 4095 + reach), false, `${reach}`);
    assertEquals(canRun(reach, 0xffff_8001, 0), true, "4 GiB above the beginning");
  }
});

Deno.test("around address 0 all is canonical", () => {
  for (const hi of [0, -1]) {
    for (const lo of [0, 0xffff_ffff]) assertEquals(canRun(2 ** 31 + 4096, hi, lo), true);
  }
});

/** The last page of the lower half, and the first of the upper one: where the code is, too. */
const TOP = 0x7fff_ffff_f000n;
const BOTTOM = 0xffff_8000_0000_0000n;
const TABLES_AT = 0x11_0000;

/** Maps the page at `address` to the page with the code, and begins there. */
function at(address: bigint) {
  return {
    state: (state: CpuState) => {
      state.set(State.RIP, address);
      state.setGpr(Reg.RCX, 200);
      state.setGpr(Reg.RSP, STACK_AT);
    },
    memory: (memory: { writeU64(at: number, value: bigint): void }) => {
      let table = 0x10_0000; // the root
      for (let level = 3; level >= 0; level--) {
        const index = Number(address >> BigInt(12 + 9 * level) & 511n);
        const next = level === 0 ? CODE_AT : TABLES_AT + level * 0x1000;
        memory.writeU64(gpa(table + index * 8), BigInt(next | 0x67));
        table = next;
      }
    },
  };
}

/** 200 turns, the last of which calls or jumps by a displacement from the page's beginning. */
function branching(opcode: number, target: number): Uint8Array {
  const head = code("ff c9 ; again: dec ecx", "75 fc ; jnz again");
  const bytes = new DataView(new ArrayBuffer(4));
  bytes.setInt32(0, target - head.length - 5, true);
  return Uint8Array.from([...head, opcode, ...new Uint8Array(bytes.buffer)]);
}

const CALL = 0xe8;
const JMP = 0xe9;

Deno.test("a direct branch from the last page of the lower half to beyond it raises #GP as interpreted", () => {
  for (const opcode of [CALL, JMP]) {
    for (const target of [4096, 0x1_0000, 0x7fff_0000]) {
      const { interpreted } = runBoth(branching(opcode, target), at(TOP));
      assertEquals(interpreted.vector, Vector.GP);
    }
  }
});

Deno.test("a direct branch from the first page of the upper half to below it raises #GP as interpreted", () => {
  for (const opcode of [CALL, JMP]) {
    const { interpreted } = runBoth(branching(opcode, -1), at(BOTTOM));
    assertEquals(interpreted.vector, Vector.GP);
  }
});

/** A loop with a call in it that is made in the last turn only. */
function rarely(target: number): Uint8Array {
  const head = code("ff c9 ; again: dec ecx", "74 04 ; jz call", "90", "90", "eb f8 ; jmp again");
  const bytes = new DataView(new ArrayBuffer(4));
  bytes.setInt32(0, target - head.length - 5, true);
  return Uint8Array.from([...head, CALL, ...new Uint8Array(bytes.buffer)]);
}

Deno.test("such a region is interpreted, and the same code elsewhere translated", () => {
  const far = runBoth(rarely(0x1_0000), at(TOP));
  assertEquals(far.interpreted.vector, Vector.GP);
  const near = runBoth(rarely(0x1_0000), at(0x4000_0000_0000n)); // where nothing is mapped
  assertEquals(near.interpreted.vector, Vector.PF);
  assert(near.translated.stats.jit_entries > 0);
});
