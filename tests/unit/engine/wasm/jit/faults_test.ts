/** Which of several faults an instruction reports, translated as interpreted. */

import { assertEquals } from "@std/assert";
import { Reg, State } from "../../../../../src/cpu/state.ts";
import { Vector } from "../../../../../src/engine/wasm/exception.ts";
import { code, DATA_AT, mapPage, runBoth } from "../../../../support/program_pair.ts";

/** Not mapped: one page below 2 MiB, and what lies beyond. */
const MISSING = 0x5_0000;
const FAR = 0x30_0000;
/** A page that has not been accessed: who does so marks it. */
const FRESH = 0x6_0000;
/** The first address that is not canonical. */
const END = 2n ** 47n;

/** 100 turns of an instruction with good operands, then one with RSI, RDI, RBP as given. */
function faulting(
  instruction: string,
  last: { readonly rsi?: bigint | number; readonly rdi?: bigint | number; readonly rbp?: bigint },
) {
  const turn = code(
    "4c 89 c6 ; mov rsi, r8",
    "4c 89 cf ; mov rdi, r9",
    "4c 89 ed ; mov rbp, r13",
    "ff c9 ; dec ecx",
    "49 0f 44 f2 ; cmovz rsi, r10",
    "49 0f 44 fb ; cmovz rdi, r11",
    "49 0f 44 ec ; cmovz rbp, r12",
    instruction,
    "85 c9 ; test ecx, ecx",
  );
  const program = Uint8Array.from([
    ...code("b9 64 00 00 00 ; mov ecx, 100"),
    ...turn,
    0x75,
    -(turn.length + 2) & 255,
    0xf4,
  ]);
  const { interpreted } = runBoth(program, {
    state: (state) => {
      state.setGpr(8, DATA_AT);
      state.setGpr(9, DATA_AT + 0x100);
      state.setGpr(10, last.rsi ?? DATA_AT);
      state.setGpr(11, last.rdi ?? DATA_AT);
      state.setGpr(12, last.rbp ?? DATA_AT);
      state.setGpr(13, DATA_AT);
    },
    memory: (memory) => {
      mapPage(memory, MISSING, 0, 0);
      mapPage(memory, FRESH, FRESH, 7);
    },
  });
  const { state, vector } = interpreted;
  assertEquals(state.gpr(Reg.RCX), 0n, "it was the last turn");
  return { vector, cr2: Number(state.get(State.CR2)) };
}

for (const [name, bytes] of Object.entries({ cmpsb: "a6", cmpsd: "a7", cmpsq: "48 a7" })) {
  Deno.test(`${name} whose operands both fault reports the one at RDI`, () => {
    assertEquals(faulting(bytes, { rsi: MISSING, rdi: FAR }), { vector: Vector.PF, cr2: FAR });
    assertEquals(faulting(bytes, { rsi: FAR, rdi: MISSING }), { vector: Vector.PF, cr2: MISSING });
    assertEquals(faulting(bytes, { rsi: FAR }), { vector: Vector.PF, cr2: FAR });
    assertEquals(faulting(bytes, { rsi: FRESH, rdi: FAR }), { vector: Vector.PF, cr2: FAR });
    assertEquals(faulting(bytes, { rsi: END, rdi: FAR }), { vector: Vector.PF, cr2: FAR });
    assertEquals(faulting(bytes, { rsi: FAR, rdi: END }), { vector: Vector.GP, cr2: 0 });
  });
}

Deno.test("movsb reads first: of two operands that fault it reports the one at RSI", () => {
  assertEquals(faulting("a4", { rsi: MISSING, rdi: FAR }), { vector: Vector.PF, cr2: MISSING });
});

Deno.test("an operand across the end of canonical addresses is #GP though its first page is missing", () => {
  for (
    const bytes of ["8b 06 ; mov eax, [rsi]", "89 06 ; mov [rsi], eax", "01 06 ; add [rsi], eax"]
  ) {
    for (const before of [3n, 1n]) {
      assertEquals(faulting(bytes, { rsi: END - before }), { vector: Vector.GP, cr2: 0 }, bytes);
    }
    const { vector, cr2 } = faulting(bytes, { rsi: END - 4n });
    assertEquals([vector, cr2], [Vector.PF, Number(END - 4n)], "its last byte is the last one");
  }
});

Deno.test("the same through the stack's segment is #SS", () => {
  for (const bytes of ["8b 45 00 ; mov eax, [rbp]", "89 45 00 ; mov [rbp], eax"]) {
    assertEquals(faulting(bytes, { rbp: END - 2n }), { vector: Vector.SS, cr2: 0 }, bytes);
    assertEquals(faulting(bytes, { rbp: END - 4n }).vector, Vector.PF, bytes);
  }
});
