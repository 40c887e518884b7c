/** Loops whose accesses go from page to page, which must not take one page for the other. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Reg, State } from "../../../../../src/cpu/state.ts";
import { PageSlots } from "../../../../../src/engine/wasm/jit/page_slots.ts";
import { code, DATA_AT, mapPage, runBoth, type Side } from "../../../../support/program_pair.ts";

/** Pages from `DATA_AT` on, which are mapped in reverse order. */
const PAGES = 16;
const PAGE = 4096;
const CR0_WP = 1n << 16n;

/** Runs a loop that `body` is the inside of, 4000 times, from RSI on by RBP bytes at a time. */
function walk(
  body: readonly string[],
  options: { from?: bigint; stride?: number; readOnly?: number },
): Side {
  const { from = BigInt(DATA_AT), stride = 8, readOnly } = options;
  const inside = code(...body);
  const program = Uint8Array.from([
    ...code("b9 a0 0f 00 00 ; mov ecx, 4000"),
    ...inside,
    ...code("48 01 ee ; add rsi, rbp", "ff c9 ; dec ecx"),
    ...[0x75, -(inside.length + 7) & 0xff, 0xf4], // jnz, hlt
  ]);
  const { translated } = runBoth(program, {
    threshold: 20,
    slice: 5000,
    state: (state) => {
      state.setGpr(Reg.RSI, from);
      state.set(State.CR0, state.get(State.CR0) | CR0_WP);
      state.setGpr(Reg.RBP, BigInt.asUintN(64, BigInt(stride)));
    },
    memory: (memory) => {
      for (let page = 0; page < PAGES; page++) {
        const frame = DATA_AT + (PAGES - 1 - page) * PAGE;
        mapPage(memory, DATA_AT + page * PAGE, frame, page === readOnly ? 0x65 : undefined);
        for (let at = 0; at < PAGE; at += 8) {
          memory.writeU64(gpa(frame + at), BigInt(page * PAGE + at) * 0x9e37_79b9_7f4an);
        }
      }
    },
  });
  return translated;
}

const READS = [
  ["bytes", "0f b6 06 ; movzx eax, byte [rsi]"],
  ["words", "66 8b 06 ; mov ax, [rsi]"],
  ["doublewords", "8b 06 ; mov eax, [rsi]"],
  ["quadwords", "48 8b 06 ; mov rax, [rsi]"],
  ["vectors", "f3 0f 6f 06 ; movdqu xmm0, [rsi]", "66 48 0f 7e c0 ; movq rax, xmm0"],
  ["groups", "48 8b 06 ; mov rax, [rsi]", "48 33 46 10 ; xor rax, [rsi + 16]"],
] as const;

for (const [name, ...body] of READS) {
  Deno.test(`a loop reads ${name} of page after page, wherever they begin`, () => {
    for (const stride of [1, 3, 8, 13, -5]) {
      for (const start of [0, 1, 5]) {
        const from = BigInt(DATA_AT + start + (stride < 0 ? 8 * PAGE : 0));
        const side = walk([...body, "48 01 c3 ; add rbx, rax"], { from, stride });
        assert(side.state.gpr(Reg.RBX) !== 0n);
      }
    }
  });
}

Deno.test("a loop writes to page after page, wherever it begins", () => {
  for (
    const write of ["88 0e ; mov [rsi], cl", "89 0e ; mov [rsi], ecx", "48 01 0e ; add [rsi], rcx"]
  ) {
    for (const stride of [1, 5, 8]) {
      for (const start of [0, 3]) walk([write], { from: BigInt(DATA_AT + start), stride });
    }
  }
});

Deno.test("a loop that has read a page faults where it writes to it and may not", () => {
  const side = walk(["8b 06 ; mov eax, [rsi]", "89 46 02 ; mov [rsi + 2], eax"], {
    from: BigInt(DATA_AT),
    readOnly: 1,
  });
  assertEquals(side.vector, 14);
});

Deno.test("page 0 is no page before it has been asked for, and not canonical addresses are none", () => {
  walk(["48 03 1e ; add rbx, [rsi]"], { from: 0n });
  for (const from of [1n << 63n, (1n << 63n) + 0xff8n, 1n << 47n]) {
    const side = walk(["48 03 1e ; add rbx, [rsi]"], { from });
    assertEquals(side.vector, 13);
  }
});

Deno.test("a loop that begins again knows no page any more: it may be mapped elsewhere", () => {
  const entry = 0x10_3000 + DATA_AT / PAGE * 8;
  const program = code(
    "b9 64 00 00 00 ; again: mov ecx, 100",
    "48 03 1e ; loop: add rbx, [rsi]",
    "ff c9 ; dec ecx",
    "75 f9 ; jnz loop",
    "4d 87 08 ; xchg [r8], r9",
    "0f 01 3e ; invlpg [rsi]",
    "41 ff cf ; dec r15d",
    "75 e9 ; jnz again",
    "f4 ; hlt",
  );
  const { translated } = runBoth(program, {
    threshold: 20,
    state: (state) => {
      state.setGpr(Reg.RSI, BigInt(DATA_AT));
      state.setGpr(8, BigInt(entry));
      state.setGpr(9, BigInt(DATA_AT + PAGE) | 0x67n);
      state.setGpr(15, 100n);
    },
    memory: (memory) => {
      memory.writeU64(gpa(DATA_AT), 1n);
      memory.writeU64(gpa(DATA_AT + PAGE), 1000n);
    },
  });
  assertEquals(translated.state.gpr(Reg.RBX), 5000n * 1001n);
});

Deno.test("a slot is taken once in a loop, and again in another one by its like", () => {
  const slots = new PageSlots();
  assertEquals(slots.take(false, 8), undefined);
  slots.isOpen = true;
  assertEquals([slots.take(false, 8), slots.take(false, 8), slots.take(true, 8)], [0, 1, 2]);
  slots.isOpen = true;
  assertEquals([slots.take(true, 8), slots.take(false, 4), slots.take(false, 8)], [2, 3, 0]);
  slots.isOpen = false;
  assertEquals(slots.take(false, 8), undefined);
});
