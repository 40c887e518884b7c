/** RDTSC, RDTSCP and RDPID in translated code: the instruction's own time, and who may read it. */

import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { Cr4 } from "../../../../../src/cpu/modes.ts";
import { type CpuState, Reg, Seg, State } from "../../../../../src/cpu/state.ts";
import { ExitCode } from "../../../../../src/engine/engine.ts";
import { code, DATA_AT, runBoth, STACK_AT } from "../../../../support/program_pair.ts";

const TSC_AUX = 0xc000_0103;
const TSC = 0x10;
const TURNS = 500;
/** Bytes that a turn of `READINGS` writes. */
const TURN_BYTES = 40;

/** A loop that keeps what it reads, at both ends of a block and behind a branch. */
const READINGS = code(
  "b9 f4 01 00 00 ; mov ecx, TURNS",
  "41 89 c8 ; mov r8d, ecx",
  "0f 31 ; loop: rdtsc",
  "48 89 07 ; mov [rdi], rax",
  "48 89 57 08 ; mov [rdi + 8], rdx",
  "0f 01 f9 ; rdtscp",
  "48 89 47 10 ; mov [rdi + 16], rax",
  "48 89 4f 18 ; mov [rdi + 24], rcx",
  "a8 01 ; test al, 1",
  "74 01 ; jz +1",
  "90 ; nop",
  "0f 31 ; rdtsc",
  "f3 0f c7 fa ; rdpid rdx",
  "48 c1 e2 20 ; shl rdx, 32",
  "48 09 d0 ; or rax, rdx",
  "48 89 47 20 ; mov [rdi + 32], rax",
  "48 83 c7 28 ; add rdi, 40",
  "41 ff c8 ; dec r8d",
  "75 cd ; jnz loop",
  "f4 ; hlt",
);

function start(state: CpuState): void {
  state.setGpr(Reg.RDI, DATA_AT);
  state.setGpr(Reg.RDX, -1n);
  state.setMsr(TSC_AUX, 0x1234_5678_9abc_def0n);
}

Deno.test("translated code reads the time-stamp counter as it is at the instruction, and stays", () => {
  for (const slice of [1_000_000, 1000, 7]) {
    const { interpreted, translated } = runBoth(READINGS, { state: start, slice });
    const { memory } = interpreted;
    const [first, second, third] = [0, 16, 32].map((at) => memory.readU32(gpa(DATA_AT + at)));
    assertEquals([first, second], [2, 5]);
    assert(third === 10 || third === 11, `${third}`);
    assertEquals(memory.readU64(gpa(DATA_AT + 24)), 0x9abc_def0n);
    const last = memory.readU32(gpa(DATA_AT + TURN_BYTES * (TURNS - 1)));
    assert(last > 16 * (TURNS - 1) && last < 18 * TURNS, `${last}`);
    const { jit_steps, jit_bails } = translated.stats;
    if (slice > 7) assert(jit_steps + jit_bails < 20, `${jit_steps} steps, ${jit_bails} bails`);
  }
});

Deno.test("a counter that has been set counts on in both of its halves", () => {
  const { interpreted } = runBoth(READINGS, {
    state: (state) => {
      start(state);
      state.setMsr(TSC, 0x1_ffff_ff00n);
    },
  });
  assertEquals(interpreted.memory.readU64(gpa(DATA_AT + 8)), 1n);
  assertEquals(interpreted.memory.readU64(gpa(DATA_AT + 40 * 100 + 8)), 2n);
});

Deno.test("with CR4.TSD set, code of CPL 3 cannot read the counter, and that of CPL 0 can", () => {
  for (const opcode of ["0f 31", "0f 01 f9"]) {
    const program = code(
      `${opcode} ; loop: read`,
      "90 ; nop",
      `eb ${opcode === "0f 31" ? "fb" : "fa"}`,
    );
    const exits = [0, 3].flatMap((cpl) =>
      [0, Cr4.TSD].map((tsd) => {
        const { interpreted } = runBoth(program, {
          budget: 1000,
          state: (state) => {
            state.set(State.CR4, state.get(State.CR4) | BigInt(tsd));
            state.setGpr(Reg.RSP, STACK_AT);
            if (cpl === 0) return;
            const flat = { base: 0, limit: 0xffff_ffff };
            state.setSegment(Seg.CS, { ...flat, selector: 0x1b, attributes: 0xa0fb });
            state.setSegment(Seg.SS, { ...flat, selector: 0x13, attributes: 0xc0f3 });
          },
        });
        return interpreted.exit;
      })
    );
    // There is no stack for a handler.
    const { BUDGET, SHUTDOWN } = ExitCode;
    assertEquals(exits, [BUDGET, BUDGET, BUDGET, SHUTDOWN]);
  }
});
