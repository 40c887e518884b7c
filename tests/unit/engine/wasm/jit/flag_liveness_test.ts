/** Whose flags are seen by somebody, in a block and from block to block. */

import { assertEquals } from "@std/assert";
import { gpa } from "../../../../../src/base/u64.ts";
import { type CpuState, Reg, State } from "../../../../../src/cpu/state.ts";
import { groupAccesses } from "../../../../../src/engine/wasm/jit/accesses.ts";
import { FlagLiveness, wantedFlags } from "../../../../../src/engine/wasm/jit/flag_liveness.ts";
import {
  type PlannedBlock,
  positionsOf,
  successorsOf,
} from "../../../../../src/engine/wasm/jit/plan.ts";
import { structureOf } from "../../../../../src/engine/wasm/jit/structure.ts";
import { code, DATA_AT, decodeAll, mapPage, runBoth } from "../../../../support/program_pair.ts";

const ADD = "01 d8 ; add eax, ebx";
const TEST = "85 db ; test ebx, ebx";
const LOAD = "8b 06 ; mov eax, [rsi]";

/** By instruction whether its flags are seen, those of the last one not being. */
function seen(...lines: readonly string[]): boolean[] {
  const insns = decodeAll(code(...lines));
  return wantedFlags(insns, groupAccesses(insns, true), true, false);
}

Deno.test("flags are seen by who reads them, and by an access that may fail, before others come", () => {
  assertEquals(seen(ADD, TEST), [false, false]);
  assertEquals(seen(ADD, "11 d8 ; adc eax, ebx"), [true, false]);
  assertEquals(seen(ADD, LOAD, TEST), [true, false, false]);
  assertEquals(seen(ADD, "89 d8 ; mov eax, ebx", TEST), [false, false, false]);
  const other = "8b 4f 04 ; mov ecx, [rdi + 4]";
  assertEquals(seen(LOAD, ADD, other, TEST), [false, true, false, false]);
  // The second access of a group cannot fail.
  const next = "8b 4e 04 ; mov ecx, [rsi + 4]";
  assertEquals(seen(LOAD, ADD, next, TEST), [false, false, false, false]);
});

Deno.test("flags are seen by an instruction that goes on in the next page: it may be interpreted", () => {
  const insns = decodeAll(code(ADD, TEST), 4093);
  assertEquals(wantedFlags(insns, [], true, false), [true, false]);
  assertEquals(wantedFlags(decodeAll(code(ADD, TEST), 4092), [], true, false), [false, false]);
});

Deno.test("a shift replaces all flags by a count that is not 0, a rotation only some", () => {
  assertEquals(seen(ADD, "c1 e8 05 ; shr eax, 5"), [false, false]);
  assertEquals(seen(ADD, "d1 e0 ; shl eax, 1"), [false, false]);
  assertEquals(seen(ADD, "0f a4 d8 05 ; shld eax, ebx, 5"), [false, false]);
  assertEquals(seen(ADD, "48 c1 e8 20 ; shr rax, 32"), [false, false]);
  assertEquals(seen(ADD, "c1 e8 20 ; shr eax, 32: by 0"), [true, false]);
  assertEquals(seen(ADD, "d3 e8 ; shr eax, cl"), [true, false]);
  assertEquals(seen(ADD, "c1 c0 05 ; rol eax, 5"), [true, false]);
});

/** What is in the comment of a block's last instruction that translated code leaves to the interpreter. */
const STEP = "interpreted";

/** By block whether the flags at its end are seen; blocks go on in the next one, or by their jump. */
function seenAtEnds(...blocks: readonly (readonly string[])[]): boolean[] {
  let offset = 0;
  const planned = blocks.map((lines, position): PlannedBlock => {
    const insns = decodeAll(code(...lines), offset);
    const at = offset;
    offset = insns[insns.length - 1].next;
    const steps = lines[lines.length - 1].endsWith(STEP);
    const falls = !steps && !["jmp", "ret"].includes(insns[insns.length - 1].row!.mnemonic);
    return {
      offset: at,
      insns,
      steps,
      falls,
      isEntry: position === 0,
      isStart: position === 0,
    };
  });
  const positions = positionsOf(planned);
  const successors = successorsOf(planned, positions);
  const structure = structureOf({ successors, start: 0, wanted: [] });
  const liveness = new FlagLiveness(planned, positions, structure, true);
  return planned.map((_, position) => liveness.atEnd(position));
}

