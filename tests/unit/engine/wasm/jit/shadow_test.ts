/** Translated code that writes to page tables, which the MMU has to see. */

import { assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Reg } from "../../../../../src/cpu/state.ts";
import { code, DATA_AT, runBoth } from "../../../../support/program_pair.ts";

/** A page directory for 1 GiB, and the entry that leads there. */
const DIRECTORY_AT = 0x8000;
const DIRECTORY_ENTRY = 0x10_1008;
const GIB = 2 ** 30;
/** A page of 2 MiB, accessed and dirty. */
const LARGE = 0xe7;
const OTHER = 0x20_0000;

Deno.test("a write is seen though its page has become a shadowed table since the block asked for it", () => {
  const program = code(
    "b9 c8 00 00 00 ; mov ecx, 200",
    "4c 89 c6 ; loop: mov rsi, r8",
    "4c 89 cf ; mov rdi, r9",
    "ff c9 ; dec ecx",
    "49 0f 44 f2 ; cmovz rsi, r10",
    "49 0f 44 fb ; cmovz rdi, r11",
    "48 89 46 08 ; mov [rsi + 8], rax",
    "48 8b 1f ; mov rbx, [rdi]", // at last for the first time by way of the directory
    "48 89 16 ; mov [rsi], rdx", // which this changes
    "85 c9 ; test ecx, ecx",
    "75 e2 ; jnz loop",
    "0f 01 3f ; invlpg [rdi]",
    "48 8b 1f ; mov rbx, [rdi]",
    "f4 ; hlt",
  );
  const { interpreted } = runBoth(program, {
    engine: { mmu: "shadow" },
    state: (state) => {
      state.setGpr(Reg.RDX, OTHER | LARGE);
      state.setGpr(8, DATA_AT);
      state.setGpr(9, DATA_AT + 0x1000);
      state.setGpr(10, DIRECTORY_AT);
      state.setGpr(11, GIB + DATA_AT + 0x1000);
    },
    memory: (memory) => {
      memory.writeU64(gpa(DIRECTORY_ENTRY), BigInt(DIRECTORY_AT | 0x27));
      memory.writeU64(gpa(DIRECTORY_AT), BigInt(LARGE));
      memory.writeU64(gpa(DATA_AT + 0x1000), 1n);
      memory.writeU64(gpa(OTHER + DATA_AT + 0x1000), 2n);
    },
  });
  assertEquals(interpreted.state.gpr(Reg.RBX), 2n);
});
