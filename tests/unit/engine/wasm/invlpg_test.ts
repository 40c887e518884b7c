/** INVLPG of an address in a large page is about all of that page (SDM 3A §4.10.4.1). */

import { assertEquals } from "@std/assert";
import { gpa } from "../../../../src/base/u64.ts";
import { Reg } from "../../../../src/cpu/state.ts";
import { code, DATA_AT, runBoth } from "../../../support/program_pair.ts";

const DIRECTORY_POINTERS_AT = 0x10_1000;
const DIRECTORY_AT = 0x10_2000;
const NEW_DIRECTORY_AT = 0x8000;
/** A page of 2 MiB or 1 GiB, accessed and dirty. */
const LARGE = 0xe7n;
const OTHER = 0x20_0000n;
const GIB = 2 ** 30;

/** Reads by way of RSI, changes the entry at RDX to RAX, invalidates RDI, and reads again. */
const READS = code(
  "4c 8b 02 ; mov r8, [rdx]",
  "4c 89 02 ; mov [rdx], r8", // from here on the TLB has that page
  "48 8b 1e ; mov rbx, [rsi]",
  "48 89 02 ; mov [rdx], rax",
  "0f 01 3f ; invlpg [rdi]",
  "48 8b 0e ; mov rcx, [rsi]",
  "f4 ; hlt",
);
/** The same of code, which sets EBX. */
const CALLS = code(
  "4c 8b 02 ; mov r8, [rdx]",
  "4c 89 02 ; mov [rdx], r8",
  "ff d6 ; call rsi",
  "48 89 02 ; mov [rdx], rax",
  "0f 01 3f ; invlpg [rdi]",
  "48 89 d9 ; mov rcx, rbx",
  "ff d6 ; call rsi",
  "48 87 d9 ; xchg rcx, rbx",
  "f4 ; hlt",
);
/** mov ebx, 1; ret, as a number of 64 bits. */
const ROUTINE = 0xc3_0000_0001_bbn;

/** Pages of 2 MiB and 1 GiB behind the first 2 MiB, and what is to stand in their entries. */
const PAGES = [
  ["2 MiB", DIRECTORY_AT + 8, 2 ** 21, OTHER | LARGE],
  ["1 GiB", DIRECTORY_POINTERS_AT + 8, GIB, BigInt(NEW_DIRECTORY_AT | 0x27)],
] as const;

for (const mmu of ["tdp", "shadow"] as const) {
  for (const [size, entryAt, base, entry] of PAGES) {
    for (
      const [what, program, values] of [["data", READS, [1n, 2n]], [
        "code",
        CALLS,
        [ROUTINE, ROUTINE + 0x100n],
      ]] as const
    ) {
      Deno.test(`INVLPG forgets all of a page of ${size}: ${what}, ${mmu}`, () => {
        const { interpreted } = runBoth(program, {
          engine: { mmu },
          state: (state) => {
            state.setGpr(Reg.RSI, base + DATA_AT);
            state.setGpr(Reg.RDI, base + 0x1000);
            state.setGpr(Reg.RDX, entryAt);
            state.setGpr(Reg.RAX, entry);
          },
          memory: (memory) => {
            memory.writeU64(gpa(entryAt), LARGE);
            memory.writeU64(gpa(NEW_DIRECTORY_AT), OTHER | LARGE);
            memory.writeU64(gpa(DATA_AT), values[0]);
            memory.writeU64(gpa(Number(OTHER) + DATA_AT), values[1]);
          },
        });
        const { state } = interpreted;
        assertEquals([state.gpr(Reg.RBX), state.gpr(Reg.RCX)], [1n, 2n]);
      });
    }
  }
}

Deno.test("INVLPG elsewhere leaves the parts of a large page in the TLB", () => {
  const { interpreted } = runBoth(READS, {
    state: (state) => {
      state.setGpr(Reg.RSI, 2 ** 21 + DATA_AT);
      state.setGpr(Reg.RDI, DATA_AT + GIB);
      state.setGpr(Reg.RDX, DIRECTORY_AT + 8);
      state.setGpr(Reg.RAX, OTHER | LARGE);
    },
    memory: (memory) => {
      memory.writeU64(gpa(DIRECTORY_AT + 8), LARGE);
      memory.writeU64(gpa(DATA_AT), 1n);
    },
  });
  assertEquals(interpreted.state.gpr(Reg.RCX), 1n);
});