Deno.test("what a block ends with is not seen where the next one replaces it first", () => {
  assertEquals(seenAtEnds([ADD], [TEST, "c3 ; ret"]), [false, true]);
  assertEquals(seenAtEnds([ADD], [LOAD, TEST, "c3 ; ret"]), [true, true]);
  assertEquals(seenAtEnds([ADD], ["75 00 ; jnz"], [TEST, "c3 ; ret"]), [true, false, true]);
});

Deno.test("nor where that is behind a jump, or behind blocks that leave flags alone", () => {
  assertEquals(
    seenAtEnds([ADD, "eb 02 ; jmp"], ["90", "c3 ; ret"], [TEST, "c3 ; ret"]),
    [false, true, true],
  );
  assertEquals(seenAtEnds([ADD], ["90"], ["90"], [TEST, "c3 ; ret"]), [false, false, false, true]);
  assertEquals(seenAtEnds([ADD], ["90"], ["c3 ; ret"]), [true, true, true]);
});

Deno.test("at the beginning of a loop all flags may be seen, and on the way back to it", () => {
  assertEquals(
    seenAtEnds([ADD], [TEST, "74 fc ; jz to the block itself"], [
      TEST,
      "eb f8 ; jmp to the second",
    ]),
    [true, false, true],
  );
});

Deno.test("a way back that closes no loop enters the function's switch again, where all flags may be seen", () => {
  assertEquals(
    seenAtEnds([ADD, "74 02 ; jz to the third"], [TEST], [TEST, "eb fa ; jmp to the second"]),
    [false, true, false],
  );
});

Deno.test("out of a region flags are seen", () => {
  const steps = ["74 04 ; jz", ADD, `eb 00 ; jmp, ${STEP}`];
  assertEquals(seenAtEnds(steps, [TEST, "c3 ; ret"]), [true, true]);
  assertEquals(seenAtEnds([ADD, "eb 70 ; jmp"]), [true]);
  assertEquals(seenAtEnds([ADD, "ff e0 ; jmp rax"]), [true]);
});

Deno.test("flags that a later block needs are there when that is left for a fault or an end", () => {
  const program = code(
    "31 ff ; xor edi, edi",
    "01 d8 ; again: add eax, ebx",
    "48 ff c6 ; inc rsi",
    "eb 00 ; jmp to the next one",
    "c1 e2 03 ; shl edx, 3",
    "0f a3 ca ; bt edx, ecx",
    "eb 00 ; jmp to the next one",
    "89 d5 ; mov ebp, edx",
    "8a 0e ; mov cl, [rsi]",
    "01 ca ; add edx, ecx",
    "39 de ; cmp esi, ebx",
    "75 e9 ; jnz again",
    "f4 ; hlt",
  );
  for (let budget = 1; budget < 65; budget += 5) { // 12 instructions a turn
    runBoth(program, {
      budget,
      state: (state: CpuState) => {
        state.setGpr(Reg.RAX, 0x7fff_fff0);
        state.setGpr(Reg.RBX, 7);
        state.setGpr(Reg.RDX, 0x9876_5432n);
        state.setGpr(Reg.RSI, DATA_AT + 4096 - 5);
        state.set(State.RFLAGS, 0x8d7);
      },
      memory: (memory) => {
        mapPage(memory, DATA_AT + 4096, 0, 0);
        for (let i = 0; i < 4096; i += 1) memory.writeU8(gpa(DATA_AT + i), i * 37 & 0xff);
      },
    });
  }
});
